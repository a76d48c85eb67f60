use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::json;
use testkit::Aws;

use crate::{failed, put_off, registry, succeeded, task};

const CHILD: &str = "3137f7cb-8bf8-4c1c-8d0e-1f0ac0ffee00";

fn invoke(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("PipelineName", "child")];
    all.extend(configuration);
    task("Invoke", "CodePipeline", &all)
}

fn starts(aws: &Aws) {
    aws.on("StartPipelineExecution", 200, json!({"pipelineExecutionId": CHILD}).to_string());
}

fn stands(aws: &Aws, status: &str, summary: &str) {
    let execution = json!({"pipelineName": "child", "pipelineExecutionId": CHILD, "status": status,
        "statusSummary": summary});
    aws.on("GetPipelineExecution", 200, json!({"pipelineExecution": execution}).to_string());
}

/// A task that waits, as it is polled after its start.
fn started() -> Task {
    let external = Some(External { id: CHILD.to_owned(), url: None });
    Task { external, ..invoke(&[("WaitForCompletion", "true")]) }
}

#[tokio::test]
async fn it_starts_the_other_pipeline_once_and_ends() {
    let aws = Aws::default();
    starts(&aws);
    let task = invoke(&[
        ("Variables", r#"[{"name": "VAR1", "value": "VALUE1"}, {"name": "EMPTY", "value": ""}]"#),
        (
            "SourceRevisions",
            r#"[{"actionName": "Source", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "zq8"}]"#,
        ),
    ]);
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.report.external, Some(External { id: CHILD.to_owned(), url: None }));
    assert_eq!(done.report.summary.as_deref(), Some("The pipeline child was started"));
    assert_eq!((done.variables.len(), done.outputs.len()), (0, 0));
    let call = &aws.calls("StartPipelineExecution")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "eu-west-1"));
    assert_eq!(call.path, "api/live/pipelines/child/StartPipelineExecution", "what a policy can name");
    assert!(call.header("authorization").contains("/eu-west-1/execute-api/aws4_request"), "what API Gateway checks");
    let expected = json!({
        "name": "child",
        "clientRequestToken": task.id.to_string(),
        "variables": [{"name": "VAR1", "value": "VALUE1"}, {"name": "EMPTY", "value": ""}],
        "sourceRevisions": [
            {"actionName": "Source", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "zq8"}],
    });
    assert_eq!(call.json(), expected);
    // A worker that took it over says the same, by which the API knows the execution.
    succeeded(&registry(&aws), &Task { reclaimed: true, ..task }).await;
    assert_eq!(aws.calls("StartPipelineExecution")[1].json(), expected);
    assert_eq!(aws.operations(), ["AssumeRole", "StartPipelineExecution"].repeat(2));
}

#[tokio::test]
async fn the_action_s_own_role_asks_where_it_has_one() {
    let aws = Aws::default();
    starts(&aws);
    let action_role = Some("arn:aws:iam::111122223333:role/invoker".to_owned());
    succeeded(&registry(&aws), &Task { action_role, ..invoke(&[]) }).await;
    assert_eq!(aws.calls("StartPipelineExecution")[0].role, "invoker");
    let assumed: Vec<_> = aws.calls("AssumeRole").iter().map(testkit::Call::text).collect();
    assert!(assumed.iter().all(|body| body.contains("ExternalId=arn")), "{assumed:?}");
}

#[tokio::test]
async fn it_waits_for_the_end_where_it_is_told_to() {
    let aws = Aws::default();
    starts(&aws);
    let task = invoke(&[("WaitForCompletion", "True")]);
    let registry = registry(&aws);
    let Outcome::Running { report, poll: true, event_source } = registry.start(&task).await.unwrap() else { panic!() };
    assert_eq!((report.external.unwrap().id.as_str(), event_source.as_deref()), (CHILD, Some("millrace")));
    for status in ["InProgress", "Stopping"] {
        stands(&aws, status, "It waits in front of stage Deploy.");
        let Outcome::Running { report, poll: true, .. } = registry.poll(&started()).await.unwrap() else { panic!() };
        assert_eq!(report.summary.as_deref(), Some("It waits in front of stage Deploy."));
    }
    stands(&aws, "Succeeded", "");
    let Outcome::Succeeded(done) = registry.poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(done.report.external.unwrap().id, CHILD);
    let call = &aws.calls("GetPipelineExecution")[0];
    assert_eq!(call.path, "api/live/pipelines/child/GetPipelineExecution");
    assert_eq!(call.json(), json!({"pipelineName": "child", "pipelineExecutionId": CHILD}));
}

