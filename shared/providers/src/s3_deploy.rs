//! Deploy/S3: writes an artifact to a bucket, as it is or unpacked. Source: CodePipeline user guide, 'Amazon S3 deploy
//! action reference'.
//!
//! As it is, S3 copies it. Unpacked, it passes through temporary storage: all of it is unpacked into nothing first, so
//! that a damaged or deceitful zip leaves nothing half deployed. Files that an earlier deployment wrote and this
//! artifact does not have stay, as on AWS.
//!
//! `{datetime}` and `{uuid}` in `ObjectKey` are the same for every repetition of an attempt: the time is the one at which
//! the attempt was requested (as `2026-11-23_22-05-09`, UTC), the UUID the attempt's id.

use artifacts::{Bucket, Encryption, Entry, Settings, Unpacked};
use async_trait::async_trait;
use aws_sdk_s3::types::ObjectCannedAcl;
use driver::{Outcome, Task};
use engine::{External, Progress, Success, Timestamp};
use futures::{TryStreamExt, stream};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::configuration::{missing, read, requested};
use crate::console;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::input_zip::InputZip;
use crate::permission::artifacts::{READ_INPUTS, SEAL, WRITE, any_key, within};
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{
    DeployTarget, Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id,
    unchanged,
};
use crate::s3_source;

/// Files written at the same time: enough to hide S3's answer times, few enough for their memory.
const PARALLEL: usize = 8;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        entity: Some(EntityPage { key: "BucketName", path: "s3/buckets/{}?region={region}" }),
        deploy_target: Some(DeployTarget { key: "BucketName", kind: "S3Bucket" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "S3")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::Emulators,
                differs: "The summary warns if the action writes into the source of its own pipeline.",
            },
        )
    },
    provider: &S3Deploy,
    token: attempt_id,
};

/// What the action writes.
fn objects(scope: &Scope<'_>) -> Vec<String> {
    let bucket = scope.value_or_any("BucketName");
    let key = scope.value("ObjectKey").unwrap_or_default().replace("{datetime}", "*").replace("{uuid}", "*");
    match scope.value("Extract") {
        Some(extract) if extract.eq_ignore_ascii_case("false") => vec![scope.object(&bucket, &key)],
        _ => vec![scope.object(&bucket, &format!("{}*", folder(&key)))],
    }
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(WRITE, objects),
        // What is copied is compared with what is there.
        Permission::new(&["s3:GetObject"], |scope| {
            let extracts = scope.value("Extract").is_some_and(|extract| extract.eq_ignore_ascii_case("true"));
            if extracts { Vec::new() } else { objects(scope) }
        }),
        Permission::new(&["s3:PutObjectAcl"], |scope| match scope.value("CannedACL") {
            Some(_) => objects(scope),
            None => Vec::new(),
        }),
        Permission::new(SEAL, |scope| match scope.value("KMSEncryptionKeyARN") {
            Some(key) if key.contains(":key/") => vec![key],
            _ => any_key(scope),
        })
        .when(|scope| within(scope.region, &scope.value_or_any("BucketName"))),
    ],
    READ_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    bucket_name: &'a str,
    #[serde(default)]
    extract: bool,
    object_key: Option<&'a str>,
    #[serde(rename = "KMSEncryptionKeyARN")]
    key: Option<&'a str>,
    #[serde(rename = "CannedACL", default, deserialize_with = "canned_acl")]
    acl: Option<ObjectCannedAcl>,
    cache_control: Option<&'a str>,
}

fn canned_acl<'de, D: Deserializer<'de>>(value: D) -> Result<Option<ObjectCannedAcl>, D::Error> {
    let name = <&str>::deserialize(value)?;
    if ObjectCannedAcl::values().contains(&name) {
        return Ok(Some(ObjectCannedAcl::from(name)));
    }
    Err(D::Error::custom(format!("it can be {}", ObjectCannedAcl::values().join(", "))))
}

struct S3Deploy;

