//! Deleting a stack.

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::Client;

use crate::Account;
use crate::progress::{Progress, settled};
use crate::stacks::{describe, status};

/// Deletes the stack `name`, protected or not, and waits until it is gone; returns whether it was there. `say` hears of each
/// resource. What the template retains stays.
///
/// # Errors
/// When CloudFormation cannot delete it, with the first resource that stands in the way. Deleting again goes on.
pub(crate) async fn delete(
    account: &Account,
    region: &str,
    name: &str,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<bool> {
    let client = Client::new(&account.sdk(region));
    let Some(stack) = describe(&client, name).await? else { return Ok(false) };
    // By its id it can be asked for when it is gone.
    let id = stack.stack_id().context("a stack without an id")?;
    let unprotect = client.update_termination_protection().stack_name(name).enable_termination_protection(false);
    unprotect.send().await.with_context(|| format!("cannot lift the protection of the stack {name} in {region}"))?;
    let mut progress = Progress::from_now(&client, id).await?;
    let deleted = client.delete_stack().stack_name(name).send().await;
    deleted.with_context(|| format!("cannot delete the stack {name} in {region}"))?;
    let left = settled(&client, id, account.pause(), Some(&mut progress), say).await?;
    match left {
        None => Ok(true),
        Some(stack) => {
            let reason = progress.first_failure().or_else(|| stack.stack_status_reason().map(str::to_owned));
            let reason = reason.unwrap_or_else(|| "CloudFormation gives no reason".into());
            bail!("the stack {name} in {region} is {}: {reason}", status(&stack))
        }
    }
}
