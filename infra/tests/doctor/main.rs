//! `millrace doctor` against an AWS that a test prepares: each finding is seen to be found, and to be absent where all is well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_smithy_cbor::Encoder;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use millrace::Account;
use millrace::doctor::{Finding, Level, examine};
use serde_json::{Value, json};
use testkit::Aws;

const API: &str = "http://aws.test/api/live";
const WORKER: &str = "arn:aws:iam::111122223333:role/worker";
const PIPELINE: &str = "arn:aws:codepipeline:eu-west-1:111122223333:shop";

const STACK: &[(&str, &str, &str)] = &[
    ("AWS::Lambda::Function", "ApiFunction", "millrace-api"),
    ("AWS::Lambda::EventSourceMapping", "StreamMapping", "11111111-2222-3333-4444-555555555555"),
    ("AWS::Events::Rule", "WorkRule", "millrace|work"),
    ("AWS::SQS::Queue", "PollQueue", "http://aws.test/111122223333/poll"),
    ("AWS::SQS::Queue", "TriggerDeadLetters", "http://aws.test/111122223333/dead"),
    ("AWS::CloudWatch::Alarm", "DeadLettersAlarm", "letters"),
    ("AWS::DynamoDB::Table", "Table", "millrace-table"),
    ("AWS::KMS::Key", "SecretsKey", "12345678-1234-1234-1234-123456789012"),
    ("AWS::S3::Bucket", "Artifacts", "store-eu"),
];

fn result(operation: &str, content: &str) -> String {
    format!("<{operation}Response><{operation}Result>{content}</{operation}Result></{operation}Response>")
}

fn stacks(status: &str, parameters: &[(&str, &str)]) -> String {
    let outputs = [
        ("ApiId", "api"),
        ("ApiUrl", API),
        ("WorkerRoleArn", WORKER),
        ("ReplicatorRoleArn", "arn:aws:iam::111122223333:role/replicator"),
        ("ApiRoleArn", "arn:aws:iam::111122223333:role/api"),
    ];
    let outputs = outputs
        .map(|(key, value)| format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"));
    let parameters = parameters.iter().map(|(key, value)| {
        format!("<member><ParameterKey>{key}</ParameterKey><ParameterValue>{value}</ParameterValue></member>")
    });
    let (outputs, parameters) = (outputs.concat(), parameters.collect::<String>());
    result(
        "DescribeStacks",
        &format!(
            "<Stacks><member><StackName>millrace</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
             <StackStatus>{status}</StackStatus><Outputs>{outputs}</Outputs><Parameters>{parameters}</Parameters>\
             </member></Stacks>"
        ),
    )
}

fn resources() -> String {
    let member = |(kind, logical, physical): &(&str, &str, &str)| {
        format!(
            "<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        )
    };
    let members: String = STACK.iter().map(member).collect();
    result("ListStackResources", &format!("<StackResourceSummaries>{members}</StackResourceSummaries>"))
}

fn alarm(state: &str) -> Vec<u8> {
    let mut answer = Encoder::new(Vec::new());
    answer.begin_map().str("MetricAlarms").array(1).begin_map();
    answer.str("AlarmName").str("letters").str("StateValue").str(state);
    answer.str("AlarmDescription").str("An event was given up").str("StateReason").str("1 letter").end().end();
    answer.into_writer()
}

/// Who AWS says calls, and when it says so.
fn caller(aws: &Aws, seconds: i64) {
    let now = DateTime::from(SystemTime::now()).secs() + seconds;
    let date = DateTime::from_secs(now).fmt(Format::HttpDate).unwrap();
    let body = "<Arn>arn:aws:iam::111122223333:user/ada</Arn><UserId>A</UserId><Account>111122223333</Account>";
    let body = result("GetCallerIdentity", body).into_bytes();
    aws.reply("GetCallerIdentity", move |_| (200, BTreeMap::from([("date".into(), date.clone())]), body.clone()));
}

fn trust(condition: &Value) -> String {
    let principal = json!({"AWS": [WORKER, "arn:aws:iam::111122223333:role/api"]});
    let statement =
        json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition});
    let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let document: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
    result(
        "GetRole",
        &format!(
            "<Role><Path>/</Path><RoleName>pipeline</RoleName><RoleId>R</RoleId><Arn>a</Arn>\
             <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{document}</AssumeRolePolicyDocument></Role>"
        ),
    )
}

