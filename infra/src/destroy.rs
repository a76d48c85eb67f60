//! `millrace destroy`: removes an installation, and what it has stored unless that is to be kept.
//!
//! The home stack goes first: when its doors are closed, nothing starts an action any more that would write into the regions'
//! artifact buckets. What outlives the stacks (table, keys, buckets) is written down in the code bucket before anything is
//! deleted, since no stack knows of it afterwards; so a destroy that ended half way goes on when it is run again. The code
//! bucket goes last.

mod command;
mod guard;
mod stored;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudformation::Client;

use crate::account::{Account, Caller};
use crate::code_bucket::CodeBucket;
use crate::deploy::region_stack;
use crate::layer;
use crate::programs::FUNCTIONS;
use crate::removal;
use crate::stacks::{describe, parameters};

pub use command::Arguments;
pub use guard::Running;
pub use stored::Stored;

/// Where it is written down what is to be destroyed.
const NOTE: &str = "destroy.json";

/// An installation that is to be destroyed.
pub struct Destruction<'a> {
    account: &'a Account,
    bucket: CodeBucket,
    stack: String,
    /// The regions of action; the home region is one.
    pub regions: BTreeSet<String>,
    /// What outlives the stacks.
    pub stored: BTreeSet<Stored>,
}

/// What is left of an installation: a line for each thing, with until when it can be rescued, where it can.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left(pub Vec<String>);

impl<'a> Destruction<'a> {
    /// Finds what belongs to the installation `stack`: what its stacks say, and what an earlier destroy wrote down.
    ///
    /// # Errors
    /// When there is no such installation, or it cannot be read.
    pub async fn find(account: &'a Account, caller: &Caller, stack: &str) -> Result<Self> {
        let bucket = CodeBucket::new(account, caller, stack)?;
        let home = account.home();
        let found = describe(&Client::new(&account.sdk(home)), stack).await?;
        let has_bucket = bucket.exists().await?;
        let note = if has_bucket { bucket.read(NOTE).await? } else { None };
        let (mut regions, mut stored) = match &note {
            Some(note) => {
                serde_json::from_slice(note).with_context(|| format!("{NOTE} in {} is broken", bucket.name))?
            }
            None => (BTreeSet::new(), BTreeSet::new()),
        };
        ensure!(
            found.is_some() || has_bucket,
            "there is no installation {stack} in {home}: name its region with --region and its stack with --stack"
        );
        regions.insert(home.to_owned());
        let given = found.as_ref().map(parameters).unwrap_or_default().remove("Regions").unwrap_or_default();
        regions.extend(given.split(',').filter(|region| !region.is_empty()).map(str::to_owned));
        stored.extend(stored::of_stack(account, home, stack).await?);
        for region in &regions {
            stored.extend(stored::of_stack(account, region, &region_stack(stack)).await?);
        }
        Ok(Self { account, bucket, stack: stack.to_owned(), regions, stored })
    }

    /// What a person would lose that is at work now.
    ///
    /// # Errors
    /// When the table or a bucket cannot be read.
    pub async fn running(&self) -> Result<Running> {
        guard::running(self.account, &self.stored).await
    }

    /// Destroys it; `say` hears of each thing. Returns what is left.
    ///
    /// # Errors
    /// When something cannot be removed; the message says what. Running it again goes on.
    pub async fn execute(&self, keep_data: bool, say: &mut (dyn FnMut(&str) + Send)) -> Result<Left> {
        let Self { account, bucket, stack, .. } = self;
        if bucket.exists().await? {
            bucket.write(NOTE, serde_json::to_vec(&(&self.regions, &self.stored))?).await?;
        }
        let stacks = [(account.home(), stack.clone())].into_iter();
        for (region, name) in stacks.chain(self.regions.iter().map(|region| (region.as_str(), region_stack(stack)))) {
            say(&format!("{name} in {region}:"));
            let removed = removal::delete(account, region, &name, say).await?;
            say(if removed { "  the stack is deleted" } else { "  there is no such stack any more" });
        }
        let mut left = Left::default();
        for stored in &self.stored {
            if keep_data {
                left.0.push(format!("kept: {stored}"));
            } else if let Some(rest) = stored.remove(account, &bucket.owner, say).await? {
                left.0.push(rest);
            }
        }
        self.remove_logs().await?;
        layer::remove(account, stack, say).await?;
        if bucket.exists().await? {
            say(&format!("removing the bucket {}", bucket.name));
            stored::empty(&account.s3(account.home()), &bucket.name, &bucket.owner).await?;
            bucket.remove_bucket().await?;
        }
        Ok(left)
    }

    /// Removes the log groups of functions. Their stack had them; but a function that ends after its log group makes it again.
    async fn remove_logs(&self) -> Result<()> {
        let client = aws_sdk_cloudwatchlogs::Client::new(&self.account.sdk(self.account.home()));
        for function in FUNCTIONS {
            let group = format!("/aws/lambda/{}-{function}", self.stack);
            let removed = client.delete_log_group().log_group_name(&group).send().await;
            if let Err(error) = removed.map_err(aws_sdk_cloudwatchlogs::error::SdkError::into_service_error)
                && !error.is_resource_not_found_exception()
            {
                return Err(error).with_context(|| format!("cannot remove the log group {group}"));
            }
        }
        Ok(())
    }
}
