//! What is at work in an installation, or lies in it: what a person who destroys it ought to know.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::error::SdkError;
use engine::Timestamp;
use store::{DUE_SHARDS, DynamoStore, Key, Listing, Store};

use super::stored::{Kind, Stored};
use crate::Account;

/// Most that is counted of anything; more is as bad to lose.
const MOST: usize = 1_000;

/// What is at work in an installation, or lies in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Pipelines, at most 1,000.
    pub pipelines: usize,
    /// Executions of which an action runs, or waits for an answer; at most 1,000 of each shard.
    pub executions: usize,
    /// Versions of objects in the artifact buckets, at most 1,000 of each.
    pub artifacts: usize,
}

impl Running {
    /// Whether nobody would miss anything.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.executions == 0 && self.artifacts == 0
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: usize| if number < MOST { number.to_string() } else { format!("{number} or more") };
        let Self { pipelines, executions, artifacts } = *self;
        write!(
            f,
            "pipelines: {}, running executions: {}, versions of artifacts: {}",
            count(pipelines),
            count(executions),
            count(artifacts)
        )
    }
}

pub(super) async fn running(account: &Account, stored: &BTreeSet<Stored>) -> Result<Running> {
    let mut running = Running::default();
    for Stored { kind, region, id } in stored {
        match kind {
            Kind::Table => {
                let client = aws_sdk_dynamodb::Client::new(&account.sdk(region));
                let found = client.describe_table().table_name(id).send().await.map_err(SdkError::into_service_error);
                match found {
                    Err(error) if error.is_resource_not_found_exception() => continue,
                    found => found.with_context(|| format!("cannot look at the table {id}"))?,
                };
                let store = DynamoStore::new(client, id);
                let heads = store.list(&Listing::Pipelines, None, MOST).await;
                running.pipelines +=
                    heads.with_context(|| format!("cannot list the pipelines in {id}"))?.entities.len();
                running.executions += executions(&store).await?;
            }
            Kind::Bucket => {
                let listed = account.s3(region).list_object_versions().bucket(id).send().await;
                match listed.map_err(aws_sdk_s3::error::SdkError::into_service_error) {
                    Err(error) if error.meta().code() == Some("NoSuchBucket") => {}
                    listed => {
                        let listed = listed.with_context(|| format!("cannot list the bucket {id}"))?;
                        running.artifacts += listed.versions().len() + listed.delete_markers().len();
                    }
                }
            }
            // None of them is lost before its time.
            Kind::Key | Kind::Log => {}
        }
    }
    Ok(running)
}

/// How many executions have a stage in which something runs or waits: whatever does has a time at which the sweeper must look
/// at it.
async fn executions(store: &DynamoStore) -> Result<usize> {
    let mut executions = BTreeSet::new();
    for shard in 0..DUE_SHARDS {
        let due = store.due(shard, Timestamp(0), Timestamp(i64::MAX), MOST).await;
        for due in due.context("cannot read what is running from the table")? {
            if let Key::Stage(execution, ..) = due.key {
                executions.insert(execution);
            }
        }
    }
    Ok(executions.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_said_as_far_as_they_are_known() {
        let running = Running { pipelines: 3, executions: 0, artifacts: 1_000 };
        assert_eq!(running.to_string(), "pipelines: 3, running executions: 0, versions of artifacts: 1000 or more");
        assert!(!running.is_idle());
        assert!(Running { pipelines: 3, ..Running::default() }.is_idle());
    }
}
