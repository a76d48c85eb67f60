use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::json;
use testkit::Aws;

use crate::{artifact, failed, input, made, put_off, registry, succeeded, task};

const MACHINE: &str = "arn:aws:states:eu-west-1:111122223333:stateMachine:load";

fn invoke(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("StateMachineArn", MACHINE)];
    all.extend(configuration);
    task("Invoke", "StepFunctions", &all)
}

fn execution(task: &Task, prefix: &str) -> String {
    format!("arn:aws:states:eu-west-1:111122223333:execution:load:{prefix}{}", task.id)
}

/// How the state machine answers to its start; what type it has cannot be seen.
fn starts(aws: &Aws, arn: &str) {
    aws.fail("DescribeStateMachine", 400, "AccessDeniedException", "No.");
    aws.on("StartExecution", 200, json!({"executionArn": arn, "startDate": 1.0}).to_string());
}

fn describes(aws: &Aws, arn: &str, what: serde_json::Value) {
    let mut all = json!({"executionArn": arn, "stateMachineArn": MACHINE, "startDate": 1.0});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    aws.on("DescribeExecution", 200, all.to_string());
}

/// The task as it is polled after its start.
fn started(mut task: Task) -> Task {
    task.external = Some(External { id: execution(&task, ""), url: None });
    task
}

