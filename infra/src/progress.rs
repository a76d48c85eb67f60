//! A stack that is being changed: what becomes of each resource, and which one failed first.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{Stack, StackEvent};
use tokio::time::Instant;

use crate::stacks::{describe, status};

/// Longer than a change of a stack of ours ever takes.
const LIMIT: Duration = Duration::from_secs(3600);

/// What has happened to a stack since a moment.
pub(crate) struct Progress {
    /// The last event that was seen.
    seen: Option<String>,
    failure: Option<String>,
}

impl Progress {
    /// Begins now: what happened before does not count.
    pub async fn from_now(client: &Client, stack: &str) -> Result<Self> {
        let events = client.describe_stack_events().stack_name(stack).send().await;
        let events = events.with_context(|| format!("cannot read the events of the stack {stack}"))?;
        let seen = events.stack_events().first().and_then(|event| event.event_id()).map(str::to_owned);
        Ok(Self { seen, failure: None })
    }

    /// The first resource that failed, and why.
    pub fn first_failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// Tells what has happened since the last time.
    async fn tell(&mut self, client: &Client, stack: &str, say: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
        let mut fresh: Vec<StackEvent> = Vec::new();
        let mut next = None;
        'pages: loop {
            let page = client.describe_stack_events().stack_name(stack).set_next_token(next).send().await;
            let page = page.with_context(|| format!("cannot read the events of the stack {stack}"))?;
            // The newest come first.
            for event in page.stack_events.unwrap_or_default() {
                if event.event_id().is_some() && event.event_id() == self.seen.as_deref() {
                    break 'pages;
                }
                fresh.push(event);
            }
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        if let Some(newest) = fresh.first() {
            self.seen = newest.event_id().map(str::to_owned);
        }
        for event in fresh.iter().rev() {
            self.hear(event, say);
        }
        Ok(())
    }

    fn hear(&mut self, event: &StackEvent, say: &mut (dyn FnMut(&str) + Send)) {
        let id = event.logical_resource_id().unwrap_or_default();
        let kind = event.resource_type().unwrap_or_default();
        let status = event.resource_status().map_or("", |status| status.as_str());
        if kind == "AWS::CloudFormation::Stack" && event.physical_resource_id() == event.stack_id() {
            return;
        }
        let reason = event.resource_status_reason().filter(|reason| !reason.is_empty());
        if status.ends_with("_FAILED") {
            let reason = reason.unwrap_or("no reason given");
            say(&format!("  {id} ({kind}) {}: {reason}", words(status)));
            // What is cancelled because of another resource is no cause.
            if self.failure.is_none() && !reason.contains("cancelled") {
                self.failure = Some(format!("{id} ({kind}) {status}: {reason}"));
            }
        } else if status.ends_with("_COMPLETE") || status == "DELETE_SKIPPED" {
            say(&format!("  {id} ({kind}) {}", words(status)));
        }
    }
}

/// `CREATE_COMPLETE` as a person says it.
fn words(status: &str) -> String {
    match status {
        "CREATE_COMPLETE" => "created".into(),
        "UPDATE_COMPLETE" => "changed".into(),
        "DELETE_COMPLETE" => "removed".into(),
        "DELETE_SKIPPED" => "stays, outside of the stack".into(),
        other => other.to_lowercase().replace('_', " "),
    }
}

/// Waits until nothing is going on in the stack, and tells what happens in it; nothing is returned for a deleted one.
pub(crate) async fn settled(
    client: &Client,
    stack: &str,
    pause: Duration,
    mut progress: Option<&mut Progress>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<Stack>> {
    let began = Instant::now();
    loop {
        let found = describe(client, stack).await?;
        if let Some(progress) = &mut progress {
            match progress.tell(client, stack, say).await {
                // LocalStack forgets the events of a stack that is gone.
                Err(_) if found.is_none() => {}
                told => told?,
            }
        }
        let Some(found) = found else { return Ok(None) };
        if !status(&found).ends_with("_IN_PROGRESS") {
            return Ok(Some(found));
        }
        if began.elapsed() > LIMIT {
            bail!("the stack {stack} is still {} after {} minutes", status(&found), LIMIT.as_secs() / 60);
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent::builder()
            .logical_resource_id(id)
            .resource_type("AWS::SQS::Queue")
            .resource_status(status.into())
            .resource_status_reason(reason)
            .build()
    }

    #[test]
    fn the_first_resource_that_failed_is_the_cause() {
        let mut progress = Progress { seen: None, failure: None };
        let mut said = Vec::new();
        for event in [
            event("A", "CREATE_IN_PROGRESS", ""),
            event("B", "CREATE_FAILED", "Resource creation cancelled"),
            event("A", "CREATE_FAILED", "no such bucket"),
            event("C", "CREATE_FAILED", "another"),
            event("D", "DELETE_SKIPPED", ""),
        ] {
            progress.hear(&event, &mut |line| said.push(line.to_owned()));
        }
        assert_eq!(progress.first_failure().unwrap(), "A (AWS::SQS::Queue) CREATE_FAILED: no such bucket");
        assert_eq!(said.len(), 4, "beginnings are not told: {said:?}");
        assert_eq!(said[3], "  D (AWS::SQS::Queue) stays, outside of the stack");
    }
}
