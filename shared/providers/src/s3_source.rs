//! Source/S3: takes an object's version into the artifact store, inside S3. Source: CodePipeline user guide, 'Amazon S3
//! source action reference'.
//!
//! The object may be anything; only actions that unpack it ask for a zip. An action that has a role of its own reads
//! and stores with that role, which on AWS too must be allowed to write to the artifact store.

use std::collections::BTreeMap;

use artifacts::{Bucket, Object, Settings};
use async_trait::async_trait;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use driver::{NewestRevision, Outcome, Task};
use engine::{Artifact, External, Progress, Revision, Success, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::{read, store};
use crate::console;
use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, ProviderError, REVISION_UNAVAILABLE};
use crate::permission::artifacts::{LIST, READ, WRITE_OUTPUTS, any_key, outputs, within};
use crate::permission::{Permission, Permissions};
use crate::provider::{
    Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Source, SourceChange, SourceEvents,
    Tried, asks_for_polls, attempt_id, unchanged,
};
use crate::starts::StartKind;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        source: Some(Source {
            watched: |action, _| {
                let value = |key: &str| action.configuration.get(key);
                Some(watched(value("S3Bucket")?, value("S3ObjectKey")?))
            },
            polled: |action, _| {
                let value = |key: &str| action.configuration.get(key);
                asks_for_polls(action).then(|| Some(watched(value("S3Bucket")?, value("S3ObjectKey")?))).flatten()
            },
            takes_revision,
            events: Some(SourceEvents {
                source: "aws.s3",
                detail_types: &[CREATED, BY_CLOUDTRAIL],
                change,
                starts: STARTS,
            }),
        }),
        entity: Some(EntityPage { key: "S3Bucket", path: "s3/buckets/{}?region={region}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Source", "S3")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::Emulators,
                differs: "The bucket's event starts the pipeline without a rule of its own; it is polled only where `PollForSourceChanges` is `true`, and then both start it once.",
            },
        )
    },
    provider: &S3Source,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(READ, |scope| {
            let key = scope.value_or_any("S3ObjectKey");
            let key = if scope.may_be_true("AllowOverrideForS3ObjectKey") { "*".to_owned() } else { key };
            vec![scope.object(&scope.value_or_any("S3Bucket"), &key)]
        }),
        Permission::new(LIST, |scope| vec![scope.object(&scope.value_or_any("S3Bucket"), "")]),
        Permission::new(&["kms:Decrypt"], any_key).when(|scope| within(scope.region, &scope.value_or_any("S3Bucket"))),
        // An attempt that is repeated looks at what it has stored.
        Permission::new(READ, outputs),
    ],
    WRITE_OUTPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    #[serde(rename = "S3Bucket")]
    bucket: &'a str,
    #[serde(rename = "S3ObjectKey")]
    key: &'a str,
}

/// The `SourceRevisionType` of an object version's id.
const VERSION: &str = "S3_OBJECT_VERSION_ID";
/// The `SourceRevisionType` of another object's key in the same bucket.
const KEY: &str = "S3_OBJECT_KEY";

/// Bucket names are the same in all regions.
pub(crate) fn watched(bucket: &str, key: &str) -> String {
    format!("s3/{bucket}/{key}")
}

/// Source: CodePipeline API, `SourceRevisionOverride`; user guide, 'Amazon S3 source action reference',
/// `AllowOverrideForS3ObjectKey`.
fn takes_revision(configuration: &BTreeMap<String, String>, revision_type: &str) -> Result<(), &'static str> {
    let allowed = configuration.get("AllowOverrideForS3ObjectKey");
    match revision_type {
        VERSION => Ok(()),
        KEY if allowed.is_some_and(|value| value.eq_ignore_ascii_case("true")) => Ok(()),
        KEY => Err("it takes no other object key, as its AllowOverrideForS3ObjectKey is not true"),
        _ => Err("an S3 source takes S3_OBJECT_VERSION_ID and S3_OBJECT_KEY"),
    }
}

/// The detail of S3's event.
#[derive(Deserialize)]
struct ObjectCreated {
    bucket: BucketName,
    object: CreatedObject,
}

