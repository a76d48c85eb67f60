//! Function `sweeper`: finds overdue work and gets it done.
//!
//! A rule wakes it once a minute; where `MILLRACE_SWEEP_SECONDS` is less than that, it sweeps repeatedly until the
//! minute is over. What is overdue, and what to do about it, is decided by `driver::Driver::sweep`. Several may be at it at
//! the same time.

use std::time::Duration;

use driver::Driver;
use runtime::{Clients, Settings};
use serde_json::{Value, json};

/// The period of the rule that wakes this function.
const PERIOD: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let clients = Clients::new(&settings).await;
    let driver = runtime::driver(&settings, &clients, providers::SOURCES)?;
    let pause = Duration::from_secs(settings.sweep_seconds().into());
    let driver = &driver;
    runtime::run(|_: Value, _| async move { sweep(driver, pause).await }).await
}

/// Sweeps until the next sweep belongs to the next invocation. Returns how many items were dealt with.
async fn sweep(driver: &Driver, pause: Duration) -> anyhow::Result<Value> {
    let began = tokio::time::Instant::now();
    let mut swept = 0;
    loop {
        let now = driver.sweep(PERIOD.saturating_sub(began.elapsed())).await?;
        if now > 0 {
            tracing::info!(items = now, "swept");
        }
        swept += now;
        if began.elapsed() + pause >= PERIOD {
            return Ok(json!({"swept": swept}));
        }
        tokio::time::sleep(pause).await;
    }
}
