//! `millrace doctor` against an AWS that a test prepares: each finding is seen to be found, and to be absent where all is well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod actions;
mod world;

use std::collections::BTreeMap;

use millrace::Account;
use millrace::doctor::{Level, examine};
use serde_json::json;
use testkit::Aws;

use crate::world::{API, PIPELINE, alarm, caller, found, healthy, resources, stacks, subscriptions, trust};

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

/// An AWS where all is well, and a pipeline has this notification rule.
fn with_rule(rule: &str) -> Aws {
    let aws = healthy();
    let tags =
        json!({"tags": [{"key": "millrace:notify:team", "value": rule}, {"key": "millrace:badge", "value": "1"}]});
    aws.on("ListTagsForResource", 200, tags.to_string());
    aws
}

#[tokio::test]
async fn whom_notification_rules_tell_is_looked_for() {
    let topic = "arn:aws:sns:eu-west-1:111122223333:millrace-team";
    let heard = found(&with_rule(&format!("breaks to {topic}"))).await;
    let hears = format!("ada@example.com hears of what happens by the topic {topic} of the notification rule team");
    assert!(heard.iter().any(|it| it.level == Level::Ok && it.what == hears), "{heard:?}");
    let deaf = with_rule(&format!("breaks to {topic}"));
    deaf.on("ListSubscriptionsByTopic", 200, subscriptions("PendingConfirmation"));
    let what = format!("the topic {topic} of the notification rule team is not confirmed");
    finds(&deaf, Level::Warning, &what, "aws sns subscribe").await;

    let chat = with_rule("breaks to slack/oncall");
    chat.on("DescribeSecret", 200, r#"{"Name": "millrace/chats/oncall"}"#);
    let what = "the secret millrace/chats/oncall of the notification rule team";
    assert!(found(&chat).await.iter().any(|it| it.level == Level::Ok && it.what.contains(what)));
    let asked = chat.calls("DescribeSecret").pop().unwrap().json();
    assert_eq!(asked["SecretId"], "millrace/chats/oncall");
    chat.on("DescribeSecret", 200, r#"{"Name": "millrace/chats/oncall", "DeletedDate": 1795441779}"#);
    finds(&chat, Level::Error, &format!("{what} is being deleted"), "restore-secret --region eu-west-1").await;
    chat.fail("DescribeSecret", 400, "ResourceNotFoundException", "Secrets Manager can't find the secret.");
    let mend = "create-secret --region eu-west-1 --name millrace/chats/oncall --secret-string https://hooks.slack.com";
    finds(&chat, Level::Error, &format!("{what} does not exist"), mend).await;

    let own = healthy();
    let settings = [("NotifyRule", "waits to teams/all"), ("NotifySecrets", "ops/")];
    own.on("DescribeStacks", 200, stacks("UPDATE_COMPLETE", &settings));
    own.fail("DescribeSecret", 400, "ResourceNotFoundException", "Secrets Manager can't find the secret.");
    finds(&own, Level::Error, "the secret ops/all of the parameter NotifyRule does not exist", "--name ops/all").await;
    own.on("DescribeStacks", 200, stacks("UPDATE_COMPLETE", &[("NotifyRule", "brakes to teams/all")]));
    finds(&own, Level::Error, "the parameter NotifyRule has as its word 1 'brakes'", "NotifyRule").await;
}

/// An AWS where all is well, and traces go to X-Ray, which answers this about where it puts them.
fn with_traces(destination: &str, status: &str) -> Aws {
    let aws = healthy();
    let topic = ("AlarmTopic", "arn:aws:sns:eu-west-1:111122223333:alarms");
    aws.on("DescribeStacks", 200, stacks("UPDATE_COMPLETE", &[topic, ("TraceEndpoint", "xray")]));
    let answer = json!({"Destination": destination, "Status": status});
    aws.on("GetTraceSegmentDestination", 200, answer.to_string());
    aws
}

#[tokio::test]
async fn x_ray_is_asked_whether_it_takes_traces_if_they_go_there() {
    let on = with_traces("CloudWatchLogs", "ACTIVE");
    assert!(found(&on).await.iter().any(|it| it.level == Level::Ok && it.what.contains("X-Ray in eu-west-1 takes")));
    let off = with_traces("XRay", "ACTIVE");
    let command = "aws xray update-trace-segment-destination --region eu-west-1 --destination CloudWatchLogs";
    finds(&off, Level::Error, "Transaction Search is not on", command).await;
    let policy = r#""arn:aws:logs:eu-west-1:111122223333:log-group:aws/spans:*""#;
    finds(&off, Level::Error, "Transaction Search is not on", policy).await;
    finds(&with_traces("CloudWatchLogs", "PENDING"), Level::Warning, "being turned on", "some minutes").await;
    let refused = with_traces("XRay", "ACTIVE");
    refused.fail("GetTraceSegmentDestination", 403, "AccessDeniedException", "no");
    let statement = r#""Action":"xray:GetTraceSegmentDestination""#;
    finds(&refused, Level::Warning, "you may not use xray:GetTraceSegmentDestination", statement).await;
    let elsewhere = healthy();
    found(&elsewhere).await;
    assert_eq!(elsewhere.calls("GetTraceSegmentDestination").len(), 0, "nothing is sent to X-Ray");
}

#[tokio::test]
async fn what_is_for_traces_alone_may_be_off_while_none_are_sent() {
    let of_traces = [
        ("AWS::Lambda::EventSourceMapping", "Ends", "11111111-2222-3333-4444-555555555555"),
        ("AWS::Events::Rule", "ExecutionEndedRule", "ended"),
    ];
    let off = |aws: Aws| {
        aws.on("ListStackResources", 200, resources(&of_traces));
        aws.on("GetEventSourceMapping", 200, r#"{"State": "Disabled"}"#);
        aws.on("DescribeRule", 200, r#"{"State": "DISABLED"}"#);
        aws
    };
    let all = found(&off(healthy())).await;
    assert!(all.iter().all(|it| it.level != Level::Error), "{all:#?}");
    let idle = all.iter().filter(|it| it.what.ends_with("since no traces are sent (TraceEndpoint)")).count();
    // In the home stack, and in that of the region, which has the same resources here.
    assert_eq!(idle, 4, "{all:#?}");
    let sent = found(&off(with_traces("CloudWatchLogs", "ACTIVE"))).await;
    assert_eq!(sent.iter().filter(|it| it.level == Level::Error).count(), 4, "{sent:#?}");
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
