//! What a case works with: its own names, buckets, topics and queues.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, EventBridgeConfiguration,
    NotificationConfiguration, VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

use crate::declare::Draft;
use crate::fixture::Fixture;
use crate::mail::Mailbox;

/// A case that is running: its name, its pipelines, and the fixture that all cases share.
#[derive(Debug)]
pub struct Case {
    name: &'static str,
    fixture: Arc<Fixture>,
    pipelines: Mutex<Vec<String>>,
}

impl Deref for Case {
    type Target = Fixture;

    fn deref(&self) -> &Fixture {
        &self.fixture
    }
}

impl Case {
    pub(crate) const fn new(name: &'static str, fixture: Arc<Fixture>) -> Self {
        Self { name, fixture, pipelines: Mutex::new(Vec::new()) }
    }

    /// A name of this case's own, for anything.
    #[must_use]
    pub fn named(&self, purpose: &str) -> String {
        format!("{}-{purpose}", self.name.replace('_', "-"))
    }

    /// A pipeline to be declared.
    #[must_use]
    pub fn draft(self: &Arc<Self>, purpose: &str) -> Draft {
        // Artifact keys keep 20 characters of a pipeline's name: the purpose first, so that these differ.
        let name = format!("{purpose}-{}", self.name.replace('_', "-"));
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Draft::new(self.clone(), purpose, name)
    }

    /// Names of the pipelines of this case.
    pub(crate) fn pipeline_names(&self) -> Vec<String> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new bucket with versions.
    pub async fn bucket(&self, region: &str, purpose: &str) -> Result<String> {
        let name = self.named(purpose);
        self.plain_bucket(region, &name).await?;
        let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        self.s3(region).put_bucket_versioning().bucket(&name).versioning_configuration(versions).send().await?;
        Ok(name)
    }

    /// A new bucket without versions.
    pub async fn plain_bucket(&self, region: &str, name: &str) -> Result<()> {
        let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region));
        let made = self.s3(region).create_bucket().bucket(name).create_bucket_configuration(place.build());
        match made.send().await {
            // The client has asked twice, since the first answer was late: nobody else makes a bucket of this name.
            Err(error) if !error.as_service_error().is_some_and(CreateBucketError::is_bucket_already_owned_by_you) => {
                Err(error).with_context(|| format!("cannot make the bucket {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Has S3 tell EventBridge about the bucket's objects.
    pub async fn notify(&self, bucket: &str) -> Result<()> {
        let configuration = NotificationConfiguration::builder()
            .event_bridge_configuration(EventBridgeConfiguration::builder().build())
            .build();
        let client = self.s3(local::HOME).put_bucket_notification_configuration().bucket(bucket);
        client.notification_configuration(configuration).send().await?;
        Ok(())
    }

    /// Puts an object; returns its version.
    pub async fn put(&self, region: &str, bucket: &str, key: &str, body: Vec<u8>) -> Result<String> {
        let put = self.s3(region).put_object().bucket(bucket).key(key).body(ByteStream::from(body)).send().await?;
        Ok(put.version_id.unwrap_or_default())
    }

    /// The content of an object and its content type.
    pub async fn get(&self, region: &str, bucket: &str, key: &str) -> Result<(Vec<u8>, String)> {
        let got = self.s3(region).get_object().bucket(bucket).key(key).send().await;
        let got = got.with_context(|| format!("{bucket} has no {key}"))?;
        let content_type = got.content_type().unwrap_or_default().to_owned();
        Ok((got.body.collect().await?.to_vec(), content_type))
    }

    /// The keys in a bucket, in order.
    pub async fn keys(&self, region: &str, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let listed = self.s3(region).list_objects_v2().bucket(bucket).prefix(prefix).send().await?;
        Ok(listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    /// A new queue: its URL and its ARN.
    pub async fn queue(&self, purpose: &str) -> Result<(String, String)> {
        let made = self.sqs.create_queue().queue_name(self.named(purpose)).send().await?;
        let url = made.queue_url.context("a queue without a URL")?;
        let found = self
            .sqs
            .get_queue_attributes()
            .queue_url(&url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        let arn = found.attributes().and_then(|found| found.get(&QueueAttributeName::QueueArn)).cloned();
        Ok((url, arn.context("a queue without an ARN")?))
    }

    /// What is in a queue now, taken out of it.
    pub async fn receive(&self, url: &str) -> Result<Vec<String>> {
        let received = self.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await?;
        let mut bodies = Vec::new();
        for message in received.messages.unwrap_or_default() {
            let receipt = message.receipt_handle.unwrap_or_default();
            self.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await?;
            bodies.push(message.body.unwrap_or_default());
        }
        Ok(bodies)
    }

    /// A new topic and the mailbox of its only subscriber.
    pub async fn mailbox(self: &Arc<Self>, purpose: &str) -> Result<Mailbox> {
        let (topic, url) = self.topic(&self.named(purpose), purpose).await?;
        Ok(Mailbox::new(self.clone(), topic, url))
    }

    /// A new topic of this name and a queue that is its only subscriber: the topic's ARN and the queue's URL.
    pub async fn topic(&self, name: &str, purpose: &str) -> Result<(String, String)> {
        let (url, queue) = self.queue(purpose).await?;
        let service = json!({"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": queue});
        let policy = json!({"Version": "2012-10-17", "Statement": [service]}).to_string();
        self.sqs.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::Policy, policy).send().await?;
        let topic = self.sns.create_topic().name(name).send().await?;
        let topic = topic.topic_arn.context("a topic without an ARN")?;
        self.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue).send().await?;
        Ok((topic, url))
    }
}