#[derive(Deserialize)]
struct BucketName {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CreatedObject {
    key: String,
    /// MiniStack spells it otherwise than AWS.
    #[serde(alias = "versionId")]
    version_id: Option<String>,
    sequencer: Option<String>,
}

const STARTS: &[StartKind] = &[
    StartKind {
        what: "an object of an S3 source is written",
        needs: "a bucket that sends its events to EventBridge",
        starts: "every pipeline that watches the object, with its new version; once for each version",
        trigger: "CloudWatchEvent",
        detail: "the object's ARN",
        test: ("tests/e2e/src/cases/triggers.rs", "started_once"),
    },
    StartKind {
        what: "CloudTrail logs `PutObject`, `CopyObject` or `CompleteMultipartUpload` of it",
        needs: "a trail that logs the bucket's data events",
        starts: "the same; once for each version, if both tell of it",
        trigger: "CloudWatchEvent",
        detail: "the object's ARN",
        test: ("tests/e2e/src/cases/triggers.rs", "started_by_cloudtrail"),
    },
];

/// The `detail-type` of what S3 tells of itself, and of what CloudTrail tells of calls.
const CREATED: &str = "Object Created";
const BY_CLOUDTRAIL: &str = "AWS API Call via CloudTrail";

/// Calls that make a version of an object. Source: CodePipeline user guide, 'Create an EventBridge rule for an Amazon S3
/// source'.
const WRITES: [&str; 3] = ["PutObject", "CopyObject", "CompleteMultipartUpload"];

/// The detail of an event by CloudTrail. Source: CloudTrail user guide, 'CloudTrail record contents'. `resources` names the
/// object that is copied as well as its copy, so what was written is what the request says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    event_name: String,
    /// There where the call was refused.
    error_code: Option<String>,
    #[serde(rename = "eventID")]
    id: Option<String>,
    #[serde(default)]
    request_parameters: Option<WriteRequest>,
    #[serde(default)]
    response_elements: Option<WriteAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WriteRequest {
    bucket_name: String,
    key: String,
}

#[derive(Default, Deserialize)]
struct WriteAnswer {
    #[serde(rename = "x-amz-version-id")]
    version_id: Option<String>,
}

fn change(event: &EventBridgeEvent<Value>) -> serde_json::Result<Option<SourceChange>> {
    if event.detail_type != BY_CLOUDTRAIL {
        let ObjectCreated { bucket, object } = ObjectCreated::deserialize(&event.detail)?;
        // In a bucket without versions the sequencer tells changes apart.
        return Ok(Some(changed(&bucket.name, &object.key, object.version_id, object.sequencer.or(event.id.clone()))));
    }
    let call = Call::deserialize(&event.detail)?;
    if call.error_code.is_some() || !WRITES.contains(&call.event_name.as_str()) {
        return Ok(None);
    }
    let request = call.request_parameters.ok_or_else(|| serde::de::Error::missing_field("requestParameters"))?;
    let version = call.response_elements.unwrap_or_default().version_id;
    Ok(Some(changed(&request.bucket_name, &request.key, version, call.id.or(event.id.clone()))))
}

/// The same version that S3 and CloudTrail both tell of is one change.
fn changed(bucket: &str, key: &str, version: Option<String>, otherwise: Option<String>) -> SourceChange {
    SourceChange {
        watched: watched(bucket, key),
        account: None,
        token: token_of(&version.clone().or(otherwise).unwrap_or_default()),
        revision: version.filter(|version| version != "null").map(|version| (VERSION, version)),
        detail: detail(bucket, key),
    }
}

/// Names a change by the version: an event and a poll that tell of the same one start one execution.
fn token_of(version: &str) -> String {
    format!("s3#{version}")
}

fn detail(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// Metadata of an object in which its uploader says what is new in it. Source: CodePipeline API, `ArtifactRevision`.
const REVISION_SUMMARY: &str = "codepipeline-artifact-revision-summary";
/// Metadata that [`artifacts`] gives a copy: the version from which it was made.
const SOURCE_VERSION: &str = "millrace-source-version";

struct S3Source;

/// Which object, and which version of it where that is prescribed.
#[derive(Debug, PartialEq)]
struct Wanted {
    key: String,
    version: Option<String>,
}

/// What the configuration and the start of the execution ask for.
fn wanted(task: &Task, key: &str) -> Result<Wanted, ProviderError> {
    let mut wanted = Wanted { key: key.to_owned(), version: None };
    for revision in &task.overrides {
        takes_revision(&task.configuration, &revision.kind).map_err(|why| {
            ProviderError::configuration(format!("the start of the execution names a {}: {why}", revision.kind))
        })?;
        match revision.kind.as_str() {
            KEY => wanted.key.clone_from(&revision.value),
            _ => wanted.version = Some(revision.value.clone()),
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
        let configuration: Configuration<'_> = read(task)?;
        let mut wanted = wanted(task, configuration.key)?;
        let (store_name, encryption) = store(task)?;
        let output = task
            .outputs
            .first()
            .ok_or_else(|| ProviderError::configuration("an S3 source action needs one output artifact"))?;
        let source = context.bucket(configuration.bucket).await?;
        let store = context.artifact_store(store_name).await?;
        if task.reclaimed && wanted.version.is_none() {
            // The lost worker may have stored the artifact, and others may be about to hear of it: keep to its version.
            wanted.version =
                store.head(&output.key, None).await.ok().and_then(|mut it| it.metadata.remove(SOURCE_VERSION));
        }
        let object = find(&source, &wanted).await?;
        let pin = store.copy_anew(&object, &output.key, &Settings::encrypted(encryption)).await?;
        Ok(Outcome::Succeeded(success(task, &object, Artifact { pin, ..output.clone() })))
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }

    async fn newest(
        &self,
        context: ActionContext<'_>,
        _: Option<&str>,
    ) -> Result<Option<NewestRevision>, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let source = context.bucket(configuration.bucket).await?;
        let object = match source.head(configuration.key, None).await {
            Err(error) if error.is_not_found() => return Ok(None),
            found => found?,
        };
        Ok(object.version_id.map(|version| NewestRevision {
            kind: VERSION,
            token: Some(token_of(&version)),
            value: version,
            validator: None,
            detail: detail(configuration.bucket, configuration.key),
        }))
    }
}

fn success(task: &Task, object: &Object, output: Artifact) -> Success {
    let version = object.version_id.clone().unwrap_or_default();
    let url = console::s3_object(&task.region, &object.bucket, &object.key, Some(&version));
    let given = object.metadata.get(REVISION_SUMMARY).filter(|summary| !summary.is_empty());
    let summary = given.cloned().unwrap_or_else(|| format!("Amazon S3 version id: {version}"));
    let etag = object.etag.trim_matches('"').to_owned();
    let variables = [
        ("BucketName", object.bucket.clone()),
        ("ETag", etag.clone()),
        ("ObjectKey", object.key.clone()),
        ("VersionId", version.clone()),
    ];
    Success {
        report: Progress {
            external: Some(External { id: version.clone(), url: Some(url.clone()) }),
            summary: Some(summary.clone()),
            percent: None,
        },
        outputs: vec![output],
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        revision: Some(Revision {
            id: version,
            summary: Some(summary),
            url: Some(url),
            created: object.last_modified.and_then(|time| time.to_millis().ok()).map(Timestamp),
            change: Some(etag),
        }),
    }
}
