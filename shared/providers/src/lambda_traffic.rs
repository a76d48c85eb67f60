//! The traffic of a Lambda alias, and how it moves to another version. Source: CodePipeline user guide, 'AWS Lambda deploy
//! action reference', `DeployStrategy` and `Alarms`; Lambda developer guide, 'Implement Lambda canary deployments using a
//! weighted alias'.
//!
//! Each move is one `UpdateAlias` on the revision of the alias that was looked at, so two workers make one move. A move
//! whose time was not written down, since its worker was lost, counts from when it is seen first: the traffic may move later
//! than the strategy says, never earlier.

use std::collections::HashMap;

use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_alias::GetAliasOutput;
use aws_sdk_lambda::types::AliasRoutingConfiguration;
use driver::Outcome;
use engine::Timestamp;
use serde::Deserialize;

use crate::error::{JOB_FAILED, ProviderError};
use crate::function_report::name;
use crate::lambda_deploy::{DeployState, Step};

/// Minutes that a strategy may wait in all. Source: as above, 'Maximum total wait time is 2 days'.
const LONGEST_WAIT: u32 = 2 * 24 * 60;
/// Source: as above, `Alarms`.
const MOST_ALARMS: usize = 10;
/// All of an alias's traffic.
const ALL: u32 = 100;

/// How fast traffic moves to a new version.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(try_from = "&str")]
pub(crate) enum DeployStrategy {
    #[default]
    AllAtOnce,
    /// A part first, and the rest after some minutes.
    Canary { percent: u32, minutes: u32 },
    /// One part after another.
    Linear { percent: u32, minutes: u32 },
}

impl TryFrom<&str> for DeployStrategy {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        let other = "it can be AllAtOnce, or as Canary10Percent5Minutes or Linear10PercentEvery1Minute";
        let strategy = Self::parse(text).ok_or(other)?;
        match strategy.waits() {
            waits if waits > u64::from(LONGEST_WAIT) => {
                Err(format!("it waits {waits} minutes in all, and may wait {LONGEST_WAIT}"))
            }
            _ => Ok(strategy),
        }
    }
}

impl DeployStrategy {
    fn parse(text: &str) -> Option<Self> {
        if text == "AllAtOnce" {
            return Some(Self::AllAtOnce);
        }
        let (linear, rest) = match text.strip_prefix("Canary") {
            Some(rest) => (false, rest),
            None => (true, text.strip_prefix("Linear")?),
        };
        let (percent, rest) = rest.split_once(if linear { "PercentEvery" } else { "Percent" })?;
        let minutes = rest.strip_suffix("Minutes").or_else(|| rest.strip_suffix("Minute"))?;
        // `parse` would take a sign.
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
        let percent = number(percent).filter(|percent| (1..ALL).contains(percent))?;
        let minutes = number(minutes).filter(|minutes| *minutes > 0)?;
        Some(if linear { Self::Linear { percent, minutes } } else { Self::Canary { percent, minutes } })
    }

    /// Minutes from the first move to the last.
    fn waits(self) -> u64 {
        match self {
            Self::AllAtOnce => 0,
            Self::Canary { minutes, .. } => u64::from(minutes),
            Self::Linear { percent, minutes } => u64::from(ALL.div_ceil(percent) - 1) * u64::from(minutes),
        }
    }

    /// What the version has after its next move, and the minutes before that.
    fn next(self, percent: u32) -> (u32, u32) {
        match self {
            Self::AllAtOnce => (ALL, 0),
            Self::Canary { percent: first, .. } | Self::Linear { percent: first, .. } if percent == 0 => (first, 0),
            Self::Canary { minutes, .. } => (ALL, minutes),
            Self::Linear { percent: more, minutes } => (percent.saturating_add(more).min(ALL), minutes),
        }
    }
}

/// The names of alarms, from a list with commas.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(try_from = "&str")]
pub(crate) struct Alarms(Vec<String>);

impl TryFrom<&str> for Alarms {
    type Error = String;

    fn try_from(list: &str) -> Result<Self, String> {
        let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
        if names.len() > MOST_ALARMS || names.iter().any(String::is_empty) {
            return Err(format!("it is a list of up to {MOST_ALARMS} names of alarms, with commas between them"));
        }
        Ok(Self(names))
    }
}

/// An alias whose traffic moves.
pub(crate) struct Traffic<'a> {
    pub(crate) client: &'a Client,
    pub(crate) cloudwatch: &'a aws_sdk_cloudwatch::Client,
    pub(crate) region: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) function: &'a str,
    pub(crate) alias: &'a str,
    pub(crate) strategy: DeployStrategy,
    pub(crate) alarms: &'a Alarms,
}

