//! The API's refusals, by exact exception name, and its two protocols through API Gateway.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{ApprovalResult, ApprovalStatus, PipelineDeclaration, StageTransitionType, Tag};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use local::HOME;
use serde_json::{Value, json};

use crate::case::Case;
use crate::check::deployed;
use crate::declare::Action;
use crate::http::{self, Answer};
use crate::pipeline::Pipeline;

/// A call that is refused: path, headers, and the status and exception of the answer.
type Wrong<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");

fn target(operation: &str) -> String {
    format!("CodePipeline_20150709.{operation}")
}

fn path(operation: &str) -> String {
    format!("/service/CodePipeline_20150709/operation/{operation}")
}

/// `{"__type": name, "message": text}`, by status.
fn refused(answer: &Answer, status: u16, exception: &str) -> Result<String> {
    let text = answer.text();
    let body: Value = serde_json::from_str(&text).with_context(|| format!("{} with {text:?}", answer.status))?;
    ensure!(
        (answer.status, body["__type"].as_str()) == (status, Some(exception)),
        "{} {text} instead of {status} {exception}",
        answer.status
    );
    ensure!(answer.header("content-type") == "application/x-amz-json-1.1", "{:?}", answer.headers);
    Ok(body["message"].as_str().context("no message")?.to_owned())
}

