//! What starts an execution, and that nothing starts one twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::{PipelineVariable, TriggerType};
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, Target};
use aws_sdk_lambda::primitives::Blob;
use local::{Emulator, HOME};
use serde_json::{Value, json};

use crate::case::Case;
use crate::declare::{ARTIFACT, Action, Draft, SOURCE_KEY};
use crate::runner::say;
use crate::wait::{PATIENCE, until};
use crate::zips;

/// For a rule that is woken once a minute.
const SCHEDULE: Duration = Duration::from_secs(150);

/// A pipeline that says its variable to a state machine.
async fn speaking(case: &Arc<Case>, purpose: &str) -> Result<Draft> {
    let input = r##"{"flavour": "#{variables.flavour}"}"##;
    let speak = Action::machine("Speak", case.machine(HOME, "echo")?, input);
    Ok(case.draft(purpose).source().await?.variable("flavour", "vanilla").stage("Speak", [speak]))
}

pub async fn started_by_rule(case: &Arc<Case>) -> Result<()> {
    // By an event that names it, on the stack's own bus.
    let named = speaking(case, "named").await?.create().await?;
    let first = named.first().await?;
    named.ends(&first, "Succeeded").await?;
    let detail = json!({"pipeline": named.name, "variables": [{"name": "flavour", "value": "chocolate"}]});
    let bus = case.stack.value("MILLRACE_BUS")?;
    put_event(case, bus, "Start Pipeline", &detail).await?;
    let started = named.another(&[&first]).await?;
    assert_eq!(started.trigger().and_then(|it| it.trigger_type()), Some(&TriggerType::CloudWatchEvent));
    let id = started.pipeline_execution_id().context("no id")?;
    let ended = named.ends(id, "Succeeded").await?;
    let variable = ended.variables().first().context("no variable")?;
    assert_eq!((variable.name(), variable.resolved_value()), (Some("flavour"), Some("chocolate")));

    // By a rule of a user's own, about anything.
    let ruled = speaking(case, "ruled").await?.create().await?;
    let first = ruled.first().await?;
    let rule = case.named("rule");
    let pattern = json!({"source": ["e2e.weather"], "detail-type": ["Sunny"]}).to_string();
    case.events.put_rule().name(&rule).event_pattern(pattern).send().await?;
    let function = case.stack.function_name("trigger");
    let found = case.lambda.get_function_configuration().function_name(&function).send().await?;
    let arn = found.function_arn.context("a function without an ARN")?;
    let input = json!({"pipeline": ruled.name}).to_string();
    let target = Target::builder().id("trigger").arn(&arn).input(input).build()?;
    case.events.put_targets().rule(&rule).targets(target).send().await?;
    let allow = case.lambda.add_permission().function_name(&function).statement_id(&rule);
    allow.action("lambda:InvokeFunction").principal("events.amazonaws.com").send().await?;
    put_event(case, "default", "Sunny", &json!({})).await?;
    let started = ruled.another(&[&first]).await?;
    ruled.ends(started.pipeline_execution_id().context("no id")?, "Succeeded").await?;

    // One that asks for what cannot be done is not lost: it is among the dead letters.
    let configuration = case.lambda.get_function_configuration().function_name(&function).send().await?;
    let variables = configuration.environment.and_then(|it| it.variables).context("no environment")?;
    let dead = variables.get("MILLRACE_DEAD_LETTERS_URL").context("no queue of dead letters")?;
    let wrong = case.named("gone");
    put_event(case, bus, "Start Pipeline", &json!({"pipeline": wrong})).await?;
    let kept = || async { Ok(case.receive(dead).await?.into_iter().find(|body| body.contains(&wrong))) };
    until(PATIENCE, || "the event is not among the dead letters".to_owned(), kept).await?;
    Ok(())
}

async fn put_event(case: &Case, bus: &str, kind: &str, detail: &Value) -> Result<()> {
    let entry = PutEventsRequestEntry::builder().event_bus_name(bus).source("e2e.weather").detail_type(kind);
    let put = case.events.put_events().entries(entry.detail(detail.to_string()).build()).send().await?;
    ensure!(put.failed_entry_count == 0, "the bus refuses: {:?}", put.entries());
    Ok(())
}

/// What the function `trigger` answers to an event.
pub async fn invoke(case: &Case, event: &Value) -> Result<Value> {
    let function = case.stack.function_name("trigger");
    let invoked = case.lambda.invoke().function_name(function).payload(Blob::new(event.to_string())).send().await?;
    Ok(serde_json::from_slice(invoked.payload.context("no answer")?.as_ref())?)
}

