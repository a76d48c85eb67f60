//! Rule/CloudWatchAlarm: holds when an alarm is in one of the wanted states, and waits for that as long as `WaitTime`
//! says. Source: CodePipeline user guide, 'CloudWatchAlarm' and 'How do stage conditions work?': where no states are
//! named, `OK` and `INSUFFICIENT_DATA` are wanted, and `ALARM` after a failure.
//!
//! The role needs `cloudwatch:DescribeAlarms`.

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use driver::{Outcome, Task};
use engine::{ActionError, External, Progress, Success};

use super::after_failure;
use crate::configuration::{optional, requested, required};
use crate::console;
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::provider::Provider;

/// The states of an alarm.
const STATES: [&str; 3] = ["ALARM", "INSUFFICIENT_DATA", "OK"];

pub(crate) struct CloudWatchAlarm;

#[async_trait]
impl Provider for CloudWatchAlarm {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        look(context).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        look(context).await
    }
}

async fn look(context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
    let task = context.task;
    let name = required(task, "AlarmName")?;
    let wanted = wanted(optional(task, "AlarmStates"), after_failure(task))?;
    let until = requested(task).unwrap_or(context.now).plus_minutes(minutes(optional(task, "WaitTime"))?);
    let client = Client::new(context.session().await?.config());
    let (state, arn) = state(&client, name, &task.region).await?;
    Ok(decide(task, name, &state, arn, &wanted, context.now < until))
}

/// What comes of an alarm's state.
fn decide(task: &Task, name: &str, state: &str, arn: String, wanted: &[&str], may_wait: bool) -> Outcome {
    let external = External { id: arn, url: Some(console::cloudwatch_alarm(&task.region, name)) };
    let report = |summary: String| Progress { external: Some(external.clone()), summary: Some(summary), percent: None };
    let wanted_states = wanted.join(" or ");
    if wanted.contains(&state) {
        let report = report(format!("The alarm {name} is in state {state}"));
        Outcome::Succeeded(Success { report, ..Success::default() })
    } else if may_wait {
        let report = report(format!("The alarm {name} is in state {state}; waits for {wanted_states}"));
        Outcome::Running { report, poll: true }
    } else {
        let message = format!("the alarm {name} is in state {state}, and the rule holds in {wanted_states}");
        let error = ActionError { code: JOB_FAILED.to_owned(), message };
        Outcome::Failed { error, report: Progress { external: Some(external), ..Progress::default() } }
    }
}

/// The states in which the rule holds, from a list with commas.
fn wanted(states: Option<&str>, after_failure: bool) -> Result<Vec<&'static str>, ProviderError> {
    let Some(states) = states else {
        return Ok(if after_failure { vec!["ALARM"] } else { vec!["OK", "INSUFFICIENT_DATA"] });
    };
    let known = |state: &str| {
        STATES.into_iter().find(|known| *known == state.trim()).ok_or_else(|| {
            ProviderError::configuration(format!("AlarmStates is {states:?}, and can have {} in it", STATES.join(", ")))
        })
    };
    states.split(',').map(known).collect()
}

/// Minutes to wait; none: none.
fn minutes(text: Option<&str>) -> Result<u32, ProviderError> {
    let Some(text) = text else { return Ok(0) };
    let minutes = text.trim().parse().ok();
    minutes
        .ok_or_else(|| ProviderError::configuration(format!("WaitTime is {text:?}, and must be a number of minutes")))
}

/// The state of an alarm of either kind, and its ARN.
async fn state(client: &Client, name: &str, region: &str) -> Result<(String, String), ProviderError> {
    let found = client
        .describe_alarms()
        .alarm_names(name)
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .send()
        .await
        .map_err(|error| ProviderError::aws("DescribeAlarms", format!("the alarm {name} in {region}"), &error))?;
    let metric = found.metric_alarms().iter().map(|alarm| (alarm.state_value(), alarm.alarm_arn()));
    let composite = found.composite_alarms().iter().map(|alarm| (alarm.state_value(), alarm.alarm_arn()));
    let (state, arn) = metric
        .chain(composite)
        .next()
        .ok_or_else(|| ProviderError::configuration(format!("there is no alarm {name} in {region}")))?;
    let state = state.map_or("INSUFFICIENT_DATA", StateValue::as_str);
    Ok((state.to_owned(), arn.unwrap_or(name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_states_depend_on_the_condition_where_none_are_named() {
        assert_eq!(wanted(None, false).unwrap(), ["OK", "INSUFFICIENT_DATA"]);
        assert_eq!(wanted(None, true).unwrap(), ["ALARM"]);
        assert_eq!(wanted(Some("ALARM"), false).unwrap(), ["ALARM"]);
        assert_eq!(wanted(Some("OK, INSUFFICIENT_DATA"), true).unwrap(), ["OK", "INSUFFICIENT_DATA"]);
        for wrong in ["ok", "OK,", "OK ALARM", "WAIT"] {
            assert!(matches!(wanted(Some(wrong), false), Err(ProviderError::Failed { .. })), "{wrong}");
        }
    }

    #[test]
    fn waiting_is_in_minutes() {
        assert_eq!(minutes(None).unwrap(), 0);
        assert_eq!(minutes(Some("20")).unwrap(), 20);
        for wrong in ["-1", "1.5", "soon", "99999999999"] {
            assert!(minutes(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
