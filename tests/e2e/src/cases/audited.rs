//! The audit log of a release, with what was refused, and what is found when a copy of it was altered.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use millrace::Account;
use millrace::audit_log::{Arguments, AuditLog};
use serde_json::Value;

use crate::case::Case;
use crate::cases::approval;
use crate::declare::Action;
use crate::wait::{PATIENCE, until};

/// The stack of an installation on an emulator.
const STACK: &str = "millrace";

/// As `millrace audit` reads its arguments.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

/// Runs `millrace audit` with these arguments: what it prints, and whether all is as it was written.
async fn audit(case: &Case, arguments: &[&str]) -> Result<(Vec<String>, bool)> {
    let Command { arguments } = Command::try_parse_from(["audit"].iter().chain(arguments))?;
    let account = Account::new(case.stack.sdk(local::HOME)).context("no region")?;
    let log = AuditLog::of(&account, STACK, &arguments).await?;
    let mut printed = Vec::new();
    let right = log
        .run(&arguments, &mut |line| {
            printed.push(line.to_owned());
            Ok(())
        })
        .await?;
    Ok((printed, right))
}

/// The records that a search finds.
async fn found(case: &Case, arguments: &[&str]) -> Result<Vec<Value>> {
    let (printed, right) = audit(case, &[arguments, &["--json"]].concat()).await?;
    ensure!(right, "the log is not as it was written");
    printed.iter().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The log is as it was written.
pub async fn right(case: &Case) -> Result<()> {
    let (printed, right) = audit(case, &["--verify"]).await?;
    ensure!(right, "{printed:?}");
    Ok(())
}

/// The log tells of so many executions of the pipeline that succeeded, once each.
pub async fn all_ended(case: &Case, pipeline: &str, executions: usize) -> Result<()> {
    let ended = |record: &Value| record["item"] == "EXECUTION" && record["states"][0] == "SUCCEEDED";
    until(
        PATIENCE,
        || format!("the log does not tell of all {executions} ends of {pipeline}"),
        || async {
            let found = found(case, &["--pipeline", pipeline]).await?;
            let ends: Vec<_> = found.iter().filter(|record| ended(record)).collect();
            ensure!(ends.len() <= executions, "an end is told twice: {ends:?}");
            Ok((ends.len() == executions).then_some(()))
        },
    )
    .await
}

fn is(record: &Value, members: &[(&str, &str)]) -> bool {
    members.iter().all(|(name, value)| record[name] == *value)
}

pub async fn audit_log(case: &Arc<Case>) -> Result<()> {
    let now = jiff::Timestamp::now();
    // DynamoDB tells of a change only in which second it was.
    let (began, before) = (now.to_string(), (now - jiff::SignedDuration::from_secs(1)).to_string());
    let mailbox = case.mailbox("mail").await?;
    let ask = Action::approval("Ask").set("NotificationArn", &mailbox.topic);
    let pipeline = case.draft("watched").source().await?.stage("Gate", [ask]).create().await?;
    let execution = pipeline.first().await?;
    let mail = mailbox.next().await?;
    case.pipelines.get_pipeline_state().name(&pipeline.name).send().await?;
    let gone = case.named("gone");
    ensure!(case.pipelines.start_pipeline_execution().name(&gone).send().await.is_err(), "it does not exist");
    ensure!(crate::http::send("GET", &mail.link, &[], None).await?.status == 200, "no page");
    let person = "Ada of the audit";
    ensure!(approval::send(&mail.link, "approve", person, "").await?.status == 200, "not approved");
    pipeline.ends(&execution, "Succeeded").await?;
    ensure!(approval::send(&mail.link, "reject", "Mallory", "").await?.status == 410, "answered twice");

    // What was called comes by the queue, what changed by the table's stream: both within seconds.
    let of_pipeline = ["--pipeline", &pipeline.name, "--since", &began];
    let expected: [&[(&str, &str)]; 7] = [
        &[("operation", "CreatePipeline"), ("result", "ok")],
        &[("operation", "GetPipelineState"), ("result", "asked")],
        &[("operation", "OpenApprovalLink"), ("result", "ok")],
        &[("operation", "PutApprovalResult"), ("result", "ok")],
        &[("operation", "PutApprovalResult"), ("result", "refused")],
        &[("item", "DECLARATION"), ("change", "INSERT")],
        &[("item", "EXECUTION"), ("change", "MODIFY"), ("execution", &execution)],
    ];
    let records = until(
        PATIENCE,
        || format!("the log has not all of {expected:?}"),
        || async {
            let records = found(case, &of_pipeline).await?;
            let all = expected.iter().all(|members| records.iter().any(|record| is(record, members)));
            let ended = |record: &Value| record["states"][0] == "SUCCEEDED" && record["item"] == "EXECUTION";
            Ok((all && records.iter().any(ended)).then_some(records))
        },
    )
    .await?;
    for record in &records {
        ensure!(record["time"].as_str() >= Some(&began[..19]), "it is older than was asked for: {record}");
        ensure!(record["pipeline"] == pipeline.name.as_str(), "{record}");
    }
    // The call and the changes that it caused are of one request.
    let created = records.iter().find(|record| record["operation"] == "CreatePipeline").context("no call")?;
    let declared = records.iter().find(|record| record["item"] == "DECLARATION").context("no change")?;
    ensure!(created["request"] == declared["request"] && created["request"].is_string(), "{created} {declared}");

    // By the person, whatever the pipeline; and what was refused.
    let by = found(case, &["--by", "ada OF the audit"]).await?;
    ensure!(by.iter().any(|record| is(record, &[("operation", "PutApprovalResult"), ("result", "ok")])), "{by:?}");
    ensure!(by.iter().any(|record| record["what"] == "change"), "what the approval changed is missing: {by:?}");
    let refused = || async {
        let found = found(case, &["--pipeline", &gone]).await?;
        Ok(found.iter().any(|record| record["result"] == "PipelineNotFoundException").then_some(()))
    };
    until(PATIENCE, || "the refused call is not in the log".into(), refused).await?;
    let before = found(case, &["--pipeline", &pipeline.name, "--until", &before]).await?;
    ensure!(before.is_empty(), "nothing of it happened before: {before:?}");
    let (printed, _) = audit(case, &["--pipeline", &pipeline.name, "--by", person]).await?;
    ensure!(printed.iter().any(|line| line.contains(person) && line.contains("PutApprovalResult")), "{printed:?}");

    right(case).await?;
    let (printed, _) = audit(case, &["--verify"]).await?;
    let checkpoint = printed.last().context("no checkpoint")?.clone();
    let (printed, since) = audit(case, &["--verify", "--from", &checkpoint]).await?;
    ensure!(since, "{printed:?}");
    altered(case, &checkpoint).await
}

/// A copy of the log in which one byte is flipped, one line missing and one moved, each in an object of its own.
async fn altered(case: &Arc<Case>, checkpoint: &str) -> Result<()> {
    let copy = case.named("copy");
    case.plain_bucket(local::HOME, &copy).await?;
    let log = case.stack.value("MILLRACE_AUDIT_BUCKET")?;
    let last = checkpoint.split(':').next().context("no object")?.parse::<u64>()?;
    let (mut flipped, mut missing, mut moved) = (None, None, None);
    let key = |object: u64| format!("audit/{object:014}.jsonl");
    for object in 1..=last {
        let (content, _) = case.get(local::HOME, log, &key(object)).await?;
        let mut lines: Vec<Vec<u8>> = content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.len() > 2 {
            match (&flipped, &missing, &moved) {
                (None, ..) => {
                    let byte = lines[1].iter().position(|byte| *byte == b'Z').context("no time")?;
                    lines[1][byte - 1] ^= 1;
                    flipped = Some(format!("object {object}, line 2: this line was changed"));
                }
                (_, None, _) => {
                    let gone: Value = serde_json::from_slice(&lines.remove(1))?;
                    missing = Some(format!("object {object}, line 2: line no. {} is missing before it", gone["n"]));
                }
                (.., None) => {
                    lines.swap(0, 1);
                    let number: Value = serde_json::from_slice(&lines[1])?;
                    moved = Some(format!("object {object}, line 2: this is line no. {}, moved here", number["n"]));
                }
                _ => {}
            }
        }
        case.put(local::HOME, &copy, &key(object), lines.concat()).await?;
    }
    let expected = [flipped, missing, moved].map(|fault| fault.context("no three objects with three lines"));
    let (printed, right) = audit(case, &["--verify", "--bucket", &copy]).await?;
    ensure!(!right, "nothing is found: {printed:?}");
    for fault in expected {
        let fault = fault?;
        ensure!(printed.contains(&fault), "{fault:?} is not in {printed:?}");
    }
    Ok(())
}
