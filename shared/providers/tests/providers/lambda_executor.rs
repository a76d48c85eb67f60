use std::sync::Arc;

use driver::{ActionExecutor, Outcome, Task};
use pipeline::custom::Terms;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{artifact, failed, input, job_id, located, made, put_off, registry, signing, task};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:444455556666:function:partner";

fn partner() -> Task {
    let mut task = task("Test", "Partner", &[("Project", "shop")]);
    task.inputs = vec![input("App")];
    task.outputs = vec![artifact("Report")];
    task.action.type_id.owner = Some("ThirdParty".into());
    task.action.custom = Some(Arc::new(Terms {
        id: task.action.type_id.clone(),
        function: Some(FUNCTION.into()),
        execution_url: Some("https://partner.test/{Config:Project}/{ExternalExecutionId}".into()),
        ..Terms::default()
    }));
    task
}

fn answering(answer: &Value) -> Aws {
    let aws = signing();
    aws.on("Invoke", 200, answer.to_string());
    aws
}

#[tokio::test]
async fn the_function_gets_its_job_and_its_answer_is_the_result() {
    let aws = answering(&json!({
        "result": "SUCCESS", "failureType": null, "continuation": null,
        "status": {"externalExecutionId": "17", "summary": "all is well"},
        "outputVariables": {"Score": "10"},
    }));
    let task = partner();
    aws.plain_object("store-eu/shop/Report/abcdefghijklmnop", b"ten");
    let outcome = registry(&aws).start(&task).await.unwrap();
    let Outcome::Succeeded(success) = outcome else { panic!("{outcome:?}") };
    assert_eq!(success.report.summary.as_deref(), Some("all is well"));
    let external = success.report.external.unwrap();
    assert_eq!(external.id, "17");
    assert_eq!(external.url.as_deref(), Some("https://partner.test/shop/17"));
    assert_eq!(success.variables["Score"], "10");
    assert_eq!(success.outputs, [made("Report", b"ten")]);

    let call = &aws.calls("Invoke")[0];
    assert!(call.path.ends_with("function%3Apartner/invocations"), "{}", call.path);
    assert_eq!(call.role, "pipeline");
    assert!(call.header("authorization").contains("/us-east-1/lambda/"), "where the function lives");
    let expected = json!({
        "jobId": job_id(&aws, &task).await,
        "accountId": "111122223333",
        "data": {
            "actionConfiguration": {"Project": "shop"},
            "inputArtifacts": located("App"),
            "outputArtifacts": located("Report"),
            "actionExecutionId": task.id.to_string(),
            "actionCredentials": {
                "accessKeyId": "pipeline",
                "secretAccessKey": "secret-of-pipeline",
                "sessionToken": "token-of-pipeline",
            },
            "encryptionKey": {"id": "arn:aws:kms:eu-west-1:111122223333:key/k", "type": "KMS"},
        },
    });
    assert_eq!(call.json(), expected);
}

#[tokio::test]
async fn one_that_asks_to_be_continued_is_and_gets_what_it_handed_over() {
    let aws = answering(
        &json!({"result": "continue", "continuation": {"State": "build 7"}, "status": {"Summary": "builds"}}),
    );
    let outcome = registry(&aws).start(&partner()).await.unwrap();
    let Outcome::Continue { token, report } = outcome else { panic!("{outcome:?}") };
    assert_eq!((token.as_str(), report.summary.as_deref()), ("build 7", Some("builds")));

    let mut next = partner();
    next.id = next.id.next_turn();
    next.continuation = Some(token);
    registry(&aws).start(&next).await.unwrap();
    let job = aws.calls("Invoke")[1].json();
    assert_eq!(job["jobId"], job_id(&aws, &next).await);
    assert_eq!(job["data"]["actionExecutionId"], next.id.first_turn().to_string());
    assert_eq!(job["data"]["continuationToken"], "build 7");
}

#[tokio::test]
async fn a_failure_has_the_type_and_the_words_of_the_function() {
    for (given, code) in [
        (json!("ConfigurationError"), "ConfigurationError"),
        (json!("PermissionsError"), "PermissionError"),
        (json!("RevisionUnavailable"), "RevisionUnavailable"),
        (json!("SystemUnavailable"), "SystemUnavailable"),
        (json!("JobFailed"), "JobFailed"),
        (json!(null), "JobFailed"),
    ] {
        let aws = answering(&json!({"result": "Fail", "failureType": given, "status": {"summary": "3 tests fail"}}));
        let error = failed(&registry(&aws), &partner()).await;
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, "3 tests fail"));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_result_fails_and_says_why() {
    let long = "x".repeat(2_049);
    for (answer, part) in [
        (json!("fine"), "no job result"),
        (json!({"result": "perhaps"}), "can be Success, Continue or Fail"),
        (json!({"result": "continue"}), "no continuation"),
        (json!({"result": "continue", "continuation": {"state": long}}), "2048 characters"),
        (json!({"result": "success", "outputVariables": {"Score": 10}}), "expected a string"),
    ] {
        let error = failed(&registry(&answering(&answer)), &partner()).await;
        assert_eq!(error.code, "JobFailed");
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[tokio::test]
async fn lambda_s_refusals_are_told_and_throttling_is_put_off() {
    let aws = signing();
    aws.fail("Invoke", 404, "ResourceNotFoundException", "The words of Lambda.");
    let error = failed(&registry(&aws), &partner()).await;
    let expected = format!("Invoke of the function {FUNCTION} failed: ResourceNotFoundException: The words of Lambda.");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected.as_str()));
    aws.fail("Invoke", 429, "TooManyRequestsException", "The words of Lambda.");
    assert!(put_off(&registry(&aws), &partner()).await.contains("TooManyRequestsException"));
}
