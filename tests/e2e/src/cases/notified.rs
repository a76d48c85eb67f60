//! Notification rules: who must hears, once, and in these words.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_codepipeline::types::{ApprovalResult, ApprovalStatus, PipelineExecution, Tag};
use aws_sdk_sqs::types::QueueAttributeName;
use local::HOME;
use serde_json::{Value, json};

use crate::case::Case;
use crate::declare::Action;
use crate::pipeline::Pipeline;
use crate::wait::{PATIENCE, until};

/// Where messages lead where nothing else is set.
const CONSOLE: &str = "http://127.0.0.1:7709/console";

/// It breaks, breaks again, waits for a person and is fixed: three lines to a topic, and one each to a chat of Slack's and of Teams'.
pub async fn told_once(case: &Arc<Case>) -> Result<()> {
    let good = case.named("site");
    let draft = case.draft("told").source().await?.stage("Deploy", [Action::unpack("Publish", &good)]);
    let pipeline = draft.stage("Gate", [Action::approval("Ask").set("CustomData", "Is it good?")]).create().await?;
    let first = pipeline.first().await?;
    let (topic, queue) = case.topic("millrace-told", "told").await?;
    let chat = Chat::start()?;
    let secrets = aws_sdk_secretsmanager::Client::new(&case.stack.sdk(HOME));
    secrets.create_secret().name("millrace/chats/told").secret_string(&chat.url).send().await?;

    let refused = tag(case, &pipeline, "team", "brakes to slack/told").await.err().context("such a rule is kept")?;
    ensure!(refused.to_string().contains("has as its word 1 'brakes'"), "{refused}");
    tag(case, &pipeline, "team", &format!("breaks fixed waits to {topic}")).await?;
    tag(case, &pipeline, "slack", "breaks in Deploy to slack/told").await?;
    tag(case, &pipeline, "teams", "fixed to teams/told").await?;

    // The first may have failed before there were rules.
    pipeline.ends(&first, "Failed").await?;
    let broken = pipeline.start().await?;
    pipeline.ends(&broken, "Failed").await?;
    let mut lines = Vec::new();
    until_lines(case, &queue, &mut lines, 1).await?;
    let again = pipeline.start().await?;
    pipeline.ends(&again, "Failed").await?;
    case.plain_bucket(HOME, &good).await?;
    let fixed = pipeline.start().await?;
    let asked = pipeline.until_asked("Ask").await?;
    until_lines(case, &queue, &mut lines, 2).await?;
    let answer = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("go").build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    put.token(asked.token().context("no token")?).result(answer).send().await?;
    let fixed = pipeline.ends(&fixed, "Succeeded").await?;
    until_lines(case, &queue, &mut lines, 3).await?;

    let name = &pipeline.name;
    assert_eq!(lines[0], broke(&pipeline, name, &lines[0]).await?);
    let (change, id) = (change(&fixed)?, fixed.pipeline_execution_id().unwrap_or_default());
    let waits = format!(
        "{name} waits for a person: Ask in stage Gate: Is it good? · {change} · {CONSOLE}/pipelines/{name}?execution={id}"
    );
    let is_fixed = format!("{name} is fixed · {change} · {CONSOLE}/pipelines/{name}/executions/{id}");
    assert_eq!(lines[1..], [waits, is_fixed]);

    let posted = until(
        PATIENCE,
        || "the chat has not been told".to_owned(),
        || async { Ok(Some(chat.posted()).filter(|posted| posted.len() >= 2)) },
    )
    .await?;
    let [broken, fixed] = &posted[..] else { return Err(anyhow!("{posted:?}")) };
    let text = broken["text"].as_str().unwrap_or_default();
    assert_eq!(text, broke(&pipeline, &format!("{name}: stage Deploy"), text).await?);
    let run = &fixed["attachments"][0]["content"]["body"][0]["inlines"][0];
    assert_eq!(run["text"], format!("{name} is fixed · {change}"));
    Ok(())
}

