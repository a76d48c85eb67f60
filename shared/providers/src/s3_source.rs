//! Source/S3: takes an object's version into the artifact store, inside S3. Source: CodePipeline user guide, 'Amazon S3
//! source action reference'.
//!
//! The object may be anything; only actions that unpack it ask for a zip. An action that has a role of its own reads
//! and stores with that role, which on AWS too must be allowed to write to the artifact store.

use artifacts::{Bucket, Object, Settings};
use async_trait::async_trait;
use driver::{Outcome, Task};
use engine::{External, Progress, Revision, Success, Timestamp};

use crate::configuration::{flag, required, store};
use crate::console;
use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, ProviderError, REVISION_UNAVAILABLE};
use crate::provider::Provider;

/// Metadata that [`artifacts`] gives a copy: the version from which it was made.
const SOURCE_VERSION: &str = "millrace-source-version";

pub(crate) struct S3Source;

/// Which object, and which version of it where that is prescribed.
#[derive(Debug, PartialEq)]
struct Wanted {
    key: String,
    version: Option<String>,
}

/// What the configuration and the start of the execution ask for. Source: CodePipeline API, `SourceRevisionOverride`.
fn wanted(task: &Task) -> Result<Wanted, ProviderError> {
    let mut wanted = Wanted { key: required(task, "S3ObjectKey")?.to_owned(), version: None };
    for revision in &task.overrides {
        match revision.kind.as_str() {
            "S3_OBJECT_VERSION_ID" => wanted.version = Some(revision.value.clone()),
            "S3_OBJECT_KEY" if flag(task, "AllowOverrideForS3ObjectKey")? => wanted.key.clone_from(&revision.value),
            "S3_OBJECT_KEY" => {
                return Err(ProviderError::configuration(format!(
                    "the start of the execution names the object key {:?}, but the action does not have \
                     AllowOverrideForS3ObjectKey set to true",
                    revision.value
                )));
            }
            kind => {
                return Err(ProviderError::configuration(format!(
                    "a revision of type {kind} has no meaning for an S3 source"
                )));
            }
        }
    }
    Ok(wanted)
}

/// Looks for the object, and says what is missing in the words of this action.
async fn find(source: &Bucket, wanted: &Wanted) -> Result<Object, ProviderError> {
    let object = source.head(&wanted.key, wanted.version.as_deref()).await.map_err(|error| {
        let missing = error.is_not_found();
        match ProviderError::from(error) {
            ProviderError::Failed { code: CONFIGURATION_ERROR, message, .. } if missing && wanted.version.is_some() => {
                ProviderError::failed(REVISION_UNAVAILABLE, message)
            }
            error => error,
        }
    })?;
    if object.version_id.is_none() {
        return Err(ProviderError::configuration(format!(
            "the bucket {} of an S3 source must have versioning enabled, and the object {} has no version",
            source.name(),
            wanted.key
        )));
    }
    Ok(object)
}

#[async_trait]
impl Provider for S3Source {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let mut wanted = wanted(task)?;
        let (store_name, encryption) = store(task)?;
        let output = task
            .outputs
            .first()
            .ok_or_else(|| ProviderError::configuration("an S3 source action needs one output artifact"))?;
        let source = context.bucket(required(task, "S3Bucket")?).await?;
        let store = context.bucket(store_name).await?;
        if task.reclaimed && wanted.version.is_none() {
            // The lost worker may have stored the artifact, and others may be about to hear of it: keep to its version.
            wanted.version =
                store.head(&output.key, None).await.ok().and_then(|mut it| it.metadata.remove(SOURCE_VERSION));
        }
        let object = find(&source, &wanted).await?;
        store.copy(&object, &output.key, &Settings::encrypted(encryption)).await?;
        Ok(Outcome::Succeeded(success(task, &object)))
    }
}

fn success(task: &Task, object: &Object) -> Success {
    let version = object.version_id.clone().unwrap_or_default();
    let url = console::s3_object(&task.region, &object.bucket, &object.key, Some(&version));
    let summary = format!("Amazon S3 version id: {version}");
    let variables = [
        ("BucketName", object.bucket.clone()),
        ("ETag", object.etag.trim_matches('"').to_owned()),
        ("ObjectKey", object.key.clone()),
        ("VersionId", version.clone()),
    ];
    Success {
        report: Progress {
            external: Some(External { id: version.clone(), url: Some(url.clone()) }),
            summary: Some(summary.clone()),
            percent: None,
        },
        outputs: task.outputs.clone(),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        revision: Some(Revision {
            id: version,
            summary: Some(summary),
            url: Some(url),
            created: object.last_modified.and_then(|time| time.to_millis().ok()).map(Timestamp),
        }),
    }
}
