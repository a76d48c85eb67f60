//! The copies of one artifact.

use artifacts::{Bucket, CopyOutcome, Encryption};
use engine::Artifact;
use futures::future::join_all;
use pipeline::{Pipeline, Region};
use runtime::{Identity, Roles};

/// Why an artifact is not in a region.
struct CopyError {
    message: String,
    /// Whether the same copy may succeed later.
    passes: bool,
}

impl CopyError {
    fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), passes: false }
    }
}

/// Copies an artifact to the stores of these regions, all at the same time, as the pipeline's role.
///
/// # Errors
/// When a copy may succeed later: Lambda tries the whole again, and finds what is there. What is wrong for good is only
/// logged, since the action that reads the artifact will say it.
pub async fn everywhere(
    roles: &Roles,
    pipeline: &Pipeline,
    home: &str,
    artifact: &Artifact,
    regions: &[String],
) -> anyhow::Result<()> {
    let copies = regions.iter().map(|region| async move {
        let error = match to(roles, pipeline, home, artifact, region).await {
            Ok(outcome) => {
                tracing::info!(region, ?outcome, "copied");
                return None;
            }
            Err(error) => error,
        };
        tracing::warn!(region, error = %error.message, again = error.passes, "not copied");
        error.passes.then_some(error.message)
    });
    match join_all(copies).await.into_iter().flatten().reduce(|all, next| format!("{all}; {next}")) {
        None => Ok(()),
        Some(messages) => Err(anyhow::anyhow!(messages)),
    }
}

async fn to(
    roles: &Roles,
    pipeline: &Pipeline,
    home: &str,
    artifact: &Artifact,
    region: &str,
) -> Result<CopyOutcome, CopyError> {
    let store = pipeline
        .store(region, home)
        .ok_or_else(|| CopyError::permanent(format!("the pipeline has no artifact store in region {region}")))?;
    let identity = Identity {
        pipeline_role: pipeline.role_arn().to_string(),
        action_role: None,
        pipeline: pipeline.name().to_string(),
    };
    let from = bucket(roles, &identity, &artifact.region, &artifact.bucket).await?;
    let to = bucket(roles, &identity, region, &store.location).await?;
    let key = Encryption::from(store.encryption_key.as_ref());
    artifacts::replicate(&from, &to, &artifact.key, &artifact.pin, &key)
        .await
        .map(|replica| replica.outcome)
        .map_err(|error| CopyError { message: error.to_string(), passes: error.is_retryable() })
}

async fn bucket(roles: &Roles, identity: &Identity, region: &str, name: &str) -> Result<Bucket, CopyError> {
    let session = roles
        .session(identity, region)
        .await
        .map_err(|error| CopyError { message: error.to_string(), passes: error.action_error().is_none() })?;
    let region = Region::new(region).map_err(|error| CopyError::permanent(error.to_string()))?;
    Ok(Bucket::new(session.s3(), region, name))
}

#[cfg(test)]
mod tests {
    use engine::Pin;
    use pipeline::ArtifactName;
    use pipeline::declaration::{ArtifactStore, EncryptionKey};
    use testkit::Aws;

    use super::*;

    const HOME: &str = "eu-west-1";

    /// An artifact made in eu-west-1 and read in two other regions.
    fn pipeline() -> Pipeline {
        let mut declaration = pipeline::testing::example();
        declaration.artifact_store = None;
        let store = |region: &str| ArtifactStore {
            kind: "S3".into(),
            location: format!("store-{region}"),
            encryption_key: (region == "us-west-2")
                .then(|| EncryptionKey { id: "arn:aws:kms:us-west-2:111122223333:key/k".into(), kind: "KMS".into() }),
        };
        let regions = [HOME, "us-west-2", "ap-southeast-1"];
        declaration.artifact_stores =
            Some(regions.iter().map(|region| ((*region).to_owned(), store(region))).collect());
        let publish = declaration.stages[1].actions[0].clone();
        for (index, region) in regions[1..].iter().enumerate() {
            let mut action = publish.clone();
            action.name = format!("Publish{index}");
            action.region = Some((*region).to_owned());
            declaration.stages[1].actions.push(action);
        }
        Pipeline::try_from(declaration).unwrap()
    }

    fn artifact() -> Artifact {
        Artifact {
            name: ArtifactName::new("App").unwrap(),
            region: HOME.into(),
            bucket: format!("store-{HOME}"),
            key: "release/App/x".into(),
            pin: Pin { version: None, sha256: Some(testkit::sha256(b"data")) },
        }
    }

    async fn replicate(aws: &Aws) -> anyhow::Result<()> {
        let roles = Roles::new(&aws.config(), "111122223333");
        let regions = pipeline().copy_regions(&artifact().name, HOME);
        everywhere(&roles, &pipeline(), HOME, &artifact(), &regions).await
    }

    #[tokio::test]
    async fn every_region_gets_its_copy_under_its_own_key_and_a_second_message_copies_nothing() {
        let aws = Aws::default();
        aws.plain_object("store-eu-west-1/release/App/x", b"data");
        aws.checksummed("store-eu-west-1/release/App/x");
        replicate(&aws).await.unwrap();
        replicate(&aws).await.unwrap();
        let mut copies = aws.calls("CopyObject");
        copies.sort_by(|one, other| one.region.cmp(&other.region));
        let seen: Vec<_> = copies.iter().map(|copy| (copy.region.as_str(), copy.path.as_str())).collect();
        let expected =
            [("ap-southeast-1", "store-ap-southeast-1/release/App/x"), ("us-west-2", "store-us-west-2/release/App/x")];
        assert_eq!(seen, expected);
        let key = "x-amz-server-side-encryption-aws-kms-key-id";
        assert_eq!(copies[0].header(key), "alias/aws/s3");
        assert_eq!(copies[1].header(key), "arn:aws:kms:us-west-2:111122223333:key/k");
        assert!(copies.iter().all(|copy| copy.role == "release"));
        assert!(aws.calls("GetObject").is_empty(), "no byte passes through");
    }

    #[tokio::test]
    async fn only_what_may_succeed_later_is_tried_again() {
        let aws = Aws::default();
        // There is no artifact: nothing to wait for.
        replicate(&aws).await.unwrap();
        aws.plain_object("store-eu-west-1/release/App/x", b"data");
        aws.checksummed("store-eu-west-1/release/App/x");
        aws.on("CopyObject", 403, "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>");
        replicate(&aws).await.unwrap();
        aws.on("CopyObject", 503, "<Error><Code>SlowDown</Code><Message>Later.</Message></Error>");
        let error = replicate(&aws).await.unwrap_err().to_string();
        assert!(error.contains("store-us-west-2") && error.contains("store-ap-southeast-1"), "{error}");
    }

    #[test]
    fn the_bus_brings_a_message() {
        let id = engine::ExecutionId::from_random(Default::default()).action(0, 0, 1);
        let message =
            driver::Message::Replicate { action: id, artifact: artifact(), regions: vec!["us-west-2".into()] };
        let event = serde_json::json!({
            "source": "millrace.internal", "detail-type": "Replicate", "detail": message,
        });
        let read: crate::Event = serde_json::from_value(event).unwrap();
        assert_eq!(read.detail, message);
    }
}