pub async fn started_once(case: &Arc<Case>) -> Result<()> {
    let draft = speaking(case, "once").await?;
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;

    // A client that got no answer asks again with the same token.
    let start = |token: &str, flavour: &str| {
        let variable = PipelineVariable::builder().name("flavour").value(flavour).build();
        let start = case.pipelines.start_pipeline_execution().name(&pipeline.name).client_request_token(token);
        async move { Ok::<_, anyhow::Error>(start.variables(variable?).send().await?.pipeline_execution_id) }
    };
    let one = start("token-1", "mint").await?.context("no id")?;
    assert_eq!(start("token-1", "mint").await?.as_deref(), Some(one.as_str()));
    pipeline.ends(&one, "Succeeded").await?;
    assert_eq!(start("token-1", "mint").await?.as_deref(), Some(one.as_str()), "also when it is over");
    let two = start("token-2", "mint").await?.context("no id")?;
    assert_ne!(one, two);
    pipeline.ends(&two, "Succeeded").await?;

    // S3 delivers an event at least once.
    case.notify(&pipeline.bucket).await?;
    let (queue, arn) = case.queue("events").await?;
    let rule = case.named("rule");
    let pattern = json!({"source": ["aws.s3"], "detail": {"bucket": {"name": [pipeline.bucket]}}}).to_string();
    case.events.put_rule().name(&rule).event_pattern(pattern).send().await?;
    case.events.put_targets().rule(&rule).targets(Target::builder().id("queue").arn(arn).build()?).send().await?;
    let version = case.put(HOME, &pipeline.bucket, SOURCE_KEY, zips::zipped(&[("index.html", "new")])?).await?;
    let third = pipeline.another(&[&first, &one, &two]).await?;
    let third = third.pipeline_execution_id().context("no id")?;
    let told =
        until(PATIENCE, || "S3 tells nothing".to_owned(), || async { Ok(case.receive(&queue).await?.pop()) }).await?;
    let event: Value = serde_json::from_str(&told)?;
    for _ in 0..2 {
        assert_eq!(invoke(case, &event).await?, json!({"started": 0, "refused": 0}), "{event}");
    }
    let ended = pipeline.ends(third, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(version.as_str()));
    assert_eq!(pipeline.executions().await?.len(), 4);

    // What cannot start says so.
    let unknown = PipelineVariable::builder().name("colour").value("red").build()?;
    let refused = case.pipelines.start_pipeline_execution().name(&pipeline.name).variables(unknown).send().await;
    let error = refused.err().context("an unknown variable is taken")?.into_service_error();
    assert!(error.is_validation_exception(), "{error:?}");
    assert_eq!(pipeline.executions().await?.len(), 4);
    Ok(())
}

/// A source that is polled starts its pipeline once for each version, without any event of its bucket's.
pub async fn started_by_poll(case: &Arc<Case>) -> Result<()> {
    let bucket = case.bucket(HOME, "polled-source").await?;
    case.put(HOME, &bucket, SOURCE_KEY, zips::site()?).await?;
    let source = Action::s3_source(&bucket).set("PollForSourceChanges", "true");
    let speak = Action::machine("Speak", case.machine(HOME, "echo")?, "{}");
    let pipeline = case.draft("polled").stage("Source", [source]).stage("Speak", [speak]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    let mut known = vec![first];
    for content in ["new", "newer"] {
        let version = case.put(HOME, &bucket, SOURCE_KEY, zips::zipped(&[("index.html", content)])?).await?;
        // The rule wakes the function every minute; nobody needs to wait for that.
        for _ in 0..2 {
            let asked = invoke(case, &json!({"request": "polls"})).await?;
            ensure!(asked["polls"].as_u64().is_some_and(|polls| polls >= 1), "{asked}");
        }
        let known_ids: Vec<&str> = known.iter().map(String::as_str).collect();
        let started = pipeline.another(&known_ids).await?;
        assert_eq!(started.trigger().and_then(|it| it.trigger_type()), Some(&TriggerType::PollForSourceChanges));
        let id = started.pipeline_execution_id().context("no id")?;
        let ended = pipeline.ends(id, "Succeeded").await?;
        assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(version.as_str()));
        known.push(id.to_owned());
    }
    assert_eq!(pipeline.executions().await?.len(), 3, "its creation and two versions");
    // Polls would go on, and other cases count what workers do.
    case.pipelines.delete_pipeline().name(&pipeline.name).send().await?;
    Ok(())
}

