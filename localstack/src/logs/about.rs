//! Which lines concern a pipeline or one of its executions.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use aws_sdk_codepipeline::types::{PipelineDeclaration, StageDeclaration};
use local::Stack;

use super::Line;

/// What a line must hold to concern the pipeline or the execution.
pub(super) struct About {
    /// Words of Millrace's own lines.
    words: Vec<String>,
    /// Functions that the pipeline invokes: their lines need not name it.
    functions: BTreeSet<String>,
    /// In milliseconds since 1970. What functions said before the execution began is not about it.
    from: i64,
}

impl About {
    /// Asks for the pipeline's executions and for the functions that it invokes.
    pub(super) async fn read(stack: &Stack, pipeline: &str, execution: Option<&str>) -> Result<Self> {
        let client = stack.codepipeline();
        let found = client.get_pipeline().name(pipeline).send().await;
        let declaration = found.with_context(|| format!("cannot read the pipeline {pipeline}"))?.pipeline;
        let mut executions = Vec::new();
        let mut pages = client.list_pipeline_executions().pipeline_name(pipeline).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.context("cannot list the pipeline's executions")?;
            executions.extend(page.pipeline_execution_summaries.unwrap_or_default().into_iter().filter_map(|it| {
                let started = it.start_time.and_then(|time| time.to_millis().ok()).unwrap_or_default();
                Some((it.pipeline_execution_id?, started))
            }));
        }
        let functions = declaration.as_ref().map(invoked).unwrap_or_default();
        let Some(wanted) = execution else {
            let ids = executions.into_iter().map(|(id, _)| id);
            return Ok(Self { words: ids.chain([format!("\"{pipeline}\"")]).collect(), functions, from: 0 });
        };
        let Some((id, from)) = executions.into_iter().find(|(id, _)| id == wanted) else {
            bail!("the pipeline {pipeline} has no execution {wanted}");
        };
        Ok(Self { words: vec![id], functions, from })
    }

    pub(super) fn concerns(&self, line: &Line) -> bool {
        self.words.iter().any(|word| line.text.contains(word))
            || (self.functions.contains(&line.function) && line.time >= self.from)
    }
}

/// Names of the functions that the pipeline's actions and rules invoke.
fn invoked(pipeline: &PipelineDeclaration) -> BTreeSet<String> {
    pipeline.stages().iter().flat_map(invoked_by_stage).collect()
}

fn invoked_by_stage(stage: &StageDeclaration) -> Vec<String> {
    let actions = stage.actions().iter().filter_map(|action| {
        let is_lambda = action.action_type_id().is_some_and(|it| it.provider() == "Lambda");
        action.configuration().filter(|_| is_lambda)
    });
    let conditions = [
        stage.before_entry().map(|it| it.conditions()),
        stage.on_success().map(|it| it.conditions()),
        stage.on_failure().map(|it| it.conditions()),
    ];
    let rules = conditions.into_iter().flatten().flatten().flat_map(|it| it.rules()).filter_map(|rule| {
        let is_lambda = rule.rule_type_id().is_some_and(|it| it.provider() == "LambdaInvoke");
        rule.configuration().filter(|_| is_lambda)
    });
    actions.chain(rules).filter_map(|it| it.get("FunctionName")).map(|it| name(it).to_owned()).collect()
}

/// The name in what Lambda takes as one: a name or an ARN, with or without a version.
fn name(function: &str) -> &str {
    let mut parts = function.split(':');
    let part = if function.starts_with("arn:") { parts.nth(6) } else { parts.next() };
    part.unwrap_or(function)
}

#[cfg(test)]
mod tests {
    use aws_sdk_codepipeline::types::{
        ActionCategory, ActionDeclaration, ActionOwner, ActionTypeId, BeforeEntryConditions, Condition, RuleCategory,
        RuleDeclaration, RuleTypeId,
    };

    use super::*;

    fn line(time: i64, function: &str, text: &str) -> Line {
        Line { time, function: function.into(), id: String::new(), text: text.into() }
    }

    #[test]
    fn a_line_concerns_an_execution_that_it_names_and_its_functions_lines_since_its_start() {
        let about = About { words: vec!["7f3c".into()], functions: ["check".to_owned()].into(), from: 100 };
        assert!(about.concerns(&line(1, "millrace-worker", r#"{"execution":"7f3c"}"#)));
        assert!(!about.concerns(&line(200, "millrace-worker", r#"{"execution":"another"}"#)));
        assert!(about.concerns(&line(100, "check", "Traceback")));
        assert!(!about.concerns(&line(99, "check", "Traceback")));
        assert!(!about.concerns(&line(200, "another", "Traceback")));
    }

    #[test]
    fn functions_of_actions_and_of_rules_are_found() {
        let action = ActionDeclaration::builder()
            .name("Check")
            .action_type_id(
                ActionTypeId::builder()
                    .category(ActionCategory::Invoke)
                    .owner(ActionOwner::Aws)
                    .provider("Lambda")
                    .version("1")
                    .build()
                    .unwrap(),
            )
            .configuration("FunctionName", "check:live")
            .build()
            .unwrap();
        let rule = RuleDeclaration::builder()
            .name("Ready")
            .rule_type_id(RuleTypeId::builder().category(RuleCategory::Rule).provider("LambdaInvoke").build().unwrap())
            .configuration("FunctionName", "arn:aws:lambda:eu-west-1:000000000000:function:ready:7")
            .build()
            .unwrap();
        let stage = StageDeclaration::builder()
            .name("Test")
            .actions(action)
            .before_entry(
                BeforeEntryConditions::builder().conditions(Condition::builder().rules(rule).build()).build().unwrap(),
            )
            .build()
            .unwrap();
        assert_eq!(invoked_by_stage(&stage), ["check", "ready"]);
    }
}
