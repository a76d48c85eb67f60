//! Function `sweeper`: finds overdue work and gets it done.
//!
//! A rule wakes it once a minute; where `MILLRACE_SWEEP_SECONDS` is less than that, it sweeps repeatedly until the
//! minute is over. What is overdue, and what to do about it, is decided by `driver::Driver::sweep`. Several sweepers
//! may run at the same time.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::time::Duration;

use driver::Driver;
use runtime::{Clients, Metrics, SettingError, Settings, Unit};
use serde_json::{Value, json};

/// The period of the rule that wakes this function.
const PERIOD: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let (driver, pause, metrics) = &wire(&settings, &Clients::new(&settings).await)?;
    runtime::run(|_: Value, _| async move {
        let swept = sweep(driver, *pause).await?;
        let mut metrics = metrics.clone();
        measure(driver, swept, &mut metrics).await?;
        metrics.write();
        Ok(json!({"swept": swept}))
    })
    .await
}

/// The driver, the time between two sweeps, and no metrics yet.
fn wire(settings: &Settings, clients: &Clients) -> Result<(Driver, Duration, Metrics), SettingError> {
    let pause = Duration::from_secs(settings.sweep_seconds()?.into());
    Ok((runtime::driver(settings, clients, providers::SOURCES)?, pause, Metrics::new(settings)?))
}

/// Sweeps until the next sweep belongs to the next invocation. Returns how many items were dealt with.
async fn sweep(driver: &Driver, pause: Duration) -> anyhow::Result<usize> {
    let began = tokio::time::Instant::now();
    let mut swept = 0;
    loop {
        let now = driver.sweep(PERIOD.saturating_sub(began.elapsed())).await?;
        if now > 0 {
            tracing::info!(items = now, "swept");
        }
        swept += now;
        if began.elapsed() + pause >= PERIOD {
            return Ok(swept);
        }
        tokio::time::sleep(pause).await;
    }
}

/// How much was swept, and for how long what is left has been due: that grows where something can never be done.
async fn measure(driver: &Driver, swept: usize, metrics: &mut Metrics) -> anyhow::Result<()> {
    metrics.add("Swept", Unit::Count, swept as f64);
    metrics.add("Overdue", Unit::Milliseconds, driver.overdue().await?.as_millis() as f64);
    Ok(())
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
