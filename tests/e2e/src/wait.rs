//! Waiting for what happens by itself.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often it is looked.
const TICK: Duration = Duration::from_millis(150);
/// For how long anything of a pipeline is waited for: a lost event is made good by the sweeper after a lease (10 s here)
/// and a sweep, and the machine is busy.
pub const PATIENCE: Duration = Duration::from_secs(75);

/// Asks until there is an answer. A call that fails is asked again: a function under the API may just have been killed.
pub async fn until<T, F>(limit: Duration, what: impl Fn() -> String, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let began = Instant::now();
    loop {
        let answer = ask().await;
        if let Ok(Some(answer)) = answer {
            return Ok(answer);
        }
        if began.elapsed() > limit {
            let error = answer.err().map(|error| format!(" (the last call: {error:#})")).unwrap_or_default();
            bail!("{} within {} s{error}", what(), limit.as_secs());
        }
        tokio::time::sleep(TICK).await;
    }
}