#[tokio::test]
async fn it_fails_as_the_execution_did_and_says_why() {
    let aws = Aws::default();
    for status in ["Failed", "Stopped", "Superseded", "Cancelled"] {
        stands(&aws, status, "Action Test failed: 3 of 7 were red.");
        let Outcome::Failed { error, report } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
        let expected = format!(
            "The execution {CHILD} of the pipeline child ended as {status}: Action Test failed: 3 of 7 were red."
        );
        assert_eq!((error.code.as_str(), error.message), ("JobFailed", expected));
        assert_eq!(report.external.unwrap().id, CHILD);
    }
    aws.fail("GetPipelineExecution", 400, "PipelineExecutionNotFoundException", "It is gone.");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert!(error.code == "JobFailed" && error.message.contains("It is gone."), "{error:?}");
}

#[tokio::test]
async fn a_start_that_was_not_written_down_is_found_by_its_token() {
    let aws = Aws::default();
    starts(&aws);
    let task = Task { external: None, ..started() };
    let Outcome::Running { report, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(report.external.unwrap().id, CHILD);
    assert_eq!(aws.calls("StartPipelineExecution")[0].json()["clientRequestToken"], task.id.to_string());
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_key() {
    let aws = Aws::default();
    for (key, value, words) in [
        ("PipelineName", "", "needs a value for PipelineName"),
        ("PipelineName", "../deploy", "PipelineName: "),
        ("PipelineName", "shop", "cannot invoke the pipeline in which it runs itself"),
        ("Variables", r#"{"VAR1": "VALUE1"}"#, "it must be a list such as"),
        ("Variables", r#"[{"name": "VAR1"}]"#, "missing field `value`"),
        ("SourceRevisions", r#"[{"actionName": "A", "value": "x"}]"#, "unknown field `value`"),
        ("WaitForCompletion", "maybe", "it must be true or false"),
    ] {
        let mut task = invoke(&[]);
        task.configuration.insert(key.into(), value.into());
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError", "{key}");
        assert!(error.message.contains(words) && error.message.contains(key), "{}", error.message);
    }
    let error = failed(&registry(&aws), &Task { region: "us-east-1".into(), ..invoke(&[]) }).await;
    assert!(error.message.contains("all pipelines are in eu-west-1"), "{}", error.message);
    assert!(aws.operations().is_empty(), "nothing was asked of anybody");
}

#[tokio::test]
async fn what_the_api_refuses_is_told_apart() {
    let aws = Aws::default();
    let body = |message: &str| json!({"Message": message}).to_string();
    aws.reply("StartPipelineExecution", move |_| {
        let headers = [("x-amzn-errortype".to_owned(), "AccessDeniedException".to_owned())];
        let words =
            "User: pipeline is not authorized to perform: execute-api:Invoke on resource: live/POST/pipelines/child";
        (403, headers.into(), body(words).into())
    });
    let error = failed(&registry(&aws), &invoke(&[])).await;
    assert!(error.code == "PermissionError" && error.message.contains("execute-api:Invoke"), "{error:?}");
    for (exception, code) in
        [("PipelineNotFoundException", "ConfigurationError"), ("ValidationException", "ConfigurationError")]
    {
        aws.fail("StartPipelineExecution", 400, exception, "The words of the API.");
        let error = failed(&registry(&aws), &invoke(&[])).await;
        assert!(error.code == code && error.message.contains("The words of the API."), "{error:?}");
    }
    for exception in ["ConflictException", "ConcurrentPipelineExecutionsLimitExceededException", "ThrottlingException"]
    {
        aws.fail("StartPipelineExecution", 400, exception, "Later.");
        assert!(put_off(&registry(&aws), &invoke(&[])).await.contains("Later."));
    }
}
