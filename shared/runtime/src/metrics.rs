//! Metrics, as lines of a function's log that CloudWatch reads (the embedded metric format): they cost no request and no time.
//!
//! Each combination of a metric's name and its dimension's value is billed. So there is none by pipeline: there may be thousands,
//! and the events and the audit log tell of each. What there is has few values: states of executions, and the providers of
//! CodePipeline's own action types; those of the account's own types are one.

use std::collections::BTreeMap;
use std::io::Write as _;

use driver::Clock;
use serde_json::{Value, json};

use crate::clock::SystemClock;
use crate::settings::{SettingError, Settings};

/// Under what CloudWatch lists our metrics.
const NAMESPACE: &str = "Millrace";
/// The dimension that all metrics have: the name of the home stack.
const INSTALLATION: &str = "Installation";
/// Most values of a metric in a line. Source: CloudWatch user guide, 'Embedded metric format specification'.
const MOST_VALUES: usize = 100;

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// So many of something: starts, ends, repairs.
    Count,
    /// How long something took or waited.
    Milliseconds,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// A second dimension and its value.
type By = Option<(&'static str, String)>;

/// Values that are gathered until they are written.
#[derive(Clone, Debug)]
pub struct Metrics {
    installation: String,
    gathered: BTreeMap<By, BTreeMap<(&'static str, Unit), Vec<f64>>>,
}

impl Metrics {
    /// Metrics of the installation of the settings.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn new(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self { installation: settings.installation()?, gathered: BTreeMap::new() })
    }

    /// Adds a value to a metric of the installation.
    pub fn add(&mut self, name: &'static str, unit: Unit, value: f64) {
        self.gathered.entry(None).or_default().entry((name, unit)).or_default().push(value);
    }

    /// Adds a value to a metric that has a value for each of a few names.
    pub fn add_by(&mut self, (dimension, of): (&'static str, &str), name: &'static str, unit: Unit, value: f64) {
        let by = Some((dimension, of.to_owned()));
        self.gathered.entry(by).or_default().entry((name, unit)).or_default().push(value);
    }

    /// Takes what was gathered, as lines of the embedded metric format.
    pub fn lines(&mut self) -> Vec<String> {
        let now = SystemClock.now().0;
        let mut lines = Vec::new();
        for (by, metrics) in std::mem::take(&mut self.gathered) {
            let longest = metrics.values().map(Vec::len).max().unwrap_or_default();
            for begin in (0..longest).step_by(MOST_VALUES) {
                let part = metrics.iter().filter_map(|(metric, values)| {
                    let values = values.get(begin..)?;
                    Some((metric, &values[..values.len().min(MOST_VALUES)])).filter(|(_, values)| !values.is_empty())
                });
                lines.push(self.line(now, by.as_ref(), part.collect()));
            }
        }
        lines
    }

    fn line(
        &self,
        now: i64,
        by: Option<&(&'static str, String)>,
        metrics: Vec<(&(&'static str, Unit), &[f64])>,
    ) -> String {
        let definitions: Vec<Value> =
            metrics.iter().map(|((name, unit), _)| json!({"Name": name, "Unit": unit.as_str()})).collect();
        let dimensions: Vec<_> = [INSTALLATION].into_iter().chain(by.map(|(name, _)| *name)).collect();
        let mut line = json!({
            "_aws": {"Timestamp": now, "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": definitions}]},
            INSTALLATION: self.installation,
        });
        if let Some((name, value)) = by {
            line[*name] = value.as_str().into();
        }
        for ((name, _), values) in metrics {
            line[*name] = values.into();
        }
        line.to_string()
    }

    /// Writes what was gathered into the function's log.
    pub fn write(&mut self) {
        let mut log = std::io::stderr().lock();
        for line in self.lines() {
            // Nobody can be told of a log that is gone.
            let _ = writeln!(log, "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics { installation: "millrace".into(), gathered: BTreeMap::new() }
    }

    fn read(metrics: &mut Metrics) -> Vec<Value> {
        metrics.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let mut metrics = metrics();
        metrics.add_by(("State", "FAILED"), "Executions", Unit::Count, 1.0);
        metrics.add_by(("State", "FAILED"), "Executions", Unit::Count, 1.0);
        metrics.add_by(("State", "FAILED"), "ExecutionTime", Unit::Milliseconds, 812.0);
        metrics.add("ActionWait", Unit::Milliseconds, 3.0);
        let [wait, failed] = &mut read(&mut metrics)[..] else { panic!("two sets of dimensions") };
        assert!(wait["_aws"]["Timestamp"].take().as_i64() > Some(1_700_000_000_000));
        failed["_aws"]["Timestamp"].take();
        let directive = |dimensions: Value, metrics: Value| {
            json!({"Timestamp": null, "CloudWatchMetrics": [
                {"Namespace": "Millrace", "Dimensions": [dimensions], "Metrics": metrics}]})
        };
        let expected = json!({
            "_aws": directive(json!(["Installation"]), json!([{"Name": "ActionWait", "Unit": "Milliseconds"}])),
            "Installation": "millrace", "ActionWait": [3.0],
        });
        assert_eq!(*wait, expected);
        let named = json!([{"Name": "ExecutionTime", "Unit": "Milliseconds"}, {"Name": "Executions", "Unit": "Count"}]);
        let expected = json!({
            "_aws": directive(json!(["Installation", "State"]), named),
            "Installation": "millrace", "State": "FAILED", "Executions": [1.0, 1.0], "ExecutionTime": [812.0],
        });
        assert_eq!(*failed, expected);
        assert_eq!(metrics.lines(), [""; 0], "each is written once");
    }

    #[test]
    fn no_line_has_more_values_of_a_metric_than_cloudwatch_takes() {
        let mut metrics = metrics();
        (0..250).for_each(|value| metrics.add("ActionWait", Unit::Milliseconds, value.into()));
        metrics.add("Swept", Unit::Count, 7.0);
        let lines = read(&mut metrics);
        let lengths: Vec<_> = lines.iter().map(|line| line["ActionWait"].as_array().unwrap().len()).collect();
        assert_eq!(lengths, [100, 100, 50]);
        assert_eq!(lines[0]["Swept"], json!([7.0]));
        assert!(lines[1].get("Swept").is_none(), "what has no value in a line is not announced there");
        assert_eq!(lines[1]["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len(), 1);
    }
}