/// A push of the tag that an ECR source watches starts its pipeline with the image that was pushed, whatever the tag names
/// by then. MiniStack's ECR sends no events and its bus takes none of AWS's own, so the function is given ECR's event.
pub async fn started_by_image(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator == Emulator::Localstack {
        say("started_by_image: not tried, LocalStack's open edition has no ECR");
        return Ok(());
    }
    let ecr = aws_sdk_ecr::Client::new(&case.stack.sdk(HOME));
    let repository = case.named("shop");
    ecr.create_repository().repository_name(&repository).send().await?;
    let push = async |content: &str| {
        let manifest = json!({"schemaVersion": 2, "config": content}).to_string();
        let put = ecr.put_image().repository_name(&repository).image_tag("v1").image_manifest(manifest).send().await?;
        put.image.and_then(|it| it.image_id?.image_digest).context("an image without a digest")
    };
    let old = push("old").await?;
    let target = case.bucket(HOME, "target").await?;
    let image = Action::new("Image", "Source", "ECR").set("RepositoryName", &repository).set("ImageTag", "v1");
    let image = image.output(ARTIFACT).with("namespace", "Image");
    let keep = Action::archive("Keep", &target, "#{Image.ImageTag}.zip");
    let pipeline = case.draft("image").stage("Source", [image]).stage("Deploy", [keep]).create().await?;
    let first = pipeline.first().await?;
    let ended = pipeline.ends(&first, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(old.as_str()));

    let new = push("new").await?;
    push("newest").await?;
    let event = json!({"version": "0", "id": "e2e-push", "detail-type": "ECR Image Action", "source": "aws.ecr",
        "account": local::ACCOUNT, "time": "2026-11-25T17:00:00Z", "region": HOME, "resources": [],
        "detail": {"result": "SUCCESS", "repository-name": repository, "image-digest": new, "action-type": "PUSH",
            "image-tag": "v1"}});
    assert_eq!(invoke(case, &event).await?, json!({"started": 1, "refused": 0}));
    assert_eq!(invoke(case, &event).await?, json!({"started": 0, "refused": 0}), "the same push");
    let started = pipeline.another(&[&first]).await?;
    let ended = pipeline.ends(started.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(new.as_str()));
    let (zip, _) = case.get(HOME, &target, "v1.zip").await?;
    let file: Value = serde_json::from_str(&zips::unzipped(&zip, "imageDetail.json")?)?;
    assert_eq!(file["ImageDigest"], new);
    assert!(file["ImageURI"].as_str().is_some_and(|it| it.ends_with(&format!("/{repository}@{new}"))), "{file}");
    Ok(())
}

/// A rule of the user's own with a schedule. The emulators wake it within a minute, as its rate says.
pub async fn started_by_schedule(case: &Arc<Case>) -> Result<()> {
    let pipeline = speaking(case, "scheduled").await?.create().await?;
    let first = pipeline.first().await?;
    let rule = case.named("nightly");
    let made = case.events.put_rule().name(&rule).schedule_expression("rate(1 minute)").send().await?;
    let arn = made.rule_arn.context("a rule without an ARN")?;
    let function = case.stack.function_name("trigger");
    let found = case.lambda.get_function_configuration().function_name(&function).send().await?;
    let variables = json!([{"name": "flavour", "value": "mint"}]);
    let input = json!({"pipeline": pipeline.name, "variables": variables, "rule": arn}).to_string();
    let target = Target::builder().id("trigger").arn(found.function_arn.context("no ARN")?).input(input).build()?;
    case.events.put_targets().rule(&rule).targets(target).send().await?;
    let allow = case.lambda.add_permission().function_name(&function).statement_id(&rule);
    allow.action("lambda:InvokeFunction").principal("events.amazonaws.com").source_arn(&arn).send().await?;
    let known =
        || async { Ok(pipeline.executions().await?.into_iter().find(|it| it.pipeline_execution_id() != Some(&first))) };
    let started = until(SCHEDULE, || "the schedule starts nothing".to_owned(), known).await?;
    case.events.remove_targets().rule(&rule).ids("trigger").send().await?;
    case.events.delete_rule().name(&rule).send().await?;
    let trigger = started.trigger().context("no trigger")?;
    assert_eq!(
        (trigger.trigger_type(), trigger.trigger_detail()),
        (Some(&TriggerType::CloudWatchEvent), Some(arn.as_str()))
    );
    let ended = pipeline.ends(started.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    assert_eq!(ended.variables()[0].resolved_value(), Some("mint"));
    Ok(())
}

/// CloudTrail's event about an object that S3 tells of as well starts its pipeline once. The emulators have no trails, so the
/// function is given the event.
pub async fn started_by_cloudtrail(case: &Arc<Case>) -> Result<()> {
    let pipeline = speaking(case, "trail").await?.create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    // The bucket sends no events itself.
    let version = case.put(HOME, &pipeline.bucket, SOURCE_KEY, zips::zipped(&[("index.html", "new")])?).await?;
    let event = |error: Value| {
        json!({"version": "0", "id": "e2e-call", "detail-type": "AWS API Call via CloudTrail", "source": "aws.s3",
            "account": local::ACCOUNT, "time": "2026-11-26T10:00:00Z", "region": HOME, "resources": [],
            "detail": {"eventSource": "s3.amazonaws.com", "eventName": "PutObject", "eventID": "e2e-call",
                "errorCode": error, "requestParameters": {"bucketName": pipeline.bucket, "key": SOURCE_KEY},
                "responseElements": {"x-amz-version-id": version}}})
    };
    let none = json!({"started": 0, "refused": 0});
    assert_eq!(invoke(case, &event("AccessDenied".into())).await?, none);
    assert_eq!(invoke(case, &event(Value::Null)).await?, json!({"started": 1, "refused": 0}));
    assert_eq!(invoke(case, &event(Value::Null)).await?, none, "the same call");
    let created = json!({"id": "e2e-object", "detail-type": "Object Created", "source": "aws.s3", "region": HOME,
        "detail": {"bucket": {"name": pipeline.bucket}, "object": {"key": SOURCE_KEY, "version-id": version}}});
    assert_eq!(invoke(case, &created).await?, none, "S3 tells of the same version");
    let started = pipeline.another(&[&first]).await?;
    let ended = pipeline.ends(started.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(version.as_str()));
    Ok(())
}
