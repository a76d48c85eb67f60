//! A whole release: an object is put into a bucket, and nothing else is done; the rest happens by itself, through a build and
//! tests up to a person's approval and on to two deployments, one of them in the other region.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use local::{HOME, Stack};

mod form;
mod page;
mod report;
mod setup;
mod site;

use crate::mail::Mailbox;
use crate::progress::Tree;
use millrace::output::outln;
use setup::Demo;

/// The pipeline that is shown.
pub const PIPELINE: &str = setup::PIPELINE;

/// How often the pipeline's state is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long an object may lie in the bucket before its release has started. A trigger that dies hears of it again after
/// half a minute.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a release may stand still before it is given up, unless it waits for a person.
const SILENCE_LIMIT: Duration = Duration::from_secs(180);

/// Runs the demo; returns whether the release succeeded.
///
/// # Errors
/// When something that is not the release itself goes wrong.
pub async fn run(stack: &Stack, yes: bool) -> Result<bool> {
    outln!("preparing buckets, a build project, functions, state machines and the pipeline `{}`", setup::PIPELINE)?;
    let demo = setup::prepare(stack).await?;
    let client = setup::client(stack);
    let mailbox = Mailbox::open(stack, &demo.mailbox).await?;
    let before = executions(&client).await?;

    let sources = site::sources()?;
    let since = SystemTime::now();
    let version = demo.put_source(&stack.s3(HOME), sources.clone()).await?;
    let put = Instant::now();
    outln!(
        "put s3://{}/{} (version {version}); now the release starts by itself\n",
        demo.source_bucket,
        setup::SOURCE_KEY
    )?;
    let execution = started(&client, &before, put).await?;
    outln!("release {execution} started after {:.1} s", put.elapsed().as_secs_f64())?;

    let succeeded = follow(stack, &client, &execution, &mailbox, since, yes).await?;
    let site = site::built(&sources, &version)?;
    report::print(stack, &client, &demo, &execution, &site, succeeded, put.elapsed()).await?;
    Ok(succeeded)
}

/// Ids of the pipeline's executions so far.
async fn executions(client: &aws_sdk_codepipeline::Client) -> Result<BTreeSet<String>> {
    let mut pages = client.list_pipeline_executions().pipeline_name(setup::PIPELINE).into_paginator().send();
    let mut ids = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.context("cannot list the pipeline's executions")?;
        ids.extend(
            page.pipeline_execution_summaries().iter().filter_map(|it| it.pipeline_execution_id().map(str::to_owned)),
        );
    }
    Ok(ids)
}

/// Waits for the execution that nobody started by hand.
async fn started(client: &aws_sdk_codepipeline::Client, before: &BTreeSet<String>, put: Instant) -> Result<String> {
    loop {
        if let Some(new) = executions(client).await?.difference(before).next() {
            return Ok(new.clone());
        }
        if put.elapsed() > START_LIMIT {
            bail!(
                "no release has started {} s after the object was put; see: cargo run -p local -- logs",
                START_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Shows the release until it ends; hands the mail to the approver, or is the approver.
async fn follow(
    stack: &Stack,
    client: &aws_sdk_codepipeline::Client,
    execution: &str,
    mailbox: &Mailbox,
    since: SystemTime,
    yes: bool,
) -> Result<bool> {
    let mut tree = Tree::new(std::io::stdout().is_terminal(), since);
    let mut approver = Approver::default();
    let mut last_change = Instant::now();
    loop {
        let state = client
            .get_pipeline_state()
            .name(setup::PIPELINE)
            .send()
            .await
            .context("cannot read the pipeline's state")?;
        if tree.update(&state, execution) {
            last_change = Instant::now();
        }
        tree.draw()?;
        let waits = tree.is_running(setup::APPROVAL);
        if waits {
            approver.attend(stack, mailbox, &mut tree, yes).await?;
        }
        let now = client
            .get_pipeline_execution()
            .pipeline_name(setup::PIPELINE)
            .pipeline_execution_id(execution)
            .send()
            .await
            .context("cannot read the release")?;
        match now.pipeline_execution().and_then(|it| it.status()) {
            None | Some(PipelineExecutionStatus::InProgress) => {}
            status => {
                let state = client.get_pipeline_state().name(setup::PIPELINE).send().await?;
                tree.update(&state, execution);
                tree.draw()?;
                return Ok(status == Some(&PipelineExecutionStatus::Succeeded));
            }
        }
        if (yes || !waits) && last_change.elapsed() > SILENCE_LIMIT {
            bail!("the release has not moved for {} s; see: cargo run -p local -- logs", SILENCE_LIMIT.as_secs());
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Reads the mail once, and uses its link if it may.
#[derive(Default)]
struct Approver {
    read: bool,
}

impl Approver {
    async fn attend(&mut self, stack: &Stack, mailbox: &Mailbox, tree: &mut Tree, yes: bool) -> Result<()> {
        if self.read {
            return Ok(());
        }
        let Some(mail) = mailbox.next().await? else { return Ok(()) };
        self.read = true;
        tree.say(&mail.text())?;
        if yes {
            let seen = page::approve(&mail.link, stack.value("MILLRACE_APPROVAL_URL")?).await?;
            tree.say(&format!("opened the link and sent the form; the page says: {seen}\n"))?;
        } else {
            tree.say("Open the link and answer; the release waits.\n")?;
        }
        Ok(())
    }
}

impl Demo {
    /// Puts the source object; returns its version.
    async fn put_source(&self, s3: &aws_sdk_s3::Client, body: Vec<u8>) -> Result<String> {
        let put = s3
            .put_object()
            .bucket(&self.source_bucket)
            .key(setup::SOURCE_KEY)
            .body(body.into())
            .send()
            .await
            .context("cannot put the source object")?;
        put.version_id.context("the source bucket gives no versions")
    }
}
