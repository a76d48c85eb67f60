//! An installation that stands in an account.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::Stack;

use crate::Account;
use crate::stacks::{describe, is_good, outputs, status};

/// An installation, as the stack of `home.yaml` describes it.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The name of the home stack.
    pub name: String,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Installation {
    /// Reads the outputs of the home stack `name` in the account's home region.
    ///
    /// # Errors
    /// When there is no such stack, or it does not stand; the message says what to do.
    pub async fn find(account: &Account, name: &str) -> Result<Self> {
        let home = account.home();
        match describe(&Client::new(&account.sdk(home)), name).await? {
            Some(stack) if is_good(&stack) => Ok(Self::of(name, &stack)),
            Some(stack) => {
                bail!("the stack {name} in {home} is {}; `millrace deploy` says what to do about it", status(&stack))
            }
            None => bail!(
                "there is no stack {name} in {home}: name its region with --region and the stack with --stack, \
                 or make it with `millrace deploy`"
            ),
        }
    }

    /// What a home stack tells, whatever its state.
    #[must_use]
    pub fn of(name: &str, stack: &Stack) -> Self {
        let parameters = stack.parameters().iter();
        let parameters =
            parameters.filter_map(|it| Some((it.parameter_key()?.to_owned(), it.parameter_value()?.to_owned())));
        Self { name: name.to_owned(), outputs: outputs(stack), parameters: parameters.collect() }
    }

    /// A parameter of the home stack, if it has a value.
    #[must_use]
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// An output of the home stack.
    ///
    /// # Errors
    /// When the stack has none of that key: it was deployed by an older Millrace.
    pub fn output(&self, key: &str) -> Result<&str> {
        let value = self.outputs.get(key).map(String::as_str);
        value.with_context(|| format!("the stack {} has no output {key}: deploy this version first", self.name))
    }
}