impl Traffic<'_> {
    /// How messages call the alias.
    fn label(&self) -> String {
        format!("{}:{}", name(self.function), self.alias)
    }

    /// What can be wrong before anything changes. Where traffic moves already, [`Traffic::shift`] looks at the alarms.
    pub(crate) async fn check(&self, reclaimed: bool) -> Result<(), ProviderError> {
        let alias = self.describe().await?;
        if self.strategy != DeployStrategy::AllAtOnce && alias.function_version() == Some("$LATEST") {
            let label = self.label();
            return Err(ProviderError::configuration(format!(
                "{label} points at $LATEST: Lambda moves traffic from published versions only, so point it at one"
            )));
        }
        if reclaimed || !weights(&alias).is_empty() {
            return Ok(());
        }
        match self.alarm().await? {
            Some(alarm) => Err(ProviderError::failed(JOB_FAILED, format!("{alarm}: nothing was deployed"))),
            None => Ok(()),
        }
    }

    /// Makes the next move if its time has come; or takes all back if there is an alarm.
    pub(crate) async fn shift(&self, state: DeployState) -> Result<Outcome, ProviderError> {
        let alias = self.describe().await?;
        let before = alias.function_version().unwrap_or_default();
        let percent = self.percent(&alias, &state.version)?;
        let (label, version) = (self.label(), state.version.clone());
        if percent == ALL {
            return Ok(state.succeeded(self.region, format!("All traffic of {label} goes to version {version}")));
        }
        if state.step.is_some_and(|step| step.percent > percent) {
            let message = format!("Somebody took traffic of {label} back from version {version} in the meantime");
            return Err(ProviderError::Failed {
                code: JOB_FAILED,
                message,
                report: state.report(self.region, format!("Version {version} has {percent} percent of {label}")),
            });
        }
        if let Some(alarm) = self.alarm().await? {
            return Err(self.take_back(&alias, &state, percent, alarm).await);
        }
        // A move that is not written down is written down now.
        let since = state.step.filter(|step| step.percent == percent).map_or(self.now, |step| step.since);
        let (next, minutes) = self.strategy.next(percent);
        let step = if self.now < since.plus_minutes(minutes) {
            Step { percent, since }
        } else {
            self.update(&alias, before, &version, next).await?;
            Step { percent: next, since: self.now }
        };
        let state = DeployState { step: Some(step), ..state };
        Ok(match step.percent {
            ALL => state.succeeded(self.region, format!("All traffic of {label} goes to version {version}")),
            percent => {
                let summary = format!("{percent} percent of the traffic of {label} go to version {version}");
                state.running(self.region, format!("{summary}, the rest to version {before}"))
            }
        })
    }

    /// What percentage of the traffic a version has, which may share it with one other version only.
    fn percent(&self, alias: &GetAliasOutput, version: &str) -> Result<u32, ProviderError> {
        let main = alias.function_version().unwrap_or_default();
        match weights(alias)[..] {
            [] if main == version => Ok(ALL),
            [] => Ok(0),
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a weight is from 0 to 1")]
            [(other, weight)] if other == version && main != version => {
                Ok((weight.clamp(0.0, 1.0) * f64::from(ALL)).round() as u32)
            }
            [(other, _), ..] => Err(ProviderError::configuration(format!(
                "{} sends traffic to the versions {main} and {other}: it must have one version, from which traffic \
                 moves to version {version}",
                self.label()
            ))),
        }
    }

    /// The alias goes back to the version that it had. It failed even so.
    async fn take_back(
        &self,
        alias: &GetAliasOutput,
        state: &DeployState,
        percent: u32,
        alarm: String,
    ) -> ProviderError {
        let before = alias.function_version().unwrap_or_default();
        let label = self.label();
        let message = match percent {
            0 => format!("{alarm}: version {} was published, and {label} stays at version {before}", state.version),
            _ => match self.update(alias, before, before, ALL).await {
                Ok(()) => format!("{alarm}: {label} is back at version {before}"),
                Err(retryable @ ProviderError::Retryable(_)) => return retryable,
                Err(ProviderError::Failed { message, .. }) => {
                    format!("{alarm}, and {label} could not be taken back to version {before}: {message}")
                }
            },
        };
        let summary = format!("Version {} had {percent} percent of the traffic of {label}", state.version);
        ProviderError::Failed { code: JOB_FAILED, message, report: state.report(self.region, summary) }
    }

    async fn describe(&self) -> Result<GetAliasOutput, ProviderError> {
        let found = self.client.get_alias().function_name(self.function).name(self.alias).send().await;
        found.map_err(|error| ProviderError::aws("GetAlias", self.label(), &error))
    }

    /// Gives a version this percentage of the traffic, and the one `before` it the rest.
    async fn update(
        &self,
        alias: &GetAliasOutput,
        before: &str,
        version: &str,
        percent: u32,
    ) -> Result<(), ProviderError> {
        let (main, weights) = match percent {
            ALL => (version, HashMap::new()),
            part => (before, HashMap::from([(version.to_owned(), f64::from(part) / f64::from(ALL))])),
        };
        let routing = AliasRoutingConfiguration::builder().set_additional_version_weights(Some(weights)).build();
        let update = self.client.update_alias().function_name(self.function).name(self.alias);
        let update = update.function_version(main).routing_config(routing);
        let updated = update.set_revision_id(alias.revision_id.clone()).send().await;
        updated.map_err(|error| ProviderError::aws("UpdateAlias", self.label(), &error))?;
        Ok(())
    }

    /// An alarm that has gone off, with its reason.
    async fn alarm(&self) -> Result<Option<String>, ProviderError> {
        let names = &self.alarms.0;
        if names.is_empty() {
            return Ok(None);
        }
        let found = self
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.clone()))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .send()
            .await
            .map_err(|error| ProviderError::aws("DescribeAlarms", names.join(", "), &error))?;
        let metric = found.metric_alarms().iter();
        let metric = metric.map(|alarm| (alarm.alarm_name(), alarm.state_value(), alarm.state_reason()));
        let composite = found.composite_alarms().iter();
        let composite = composite.map(|alarm| (alarm.alarm_name(), alarm.state_value(), alarm.state_reason()));
        let all: Vec<_> = metric.chain(composite).collect();
        if let Some(missing) = names.iter().find(|name| all.iter().all(|(it, ..)| *it != Some(name.as_str()))) {
            return Err(ProviderError::configuration(format!("there is no alarm {missing} in {}", self.region)));
        }
        let gone_off = all.iter().find(|(_, state, _)| *state == Some(&StateValue::Alarm));
        Ok(gone_off.map(|(name, _, reason)| {
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("The alarm {} is in state ALARM{reason}", name.unwrap_or("-"))
        }))
    }
}

