use driver::{ActionExecutor, Outcome, Task};
use serde_json::{Value, json};
use testkit::Aws;

use crate::{artifact, failed, input, job_id, located, put_off, registry, signing, task};

fn invoke() -> Task {
    let mut task = task("Invoke", "Lambda", &[("FunctionName", "check"), ("UserParameters", "https://example.com")]);
    task.inputs = vec![input("App")];
    task.outputs = vec![artifact("Report")];
    task
}

fn policy(aws: &Aws) -> Value {
    let call = aws.calls("AssumeRole").into_iter().find(|call| call.text().contains("Policy=")).unwrap();
    let text = call.text();
    let encoded = text.split('&').find_map(|pair| pair.strip_prefix("Policy=")).unwrap();
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
    serde_json::from_str(&decoded).unwrap()
}

#[tokio::test]
async fn the_function_gets_its_job_and_nobody_polls() {
    let aws = signing();
    aws.on("Invoke", 202, "");
    let task = invoke();
    let outcome = registry(&aws).start(&task).await.unwrap();
    let Outcome::Running { report, poll: false, .. } = outcome else { panic!("{outcome:?}") };
    assert!(report.external.unwrap().url.unwrap().ends_with("#logStream:group=/aws/lambda/check"));
    let call = &aws.calls("Invoke")[0];
    assert_eq!(call.path, "2015-03-31/functions/check/invocations");
    assert_eq!(call.header("x-amz-invocation-type"), "Event");
    assert_eq!(call.role, "pipeline");
    let expected = json!({"CodePipeline.job": {
        "id": job_id(&aws, &task).await,
        "accountId": "111122223333",
        "data": {
            "actionConfiguration": {
                "configuration": {"FunctionName": "check", "UserParameters": "https://example.com"},
            },
            "inputArtifacts": located("App"),
            "outputArtifacts": located("Report"),
            "artifactCredentials": {
                "accessKeyId": "pipeline",
                "secretAccessKey": "secret-of-pipeline",
                "sessionToken": "token-of-pipeline",
            },
            "encryptionKey": {"id": "arn:aws:kms:eu-west-1:111122223333:key/k", "type": "KMS"},
        },
    }});
    assert_eq!(call.json(), expected);
}

#[tokio::test]
async fn the_jobs_credentials_reach_its_artifacts_only() {
    let aws = signing();
    aws.on("Invoke", 202, "");
    registry(&aws).start(&invoke()).await.unwrap();
    let policy = policy(&aws);
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 3);
    assert_eq!(statements[0]["Resource"], json!(["arn:aws:s3:::store-eu/shop/App/abcdefghijklmnop"]));
    assert_eq!(statements[1]["Resource"], json!(["arn:aws:s3:::store-eu/shop/Report/abcdefghijklmnop"]));
    assert_eq!(statements[2]["Resource"], json!("arn:aws:kms:eu-west-1:111122223333:key/k"));
    assert_eq!(statements[2]["Condition"]["StringEquals"]["kms:ViaService"], "s3.eu-west-1.amazonaws.com");

    let aws = signing();
    aws.on("Invoke", 202, "");
    let bare = task("Invoke", "Lambda", &[("FunctionName", "check")]);
    registry(&aws).start(&bare).await.unwrap();
    assert_eq!(self::policy(&aws)["Statement"][0]["Effect"], "Deny");
}

#[tokio::test]
async fn the_most_artifacts_with_the_longest_names_fit_into_a_policy() {
    let aws = signing();
    aws.on("Invoke", 202, "");
    let mut task = invoke();
    task.store =
        Some(("b".repeat(63), Some(format!("arn:aws:kms:ap-southeast-1:111122223333:key/{}", "k".repeat(36)))));
    let mut output = artifact("Report");
    output.bucket = "b".repeat(63);
    output.key = format!("{}/{}/{}", "p".repeat(20), "a".repeat(10), "u".repeat(16));
    let mut read = input("App");
    read.artifact = output.clone();
    read.bucket = output.bucket.clone();
    task.inputs = vec![read; 5];
    task.outputs = vec![output; 5];
    registry(&aws).start(&task).await.unwrap();
    // STS takes 2048 characters.
    assert!(policy(&aws).to_string().len() <= 2048, "{}", policy(&aws).to_string().len());
}

#[tokio::test]
async fn a_continued_job_gets_its_token_and_a_new_id() {
    let aws = signing();
    aws.on("Invoke", 202, "");
    let mut task = invoke();
    task.id = task.id.next_turn();
    task.continuation = Some("where I was".into());
    task.store = Some(("store-eu".into(), None));
    registry(&aws).start(&task).await.unwrap();
    let job = aws.calls("Invoke")[0].json()["CodePipeline.job"].clone();
    assert_eq!(job["id"], job_id(&aws, &task).await);
    assert_ne!(job["id"], task.id.to_string(), "the attempt's id is no secret");
    assert_eq!(job["data"]["continuationToken"], "where I was");
    assert_eq!(job["data"].get("encryptionKey"), None);
    assert_eq!(policy(&aws)["Statement"][2]["Resource"], "*");
}

#[tokio::test]
async fn refusals_are_told_and_throttling_is_put_off() {
    let aws = signing();
    for (code, status, kind) in [
        ("ResourceNotFoundException", 404, "ConfigurationError"),
        ("AccessDeniedException", 403, "PermissionError"),
        ("RequestTooLargeException", 413, "JobFailed"),
    ] {
        fail(&aws, status, code);
        let error = failed(&registry(&aws), &invoke()).await;
        assert_eq!(error.code, kind);
        let expected = format!("Invoke of the function check in eu-west-1 failed: {code}: The words of Lambda.");
        assert_eq!(error.message, expected);
        assert!(!error.message.contains("secret-of-pipeline"));
    }
    for (code, status) in
        [("TooManyRequestsException", 429), ("ServiceException", 500), ("ResourceConflictException", 409)]
    {
        fail(&aws, status, code);
        assert!(put_off(&registry(&aws), &invoke()).await.contains(code));
    }
}

fn fail(aws: &Aws, status: u16, code: &str) {
    aws.fail("Invoke", status, code, "The words of Lambda.");
}
