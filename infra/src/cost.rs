//! `millrace cost`: what executions of a pipeline have cost, by what the functions counted ([`runtime::calls`]).

pub mod prices;
mod sum;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudwatchlogs::Client as Logs;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata as _;
use aws_sdk_codepipeline::types::PipelineExecutionSummary;
use clap::Args;
use futures::future::try_join_all;
use runtime::PipelinePath;
use runtime::calls::{MEMBER, Spent};

pub use self::sum::{Sum, Table};
use crate::output::report;
use crate::{Account, Architecture, FUNCTIONS, Installation};

/// How many executions are shown where none is named.
const LATEST: usize = 10;
/// How much the clocks of functions may differ, in milliseconds.
const CLOCKS: i64 = 60_000;

/// What `millrace cost` is asked for.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The name of the pipeline.
    pipeline: String,
    /// The id of an execution; otherwise the ten latest are shown, one after another.
    execution: Option<String>,
}

impl Arguments {
    /// Prints a table for each execution; `print` gets its lines.
    ///
    /// # Errors
    /// When there is no such installation, pipeline or execution, or the logs cannot be read; and those of `print`.
    pub async fn run(
        &self,
        account: &Account,
        stack: &str,
        print: &mut (dyn FnMut(&str) -> Result<()> + Send),
    ) -> Result<ExitCode> {
        let installation = Installation::find(account, stack).await?;
        let architecture = installation.parameter("Architecture").and_then(Architecture::named);
        let architecture = architecture.unwrap_or(Architecture::X86);
        let executions = executions(account, &installation, &self.pipeline).await?;
        let wanted = |it: &&PipelineExecutionSummary| {
            self.execution.as_deref().is_none_or(|id| it.pipeline_execution_id() == Some(id))
        };
        let wanted: Vec<_> = executions.iter().filter(wanted).take(LATEST).collect();
        if let (Some(id), true) = (&self.execution, wanted.is_empty()) {
            bail!("there is no execution {id} among the latest {} of {}", executions.len(), self.pipeline);
        }
        for execution in wanted {
            let id = execution.pipeline_execution_id().unwrap_or_default();
            let from = execution.start_time().and_then(|time| time.to_millis().ok()).unwrap_or_default();
            let spent = spent(account, &installation, id, from).await?;
            print(&format!("{id} {}", execution.status().map_or("", |it| it.as_str())))?;
            if spent.is_empty() {
                print("  the functions' logs say nothing of it (any more)")?;
            } else {
                print(&Sum::of(&spent).table(architecture).to_string())?;
            }
            print("")?;
        }
        report(prices::NOTE);
        Ok(ExitCode::SUCCESS)
    }
}

/// The latest executions of a pipeline, as the API lists them to the caller.
async fn executions(
    account: &Account,
    installation: &Installation,
    pipeline: &str,
) -> Result<Vec<PipelineExecutionSummary>> {
    let api = installation.output("ApiUrl")?;
    let config = aws_sdk_codepipeline::config::Builder::from(&account.sdk(account.home())).endpoint_url(api);
    let path = PipelinePath::new(api, pipeline, "ListPipelineExecutions");
    let client = aws_sdk_codepipeline::Client::from_conf(config.build());
    let listed = client.list_pipeline_executions().pipeline_name(pipeline).customize().interceptor(path).send().await;
    let listed = listed.with_context(|| {
        format!(
            "cannot list the executions of {pipeline} (this needs execute-api:Invoke on \
             .../live/POST/pipelines/{pipeline}/ListPipelineExecutions)"
        )
    })?;
    Ok(listed.pipeline_execution_summaries.unwrap_or_default())
}

/// What the functions of an installation have told of an execution that began at this time, in milliseconds since 1970.
///
/// # Errors
/// When their logs cannot be read.
pub async fn spent(account: &Account, installation: &Installation, execution: &str, from: i64) -> Result<Vec<Spent>> {
    let logs = Logs::new(&account.sdk(account.home()));
    let groups = FUNCTIONS.iter().map(|function| format!("/aws/lambda/{}-{function}", installation.name));
    let read = try_join_all(groups.map(|group| of_group(logs.clone(), group, execution, from - CLOCKS))).await?;
    Ok(read.into_iter().flatten().collect())
}

async fn of_group(logs: Logs, group: String, execution: &str, from: i64) -> Result<Vec<Spent>> {
    // A term in quotes is understood everywhere; patterns of JSON are not.
    let asked = logs.filter_log_events().log_group_name(&group).start_time(from);
    let mut pages = asked.filter_pattern(format!("\"{execution}\"")).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            // The function has never run.
            Err(error) if error.code() == Some("ResourceNotFoundException") => break,
            page => page.with_context(|| format!("cannot read the log group {group}"))?,
        };
        let lines = page.events().iter().filter_map(|event| event.message());
        found.extend(lines.filter_map(of_line).filter(|spent| spent.execution == execution));
    }
    Ok(found)
}