fn subscriptions(arn: &str) -> String {
    result(
        "ListSubscriptionsByTopic",
        &format!(
            "<Subscriptions><member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>email</Protocol>\
             <Endpoint>ada@example.com</Endpoint></member></Subscriptions>"
        ),
    )
}

fn definition() -> Value {
    let action = |category: &str, provider: &str, configuration: Value| {
        json!({
            "name": provider, "configuration": configuration,
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        })
    };
    let mut source = action("Source", "S3", json!({"S3Bucket": "source", "S3ObjectKey": "app.zip"}));
    source["outputArtifacts"] = json!([{"name": "App"}]);
    let mut check = action("Invoke", "Lambda", json!({"FunctionName": "check"}));
    check["inputArtifacts"] = json!([{"name": "App"}]);
    let ask = action("Approval", "Manual", json!({"NotificationArn": "arn:aws:sns:eu-west-1:111122223333:ask"}));
    json!({"pipeline": {
        "name": "shop", "roleArn": "arn:aws:iam::111122223333:role/pipeline",
        "artifactStore": {"type": "S3", "location": "store-eu"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Check", "actions": [check, ask]}],
    }})
}

const EVENT_BRIDGE: &str = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";

/// An AWS where all is well.
fn healthy() -> Aws {
    let aws = Aws::default();
    caller(&aws, 0);
    aws.on(
        "DescribeStacks",
        200,
        stacks("CREATE_COMPLETE", &[("AlarmTopic", "arn:aws:sns:eu-west-1:111122223333:alarms")]),
    );
    aws.on("ListStackResources", 200, resources());
    aws.on("GetFunctionConfiguration", 200, r#"{"State": "Active", "LastUpdateStatus": "Successful"}"#);
    aws.on("GetEventSourceMapping", 200, r#"{"State": "Enabled"}"#);
    aws.on("DescribeRule", 200, r#"{"State": "ENABLED"}"#);
    aws.on("GetQueueAttributes", 200, r#"{"Attributes": {"ApproximateNumberOfMessages": "0"}}"#);
    aws.on("DescribeAlarms", 200, alarm("OK"));
    let table = json!({"Table": {"TableStatus": "ACTIVE", "StreamSpecification": {"StreamEnabled": true}}});
    aws.on("DescribeTable", 200, table.to_string());
    aws.on("DescribeKey", 200, r#"{"KeyMetadata": {"KeyId": "k", "KeyState": "Enabled"}}"#);
    aws.on("GetBucketLocation", 200, "<LocationConstraint>eu-west-1</LocationConstraint>");
    aws.on("GetBucketVersioning", 200, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>");
    let kms =
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault>";
    let rule = format!("<ServerSideEncryptionConfiguration><Rule>{kms}</Rule></ServerSideEncryptionConfiguration>");
    aws.on("GetBucketEncryption", 200, rule);
    aws.on("GetBucketNotificationConfiguration", 200, EVENT_BRIDGE);
    aws.on("GetAccountSettings", 200, r#"{"AccountLimit": {"ConcurrentExecutions": 1000}}"#);
    aws.on("ListPipelines", 200, r#"{"pipelines": []}"#);
    aws.on("GetRole", 200, trust(&json!({"StringEquals": {"sts:ExternalId": PIPELINE}})));
    aws.on("ListSubscriptionsByTopic", 200, subscriptions("arn:aws:sns:eu-west-1:111122223333:ask:1"));
    aws
}

async fn found(aws: &Aws) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, definition().to_string()).unwrap();
    let account = Account::new(aws.config()).unwrap();
    let findings = examine(&account, "millrace", Some(file.to_str().unwrap()), Some(API)).await.unwrap();
    findings.all().to_vec()
}

/// That just this is wrong, and that this mends it.
async fn finds(aws: &Aws, level: Level, what: &str, mend: &str) {
    let all = found(aws).await;
    let wrong: Vec<_> = all.iter().filter(|it| it.level == level && it.what.contains(what)).collect();
    assert!(!wrong.is_empty(), "{what} is not among {all:#?}");
    let mends = wrong.iter().all(|it| it.mend.as_deref().unwrap_or_default().contains(mend));
    assert!(mends, "{wrong:#?} are not mended by {mend}");
    let others: Vec<_> = all.iter().filter(|it| it.level == Level::Error && !it.what.contains(what)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[tokio::test]
async fn where_all_is_well_nothing_is_found() {
    let all = found(&healthy()).await;
    let wrong: Vec<_> = all.iter().filter(|it| it.level != Level::Ok).map(ToString::to_string).collect();
    // What no emulator can show.
    assert!(matches!(wrong.as_slice(), [one] if one.contains("cannot be checked on an emulator")), "{wrong:#?}");
    for said in [
        "millrace-api",
        "rule work",
        "TriggerDeadLetters",
        "alarm letters",
        "millrace-table",
        "SecretsKey",
        "store-eu",
        "source bucket source",
        "function check",
        "ada@example.com",
        "clock",
        "1000 functions",
        API,
    ] {
        assert!(all.iter().any(|it| it.what.contains(said)), "{said} was not looked at: {all:#?}");
    }
}

#[tokio::test]
async fn each_ailment_is_found_with_what_mends_it() {
    use Level::{Error, Warning};
    type Break = fn(&Aws);
    let ailments: &[(Break, Level, &str, &str)] = &[
        (|aws| caller(aws, -200), Error, "seconds apart", "set the clock"),
        (
            |aws| aws.on("DescribeStacks", 200, stacks("UPDATE_ROLLBACK_FAILED", &[("AlarmTopic", "t")])),
            Error,
            "UPDATE_ROLLBACK_FAILED",
            "continue-update-rollback",
        ),
        (
            |aws| aws.on("DescribeStacks", 200, stacks("UPDATE_COMPLETE", &[])),
            Warning,
            "alarms ring unheard",
            "AlarmTopic",
        ),
        (
            |aws| {
                aws.on(
                    "GetFunctionConfiguration",
                    200,
                    r#"{"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no code"}"#,
                )
            },
            Error,
            "no code",
            "millrace deploy",
        ),
        (
            |aws| aws.fail("GetFunctionConfiguration", 404, "ResourceNotFoundException", "gone"),
            Error,
            "does not exist",
            "",
        ),
        (|aws| aws.on("GetEventSourceMapping", 200, r#"{"State": "Disabled"}"#), Error, "StreamMapping", "--enabled"),
        (
            |aws| aws.on("DescribeRule", 200, r#"{"State": "DISABLED"}"#),
            Error,
            "rule work",
            "aws events enable-rule --name work --event-bus-name millrace --region eu-west-1",
        ),
        (
            |aws| {
                aws.on("GetQueueAttributes", 200, r#"{"Attributes": {"ApproximateNumberOfMessages": "3"}}"#);
                let reason = json!({"Reason": {"DataType": "String", "StringValue": "no such pipeline"}});
                let letters = json!({"Messages": [{"MessageId": "m", "MessageAttributes": reason}]});
                aws.on("ReceiveMessage", 200, letters.to_string());
            },
            Warning,
            "3 dead letters; one of the oldest: no such pipeline",
            "receive-message",
        ),
        (|aws| aws.on("DescribeAlarms", 200, alarm("ALARM")), Error, "rings: 1 letter", "An event was given up"),
        (
            |aws| aws.on("DescribeTable", 200, r#"{"Table": {"TableStatus": "ACTIVE"}}"#),
            Error,
            "no stream",
            "millrace deploy",
        ),
        (
            |aws| aws.on("DescribeKey", 200, r#"{"KeyMetadata": {"KeyId": "k", "KeyState": "PendingDeletion"}}"#),
            Error,
            "PendingDeletion",
            "cancel-key-deletion",
        ),
        (
            |aws| aws.on("GetBucketLocation", 200, "<LocationConstraint>us-west-2</LocationConstraint>"),
            Error,
            "is in us-west-2",
            "a bucket of eu-west-1",
        ),
        (
            |aws| aws.on("GetBucketVersioning", 200, "<VersioningConfiguration/>"),
            Error,
            "source bucket source keeps no versions",
            "aws s3api put-bucket-versioning --bucket source",
        ),
        (
            |aws| aws.on("GetBucketNotificationConfiguration", 200, "<NotificationConfiguration/>"),
            Error,
            "does not tell EventBridge",
            r#"'{"EventBridgeConfiguration":{}}'"#,
        ),
        (
            |aws| aws.on("GetAccountSettings", 200, r#"{"AccountLimit": {"ConcurrentExecutions": 10}}"#),
            Warning,
            "only 10 functions",
            "L-B99A9384",
        ),
        (|aws| aws.fail("ListPipelines", 404, "NotFound", "no such API"), Error, "is not the installation's", "export"),
        (|aws| aws.on("GetRole", 200, trust(&json!({}))), Warning, "without an external id", PIPELINE),
        (
            |aws| aws.on("GetRole", 200, trust(&json!({"StringEquals": {"sts:ExternalId": "x"}}))),
            Error,
            "with the external id x only",
            PIPELINE,
        ),
        (
            |aws| aws.on("ListSubscriptionsByTopic", 200, subscriptions("PendingConfirmation")),
            Warning,
            "is not confirmed",
            "aws sns subscribe",
        ),
    ];
    for (make_ill, level, what, mend) in ailments {
        let aws = healthy();
        make_ill(&aws);
        finds(&aws, *level, what, mend).await;
    }
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_named_and_the_rest_is_looked_at() {
    let aws = healthy();
    aws.fail("DescribeRule", 400, "AccessDeniedException", "no");
    aws.fail("GetBucketNotificationConfiguration", 403, "AccessDenied", "no");
    finds(&aws, Level::Warning, "you may not use events:DescribeRule", r#""Action":"events:DescribeRule""#).await;
    finds(&aws, Level::Warning, "you may not use s3:GetBucketNotification", "arn:aws:s3:::source").await;
    assert!(found(&aws).await.iter().any(|it| it.what.contains("ada@example.com")), "it goes on");
}

#[tokio::test]
async fn a_bucket_of_another_region_is_found_by_what_s3_says_when_it_refuses() {
    let aws = healthy();
    let region = BTreeMap::from([("x-amz-bucket-region".to_owned(), "us-west-2".to_owned())]);
    let refused = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message></Error>";
    aws.reply("GetBucketLocation", move |_| (400, region.clone(), refused.into()));
    finds(&aws, Level::Error, "is in us-west-2", "a bucket of eu-west-1").await;
}

#[tokio::test]
async fn without_an_installation_there_is_no_more_to_look_at() {
    let aws = healthy();
    let missing = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id millrace does not \
                   exist</Message></Error></ErrorResponse>";
    aws.on("DescribeStacks", 400, missing);
    finds(&aws, Level::Error, "there is no stack millrace in eu-west-1", "millrace deploy").await;
    let account = Account::new(aws.config()).unwrap();
    let shell = examine(&account, "millrace", None, None).await.unwrap();
    assert!(shell.all().iter().all(|it| !it.what.contains("AWS_ENDPOINT_URL_CODEPIPELINE")));
}

#[tokio::test]
async fn a_shell_without_the_endpoint_speaks_to_aws() {
    let account = Account::new(healthy().config()).unwrap();
    let findings = examine(&account, "millrace", None, None).await.unwrap();
    let said = findings.all().iter().find(|it| it.what.contains("AWS_ENDPOINT_URL_CODEPIPELINE")).unwrap();
    assert_eq!(said.mend.as_deref(), Some("export AWS_ENDPOINT_URL_CODEPIPELINE=http://aws.test/api/live"));
}
