use aws_smithy_cbor::Encoder;
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

async fn heard(aws: &Aws) -> String {
    match registry(aws).poll(&invoke()).await.unwrap() {
        Outcome::Running { report, poll: false, .. } => report.summary.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_known_of_a_silent_function_is_its_invocations_its_last_error_and_its_log_group() {
    let aws = Aws::default();
    let mut metrics = Encoder::new(Vec::new());
    metrics.begin_map().str("MetricDataResults").array(2);
    for (id, values) in [("invocations", [1.0, 2.0]), ("errors", [0.0, 2.0])] {
        metrics.begin_map().str("Id").str(id).str("Values").array(2).double(values[0]).double(values[1]).end();
    }
    metrics.end();
    aws.on("GetMetricData", 200, metrics.into_writer());
    let events = json!([
        {"message": "[ERROR] KeyError: first", "timestamp": 1},
        {"message": "[ERROR] ValueError: boom\nTraceback (most recent call last):\n  raise ValueError", "timestamp": 2},
        {"message": "REPORT RequestId: 7f Status: error Error Type: Runtime.Unknown", "timestamp": 3},
    ]);
    aws.on("FilterLogEvents", 200, json!({"events": events}).to_string());
    let expected = "CloudWatch counts 3 invocations of the function check in that time, 2 of them failed; the last error in its \
                    log group /aws/lambda/check is: [ERROR] ValueError: boom";
    assert_eq!(heard(&aws).await, expected);
    let asked = &aws.calls("FilterLogEvents")[0];
    assert_eq!((asked.role.as_str(), asked.region.as_str()), ("pipeline", "eu-west-1"));
    assert_eq!(asked.json()["logGroupName"], "/aws/lambda/check");
    assert_eq!(asked.json()["startTime"], 1_795_475_109_000_i64 - 20 * 60_000, "since the job was given out");
    assert_eq!(aws.calls("GetMetricData")[0].role, "pipeline");
    assert!(aws.calls("Invoke").is_empty());
}

#[tokio::test]
async fn of_a_function_whose_metrics_and_log_may_not_be_read_its_log_group_is_named() {
    let aws = Aws::default();
    let mut denied = Encoder::new(Vec::new());
    denied.begin_map().str("__type").str("AccessDenied").str("message").str("No.").end();
    aws.on("GetMetricData", 403, denied.into_writer());
    aws.fail("FilterLogEvents", 400, "AccessDeniedException", "No.");
    assert_eq!(heard(&aws).await, "its log group is /aws/lambda/check");
    let mut task = invoke();
    task.pipeline_role = "arn:aws:iam::111122223333:role/forbidden".into();
    let outcome = registry(&Aws::default()).poll(&task).await.unwrap();
    assert!(matches!(outcome, Outcome::Running { .. }), "it is the time-out that ends it: {outcome:?}");
}