/// What a line of a log says, if it is one of these.
fn of_line(line: &str) -> Option<Spent> {
    let mut line: serde_json::Value = serde_json::from_str(line).ok()?;
    serde_json::from_value(line.get_mut(MEMBER)?.take()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use testkit::{Answer, Aws, Stub};

    use super::*;

    #[tokio::test]
    async fn all_pages_are_read_and_other_lines_are_passed_over() {
        let spent = |execution: &str| json!({ MEMBER: Spent { execution: execution.into(), ..Spent::default() } });
        let pages = [
            json!({"events": [{"message": spent("E1").to_string()}, {"message": "{\"level\": \"INFO\", \"execution\": \"E1\"}"},
                {"message": "START E1"}], "nextToken": "more"}),
            json!({"events": [{"message": spent("E1").to_string()}, {"message": spent("E2").to_string()}]}),
        ];
        let stub = Stub::new(move |request| {
            let asked: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!((&asked["filterPattern"], &asked["startTime"]), (&json!("\"E1\""), &json!(5)));
            Answer::ok(pages[usize::from(asked["nextToken"] == "more")].to_string())
        });
        let found = of_group(Logs::new(&stub.config()), "/aws/lambda/millrace-worker".into(), "E1", 5).await.unwrap();
        assert_eq!(found.len(), 2);
        let gone = Stub::new(|_| Answer { status: 400, body: r#"{"__type": "ResourceNotFoundException"}"#.into() });
        assert_eq!(of_group(Logs::new(&gone.config()), "g".into(), "E1", 5).await.unwrap(), []);
        let refused = Stub::new(|_| Answer { status: 400, body: r#"{"__type": "AccessDeniedException"}"#.into() });
        let error = of_group(Logs::new(&refused.config()), "the-group".into(), "E1", 5).await.unwrap_err();
        assert!(error.to_string().contains("the-group"), "{error:#}");
    }

    /// An installation with a pipeline of two executions; the functions have told of the first one alone.
    fn told_of_one() -> Aws {
        let aws = Aws::default();
        let api = "<member><OutputKey>ApiUrl</OutputKey><OutputValue>http://aws.test/api/live</OutputValue></member>";
        let stack = format!(
            "<member><StackName>millrace</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
             <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{api}</Outputs></member>"
        );
        let stacks = format!("<DescribeStacksResult><Stacks>{stack}</Stacks></DescribeStacksResult>");
        aws.on("DescribeStacks", 200, format!("<DescribeStacksResponse>{stacks}</DescribeStacksResponse>"));
        let execution =
            |id: &str, status: &str| json!({"pipelineExecutionId": id, "status": status, "startTime": 100.0});
        let listed = json!({"pipelineExecutionSummaries": [execution("E2", "Failed"), execution("E1", "Succeeded")]});
        aws.on("ListPipelineExecutions", 200, listed.to_string());
        aws.reply("FilterLogEvents", |call| {
            let asked = call.json();
            let tells = asked["logGroupName"] == "/aws/lambda/millrace-worker" && asked["filterPattern"] == "\"E1\"";
            let spent = Spent {
                execution: "E1".into(),
                function: "millrace-worker".into(),
                invocations: 2.0,
                ..Spent::default()
            };
            let line = json!({"message": json!({ MEMBER: spent }).to_string()});
            let events = if tells { vec![line] } else { Vec::new() };
            (200, BTreeMap::new(), json!({"events": events}).to_string().into_bytes())
        });
        aws
    }

    async fn printed(execution: Option<&str>) -> Result<String> {
        let account = Account::new(told_of_one().config()).unwrap();
        let asked = Arguments { pipeline: "shop".into(), execution: execution.map(str::to_owned) };
        let mut lines = Vec::new();
        let mut print = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        asked.run(&account, "millrace", &mut print).await?;
        Ok(lines.join("\n"))
    }

    #[tokio::test]
    async fn the_latest_executions_are_shown_or_the_one_that_is_named() {
        let all = printed(None).await.unwrap();
        let (second, first) = all.split_once("E1 Succeeded\n").unwrap();
        assert_eq!(second, "E2 Failed\n  the functions' logs say nothing of it (any more)\n\n");
        let row = first.lines().find(|line| line.contains("millrace-worker: invocations")).unwrap();
        assert!(row.ends_with("2.00   0.00000040"), "{first}");
        assert_eq!(printed(Some("E1")).await.unwrap(), format!("E1 Succeeded\n{first}"));
        let unknown = printed(Some("E9")).await.unwrap_err().to_string();
        assert_eq!(unknown, "there is no execution E9 among the latest 2 of shop");
    }
}
