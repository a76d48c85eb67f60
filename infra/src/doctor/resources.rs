//! The resources of a stack, as they are now.

use aws_sdk_cloudformation::types::StackResourceSummary;
use aws_sdk_cloudwatch::types::StateValue;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_eventbridge::types::RuleState;
use aws_sdk_kms::types::KeyState;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use aws_sdk_sqs::types::QueueAttributeName;

use super::Place;
use super::bucket::{self, Wanted};
use super::finding::{Findings, Look};

/// What brings back what a stack has lost.
const DEPLOY: &str = "millrace deploy";
/// What home.yaml turns off while the parameter `TraceEndpoint` is empty, by logical id.
const OF_TRACES: [&str; 2] = ["Ends", "ExecutionEndedRule"];

/// Looks at what a stack of this region has made.
pub(super) async fn look(place: &Place<'_>, region: &str, resources: &[StackResourceSummary], findings: &mut Findings) {
    for resource in resources {
        let Some(id) = resource.physical_resource_id() else { continue };
        let logical = resource.logical_resource_id().unwrap_or_default();
        match resource.resource_type().unwrap_or_default() {
            "AWS::Lambda::Function" => function(place, region, id, findings).await,
            "AWS::Lambda::EventSourceMapping" => mapping(place, region, logical, id, findings).await,
            "AWS::Events::Rule" => rule(place, region, logical, id, findings).await,
            "AWS::SQS::Queue" if logical.ends_with("DeadLetters") => {
                dead_letters(place, region, logical, id, findings).await
            }
            "AWS::CloudWatch::Alarm" => alarm(place, region, id, findings).await,
            "AWS::DynamoDB::Table" => table(place, region, id, findings).await,
            "AWS::KMS::Key" => key(place, region, &format!("the key {logical}"), id, findings).await,
            "AWS::S3::Bucket" => {
                let wanted = Wanted { region, owner: Some(place.number), needs_versions: false, encrypted: true };
                bucket::look(place, &format!("the bucket {id}"), id, wanted, findings).await;
            }
            _ => {}
        }
    }
}

/// The part of an ARN after the last `separator`; a name stays as it is.
fn name(id: &str, separator: char) -> &str {
    id.rsplit(separator).next().unwrap_or(id)
}

async fn function(place: &Place<'_>, region: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_lambda::Client::new(&place.account.sdk(region));
    let what = format!("the function {id} in {region}");
    let found = client.get_function_configuration().function_name(id).send().await;
    match findings.look(&what, "lambda:GetFunctionConfiguration", "*", found) {
        Look::Missing => findings.error(format!("{what} does not exist any more"), DEPLOY),
        Look::Unknown => {}
        Look::Found(found) => {
            let reason = found.last_update_status_reason().or(found.state_reason()).unwrap_or("Lambda gives no reason");
            match (found.state(), found.last_update_status()) {
                (Some(State::Failed), _) => findings.error(format!("{what} cannot be invoked: {reason}"), DEPLOY),
                (_, Some(LastUpdateStatus::Failed)) => {
                    findings.error(format!("the last update of {what} failed: {reason}"), DEPLOY);
                }
                (_, Some(LastUpdateStatus::InProgress)) => {
                    findings.warning(format!("{what} is being updated"), "wait for it");
                }
                _ => findings.ok(format!("{what} is ready")),
            }
        }
    }
}

async fn mapping(place: &Place<'_>, region: &str, logical: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_lambda::Client::new(&place.account.sdk(region));
    let what = format!("the event source mapping {logical} in {region}");
    let found = client.get_event_source_mapping().uuid(id).send().await;
    match findings.look(&what, "lambda:GetEventSourceMapping", "*", found) {
        Look::Missing => findings.error(format!("{what} does not exist any more"), DEPLOY),
        Look::Unknown => {}
        Look::Found(found) => {
            let state = found.state().unwrap_or("Enabled");
            let on = ["Enabled", "Enabling", "Updating", "Creating"].contains(&state);
            let mend = format!("aws lambda update-event-source-mapping --uuid {id} --enabled --region {region}");
            is_on(place, logical, on, format!("{what} is {state}"), mend, findings);
        }
    }
}

/// `what` says whether a resource is on; it must be, unless it has nothing to do here.
fn is_on(place: &Place<'_>, logical: &str, on: bool, what: String, mend: String, findings: &mut Findings) {
    let idle = OF_TRACES.contains(&logical) && place.installation.parameter("TraceEndpoint").is_none();
    match on || !idle {
        true => findings.must(on, what, mend),
        false => findings.ok(format!("{what}, since no traces are sent (TraceEndpoint)")),
    }
}

async fn rule(place: &Place<'_>, region: &str, logical: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_eventbridge::Client::new(&place.account.sdk(region));
    // A rule of another bus than the default has that one's name in front; emulators may leave it out, or give the ARN.
    let id = id.split_once(":rule/").map_or(id, |(_, id)| id);
    let (buses, rule) = match id.split_once(['|', '/']) {
        Some((bus, rule)) => (vec![bus], rule),
        None => (["default"].into_iter().chain(place.installation.output("BusName").ok()).collect(), id),
    };
    let what = format!("the rule {rule} in {region}");
    for bus in buses {
        let found = client.describe_rule().name(rule).event_bus_name(bus).send().await;
        match findings.look(&what, "events:DescribeRule", "*", found) {
            Look::Missing => {}
            Look::Unknown => return,
            Look::Found(found) => {
                let on = found.state() != Some(&RuleState::Disabled);
                let mend = format!("aws events enable-rule --name {rule} --event-bus-name {bus} --region {region}");
                let what = format!("{what} is {}", if on { "enabled" } else { "disabled" });
                return is_on(place, logical, on, what, mend, findings);
            }
        }
    }
    findings.error(format!("{what} does not exist any more"), DEPLOY);
}