pub async fn refusals_in_json(case: &Arc<Case>) -> Result<()> {
    let deep = format!(r#"{{"name": {}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let long = json!({"name": "x".repeat(101)}).to_string();
    let twice = r#"{"name": "a", "name": "b"}"#;
    let bodies: &[(&str, &[u8], &str, &str)] = &[
        ("GetPipeline", b"{", "SerializationException", ""),
        ("GetPipeline", b"", "ValidationException", "name"),
        ("GetPipeline", b"\xff\xfe", "SerializationException", ""),
        ("GetPipeline", b"[]", "SerializationException", ""),
        ("GetPipeline", br#""text""#, "SerializationException", ""),
        ("GetPipeline", br#"{"name": 7}"#, "SerializationException", ""),
        ("GetPipeline", b"{} {}", "SerializationException", ""),
        ("GetPipeline", deep.as_bytes(), "SerializationException", ""),
        ("GetPipeline", b"{}", "ValidationException", "name"),
        ("GetPipeline", br#"{"name": null}"#, "ValidationException", "name"),
        ("GetPipeline", br#"{"name": ""}"#, "ValidationException", "name"),
        ("GetPipeline", br#"{"name": "a b"}"#, "ValidationException", "name"),
        ("GetPipeline", long.as_bytes(), "ValidationException", "name"),
        ("GetPipeline", br#"{"name": "x", "version": 0}"#, "ValidationException", "version"),
        ("GetPipeline", br#"{"name": "no-such-pipeline"}"#, "PipelineNotFoundException", "no-such-pipeline"),
        ("GetPipeline", br#"{"name": "no-such-pipeline", "colour": 1}"#, "PipelineNotFoundException", ""),
        ("CreatePipeline", b"{}", "ValidationException", "pipeline"),
        ("CreatePipeline", br#"{"pipeline": {"name": "x"}}"#, "ValidationException", "roleArn"),
        ("ListPipelineExecutions", br#"{"pipelineName": "x", "maxResults": 101}"#, "ValidationException", "maxResults"),
        ("PutApprovalResult", b"{}", "ValidationException", "token"),
        ("PutJobSuccessResult", b"{}", "ValidationException", "jobId"),
        ("StartPipelineExecution", b"{}", "ValidationException", "name"),
        ("PollForJobs", b"{}", "ValidationException", "actionTypeId"),
    ];
    for (operation, body, exception, word) in bodies {
        let name = target(operation);
        let headers = [JSON, ("x-amz-target", name.as_str())];
        let what = || format!("{operation} with {}", String::from_utf8_lossy(&body[..body.len().min(80)]));
        // Whether it comes by the root or by the operation's own path.
        for place in ["/", path(operation).as_str()] {
            let answer = http::signed(case, place, &headers, body).await?;
            let message = refused(&answer, 400, exception).with_context(what)?;
            assert!(message.contains(word), "{}: {message:?}", what());
            assert!(!answer.header("x-amzn-requestid").is_empty(), "no request id: {:?}", answer.headers);
        }
    }
    // JSON knows only the last of two members of one name, and so does every reader of this body.
    let name = target("GetPipeline");
    let answer = http::signed(case, "/", &[JSON, ("x-amz-target", &name)], twice.as_bytes()).await?;
    assert!(answer.status == 400 && !answer.text().contains("'a'"), "{}", answer.text());

    // A path that names a pipeline is for that pipeline only.
    let place = "/pipelines/no-such-pipeline/GetPipeline";
    for (body, exception) in [
        (r#"{"name": "no-such-pipeline"}"#, "PipelineNotFoundException"),
        (r#"{"name": "another"}"#, "ValidationException"),
    ] {
        refused(&http::signed(case, place, &[JSON, ("x-amz-target", &name)], body.as_bytes()).await?, 400, exception)?;
    }

    let elsewhere = target("DeletePipeline");
    let unknown: [Wrong<'_>; 5] = [
        ("/", &[JSON, ("x-amz-target", "CodePipeline_20150709.MakePipeline")], 400, "UnknownOperationException"),
        ("/", &[JSON, ("x-amz-target", "CodeBuild_20161006.StartBuild")], 400, "UnknownOperationException"),
        ("/", &[JSON], 400, "UnknownOperationException"),
        (&path("ListPipelines"), &[JSON, ("x-amz-target", &elsewhere)], 400, "UnknownOperationException"),
        ("/", &[("content-type", "text/xml"), ("x-amz-target", &elsewhere)], 415, "UnsupportedMediaTypeException"),
    ];
    for (place, headers, status, exception) in unknown {
        refused(&http::signed(case, place, headers, b"{}").await?, status, exception)
            .with_context(|| format!("{place} {headers:?}"))?;
    }
    Ok(())
}

pub async fn refusals_in_cbor(case: &Arc<Case>) -> Result<()> {
    let headers =
        [("content-type", "application/cbor"), ("accept", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];
    let mut deep = b"\xa1\x64name".to_vec();
    deep.extend([0x81].repeat(5_000));
    deep.push(0x01);
    let bodies: &[(&str, &[u8], &str)] = &[
        ("GetPipeline", b"\xa1", "SerializationException"),
        ("GetPipeline", b"{}", "SerializationException"),
        ("GetPipeline", b"\xa0\xa0", "SerializationException"),
        ("GetPipeline", b"\x81\x01", "SerializationException"),
        ("GetPipeline", &deep, "SerializationException"),
        ("GetPipeline", b"\xa1\x64name\x07", "SerializationException"),
        ("GetPipeline", b"\xa2\x64name\x61a\x64name\x61b", "SerializationException"),
        ("GetPipeline", b"\xa0", "ValidationException"),
        ("GetPipeline", b"\xa1\x64name\x63a b", "ValidationException"),
        ("GetPipeline", b"\xa1\x64name\x66absent", "PipelineNotFoundException"),
        ("GetPipeline", b"\xbf\x64name\x66absent\xff", "PipelineNotFoundException"),
        ("PutJobSuccessResult", b"\xa0", "ValidationException"),
    ];
    for (operation, body, exception) in bodies {
        let answer = http::signed(case, &path(operation), &headers, body).await?;
        let what = || format!("{operation} with {body:x?}: {} {:?}", answer.status, answer.text());
        assert_eq!(answer.status, 400, "{}", what());
        assert_eq!(answer.header("smithy-protocol"), "rpc-v2-cbor", "{}", what());
        assert_eq!(answer.header("content-type"), "application/cbor", "{}", what());
        assert_eq!(cbor_type(&answer.body)?, format!("com.amazonaws.codepipeline#{exception}"), "{}", what());
    }
    let wrong = [("content-type", "application/cbor"), ("accept", "application/cbor")];
    let answer = http::signed(case, &path("GetPipeline"), &wrong, b"\xa0").await?;
    assert_eq!(cbor_type(&answer.body)?, "com.amazonaws.codepipeline#UnknownOperationException");
    Ok(())
}

/// The `__type` of an error.
fn cbor_type(body: &[u8]) -> Result<String> {
    let mut decoder = aws_smithy_cbor::Decoder::new(body);
    decoder.map().context("the answer is no CBOR map")?;
    loop {
        let name = decoder.str().context("an answer without __type")?;
        if name == "__type" {
            return Ok(decoder.str()?.into_owned());
        }
        decoder.skip()?;
    }
}

/// A pipeline that waits for an approval.
async fn asking(case: &Arc<Case>, purpose: &str) -> Result<Pipeline> {
    let draft = case.draft(purpose).source().await?.stage("Gate", [Action::approval("Ask")]);
    draft.stage("End", [Action::machine("End", case.machine(HOME, "echo")?, "{}")]).create().await
}

/// The name of the exception with which a call was refused.
macro_rules! exception {
    ($call:expr) => {
        match $call.send().await {
            Ok(answer) => anyhow::bail!("taken: {answer:?}"),
            Err(error) => error.code().unwrap_or("none").to_owned(),
        }
    };
}

pub async fn refusals_of_operations(case: &Arc<Case>) -> Result<()> {
    let api = &case.pipelines;
    let absent = "no-such-pipeline";
    let not_found = "PipelineNotFoundException";
    assert_eq!(exception!(api.start_pipeline_execution().name(absent)), not_found);
    assert_eq!(exception!(api.get_pipeline_state().name(absent)), not_found);
    assert_eq!(exception!(api.list_pipeline_executions().pipeline_name(absent)), not_found);
    assert_eq!(exception!(api.list_action_executions().pipeline_name(absent)), not_found);
    let get = api
        .get_pipeline_execution()
        .pipeline_name(absent)
        .pipeline_execution_id("11111111-2222-4333-8444-555555555555");
    assert_eq!(exception!(get), not_found);

    let one = asking(case, "one").await?;
    let two = asking(case, "two").await?;
    let (first, token) = (one.first().await?, one.until_asked("Ask").await?.token.context("no token")?);
    let (foreign, foreign_token) = (two.first().await?, two.until_asked("Ask").await?.token.context("no token")?);
    let get = |id: &str| api.get_pipeline_execution().pipeline_name(&one.name).pipeline_execution_id(id);
    assert_eq!(exception!(get(&foreign)), "PipelineExecutionNotFoundException", "another pipeline's execution");
    assert_eq!(exception!(get("11111111-2222-4333-8444-555555555555")), "PipelineExecutionNotFoundException");

    let put = |stage: &str, action: &str, token: &str| -> Result<_> {
        let result = ApprovalResult::builder().summary("").status(ApprovalStatus::Approved).build()?;
        let put = api.put_approval_result().pipeline_name(&one.name).stage_name(stage).action_name(action);
        Ok(put.token(token).result(result))
    };
    let invalid = "InvalidApprovalTokenException";
    assert_eq!(exception!(put("Gate", "Ask", "11111111-2222-4333-8444-555555555555")?), invalid);
    assert_eq!(exception!(put("Gate", "Ask", &foreign_token)?), invalid, "another pipeline's token");
    assert_eq!(exception!(put("Gate", "Ask", "nonsense")?), "ValidationException");
    let job = api.put_job_success_result().job_id("nonsense");
    assert_eq!(exception!(job), "ValidationException");
    assert_eq!(exception!(put("Nowhere", "Ask", &token)?), "StageNotFoundException");
    assert_eq!(exception!(put("Gate", "Nothing", &token)?), "ActionNotFoundException");
    assert_eq!(exception!(put("End", "End", &token)?), invalid, "no approval");
    assert_eq!(one.until_asked("Ask").await?.token(), Some(token.as_str()), "nothing of this answered it");

    let close = |stage: &str, reason: &str| {
        let close = api.disable_stage_transition().pipeline_name(&one.name).stage_name(stage).reason(reason);
        close.transition_type(StageTransitionType::Inbound)
    };
    assert_eq!(exception!(close("Nowhere", "because")), "StageNotFoundException");
    assert_eq!(exception!(close("End", &"x".repeat(301))), "ValidationException");

    let declaration = one_declared(case, "three").await?;
    let with = |change: &dyn Fn(&mut Value)| -> Result<PipelineDeclaration> {
        let mut changed = declaration.clone();
        change(&mut changed);
        wire::from_json(&changed).map_err(|error| anyhow::anyhow!("{error}"))
    };
    let create = |declaration| api.create_pipeline().pipeline(declaration);
    assert_eq!(exception!(create(with(&|it| it["name"] = one.name.as_str().into())?)), "PipelineNameInUseException");
    let parallel = |it: &mut Value| {
        it["executionMode"] = "PARALLEL".into();
        it["pipelineType"] = "V1".into();
    };
    assert_eq!(exception!(create(with(&parallel)?)), "InvalidStructureException");
    assert_eq!(exception!(create(with(&|it| it["stages"] = json!([it["stages"][0]]))?)), "InvalidStructureException");
    assert_eq!(
        exception!(create(with(&|it| it["stages"][1]["name"] = it["stages"][0]["name"].clone())?)),
        "InvalidStageDeclarationException"
    );
    let unknown = |it: &mut Value| it["stages"][1]["actions"][0]["actionTypeId"]["provider"] = "Telegraph".into();
    assert_eq!(exception!(create(with(&unknown)?)), "InvalidActionDeclarationException");
    let unmade = |it: &mut Value| it["stages"][1]["actions"][0]["inputArtifacts"] = json!([{"name": "Unmade"}]);
    let answer = create(with(&unmade)?).send().await.err().context("an artifact that nobody makes")?;
    assert!(
        answer.message().is_some_and(|message| message.contains("pipeline.stages.2.member.actions.1.member")),
        "{answer:?}"
    );
    let nowhere = |it: &mut Value| it["roleArn"] = "arn:aws:s3:::no-role".into();
    assert_eq!(exception!(create(with(&nowhere)?)), "ValidationException");
    let update = api.update_pipeline().pipeline(with(&|it| it["name"] = absent.into())?);
    assert_eq!(exception!(update), "InvalidStructureException");
    assert_eq!(one.execution(&first).await?.status().map(|status| status.as_str()), Some("InProgress"));
    Ok(())
}

async fn one_declared(case: &Arc<Case>, purpose: &str) -> Result<Value> {
    let draft = case.draft(purpose).source().await?.stage("Gate", [Action::approval("Ask")]);
    draft.stage("End", [Action::machine("End", case.machine(HOME, "echo")?, "{}")]).json()
}

/// A release by a client that speaks Smithy RPC v2 CBOR.
pub async fn cbor_from_end_to_end(case: &Arc<Case>) -> Result<()> {
    let config = aws_sdk_codepipeline::config::Builder::from(&case.stack.sdk(HOME)).endpoint_url(&case.stack.api_url);
    let client = Client::from_conf(config.protocol(RpcV2CborProtocol::new()).build());
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("cbor").source().await?.variable("flavour", "schön 🍦");
    let draft = draft.stage("Gate", [Action::approval("Ask")]).stage("Deploy", [Action::unpack("Unpack", &target)]);
    let name = draft.handle().name;

    let declaration = draft.declaration()?;
    let created = client.create_pipeline().pipeline(declaration.clone()).send().await?;
    let created = created.pipeline.context("no pipeline")?;
    let by_json = case.pipelines.get_pipeline().name(&name).send().await?.pipeline.context("no pipeline")?;
    assert_eq!((&created.stages, &created.variables), (&by_json.stages, &by_json.variables));
    assert_eq!(created.variables, declaration.variables);
    let got = client.get_pipeline().name(&name).send().await?;
    assert_eq!(got.pipeline, Some(created));
    let metadata = got.metadata.context("no metadata")?;
    assert!(metadata.created().is_some_and(|time| time.secs() > 1_700_000_000), "{metadata:?}");

    let executions = client.list_pipeline_executions().pipeline_name(&name).send().await?;
    let id = executions.pipeline_execution_summaries()[0].pipeline_execution_id().context("no id")?.to_owned();
    let token = draft.handle().until_asked("Ask").await?.token.context("no token")?;
    let result = ApprovalResult::builder().summary("by CBOR").status(ApprovalStatus::Approved).build()?;
    let put = client.put_approval_result().pipeline_name(&name).stage_name("Gate").action_name("Ask");
    put.token(token).result(result).send().await?;
    draft.handle().ends(&id, "Succeeded").await?;
    deployed(case, HOME, &target, &["assets/app.js", "assets/site.css", "index.html"]).await?;

    // Both protocols show the same.
    let by_cbor = client.get_pipeline_state().name(&name).send().await?;
    let by_json = case.pipelines.get_pipeline_state().name(&name).send().await?;
    assert_eq!(without_times(&by_cbor)?, without_times(&by_json)?);
    let by_cbor = client.list_action_executions().pipeline_name(&name).send().await?;
    let by_json = case.pipelines.list_action_executions().pipeline_name(&name).send().await?;
    assert_eq!(without_times(&by_cbor)?, without_times(&by_json)?);
    let error = client.get_pipeline().name("absent").send().await.err().context("there is none")?.into_service_error();
    assert!(error.is_pipeline_not_found_exception(), "{error:?}");
    client.delete_pipeline().name(&name).send().await?;
    Ok(())
}

/// An answer as JSON. Both protocols send times as binary fractions of seconds, of which the SDK's two readers make
/// `.123` and `.122999`: they are left out.
fn without_times(answer: &impl aws_smithy_schema::serde::SerializableStruct) -> Result<Value> {
    const LONG_AGO: f64 = 1e9;
    fn forget(value: &mut Value) {
        match value {
            Value::Number(number) if number.as_f64().is_some_and(|number| number > LONG_AGO) => *value = Value::Null,
            Value::Array(list) => list.iter_mut().for_each(forget),
            Value::Object(members) => members.values_mut().for_each(forget),
            _ => {}
        }
    }
    let mut answer = wire::to_json(answer).map_err(|error| anyhow::anyhow!("{error}"))?;
    forget(&mut answer);
    Ok(answer)
}

pub async fn pages_and_tags(case: &Arc<Case>) -> Result<()> {
    let api = &case.pipelines;
    let pipeline = asking(case, "paged").await?;
    let other = asking(case, "other").await?;
    let mut started = vec![pipeline.first().await?];
    for _ in 0..4 {
        started.insert(0, pipeline.start().await?);
    }
    let mut pages = api.list_pipeline_executions().pipeline_name(&pipeline.name).max_results(2).into_paginator().send();
    let mut listed = Vec::new();
    let mut token = None;
    while let Some(page) = pages.next().await {
        let page = page?;
        assert!(page.pipeline_execution_summaries().len() <= 2);
        token = token.or(page.next_token.clone());
        let ids = page.pipeline_execution_summaries.unwrap_or_default();
        listed.extend(ids.into_iter().filter_map(|it| it.pipeline_execution_id));
    }
    assert_eq!(listed, started);
    let token = token.context("no token")?;
    let list = |pipeline: &str, token: &str| api.list_pipeline_executions().pipeline_name(pipeline).next_token(token);
    assert_eq!(exception!(list(&other.name, &token)), "InvalidNextTokenException", "another pipeline's");
    assert_eq!(exception!(list(&pipeline.name, "nonsense")), "InvalidNextTokenException");
    let elsewhere = api.list_action_executions().pipeline_name(&pipeline.name).next_token(&token);
    assert_eq!(exception!(elsewhere), "InvalidNextTokenException", "another operation's");

    let got = api.get_pipeline().name(&pipeline.name).send().await?;
    let arn = got.metadata().and_then(|it| it.pipeline_arn()).context("no ARN")?.to_owned();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    api.tag_resource().resource_arn(&arn).tags(tag("team", "site")?).tags(tag("cost", "7")?).send().await?;
    api.tag_resource().resource_arn(&arn).tags(tag("cost", "8")?).send().await?;
    let tags = api.list_tags_for_resource().resource_arn(&arn).send().await?;
    assert_eq!(tags.tags(), [tag("cost", "8")?, tag("team", "site")?]);
    api.untag_resource().resource_arn(&arn).tag_keys("team").send().await?;
    let tags = api.list_tags_for_resource().resource_arn(&arn).send().await?;
    assert_eq!(tags.tags(), [tag("cost", "8")?]);
    let absent = arn.replace(&pipeline.name, "no-such-pipeline");
    assert_eq!(exception!(api.list_tags_for_resource().resource_arn(absent)), "ResourceNotFoundException");
    assert_eq!(exception!(api.list_tags_for_resource().resource_arn("arn:aws:s3:::bucket")), "ValidationException");
    let nobodys = "arn:aws:codepipeline:eu-west-1:nobody:000000000000:demo";
    assert_eq!(exception!(api.list_tags_for_resource().resource_arn(nobodys)), "InvalidArnException");
    let reserved = api.tag_resource().resource_arn(&arn).tags(tag("aws:mine", "1")?);
    assert_eq!(exception!(reserved), "InvalidTagsException");
    Ok(())
}
