//! What became of each action, for people and for machines.

use std::fmt::Write as _;

use anyhow::Result;
use aws_sdk_codepipeline::types::ActionExecutionDetail;
use serde::Serialize;

use super::plan::Row;
use millrace::output::{outln, report};

/// The end of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pipeline: String,
    status: String,
    seconds: f64,
    actions: Vec<Action>,
}

#[derive(Debug, Serialize)]
struct Action {
    stage: String,
    action: String,
    provider: String,
    kind: Kind,
    why: Option<String>,
    /// None: the release did not get there.
    status: Option<String>,
    seconds: Option<f64>,
    #[serde(skip)]
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Real,
    StandIn,
}

impl Report {
    /// `executed`: what ran, the oldest first.
    pub(super) fn new(
        pipeline: &str,
        status: &str,
        seconds: f64,
        rows: &[Row],
        executed: &[ActionExecutionDetail],
    ) -> Self {
        let actions = rows.iter().map(|row| Action::new(row, executed)).collect();
        Self { pipeline: pipeline.to_owned(), status: status.to_owned(), seconds: rounded(seconds), actions }
    }

    /// Whether the release went through.
    pub fn has_succeeded(&self) -> bool {
        self.status == "Succeeded"
    }

    /// Prints it: as one JSON object, or as a table.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            for error in self.errors() {
                report(&error);
            }
            return outln!("{}", serde_json::to_string(self)?);
        }
        outln!("\n{}", self.table()?)
    }

    fn errors(&self) -> impl Iterator<Item = String> {
        self.actions.iter().filter_map(|it| Some(format!("{} / {}: {}", it.stage, it.action, it.error.as_ref()?)))
    }

    fn table(&self) -> Result<String> {
        let name = |it: &Action| format!("{} / {}", it.stage, it.action);
        let width = |of: fn(&Action) -> usize| self.actions.iter().map(of).max().unwrap_or_default();
        let names = self.actions.iter().map(|it| name(it).chars().count()).max().unwrap_or_default();
        let providers = width(|it| it.provider.chars().count());
        let statuses = width(|it| it.outcome().len());
        let mut table = String::new();
        for it in &self.actions {
            let kind = if it.kind == Kind::Real { "real" } else { "stand-in" };
            let seconds = it.seconds.map_or_else(String::new, |seconds| format!("{seconds:.1} s"));
            let why = it.why.as_deref().unwrap_or_default();
            let line = format!(
                "{:<names$}  {:<providers$}  {kind:<8}  {:<statuses$}  {seconds:>8}  {why}",
                name(it),
                it.provider,
                it.outcome()
            );
            writeln!(table, "{}", line.trim_end())?;
        }
        for error in self.errors() {
            writeln!(table, "\n{error}")?;
        }
        write!(table, "\n{}: {} after {:.1} s", self.pipeline, self.status, self.seconds)?;
        Ok(table)
    }
}

impl Action {
    fn new(row: &Row, executed: &[ActionExecutionDetail]) -> Self {
        // The last one counts: a stage that is tried again runs its actions again.
        let ran = executed
            .iter()
            .rev()
            .find(|it| it.stage_name() == Some(row.stage.as_str()) && it.action_name() == Some(row.action.as_str()));
        let result = ran.and_then(|it| it.output()).and_then(|it| it.execution_result());
        let seconds = ran.and_then(|it| Some(it.last_update_time()?.as_secs_f64() - it.start_time()?.as_secs_f64()));
        let status = ran.and_then(|it| it.status()).map(|it| it.as_str().to_owned());
        let failed = status.as_deref().is_some_and(|status| status == "Failed");
        let message = result.and_then(|it| it.error_details()).and_then(|it| it.message());
        let message = message.or_else(|| result.and_then(|it| it.external_execution_summary()));
        Self {
            stage: row.stage.clone(),
            action: row.action.clone(),
            provider: row.provider.clone(),
            kind: if row.why.is_some() { Kind::StandIn } else { Kind::Real },
            why: row.why.clone(),
            status,
            seconds: seconds.map(rounded),
            error: message.filter(|_| failed).map(str::to_owned),
        }
    }

    fn outcome(&self) -> &str {
        self.status.as_deref().unwrap_or("not reached")
    }
}

/// To hundredths: clocks of two processes agree no better.
fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use aws_sdk_codepipeline::primitives::DateTime;
    use aws_sdk_codepipeline::types::{
        ActionExecutionOutput, ActionExecutionResult, ActionExecutionStatus, ErrorDetails,
    };
    use serde_json::json;

    use super::*;

    fn row(action: &str, why: Option<&str>) -> Row {
        let why = why.map(str::to_owned);
        Row { stage: "Build".into(), action: action.into(), provider: "CodeBuild".into(), why }
    }

    fn executed(start: f64, status: ActionExecutionStatus) -> ActionExecutionDetail {
        let error = ErrorDetails::builder().code("JobFailed").message("the build failed").build();
        let result = ActionExecutionResult::builder().error_details(error).build();
        ActionExecutionDetail::builder()
            .stage_name("Build")
            .action_name("Compile")
            .status(status)
            .start_time(DateTime::from_secs_f64(start))
            .last_update_time(DateTime::from_secs_f64(start + 1.25))
            .output(ActionExecutionOutput::builder().execution_result(result).build())
            .build()
    }

    #[test]
    fn the_last_attempt_counts_and_what_was_not_reached_has_no_status() {
        let rows = [row("Compile", None), row("Test", Some("it is not built"))];
        let attempts =
            [executed(10.0, ActionExecutionStatus::Failed), executed(20.0, ActionExecutionStatus::Succeeded)];
        let report = Report::new("shop", "Succeeded", 2.7251, &rows, &attempts);
        assert!(report.has_succeeded());
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({"pipeline": "shop", "status": "Succeeded", "seconds": 2.73, "actions": [
                {"stage": "Build", "action": "Compile", "provider": "CodeBuild", "kind": "real", "why": null,
                 "status": "Succeeded", "seconds": 1.25},
                {"stage": "Build", "action": "Test", "provider": "CodeBuild", "kind": "stand-in",
                 "why": "it is not built", "status": null, "seconds": null}]})
        );
        assert_eq!(report.errors().count(), 0);
    }

    #[test]
    fn a_table_has_a_line_for_each_action_and_says_why_one_failed() {
        let rows = [row("Compile", None), row("Test", Some("it is not built"))];
        let report = Report::new("shop", "Failed", 2.0, &rows, &[executed(10.0, ActionExecutionStatus::Failed)]);
        assert!(!report.has_succeeded());
        let table = report.table().unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "Build / Compile  CodeBuild  real      Failed          1.2 s");
        assert_eq!(lines[1], "Build / Test     CodeBuild  stand-in  not reached            it is not built");
        assert!(table.contains("Build / Compile: the build failed"), "{table}");
        assert!(table.ends_with("shop: Failed after 2.0 s"), "{table}");
    }
}
