//! Deploy/S3: writes an artifact to a bucket, as it is or unpacked. Source: CodePipeline user guide, 'Amazon S3 deploy
//! action reference'.
//!
//! As it is, S3 copies it. Unpacked, it passes through temporary storage: all of it is unpacked into nothing first, so
//! that a damaged or deceitful zip leaves nothing half deployed. Files that an earlier deployment wrote and this
//! artifact does not have stay, as on AWS.
//!
//! `{datetime}` and `{uuid}` in `ObjectKey` are the same for every repetition of an attempt: the time is the one at which
//! the attempt was requested (as `2026-11-23_22-05-09`, UTC), the UUID the attempt's id.

use artifacts::{Bucket, Content, Encryption, Entry, Settings, Zip, ZipLimits};
use async_trait::async_trait;
use aws_sdk_s3::types::ObjectCannedAcl;
use driver::{Outcome, Task};
use engine::{External, Progress, Success, Timestamp};
use futures::{TryStreamExt, stream};
use tokio::sync::Semaphore;

use crate::configuration::{flag, optional, requested, required};
use crate::console;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::provider::Provider;

/// Artifacts unpacked at the same time. A worker has many actions in hand, and its temporary storage holds two of the
/// largest artifacts (`EphemeralStorage` in `infra/home.yaml`).
static UNPACKING: Semaphore = Semaphore::const_new(2);

/// Files written at the same time: enough to hide S3's answer times, few enough for their memory.
const PARALLEL: usize = 8;

pub(crate) struct S3Deploy;

#[async_trait]
impl Provider for S3Deploy {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let input = task
            .inputs
            .first()
            .ok_or_else(|| ProviderError::configuration("an S3 deploy action needs one input artifact"))?;
        let settings = settings(task)?;
        let bucket = required(task, "BucketName")?;
        let store = context.bucket(&input.bucket).await?;
        let target = context.bucket(bucket).await?;
        let (summary, id, url) = if flag(task, "Extract")? {
            let prefix = object_key(task, optional(task, "ObjectKey").unwrap_or_default());
            // It is never closed; without a permit it would only be fuller.
            let _permit = UNPACKING.acquire().await;
            let label = format!("the input artifact {}", input.artifact.name);
            let files = extract(&store, &input.artifact.key, &label, &target, &prefix, &settings).await?;
            let url = console::s3_folder(&task.region, bucket, &folder(&prefix));
            (format!("Deployment Succeeded: {files} files"), format!("s3://{bucket}/{}", folder(&prefix)), url)
        } else {
            let key = object_key(task, required(task, "ObjectKey")?);
            let source = store.head(&input.artifact.key, None).await?;
            let settings = Settings { content_type: content_type(&key), ..settings };
            target.copy(&source, &key, &settings).await?;
            let url = console::s3_object(&task.region, bucket, &key, None);
            ("Deployment Succeeded".to_owned(), format!("s3://{bucket}/{key}"), url)
        };
        Ok(Outcome::Succeeded(Success {
            report: Progress { external: Some(External { id, url: Some(url) }), summary: Some(summary), percent: None },
            ..Success::default()
        }))
    }
}

fn settings(task: &Task) -> Result<Settings, ProviderError> {
    let acl = match optional(task, "CannedACL") {
        None => None,
        Some(name) if ObjectCannedAcl::values().contains(&name) => Some(ObjectCannedAcl::from(name)),
        Some(name) => {
            return Err(ProviderError::configuration(format!(
                "CannedACL is {name:?}, which is no canned ACL of objects"
            )));
        }
    };
    Ok(Settings {
        encryption: optional(task, "KMSEncryptionKeyARN").map(Encryption::key),
        cache_control: optional(task, "CacheControl").map(str::to_owned),
        acl,
        ..Settings::default()
    })
}

/// `ObjectKey` with its placeholders replaced.
fn object_key(task: &Task, template: &str) -> String {
    template
        .replace("{datetime}", &datetime(requested(task).unwrap_or_default()))
        .replace("{uuid}", &task.id.first_turn().to_string())
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

/// Unpacks a zip into a bucket; returns how many files it wrote.
async fn extract(
    store: &Bucket,
    key: &str,
    label: &str,
    target: &Bucket,
    prefix: &str,
    settings: &Settings,
) -> Result<usize, ProviderError> {
    let limits = ZipLimits::default();
    let file = store.download(key, None, limits.total_bytes).await?;
    let zip = Zip::open(file, label, limits).await?;
    zip.verify().await?;
    let prefix = folder(prefix);
    let write = |(entry, content): (Entry, Content)| {
        let key = format!("{prefix}{}", entry.name);
        let settings = Settings { content_type: content_type(&key), ..settings.clone() };
        async move { target.put(&key, &content, &settings).await }
    };
    let contents = zip.contents();
    stream::try_unfold(contents, |mut contents| async move {
        Ok::<_, artifacts::Error>(contents.next().await?.map(|file| (file, contents)))
    })
    .try_for_each_concurrent(PARALLEL, write)
    .await?;
    Ok(zip.files().len())
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