async fn dead_letters(place: &Place<'_>, region: &str, logical: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_sqs::Client::new(&place.account.sdk(region));
    let what = format!("the queue {logical} in {region}");
    let count = QueueAttributeName::ApproximateNumberOfMessages;
    let found = client.get_queue_attributes().queue_url(id).attribute_names(count.clone()).send().await;
    match findings.look(&what, "sqs:GetQueueAttributes", "*", found) {
        Look::Missing => findings.error(format!("{what} does not exist any more"), DEPLOY),
        Look::Unknown => {}
        Look::Found(found) => {
            let counted = found.attributes().and_then(|all| all.get(&count)).map_or("0", String::as_str);
            if counted == "0" {
                return findings.ok(format!("{what} is empty"));
            }
            // Seen, and at once there again for whoever deals with it.
            let letters = client.receive_message().queue_url(id).visibility_timeout(0).max_number_of_messages(1);
            let letters = letters.message_attribute_names("All").send().await;
            let letters = findings.look(&what, "sqs:ReceiveMessage", "*", letters).found();
            let attributes = letters.iter().flat_map(|it| it.messages()).filter_map(|it| it.message_attributes());
            let reasons = attributes.flatten().filter(|(name, _)| REASONS.contains(&name.as_str()));
            let reason = reasons.filter_map(|(_, value)| value.string_value()).next().unwrap_or("it gives no reason");
            findings.warning(
                format!("{what} has {counted} dead letters; one of the oldest: {reason}"),
                format!("aws sqs receive-message --queue-url {id} --message-attribute-names All --region {region}"),
            );
        }
    }
}

/// Attributes in which Millrace, EventBridge and Lambda say why a letter is dead.
const REASONS: &[&str] = &["Reason", "ERROR_MESSAGE", "ErrorMessage"];

async fn alarm(place: &Place<'_>, region: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_cloudwatch::Client::new(&place.account.sdk(region));
    let what = format!("the alarm {id} in {region}");
    let found = client.describe_alarms().alarm_names(name(id, ':')).send().await;
    let Some(found) = findings.look(&what, "cloudwatch:DescribeAlarms", "*", found).found() else { return };
    match found.metric_alarms().first() {
        None => findings.error(format!("{what} does not exist any more"), DEPLOY),
        Some(alarm) if alarm.state_value() == Some(&StateValue::Alarm) => findings.error(
            format!("{what} rings: {}", alarm.state_reason().unwrap_or("CloudWatch gives no reason")),
            alarm
                .alarm_description()
                .map_or("look at what it measures".to_owned(), |it| format!("{it}: see its cause above")),
        ),
        Some(_) => findings.ok(format!("{what} does not ring")),
    }
}

async fn table(place: &Place<'_>, region: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_dynamodb::Client::new(&place.account.sdk(region));
    let what = format!("the table {id} in {region}");
    let found = client.describe_table().table_name(id).send().await;
    match findings.look(&what, "dynamodb:DescribeTable", "*", found) {
        Look::Missing => findings.error(format!("{what} does not exist any more"), "restore it from its backups"),
        Look::Unknown => {}
        Look::Found(found) => {
            let table = found.table();
            let status = table.and_then(|it| it.table_status());
            let on = matches!(status, Some(TableStatus::Active | TableStatus::Updating));
            findings.must(on, format!("{what} is {}", status.map_or("-", TableStatus::as_str)), "see the table's page");
            let streams = table.and_then(|it| it.stream_specification()).is_some_and(|it| it.stream_enabled());
            findings.must(streams, format!("{what} has {} stream", if streams { "a" } else { "no" }), DEPLOY);
        }
    }
}

/// A key of KMS. `what` is how findings call it.
pub(super) async fn key(place: &Place<'_>, region: &str, what: &str, id: &str, findings: &mut Findings) {
    let client = aws_sdk_kms::Client::new(&place.account.sdk(region));
    let what = format!("{what} in {region}");
    let found = client.describe_key().key_id(id).send().await;
    match findings.look(&what, "kms:DescribeKey", id, found) {
        Look::Missing => findings.error(format!("{what} does not exist"), "name another key"),
        Look::Unknown => {}
        Look::Found(found) => {
            let state = found.key_metadata().and_then(|it| it.key_state());
            let mend = match state {
                Some(KeyState::PendingDeletion) => format!(
                    "aws kms cancel-key-deletion --key-id {id} --region {region} && aws kms enable-key --key-id {id} \
                     --region {region}"
                ),
                _ => format!("aws kms enable-key --key-id {id} --region {region}"),
            };
            let on = state.is_none_or(|state| *state == KeyState::Enabled);
            findings.must(on, format!("{what} is {}", state.map_or("enabled", KeyState::as_str)), mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template;

    #[test]
    fn just_what_the_template_turns_off_without_traces_may_be_off() {
        let blocks = template::HOME.split("\n\n").filter_map(|block| {
            let off = block.contains("!If [TracesAreSent, ENABLED,") || block.contains("!If [TracesAreSent, true,");
            let name = block.lines().find(|line| line.starts_with("  ") && line.as_bytes()[2].is_ascii_uppercase())?;
            off.then(|| name.trim().trim_end_matches(':'))
        });
        assert_eq!(blocks.collect::<std::collections::BTreeSet<_>>(), OF_TRACES.into());
    }
}
