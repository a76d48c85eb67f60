//! Rule/CloudWatchAlarm: holds when an alarm is in one of the wanted states. Source: CodePipeline user guide,
//! 'CloudWatchAlarm', 'How do stage conditions work?' and 'Stage conditions'.
//!
//! Where no states are named, `OK` and `INSUFFICIENT_DATA` are wanted, and `ALARM` after a failure. `WaitTime` means
//! another thing after a success than elsewhere:
//!
//! | condition | the alarm is in a wanted state | it is not |
//! |---|---|---|
//! | `beforeEntry`, `onFailure` | holds at once | waited for, as long as `WaitTime` |
//! | `onSuccess` | watched until the end of `WaitTime`, and holds then | fails at once |
//!
//! The alarm is looked at with each poll. One that goes off and comes back between two polls is not seen.

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsError;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use driver::{Outcome, Task};
use engine::{ActionError, External, Progress, Success};
use pipeline::ConditionKind;
use serde::Deserialize;

use crate::configuration::{read, requested};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::{Permission, Permissions, everything};
use crate::provider::{Descriptor, Documentation, Implements, Provider, ProviderInfo, Tried, attempt_id};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo::of(
        &[Implements::aws("Rule", "CloudWatchAlarm")],
        PERMISSIONS,
        Documentation {
            file: file!(),
            ends: "at once or by poll",
            tried: Tried::Emulators,
            differs: "The alarm is looked at with each poll: what it does between two polls is not seen.",
        },
    ),
    provider: &CloudWatchAlarm,
    token: attempt_id,
};

// An alarm of another kind than a metric's is shown to those alone who may look at all. Source: CloudWatch API,
// `DescribeAlarms`.
const PERMISSIONS: Permissions = Permissions::of(&[&[Permission::new(&["cloudwatch:DescribeAlarms"], everything)]]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    alarm_name: &'a str,
    alarm_states: Option<AlarmStates>,
    /// How long the alarm is watched, in minutes; 0: it is looked at once.
    #[serde(default)]
    wait_time: u32,
}

/// States of an alarm, from a list with commas.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "&str")]
struct AlarmStates(Vec<&'static str>);

impl TryFrom<&str> for AlarmStates {
    type Error = String;

    fn try_from(list: &str) -> Result<Self, String> {
        let all = ["ALARM", "INSUFFICIENT_DATA", "OK"];
        let known = |state: &str| all.into_iter().find(|known| *known == state.trim());
        let states: Option<Vec<_>> = list.split(',').map(known).collect();
        states.map(Self).ok_or_else(|| format!("it is a list of {}, with commas between them", all.join(", ")))
    }
}

struct CloudWatchAlarm;

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
    let configuration: Configuration<'_> = read(task)?;
    let condition = ConditionKind::at(task.id.action).map(|(kind, _)| kind);
    let wanted = configuration.alarm_states.map_or_else(|| default_states(condition), |states| states.0);
    let until = requested(task).unwrap_or(context.now).plus_minutes(configuration.wait_time);
    let client = Client::new(context.session().await?.config());
    let (state, arn) = state(&client, configuration.alarm_name, &task.region).await?;
    let alarm = Alarm { name: configuration.alarm_name, state: &state, arn };
    let time_left = context.now < until;
    Ok(match (wanted.contains(&state.as_str()), condition == Some(ConditionKind::OnSuccess)) {
        (true, true) if time_left => alarm.watched(task, "is watched until the end of WaitTime"),
        (true, _) => alarm.held(task),
        (false, false) if time_left => alarm.watched(task, &format!("waits for {}", wanted.join(" or "))),
        (false, _) => alarm.failed(task, &wanted),
    })
}

/// The states in which a rule holds that names none.
fn default_states(condition: Option<ConditionKind>) -> Vec<&'static str> {
    match condition {
        Some(ConditionKind::OnFailure) => vec!["ALARM"],
        _ => vec!["OK", "INSUFFICIENT_DATA"],
    }
}

/// An alarm as it was found.
struct Alarm<'a> {
    name: &'a str,
    state: &'a str,
    arn: String,
}

impl Alarm<'_> {
    fn report(&self, task: &Task, summary: Option<String>) -> Progress {
        let url = Some(console::cloudwatch_alarm(&task.region, self.name));
        Progress { external: Some(External { id: self.arn.clone(), url }), summary, percent: None }
    }

    fn held(&self, task: &Task) -> Outcome {
        let report = self.report(task, Some(format!("The alarm {} is in state {}", self.name, self.state)));
        Outcome::Succeeded(Success { report, ..Success::default() })
    }

    fn watched(&self, task: &Task, why: &str) -> Outcome {
        let summary = format!("The alarm {} is in state {}; {why}", self.name, self.state);
        Outcome::Running { report: self.report(task, Some(summary)), poll: true, event_source: None }
    }

    fn failed(&self, task: &Task, wanted: &[&str]) -> Outcome {
        let wanted = wanted.join(" or ");
        let message = format!("the alarm {} is in state {}, and the rule holds in {wanted}", self.name, self.state);
        let error = ActionError { code: JOB_FAILED.to_owned(), message };
        Outcome::Failed { error, report: self.report(task, None) }
    }
}

impl ClassifyError for DescribeAlarmsError {
    fn class(&self) -> Option<ErrorClass> {
        None
    }
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
    fn states_are_a_list() {
        let states = |list: &str| AlarmStates::try_from(list).map(|states| states.0);
        assert_eq!(states("ALARM").unwrap(), ["ALARM"]);
        assert_eq!(states("OK, INSUFFICIENT_DATA").unwrap(), ["OK", "INSUFFICIENT_DATA"]);
        for wrong in ["ok", "OK,", "OK ALARM", "WAIT"] {
            assert!(states(wrong).unwrap_err().contains("ALARM, INSUFFICIENT_DATA, OK"), "{wrong}");
        }
    }

    #[test]
    fn the_wanted_states_depend_on_the_condition_where_none_are_named() {
        for kind in [None, Some(ConditionKind::BeforeEntry), Some(ConditionKind::OnSuccess)] {
            assert_eq!(default_states(kind), ["OK", "INSUFFICIENT_DATA"]);
        }
        assert_eq!(default_states(Some(ConditionKind::OnFailure)), ["ALARM"]);
    }
}