#[async_trait]
impl Provider for S3Deploy {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let input = task
            .inputs
            .first()
            .ok_or_else(|| ProviderError::configuration("an S3 deploy action needs one input artifact"))?;
        let configuration: Configuration<'_> = read(task)?;
        let settings = Settings {
            encryption: configuration.key.map(Encryption::key),
            cache_control: configuration.cache_control.map(str::to_owned),
            acl: configuration.acl,
            ..Settings::default()
        };
        let bucket = configuration.bucket_name;
        let store = context.artifact_store(&input.bucket).await?;
        let target = context.bucket(bucket).await?;
        let (summary, id, url) = if configuration.extract {
            let prefix = object_key(context, configuration.object_key.unwrap_or_default());
            let archive = InputZip::open(context, &store, input).await?;
            let keys = extract(&archive, &target, &prefix, &settings).await?;
            let url = console::s3_folder(&task.region, bucket, &folder(&prefix));
            let summary = format!("Deployment Succeeded: {} files{}", keys.len(), own_source(task, bucket, &keys));
            (summary, format!("s3://{bucket}/{}", folder(&prefix)), url)
        } else {
            let key = configuration.object_key;
            let key = key.ok_or_else(|| ProviderError::configuration(missing(task, "ObjectKey")))?;
            let key = object_key(context, key);
            let source = store.find(&input.artifact.key, &input.pin).await?;
            let settings = Settings { content_type: content_type(&key), ..settings };
            target.copy(&source, &key, &settings).await?;
            let url = console::s3_object(&task.region, bucket, &key, None);
            let id = format!("s3://{bucket}/{key}");
            (format!("Deployment Succeeded{}", own_source(task, bucket, &[key])), id, url)
        };
        Ok(Outcome::Succeeded(Success {
            report: Progress { external: Some(External { id, url: Some(url) }), summary: Some(summary), percent: None },
            ..Success::default()
        }))
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }
}

/// `ObjectKey` with its placeholders replaced.
fn object_key(context: ActionContext<'_>, template: &str) -> String {
    template
        .replace("{datetime}", &datetime(requested(context.task).unwrap_or_default()))
        .replace("{uuid}", context.token)
}

fn datetime(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.0).unwrap_or_default().strftime("%Y-%m-%d_%H-%M-%S").to_string()
}

/// A prefix with one slash at its end; nothing stays nothing.
fn folder(prefix: &str) -> String {
    match prefix.trim_end_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

fn content_type(key: &str) -> Option<String> {
    mime_guess::from_path(key).first_raw().map(str::to_owned)
}

/// A warning where one of these keys is the pipeline's own source. AWS lets a pipeline do that and so do we, but it starts
/// itself again and again.
fn own_source(task: &Task, bucket: &str, keys: &[String]) -> String {
    let own = keys.iter().find(|key| task.watched.contains(&s3_source::watched(bucket, key)));
    own.map_or_else(String::new, |key| {
        tracing::warn!(action = %task.id, pipeline = %task.pipeline, bucket, key, "the pipeline deploys into its own source");
        format!(". Warning: s3://{bucket}/{key} is the source of this pipeline, so each deployment starts it again")
    })
}

/// Unpacks a zip into a bucket; returns the keys that it wrote.
async fn extract(
    InputZip { zip, .. }: &InputZip,
    target: &Bucket,
    prefix: &str,
    settings: &Settings,
) -> Result<Vec<String>, ProviderError> {
    zip.verify().await?;
    let prefix = folder(prefix);
    let write = |(entry, content): (Entry, Unpacked)| {
        let key = format!("{prefix}{}", entry.name);
        let settings = Settings { content_type: content_type(&key), ..settings.clone() };
        async move { target.put_unpacked(&key, content, &settings).await }
    };
    let contents = zip.contents();
    stream::try_unfold(contents, |mut contents| async move {
        Ok::<_, artifacts::Error>(contents.next().await?.map(|file| (file, contents)))
    })
    .try_for_each_concurrent(PARALLEL, write)
    .await?;
    Ok(zip.files().iter().map(|entry| format!("{prefix}{}", entry.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_keys_sort_and_need_no_encoding() {
        assert_eq!(datetime(Timestamp(0)), "1970-01-01_00-00-00");
        assert_eq!(datetime(Timestamp(1_795_471_509_999)), "2026-11-23_22-05-09");
    }

    #[test]
    fn a_prefix_ends_with_one_slash() {
        assert_eq!(folder(""), "");
        assert_eq!(folder("/"), "");
        assert_eq!(folder("site"), "site/");
        assert_eq!(folder("a/b//"), "a/b/");
    }

    #[test]
    fn content_types_come_from_the_name() {
        assert_eq!(content_type("a/index.html").as_deref(), Some("text/html"));
        assert_eq!(content_type("app.JS").as_deref(), Some("text/javascript"));
        assert_eq!(content_type("release.zip").as_deref(), Some("application/zip"));
        assert_eq!(content_type("LICENSE"), None);
    }
}
