use driver::{ActionExecutor, Outcome, Task};
use engine::{ApprovalToken, Progress, Revision};
use serde_json::Value;
use testkit::Aws;
use uuid::Uuid;

use crate::{failed, put_off, registry, signing, task};

const TOPIC: &str = "arn:aws:sns:us-west-2:111122223333:approvers";

fn approval(topic: Option<&str>) -> Task {
    let mut all = vec![("CustomData", "Look at it"), ("ExternalEntityLink", "https://example.com/report")];
    all.extend(topic.map(|topic| ("NotificationArn", topic)));
    let mut task = task("Approval", "Manual", &all);
    task.token = Some(ApprovalToken(Uuid::from_u128(7)));
    let revision = Revision { id: "v2".into(), summary: None, url: None, created: None, change: None };
    task.revisions = vec![("Source".into(), revision)];
    task
}

fn prepared() -> Aws {
    let aws = signing();
    aws.on(
        "Publish",
        200,
        "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
    );
    aws
}

fn refuse(aws: &Aws, status: u16, code: &str) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>The words of SNS.</Message></Error>");
    aws.on("Publish", status, format!("<ErrorResponse>{error}</ErrorResponse>"));
}

/// Waiting for a person.
fn waits() -> Outcome {
    Outcome::Running { report: Progress::default(), poll: false, event_source: None }
}

#[tokio::test]
async fn people_are_told_in_the_topics_region_with_a_link_that_the_functions_own_key_signs() {
    let aws = prepared();
    let mut task = approval(Some(TOPIC));
    task.action_role = Some("arn:aws:iam::111122223333:role/announcer".into());
    assert_eq!(registry(&aws).start(&task).await.unwrap(), waits());
    let signed = &aws.calls("GenerateMac")[0];
    assert_eq!((signed.role.as_str(), signed.region.as_str()), ("FUNCTION", "eu-west-1"));
    assert_eq!(signed.json()["KeyId"], "hmac-key");
    let publish = &aws.calls("Publish")[0];
    assert_eq!((publish.role.as_str(), publish.region.as_str()), ("announcer", "us-west-2"));
    let body = publish.text();
    let field = |name: &str| {
        let encoded = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap();
        percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned()
    };
    assert_eq!(field("TopicArn"), TOPIC);
    let message: Value = serde_json::from_str(&field("Message")).unwrap();
    let message: Value = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
    assert_eq!(message["region"], "eu-west-1");
    let it = &message["approval"];
    assert_eq!(
        (&it["pipelineName"], &it["stageName"], &it["actionName"]),
        (&"shop".into(), &"the-stage".into(), &"the-action".into())
    );
    assert_eq!(
        (&it["customData"], &it["externalEntityLink"]),
        (&"Look at it".into(), &"https://example.com/report".into())
    );
    assert_eq!((&it["token"], &it["expires"]), (&Uuid::from_u128(7).to_string().into(), &"2026-11-23T23:05Z".into()));
    let link = it["approvalReviewLink"].as_str().unwrap();
    assert!(link.starts_with("https://gate.example/approve?"), "{link}");
    assert!(link.contains(&task.id.to_string()), "{link}");
}

#[tokio::test]
async fn one_that_needs_nobody_asks_nobody() {
    let aws = Aws::default();
    let task = Task { approves_itself: true, ..approval(Some(TOPIC)) };
    let Outcome::Succeeded(success) = registry(&aws).start(&task).await.unwrap() else { panic!("it is approved") };
    assert_eq!(success.report.summary.as_deref(), Some("Approved by itself: nothing would change"));
}

#[tokio::test]
async fn without_a_topic_it_waits_and_tells_nobody() {
    let aws = Aws::default();
    assert_eq!(registry(&aws).start(&approval(None)).await.unwrap(), waits());
    assert_eq!(registry(&aws).start(&approval(Some(""))).await.unwrap(), waits());
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_topic_that_is_missing_or_closed_is_named() {
    let aws = prepared();
    for (status, code, kind) in
        [(404, "NotFound", "ConfigurationError"), (403, "AuthorizationError", "PermissionError")]
    {
        refuse(&aws, status, code);
        let error = failed(&registry(&aws), &approval(Some(TOPIC))).await;
        assert_eq!(error.code, kind);
        assert!(error.message.contains(TOPIC) && error.message.contains("The words of SNS."), "{error:?}");
    }
    refuse(&aws, 400, "Throttled");
    assert!(put_off(&registry(&aws), &approval(Some(TOPIC))).await.contains("Throttled"));
    let error = failed(&registry(&aws), &approval(Some("approvers"))).await;
    assert!(error.code == "ConfigurationError" && error.message.contains("approvers"), "{error:?}");
}

#[tokio::test]
async fn a_signer_that_cannot_be_reached_is_asked_later() {
    let aws = prepared();
    aws.fail("GenerateMac", 500, "KMSInternalException", "Later.");
    assert!(put_off(&registry(&aws), &approval(Some(TOPIC))).await.contains("hmac-key"));
    assert!(aws.calls("Publish").is_empty());
}