/// The line that `whom` broke, of the execution to which the line leads.
async fn broke(pipeline: &Pipeline, whom: &str, line: &str) -> Result<String> {
    let id = line.rsplit('/').next().unwrap_or_default();
    let execution = pipeline.execution(id).await.with_context(|| line.to_owned())?;
    let cause = execution.status_summary().unwrap_or_default().trim_end_matches('.');
    ensure!(cause.starts_with("Action Publish in stage Deploy failed: ") && cause.contains("NoSuchBucket"), "{cause}");
    let change = change(&execution)?;
    Ok(format!("{whom} broke: {cause} · {change} · {CONSOLE}/pipelines/{}/executions/{id}", pipeline.name))
}

/// Who asks to hear of what is slow has the notifier remind itself, as soon as it knows what is usual.
pub async fn slow_looked_at(case: &Arc<Case>) -> Result<()> {
    let run = Action::machine("Run", case.machine(HOME, "echo")?, "{}");
    let pipeline = case.draft("slow").source().await?.stage("Run", [run]).mode("PARALLEL").create().await?;
    tag(case, &pipeline, "team", &format!("slow to {}", case.topic("millrace-slow", "slow").await?.0)).await?;
    let known = [pipeline.first().await?, pipeline.start().await?, pipeline.start().await?];
    for execution in known {
        pipeline.ends(&execution, "Succeeded").await?;
    }
    let queues = case.sqs.list_queues().send().await?.queue_urls.unwrap_or_default();
    let queue = queues.iter().find(|url| url.contains("NotifyQueue")).context("there is no queue of the notifier's")?;
    pipeline.start().await?;
    until(
        PATIENCE,
        || "the notifier has not reminded itself".to_owned(),
        || async {
            let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
            let found =
                case.sqs.get_queue_attributes().queue_url(queue).attribute_names(delayed.clone()).send().await?;
            let count = found.attributes().and_then(|found| found.get(&delayed)).cloned().unwrap_or_default();
            Ok((count != "0" && !count.is_empty()).then_some(()))
        },
    )
    .await
}

/// Gives a pipeline a rule.
async fn tag(case: &Case, pipeline: &Pipeline, name: &str, rule: &str) -> Result<()> {
    let arn = format!("arn:aws:codepipeline:{HOME}:{}:{}", local::ACCOUNT, pipeline.name);
    let tag = Tag::builder().key(format!("millrace:notify:{name}")).value(rule).build()?;
    let tagged = case.pipelines.tag_resource().resource_arn(arn).tags(tag).send().await;
    tagged.map_err(|error| match error.into_service_error() {
        error if error.is_invalid_tags_exception() => anyhow!("{}", error.meta().message().unwrap_or_default()),
        error => error.into(),
    })?;
    Ok(())
}

/// Adds the topic's lines until there are so many; more are a failure.
async fn until_lines(case: &Case, queue: &str, lines: &mut Vec<String>, count: usize) -> Result<()> {
    let known = Mutex::new(std::mem::take(lines));
    let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
    let came = until(
        PATIENCE,
        || format!("{count} lines have not come, but {:?}", lock()),
        || async {
            for body in case.receive(queue).await? {
                let envelope: Value = serde_json::from_str(&body)?;
                lock().push(envelope["Message"].as_str().unwrap_or_default().to_owned());
            }
            Ok((lock().len() >= count).then_some(()))
        },
    )
    .await;
    *lines = lock().clone();
    came?;
    ensure!(lines.len() == count, "{count} lines were to come: {lines:?}");
    Ok(())
}

/// The revision of an execution's source, as lines name it.
fn change(execution: &PipelineExecution) -> Result<String> {
    let revision = execution.artifact_revisions().first().context("no revision")?;
    Ok(revision.revision_id().unwrap_or_default().chars().take(12).collect())
}

/// A chat's webhook on this machine, which remembers what is posted there.
struct Chat {
    url: String,
    posted: Arc<Mutex<Vec<Value>>>,
}

impl Chat {
    fn start() -> Result<Self> {
        let server = tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0)).map_err(|error| anyhow!("{error}"))?;
        let url = format!("http://{}/hooks/a-secret", server.server_addr());
        let posted = Arc::<Mutex<Vec<Value>>>::default();
        let kept = posted.clone();
        std::thread::spawn(move || {
            for mut request in server.incoming_requests() {
                let body = serde_json::from_reader(request.as_reader()).unwrap_or_else(|_| json!("not JSON"));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                let _ = request.respond(tiny_http::Response::from_string("ok"));
            }
        });
        Ok(Self { url, posted })
    }

    fn posted(&self) -> Vec<Value> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
