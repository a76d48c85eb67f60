//! A line to an SNS topic, for whoever subscribes to it.

use aws_sdk_sns::Client;
use aws_sdk_sns::error::DisplayErrorContext;
use aws_sdk_sns::types::MessageAttributeValue;

/// The name of the attribute that tells one message from another.
const ID: &str = "millrace-id";

/// A line could not be sent to a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SNS did not take it: {0}")]
pub struct NotificationError(String);

/// Sends a line to a topic once: a mail has `subject` as its own. The attribute `millrace-id` is the same when the line comes twice.
///
/// # Errors
/// When SNS does not take it.
pub async fn publish_line(
    client: &Client,
    topic: &str,
    subject: &str,
    line: &str,
    id: &str,
) -> Result<(), NotificationError> {
    let failed = |message: String| NotificationError(message);
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(id).build();
    let attribute = attribute.map_err(|error| failed(error.to_string()))?;
    let publish = client.publish().topic_arn(topic).subject(subject).message(line).message_attributes(ID, attribute);
    publish.send().await.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
    Ok(())
}
