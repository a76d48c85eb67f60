//! Rule/DeploymentWindow: holds when the time is inside the window, and waits until it is. Source: CodePipeline user
//! guide, 'DeploymentWindow'.
//!
//! A window that is open for a minute only may have passed when it is looked at again: it counts for a while after.

use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{Progress, Success, Timestamp};
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use pipeline::schedule::{self, Cron};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::configuration::{read, requested};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::permission::Permissions;
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// How long an opening counts, in milliseconds: longer than the time between two polls.
const LATE: i64 = 3 * 60_000;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[Implements::aws("Rule", "DeploymentWindow")],
        PERMISSIONS,
        Documentation { file: file!(), ends: "by poll", tried: Tried::Emulators, differs: "None known." },
    ),
    provider: &DeploymentWindow,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    #[serde(deserialize_with = "cron", borrow)]
    cron: (&'a str, Cron),
    #[serde(default = "utc", deserialize_with = "time_zone")]
    time_zone: TimeZone,
}

fn cron<'de, D: Deserializer<'de>>(value: D) -> Result<(&'de str, Cron), D::Error> {
    let text = <&str>::deserialize(value)?;
    Cron::parse(text).map(|cron| (text, cron)).map_err(D::Error::custom)
}

fn utc() -> TimeZone {
    TimeZone::UTC
}

fn time_zone<'de, D: Deserializer<'de>>(value: D) -> Result<TimeZone, D::Error> {
    schedule::time_zone(<&str>::deserialize(value)?).ok_or_else(|| D::Error::custom("there is no such time zone"))
}

struct DeploymentWindow;

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
    let Configuration { cron: (text, cron), time_zone: zone } = read(task)?;
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
            event_source: None,
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
