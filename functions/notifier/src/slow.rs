//! Executions that take longer than usual: nobody asks for all of them. When one starts whose pipeline has such a rule, the notifier
//! sends itself a reminder for the time at which it would be slow, and looks then. Time in which people are waited for does not
//! count, neither in this execution nor in what is usual.

use anyhow::{Context as _, Result};
use engine::{Execution, StageRun, is_approval, usual};
use pipeline::notification::When;
use store::{Entity, Key, Listing};

use crate::Notifier;
use crate::event::Look;
use crate::facts::Facts;
use crate::happenings::Told;
use crate::line;

/// Executions that are looked at for what is usual, the newest.
const LATEST: usize = 20;
/// With fewer of them that succeeded, nothing is usual yet.
const FEWEST: usize = 3;
/// Attempts at stages that are read at a time: each may be an item of 400 KB.
const AT_ONCE: usize = 25;
/// Source: SQS API, `SendMessage`, `DelaySeconds`.
const LONGEST_DELAY: i64 = 900;

/// The notifier's messages to itself.
pub struct Reminders {
    sqs: aws_sdk_sqs::Client,
    queue: String,
}

impl Reminders {
    /// By this queue, which is the notifier's own.
    pub fn new(sqs: aws_sdk_sqs::Client, queue: String) -> Self {
        Self { sqs, queue }
    }

    /// Has a message come again after so many seconds.
    ///
    /// # Errors
    /// The queue's.
    pub async fn again(&self, body: &str, seconds: i32) -> Result<()> {
        let send = self.sqs.send_message().queue_url(&self.queue).message_body(body).delay_seconds(seconds);
        send.send().await.context("the notifier cannot remind itself")?;
        Ok(())
    }

    async fn look(&self, look: &Look, milliseconds: i64) -> Result<()> {
        let seconds = (milliseconds.max(0) / 1_000 + 1).min(LONGEST_DELAY);
        self.again(&serde_json::to_string(look)?, i32::try_from(seconds)?).await
    }
}

/// Has an execution that starts looked at when it would be slow; not where too few others are known.
///
/// # Errors
/// The store's, and the queue's.
pub async fn begin(notifier: &Notifier, facts: &Facts) -> Result<()> {
    let Facts { execution, .. } = facts;
    let now = notifier.clock.now().0;
    let listing = Listing::Executions(execution.pipeline.clone(), execution.incarnation);
    let page = notifier.store.list(&listing, None, LATEST).await?;
    let found = page.entities.into_iter().filter_map(|it| if let Entity::Execution(it) = it { Some(it) } else { None });
    let found: Vec<Execution> = found.collect();
    let mut took = Vec::new();
    for execution in usual::comparable(&found, now) {
        took.push(usual::duration(execution, now) - waits(notifier, execution, now).await?.0);
    }
    if took.len() < FEWEST {
        return Ok(());
    }
    let Some(usual) = usual::median(took) else { return Ok(()) };
    let until = execution.started.0 + usual::too_long(usual) - now;
    notifier.reminders.look(&Look { look: execution.id, pipeline: execution.pipeline.clone(), usual }, until).await
}

/// Looks at an execution: what is to be told of it if it is slow; otherwise it is looked at again.
///
/// # Errors
/// The store's, and the queue's.
pub async fn look<'a>(notifier: &Notifier, facts: &'a Facts, look: &Look) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    if !execution.status.is_open() || !facts.rules.iter().any(|(_, rule)| rule.tells(When::Slow)) {
        return Ok(Vec::new());
    }
    let now = notifier.clock.now().0;
    let (waited, waits) = waits(notifier, execution, now).await?;
    let took = usual::duration(execution, now) - waited;
    let left = usual::too_long(look.usual) - took;
    if left > 0 {
        // While a person is waited for, time stands still.
        let until = if waits { LONGEST_DELAY * 1_000 } else { left };
        notifier.reminders.look(look, until).await?;
        return Ok(Vec::new());
    }
    let line = line::of_slow(notifier, facts, &*notifier.pipeline_of(execution).await?, took, look.usual);
    let rules = facts.rules.iter().filter(|(_, rule)| rule.tells(When::Slow));
    Ok(rules.map(|rule| Told::once(rule, &["slow", &execution.id.to_string()], line.clone())).collect())
}

/// For how long an execution has waited for people, in milliseconds, and whether it does now. Only attempts at stages with approvals
/// are read.
async fn waits(notifier: &Notifier, execution: &Execution, now: i64) -> Result<(i64, bool)> {
    let pipeline = notifier.pipeline_of(execution).await?;
    let asks = |stage: usize| pipeline.stages().get(stage).is_some_and(|it| it.actions.iter().any(is_approval));
    let stages = execution.attempts.iter().enumerate().filter(|(stage, _)| asks(*stage));
    let keys: Vec<Key> = stages
        .flat_map(|(stage, last)| (1..=*last).map(move |attempt| Key::Stage(execution.id, stage, attempt)))
        .collect();
    let (mut sum, mut waits) = (0, false);
    for keys in keys.chunks(AT_ONCE) {
        for found in notifier.store.load(keys).await?.into_iter().flatten() {
            if let Entity::Stage(run) = found.entity {
                sum += usual::waited(&run, now);
                waits |= asks_now(&run);
            }
        }
    }
    Ok((sum, waits))
}

fn asks_now(run: &StageRun) -> bool {
    run.actions.iter().any(|action| action.token.is_some() && action.status.in_flight())
}
