//! An AWS where all is well, and what the doctor finds there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_smithy_cbor::Encoder;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use millrace::Account;
use millrace::doctor::{Finding, examine};
use serde_json::{Value, json};
use testkit::Aws;

pub const API: &str = "http://aws.test/api/live";
pub const WORKER: &str = "arn:aws:iam::111122223333:role/worker";
pub const PIPELINE: &str = "arn:aws:codepipeline:eu-west-1:111122223333:shop";

pub const STACK: &[(&str, &str, &str)] = &[
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

pub fn result(operation: &str, content: &str) -> String {
    format!("<{operation}Response><{operation}Result>{content}</{operation}Result></{operation}Response>")
}

pub fn stacks(status: &str, parameters: &[(&str, &str)]) -> String {
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

pub fn resources(of: &[(&str, &str, &str)]) -> String {
    let member = |(kind, logical, physical): &(&str, &str, &str)| {
        format!(
            "<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        )
    };
    let members: String = of.iter().map(member).collect();
    result("ListStackResources", &format!("<StackResourceSummaries>{members}</StackResourceSummaries>"))
}

pub fn alarm(state: &str) -> Vec<u8> {
    let mut answer = Encoder::new(Vec::new());
    answer.begin_map().str("MetricAlarms").array(1).begin_map();
    answer.str("AlarmName").str("letters").str("StateValue").str(state);
    answer.str("AlarmDescription").str("An event was given up").str("StateReason").str("1 letter").end().end();
    answer.into_writer()
}

/// Who AWS says calls, and when it says so.
pub fn caller(aws: &Aws, seconds: i64) {
    let now = DateTime::from(SystemTime::now()).secs() + seconds;
    let date = DateTime::from_secs(now).fmt(Format::HttpDate).unwrap();
    let body = "<Arn>arn:aws:iam::111122223333:user/ada</Arn><UserId>A</UserId><Account>111122223333</Account>";
    let body = result("GetCallerIdentity", body).into_bytes();
    aws.reply("GetCallerIdentity", move |_| (200, BTreeMap::from([("date".into(), date.clone())]), body.clone()));
}

pub fn trust(condition: &Value) -> String {
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

pub fn subscriptions(arn: &str) -> String {
    result(
        "ListSubscriptionsByTopic",
        &format!(
            "<Subscriptions><member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>email</Protocol>\
             <Endpoint>ada@example.com</Endpoint></member></Subscriptions>"
        ),
    )
}

pub fn definition() -> Value {
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

pub const EVENT_BRIDGE: &str = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";

/// An AWS where all is well.
pub fn healthy() -> Aws {
    let aws = Aws::default();
    caller(&aws, 0);
    aws.on(
        "DescribeStacks",
        200,
        stacks("CREATE_COMPLETE", &[("AlarmTopic", "arn:aws:sns:eu-west-1:111122223333:alarms")]),
    );
    aws.on("ListStackResources", 200, resources(STACK));
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
    aws.on("ListTagsForResource", 200, r#"{"tags": []}"#);
    aws.on("GetRole", 200, trust(&json!({"StringEquals": {"sts:ExternalId": PIPELINE}})));
    aws.on("ListSubscriptionsByTopic", 200, subscriptions("arn:aws:sns:eu-west-1:111122223333:ask:1"));
    aws
}

pub async fn found(aws: &Aws) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.json");
    std::fs::write(&file, definition().to_string()).unwrap();
    let account = Account::new(aws.config()).unwrap();
    let findings = examine(&account, "millrace", Some(file.to_str().unwrap()), Some(API)).await.unwrap();
    findings.all().to_vec()
}
