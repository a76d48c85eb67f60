//! Rule/DeploymentWindow: holds when the time is inside the window, and waits until it is. Source: CodePipeline user
//! guide, 'DeploymentWindow'.
//!
//! A window that is open for a minute only may have passed when it is looked at again: it counts for a while after.

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{Progress, Success, Timestamp};
use jiff::ZonedDateTime;
use pipeline::schedule::{Cron, time_zone};

use crate::configuration::{optional, requested, required};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::provider::Provider;

/// How long an opening counts, in milliseconds: longer than the time between two polls.
const LATE: i64 = 3 * 60_000;

pub(crate) struct DeploymentWindow;

#[async_trait]
impl Provider for DeploymentWindow {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        look(context.task, context.now)
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        look(context.task, context.now)
    }
}

fn look(task: &Task, now: Timestamp) -> Result<Outcome, ProviderError> {
    let text = required(task, "Cron")?;
    let cron = Cron::parse(text).map_err(|why| ProviderError::configuration(format!("Cron is {text:?}: {why}")))?;
    let name = optional(task, "TimeZone").unwrap_or("UTC");
    let zone =
        time_zone(name).ok_or_else(|| ProviderError::configuration(format!("TimeZone {name:?} is no time zone")))?;
    let from = requested(task).unwrap_or(now).max(now.plus(-LATE)).min(now);
    let from = jiff::Timestamp::from_millisecond(from.0)
        .map_err(|error| ProviderError::failed(JOB_FAILED, error.to_string()))?
        .to_zoned_datetime(zone);
    match cron.next(&from) {
        None => {
            Err(ProviderError::failed(JOB_FAILED, format!("the deployment window {text:?} does not open any more")))
        }
        Some(opening) if opening.timestamp().as_millisecond() <= now.0 => Ok(Outcome::Succeeded(Success {
            report: report(format!("The deployment window is open since {}", shown(&opening))),
            ..Success::default()
        })),
        Some(opening) => Ok(Outcome::Running {
            report: report(format!("Waits for the deployment window, which opens at {}", shown(&opening))),
            poll: true,
        }),
    }
}

fn report(summary: String) -> Progress {
    Progress { summary: Some(summary), ..Progress::default() }
}

/// In the window's own time.
fn shown(time: &ZonedDateTime) -> String {
    time.strftime("%Y-%m-%d %H:%M (UTC%:z)").to_string()
}
