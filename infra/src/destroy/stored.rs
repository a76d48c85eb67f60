//! What an installation has stored, and how it is removed.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_kms::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use serde::{Deserialize, Serialize};

use crate::Account;

/// Days in which a key that is to be deleted can be rescued: the fewest that KMS allows.
const RESCUE_DAYS: i32 = 7;

/// What outlives its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    Bucket,
    /// The audit log: it must outlive whoever destroys what it tells of.
    Log,
    Table,
    // After what it encrypts.
    Key,
}

impl Kind {
    fn of(resource_type: &str, logical_id: &str) -> Option<Self> {
        match (resource_type, logical_id) {
            ("AWS::S3::Bucket", "AuditLog") => Some(Self::Log),
            ("AWS::S3::Bucket", _) => Some(Self::Bucket),
            ("AWS::DynamoDB::Table", _) => Some(Self::Table),
            ("AWS::KMS::Key", _) => Some(Self::Key),
            _ => None,
        }
    }
}

/// A bucket, a table or a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stored {
    pub(super) kind: Kind,
    pub(super) region: String,
    pub(super) id: String,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Bucket => "the bucket",
            Kind::Log => "the audit log",
            Kind::Table => "the table",
            Kind::Key => "the key",
        };
        write!(f, "{kind} {} in {}", self.id, self.region)
    }
}

/// What a stack has stored; nothing if there is no such stack.
pub(super) async fn of_stack(account: &Account, region: &str, stack: &str) -> Result<BTreeSet<Stored>> {
    let client = aws_sdk_cloudformation::Client::new(&account.sdk(region));
    let mut pages = client.list_stack_resources().stack_name(stack).into_paginator().send();
    let mut stored = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = match page {
            Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => break,
            page => page.with_context(|| format!("cannot list the resources of the stack {stack} in {region}"))?,
        };
        stored.extend(page.stack_resource_summaries().iter().filter_map(|resource| {
            let kind = Kind::of(resource.resource_type()?, resource.logical_resource_id()?)?;
            let id = resource.physical_resource_id().filter(|id| !id.is_empty())?.to_owned();
            Some(Stored { kind, region: region.to_owned(), id })
        }));
    }
    Ok(stored)
}

impl Stored {
    /// Removes it, if it is still there. Returns what is left of it, and until when.
    pub(super) async fn remove(
        &self,
        account: &Account,
        owner: &str,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Option<String>> {
        say(&format!("removing {self}"));
        match self.kind {
            Kind::Bucket => self.remove_bucket(account, owner).await.map(|()| None),
            Kind::Log => self.remove_log(account, owner).await,
            Kind::Table => self.remove_table(account).await.map(|()| None),
            Kind::Key => self.remove_key(account).await,
        }
        .with_context(|| format!("cannot remove {self}"))
    }

    async fn remove_bucket(&self, account: &Account, owner: &str) -> Result<()> {
        let s3 = account.s3(&self.region);
        if !empty(&s3, &self.id, owner).await? {
            return Ok(());
        }
        s3.delete_bucket().bucket(&self.id).expected_bucket_owner(owner).send().await?;
        Ok(())
    }

    /// Removes a log in which nothing was ever written. S3 lets nobody remove another one before its time.
    async fn remove_log(&self, account: &Account, owner: &str) -> Result<Option<String>> {
        let s3 = account.s3(&self.region);
        let page = s3.list_object_versions().bucket(&self.id).max_keys(1).expected_bucket_owner(owner).send().await;
        match page {
            Err(error) if error.code() == Some("NoSuchBucket") => Ok(None),
            page if page.as_ref().is_ok_and(|page| page.versions().is_empty() && page.delete_markers().is_empty()) => {
                s3.delete_bucket().bucket(&self.id).expected_bucket_owner(owner).send().await?;
                Ok(None)
            }
            page => {
                page?;
                Ok(Some(format!(
                    "{self} stays: S3 keeps each of its objects for AuditLockDays. `aws s3api` removes it after that"
                )))
            }
        }
    }

    async fn remove_table(&self, account: &Account) -> Result<()> {
        let client = aws_sdk_dynamodb::Client::new(&account.sdk(&self.region));
        let unprotect = client.update_table().table_name(&self.id).deletion_protection_enabled(false).send().await;
        match unprotect.map_err(SdkError::into_service_error) {
            Ok(_) => {}
            Err(error) if error.is_resource_not_found_exception() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        loop {
            match client.delete_table().table_name(&self.id).send().await.map_err(SdkError::into_service_error) {
                Ok(_) => break,
                Err(error) if error.is_resource_not_found_exception() => return Ok(()),
                // It is still lifting the protection.
                Err(error) if error.is_resource_in_use_exception() => tokio::time::sleep(account.pause()).await,
                Err(error) => return Err(error.into()),
            }
        }
        // Its name is free again, and its key no longer used, only when it is gone.
        loop {
            match client.describe_table().table_name(&self.id).send().await.map_err(SdkError::into_service_error) {
                Ok(_) => tokio::time::sleep(account.pause()).await,
                Err(error) if error.is_resource_not_found_exception() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn remove_key(&self, account: &Account) -> Result<Option<String>> {
        let client = aws_sdk_kms::Client::new(&account.sdk(&self.region));
        let until = |date: Option<&DateTime>| {
            let date = date.and_then(|date| date.fmt(DateTimeFormat::DateTime).ok());
            let date = date.unwrap_or_else(|| format!("{RESCUE_DAYS} days from now"));
            format!("{self} is deleted at {date}; until then `aws kms cancel-key-deletion` rescues it")
        };
        let key = client.describe_key().key_id(&self.id).send().await.map_err(SdkError::into_service_error);
        let key = match key {
            Ok(key) => key.key_metadata.context("KMS describes no key")?,
            Err(error) if error.is_not_found_exception() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if key.deletion_date().is_some() {
            return Ok(Some(until(key.deletion_date())));
        }
        let scheduled = client.schedule_key_deletion().key_id(&self.id).pending_window_in_days(RESCUE_DAYS);
        Ok(Some(until(scheduled.send().await?.deletion_date())))
    }
}

/// Removes everything in a bucket of the account `owner`, with all versions; returns whether there is such a bucket.
pub(super) async fn empty(s3: &aws_sdk_s3::Client, bucket: &str, owner: &str) -> Result<bool> {
    loop {
        let page = s3.list_object_versions().bucket(bucket).expected_bucket_owner(owner).send().await;
        let page = match page {
            Err(error) if error.code() == Some("NoSuchBucket") => return Ok(false),
            page => page.with_context(|| format!("cannot list the bucket {bucket}"))?,
        };
        let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
        let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id()));
        let objects = versions.chain(markers).filter_map(|(key, version)| {
            Some(ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build())
        });
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() {
            return Ok(true);
        }
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
        let deleted = s3.delete_objects().bucket(bucket).expected_bucket_owner(owner).delete(delete).send().await;
        let deleted = deleted.with_context(|| format!("cannot empty the bucket {bucket}"))?;
        let refused = deleted.errors().first();
        ensure!(
            refused.is_none(),
            "cannot remove {} from the bucket {bucket}: {}",
            refused.and_then(|it| it.key()).unwrap_or_default(),
            refused.and_then(|it| it.message()).unwrap_or_default()
        );
    }
}