async fn running(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => report.external.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_starts_under_the_attempts_id_and_is_polled() {
    let aws = Aws::default();
    let task = invoke(&[("ExecutionNamePrefix", "release"), ("Input", r#"{"load": 5}"#)]);
    let arn = execution(&task, "release-");
    starts(&aws, &arn);
    let external = running(&aws, &task).await;
    assert_eq!(external.id, arn);
    assert!(external.url.unwrap().ends_with(&format!("/states/home?region=eu-west-1#/v2/executions/details/{arn}")));
    let call = &aws.calls("StartExecution")[0];
    assert_eq!(call.role, "pipeline");
    let sent = call.json();
    assert_eq!(sent["name"], format!("release-{}", task.id));
    assert_eq!(sent["stateMachineArn"], MACHINE);
    assert_eq!(sent["input"], r#"{"load": 5}"#);
}

#[tokio::test]
async fn without_input_it_gets_an_empty_object_and_without_prefix_the_bare_id() {
    let aws = Aws::default();
    let task = invoke(&[]);
    starts(&aws, &execution(&task, ""));
    running(&aws, &task).await;
    let sent = aws.calls("StartExecution")[0].json();
    assert_eq!((sent["input"].as_str(), sent["name"].as_str()), (Some("{}"), Some(task.id.to_string().as_str())));
}

#[tokio::test]
async fn what_a_lost_worker_started_is_found_and_not_started_again() {
    let aws = Aws::default();
    let mut task = invoke(&[("ExecutionNamePrefix", "p")]);
    task.configuration.insert("StateMachineArn".into(), format!("{MACHINE}:live"));
    task.reclaimed = true;
    starts(&aws, "");
    aws.fail("StartExecution", 400, "ExecutionAlreadyExists", "Execution Already Exists: 'x'");
    assert_eq!(running(&aws, &task).await.id, execution(&task, "p-"));
}

#[tokio::test]
async fn a_prefix_that_leaves_no_room_is_refused() {
    let aws = Aws::default();
    let long = "p".repeat(44);
    let error = failed(&registry(&aws), &invoke(&[("ExecutionNamePrefix", &long)])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("the prefix can have 43"), "{}", error.message);
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_file_of_the_input_artifact_is_the_input() {
    let aws = Aws::default();
    let zip = write_zip([("tests/load.json", r#"{"users": 7}"#), ("bad.bin", "x")]).unwrap();
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &zip);
    let mut task = invoke(&[("InputType", "FilePath"), ("Input", "tests/load.json")]);
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("needs an input artifact"), "{}", error.message);
    task.inputs = vec![input("App")];
    starts(&aws, &execution(&task, ""));
    running(&aws, &task).await;
    assert_eq!(aws.calls("StartExecution")[0].json()["input"], r#"{"users": 7}"#);
    task.configuration.insert("Input".into(), "tests/none.json".into());
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("the zip has no file") && error.message.contains("App"), "{}", error.message);
    task.configuration.insert("InputType".into(), "Guess".into());
    assert!(failed(&registry(&aws), &task).await.message.contains("Guess"));
}

#[tokio::test]
async fn its_output_becomes_the_artifact_and_its_arns_the_variables() {
    let aws = Aws::default();
    let mut task = started(invoke(&[]));
    task.outputs = vec![artifact("Result")];
    let arn = execution(&task, "");
    describes(&aws, &arn, json!({"status": "SUCCEEDED", "output": r#"{"p99": 12}"#}));
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    let stored = aws.stored("store-eu/shop/Result/abcdefghijklmnop").data;
    assert_eq!(done.outputs, [made("Result", &stored)]);
    assert_eq!(
        (done.variables["ExecutionArn"].as_str(), done.variables["StateMachineArn"].as_str()),
        (arn.as_str(), MACHINE)
    );
    assert_eq!(done.variables.len(), 2);
    let expected = write_zip([("output.json", r#"{"p99": 12}"#)]).unwrap();
    assert_eq!(aws.stored("store-eu/shop/Result/abcdefghijklmnop").data, expected);
    let put = &aws.calls("PutObject")[0];
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:aws:kms:eu-west-1:111122223333:key/k");
}

#[tokio::test]
async fn it_runs_until_it_ends_and_its_failure_is_told_in_its_words() {
    let aws = Aws::default();
    let task = started(invoke(&[]));
    let arn = execution(&task, "");
    for status in ["RUNNING", "PENDING_REDRIVE"] {
        describes(&aws, &arn, json!({"status": status}));
        assert!(matches!(registry(&aws).poll(&task).await.unwrap(), Outcome::Running { poll: true, .. }));
    }
    for status in ["FAILED", "TIMED_OUT", "ABORTED"] {
        describes(&aws, &arn, json!({"status": status, "error": "TooSlow", "cause": "p99 was 900 ms"}));
        let Outcome::Failed { error, report } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
        assert_eq!(error.code, "JobFailed");
        assert_eq!(
            error.message,
            format!("The state machine execution {arn} ended as {status}: TooSlow: p99 was 900 ms")
        );
        assert!(report.external.unwrap().url.is_some());
    }
}

#[tokio::test]
async fn refusals_are_told_and_throttling_is_put_off() {
    let aws = Aws::default();
    let task = invoke(&[]);
    starts(&aws, "");
    for (code, kind) in [
        ("StateMachineDoesNotExist", "ConfigurationError"),
        ("InvalidExecutionInput", "ConfigurationError"),
        ("AccessDeniedException", "PermissionError"),
    ] {
        aws.fail("StartExecution", 400, code, "The words of Step Functions.");
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, kind);
        assert_eq!(error.message, format!("StartExecution of {MACHINE} failed: {code}: The words of Step Functions."));
    }
    for (code, status) in [("ThrottlingException", 400), ("ExecutionLimitExceeded", 400), ("InternalFailure", 500)] {
        aws.fail("StartExecution", status, code, "Later.");
        assert!(put_off(&registry(&aws), &task).await.contains(code));
    }
    for (code, status) in [("ThrottlingException", 400), ("KmsThrottlingException", 400), ("InternalFailure", 500)] {
        aws.fail("DescribeExecution", status, code, "Later.");
        assert!(registry(&aws).poll(&started(task.clone())).await.is_err());
    }
}

#[tokio::test]
async fn an_express_state_machine_is_done_when_it_has_started() {
    let aws = Aws::default();
    let mut task = invoke(&[]);
    starts(&aws, "arn:aws:states:eu-west-1:111122223333:express:load:name:0f0f");
    let done = succeeded(&registry(&aws), &task).await;
    assert_eq!(done.variables.into_iter().collect::<Vec<_>>(), [("StateMachineArn".to_owned(), MACHINE.to_owned())]);
    task.outputs = vec![artifact("Result")];
    let error = failed(&registry(&aws), &task).await;
    assert!(error.code == "ConfigurationError" && error.message.contains("express"), "{error:?}");

    // Where the execution's ARN does not show it.
    task.outputs = Vec::new();
    starts(&aws, &execution(&task, ""));
    for (kind, ends) in [("STANDARD", false), ("EXPRESS", true)] {
        let machine = json!({
            "stateMachineArn": MACHINE, "name": "load", "type": kind, "definition": "{}", "roleArn": "r", "creationDate": 1.0,
        });
        aws.on("DescribeStateMachine", 200, machine.to_string());
        let outcome = registry(&aws).start(&task).await.unwrap();
        assert_eq!(matches!(outcome, Outcome::Succeeded(_)), ends, "{kind}: {outcome:?}");
    }
}