/// The versions that have traffic beside the alias's main one, and their parts: Lambda allows one.
fn weights(alias: &GetAliasOutput) -> Vec<(&str, f64)> {
    let weights = alias.routing_config().and_then(|routing| routing.additional_version_weights());
    weights.into_iter().flatten().map(|(version, weight)| (version.as_str(), *weight)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(text: &str) -> Result<DeployStrategy, String> {
        DeployStrategy::try_from(text)
    }

    #[test]
    fn strategies_are_read_with_any_numbers_that_make_sense() {
        assert_eq!(strategy("AllAtOnce"), Ok(DeployStrategy::AllAtOnce));
        assert_eq!(strategy("Canary10Percent5Minutes"), Ok(DeployStrategy::Canary { percent: 10, minutes: 5 }));
        assert_eq!(strategy("Canary99Percent1Minute"), Ok(DeployStrategy::Canary { percent: 99, minutes: 1 }));
        assert_eq!(strategy("Linear10PercentEvery1Minute"), Ok(DeployStrategy::Linear { percent: 10, minutes: 1 }));
        assert_eq!(strategy("Linear30PercentEvery15Minutes"), Ok(DeployStrategy::Linear { percent: 30, minutes: 15 }));
        for wrong in [
            "allAtOnce",
            "Canary",
            "Canary0Percent5Minutes",
            "Canary100Percent5Minutes",
            "Canary10Percent0Minutes",
            "Canary+10Percent5Minutes",
            "Canary10PercentEvery5Minutes",
            "Linear10Percent5Minutes",
            "Linear10PercentEvery5Hours",
            "Linear10PercentEvery99999999999Minutes",
        ] {
            let why = strategy(wrong).unwrap_err();
            assert!(why.contains("Canary10Percent5Minutes or Linear10PercentEvery1Minute"), "{wrong}: {why}");
        }
    }

    #[test]
    fn no_strategy_waits_longer_than_two_days() {
        assert!(strategy("Canary10Percent2880Minutes").is_ok());
        assert!(strategy("Linear10PercentEvery320Minutes").is_ok());
        for (long, minutes) in [
            ("Canary10Percent2881Minutes", "2881"),
            ("Linear10PercentEvery321Minutes", "2889"),
            ("Linear1PercentEvery4294967295Minutes", "425201762205"),
        ] {
            let why = strategy(long).unwrap_err();
            assert_eq!(why, format!("it waits {minutes} minutes in all, and may wait 2880"));
        }
    }

    #[test]
    fn the_moves_of_each_strategy_follow_one_another() {
        let moves = |strategy: DeployStrategy| {
            let mut percents = vec![0];
            while *percents.last().unwrap() < ALL {
                percents.push(strategy.next(*percents.last().unwrap()).0);
            }
            percents
        };
        assert_eq!(moves(DeployStrategy::AllAtOnce), [0, 100]);
        assert_eq!(moves(DeployStrategy::Canary { percent: 10, minutes: 5 }), [0, 10, 100]);
        assert_eq!(moves(DeployStrategy::Linear { percent: 40, minutes: 1 }), [0, 40, 80, 100]);
    }

    #[test]
    fn alarms_are_a_list_of_ten_at_most() {
        let alarms = |list: &str| Alarms::try_from(list).map(|alarms| alarms.0);
        assert_eq!(alarms("errors, slow answers").unwrap(), ["errors", "slow answers"]);
        assert_eq!(alarms(&["a"; 10].join(",")).unwrap().len(), 10);
        for wrong in [&["a"; 11].join(","), "a,,b", ","] {
            assert!(alarms(wrong).unwrap_err().contains("up to 10 names"), "{wrong}");
        }
    }
}
