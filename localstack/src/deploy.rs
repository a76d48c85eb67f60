//! CloudFormation: create, update, or leave alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack, Tag};

use millrace::stacks::{describe, is_good, outputs, status};

use crate::hash::hash;

/// Longer than either emulator ever took.
const LIMIT: Duration = Duration::from_secs(300);

/// The tag that holds the hash of template and parameters, by which an unchanged stack is known.
const CONTENT: &str = "millrace:content";

/// A stack as it is to be deployed.
pub(crate) struct Deployment<'a> {
    pub name: &'a str,
    pub template: &'a str,
    pub parameters: BTreeMap<String, String>,
}

/// What a deployment did to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created,
    Updated,
    Unchanged,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        })
    }
}

impl Deployment<'_> {
    /// Name of an object that holds the template: too long ones must be read from S3 by CloudFormation.
    pub fn template_key(&self) -> String {
        format!("templates/{}-{}.yaml", self.name, &hash(self.template)[..16])
    }

    fn content(&self) -> String {
        let parameters: String = self.parameters.iter().map(|(name, value)| format!("\n{name}={value}")).collect();
        hash(format!("{}{parameters}", self.template))
    }

    /// Brings the stack to this content, reading the template from `url`, and returns its outputs.
    pub async fn apply(&self, client: &Client, url: &str) -> Result<(Outcome, BTreeMap<String, String>)> {
        let content = self.content();
        let outcome = match self.describe(client).await? {
            Some(stack) if is_good(&stack) && tag(&stack) == Some(content.as_str()) => {
                return Ok((Outcome::Unchanged, outputs(&stack)));
            }
            Some(stack) if is_good(&stack) => self.update(client, url, &content).await?,
            Some(_) => {
                // Half made or half undone: it takes no update.
                client.delete_stack().stack_name(self.name).send().await?;
                self.settled(client).await?;
                self.create(client, url, &content).await?
            }
            None => self.create(client, url, &content).await?,
        };
        let stack = self.settled(client).await?.with_context(|| format!("the stack {} vanished", self.name))?;
        if !is_good(&stack) {
            bail!("the stack {} is {}: {}", self.name, status(&stack), self.reasons(client).await);
        }
        Ok((outcome, outputs(&stack)))
    }

    async fn create(&self, client: &Client, url: &str, content: &str) -> Result<Outcome> {
        client
            .create_stack()
            .stack_name(self.name)
            .template_url(url)
            .set_parameters(Some(self.parameters()))
            .capabilities(Capability::CapabilityIam)
            .tags(Tag::builder().key(CONTENT).value(content).build())
            .send()
            .await
            .with_context(|| format!("cannot create the stack {}", self.name))?;
        Ok(Outcome::Created)
    }

    async fn update(&self, client: &Client, url: &str, content: &str) -> Result<Outcome> {
        let updated = client
            .update_stack()
            .stack_name(self.name)
            .template_url(url)
            .set_parameters(Some(self.parameters()))
            .capabilities(Capability::CapabilityIam)
            .tags(Tag::builder().key(CONTENT).value(content).build())
            .send()
            .await;
        match updated {
            Ok(_) => Ok(Outcome::Updated),
            Err(error) if error.message().is_some_and(|message| message.contains("No updates are to be performed")) => {
                Ok(Outcome::Unchanged)
            }
            Err(error) => Err(error).with_context(|| format!("cannot update the stack {}", self.name)),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.parameters
            .iter()
            .map(|(name, value)| Parameter::builder().parameter_key(name).parameter_value(value).build())
            .collect()
    }

    async fn describe(&self, client: &Client) -> Result<Option<Stack>> {
        describe(client, self.name).await
    }

    /// Waits until nothing is going on; nothing is returned for a deleted stack.
    async fn settled(&self, client: &Client) -> Result<Option<Stack>> {
        let began = Instant::now();
        loop {
            match self.describe(client).await? {
                Some(stack) if status(&stack).ends_with("_IN_PROGRESS") => {}
                stack => return Ok(stack),
            }
            if began.elapsed() > LIMIT {
                bail!("the stack {} is still busy after {} s", self.name, LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Why resources failed, for the error.
    async fn reasons(&self, client: &Client) -> String {
        let Ok(events) = client.describe_stack_events().stack_name(self.name).send().await else {
            return "CloudFormation gives no reason".into();
        };
        let reasons: Vec<_> = events
            .stack_events()
            .iter()
            .filter(|event| event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED")))
            .map(|event| {
                let resource = event.logical_resource_id().unwrap_or_default();
                format!("{resource}: {}", event.resource_status_reason().unwrap_or("no reason given"))
            })
            .collect();
        reasons.join("; ")
    }
}

fn tag(stack: &Stack) -> Option<&str> {
    stack.tags().iter().find(|tag| tag.key() == Some(CONTENT))?.value()
}
