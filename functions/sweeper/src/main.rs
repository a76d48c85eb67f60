//! Function `sweeper`: finds overdue work and gets it done.
//!
//! A rule wakes it once a minute; where `MILLRACE_SWEEP_SECONDS` is less than that, it sweeps repeatedly until the
//! minute is over. What is overdue, and what to do about it, is decided by `driver::Driver::sweep`. Several sweepers
//! may run at the same time.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::time::Duration;

use driver::Driver;
use runtime::{Clients, SettingError, Settings};
use serde_json::{Value, json};

/// The period of the rule that wakes this function.
const PERIOD: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (driver, pause) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|_: Value, _| async move { sweep(driver, *pause).await }).await
}

/// The driver, and the time between two sweeps.
fn wire(settings: &Settings, clients: &Clients) -> Result<(Driver, Duration), SettingError> {
    let pause = Duration::from_secs(settings.sweep_seconds()?.into());
    Ok((runtime::driver(settings, clients, providers::SOURCES)?, pause))
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

#[cfg(test)]
mod environment {
    use runtime::{Clients, Settings};
    use testkit::{Stub, Template};

    #[test]
    fn its_environment_is_what_it_reads_and_nothing_else() {
        let environment = Template::home().environment("SweeperFunction");
        let settings = Settings::read(environment.lookup()).unwrap();
        super::wire(&settings, &Clients::from_config(Stub::unused().config())).unwrap();
        environment.assert_read();
    }
}
