//! What must tell somebody: buckets that tell EventBridge, and topics that tell people.

use providers::permission::Scope;
use serde_json::json;

use super::Place;
use super::finding::{Findings, Look};

pub(super) async fn look(place: &Place<'_>, scope: &Scope<'_>, findings: &mut Findings) {
    let id = &scope.action.type_id;
    match (id.category.as_str(), id.provider.as_str()) {
        // One that is polled starts its pipeline without the bucket's events, too.
        ("Source", "S3") if scope.action.detects_changes() && !is_polled(scope) => {
            if let Some(bucket) = scope.value("S3Bucket").filter(|bucket| !bucket.contains('*')) {
                source(place, scope.region, &bucket, findings).await;
            }
        }
        ("Approval", "Manual") => {
            if let Some(topic) = scope.value("NotificationArn").filter(|topic| !topic.contains('*')) {
                let region = topic.split(':').nth(3).unwrap_or(scope.region);
                let what = format!("the topic {topic} of the action {}", scope.action.name);
                self::topic(place, region, (&what, &topic), "approvals", findings).await;
            }
        }
        _ => {}
    }
}

fn is_polled(scope: &Scope<'_>) -> bool {
    (providers::SOURCES.polled)(scope.action, scope.region).is_some()
}

/// The bucket of an S3 source must tell EventBridge of its objects.
async fn source(place: &Place<'_>, region: &str, bucket: &str, findings: &mut Findings) {
    let what = format!("the bucket {bucket}");
    let arn = format!("arn:{}:s3:::{bucket}", runtime::arn::partition(region));
    let found = place.account.s3(region).get_bucket_notification_configuration().bucket(bucket).send().await;
    let Some(found) = findings.look(&what, "s3:GetBucketNotification", &arn, found).found() else { return };
    if found.event_bridge_configuration().is_some() {
        return findings.ok(format!("{what} tells EventBridge of its objects"));
    }
    let has_others = !found.queue_configurations().is_empty()
        || !found.topic_configurations().is_empty()
        || !found.lambda_function_configurations().is_empty();
    let command = format!(
        "aws s3api put-bucket-notification-configuration --bucket {bucket} --region {region} --notification-configuration \
         '{}'",
        json!({"EventBridgeConfiguration": {}})
    );
    let mend = match has_others {
        true => format!("{command} (with the configurations that it has now: the command replaces them all)"),
        false => command,
    };
    findings
        .error(format!("{what} does not tell EventBridge of its objects, so that nothing starts the pipeline"), mend);
}

/// Whether somebody hears of `matter` by a topic, given by what findings call it and its ARN.
pub(super) async fn topic(
    place: &Place<'_>,
    region: &str,
    (what, topic): (&str, &str),
    matter: &str,
    findings: &mut Findings,
) {
    let client = aws_sdk_sns::Client::new(&place.account.sdk(region));
    let found = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
    let found = found.collect::<Result<Vec<_>, _>>().await;
    match findings.look(what, "sns:ListSubscriptionsByTopic", topic, found) {
        Look::Missing => {
            findings.error(format!("{what} does not exist"), format!("aws sns create-topic --region {region}"))
        }
        Look::Unknown => {}
        Look::Found(subscriptions) => {
            if subscriptions.is_empty() {
                let mend =
                    format!("aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS");
                findings.warning(format!("{what} has no subscription: nobody hears of {matter}"), mend);
            }
            for subscription in subscriptions {
                let to = subscription.endpoint().unwrap_or("-");
                match subscription.subscription_arn() {
                    Some("PendingConfirmation") => findings.warning(
                        format!("the subscription of {to} to {what} is not confirmed: {to} hears nothing"),
                        format!(
                            "open the link in the message that came to {to}, or have it sent again: aws sns subscribe \
                             --topic-arn {topic} --protocol {} --notification-endpoint {to} --region {region}",
                            subscription.protocol().unwrap_or("email")
                        ),
                    ),
                    _ => findings.ok(format!("{to} hears of {matter} by {what}")),
                }
            }
        }
    }
}
