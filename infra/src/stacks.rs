//! What CloudFormation knows of a stack.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::Stack;

/// The stack of that name, unless it does not exist or was deleted.
///
/// # Errors
/// When CloudFormation does not answer, or does not let the caller see it.
pub async fn describe(client: &Client, name: &str) -> Result<Option<Stack>> {
    match client.describe_stacks().stack_name(name).send().await {
        Ok(found) => Ok(found
            .stacks
            .and_then(|stacks| stacks.into_iter().next())
            .filter(|stack| status(stack) != "DELETE_COMPLETE")),
        Err(error) if error.message().is_some_and(|message| message.contains("does not exist")) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at the stack {name}")),
    }
}

/// Whether the stack stands: as it was last described, or as it was before an update that failed.
#[must_use]
pub fn is_good(stack: &Stack) -> bool {
    matches!(status(stack), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE")
}

/// The values of the stack's outputs, by their keys.
#[must_use]
pub fn outputs(stack: &Stack) -> BTreeMap<String, String> {
    stack
        .outputs()
        .iter()
        .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
        .collect()
}

/// The values of the stack's parameters, by their names.
#[must_use]
pub fn parameters(stack: &Stack) -> BTreeMap<String, String> {
    stack
        .parameters()
        .iter()
        .filter_map(|it| Some((it.parameter_key()?.to_owned(), it.parameter_value()?.to_owned())))
        .collect()
}

/// The stack's status, as CloudFormation spells it.
#[must_use]
pub fn status(stack: &Stack) -> &str {
    stack.stack_status().map_or("", |status| status.as_str())
}
