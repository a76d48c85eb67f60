//! Executions, and their attempts at stages, that take longer than usual: nobody asks for all of them. When one starts that has such a
//! rule, the notifier sends itself a reminder for the time at which it would be slow, and looks then. Time in which people are waited for does not
//! count, neither in this execution nor in what is usual.

use anyhow::{Context as _, Result};
use engine::{Execution, StageRun, StageStatus, is_approval, usual};
use pipeline::StageName;
use pipeline::notification::{Rule, When};
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

/// The rules that tell when an execution, or its attempt at a stage, is slow.
fn rules<'a>(facts: &'a Facts, stage: Option<&StageRun>) -> impl Iterator<Item = &'a (String, Rule)> {
    let stage = stage.map(|run| run.name.clone());
    facts.rules.iter().filter(move |(_, rule)| rule.tells(When::Slow) && rule.stage == stage)
}

/// Has an execution that starts, or its attempt at a stage, looked at when it would be slow; not where no rule asks, or too few
/// others are known.
///
/// # Errors
/// The store's, and the queue's.
pub async fn begin(notifier: &Notifier, facts: &Facts, stage: Option<&StageRun>) -> Result<()> {
    let Facts { execution, .. } = facts;
    if rules(facts, stage).next().is_none() {
        return Ok(());
    }
    let now = notifier.clock.now().0;
    let listing = Listing::Executions(execution.pipeline.clone(), execution.incarnation);
    let page = notifier.store.list(&listing, None, LATEST).await?;
    let found = page.entities.into_iter().filter_map(|it| if let Entity::Execution(it) = it { Some(it) } else { None });
    let found: Vec<Execution> = found.collect();
    let took = match stage {
        None => took(notifier, &found, now).await?,
        Some(run) => took_in(notifier, &found, &run.name, now).await?,
    };
    if took.len() < FEWEST {
        return Ok(());
    }
    let Some(usual) = usual::median(took) else { return Ok(()) };
    let (began, place) = stage.map_or((execution.started, None), |run| (run.started, Some((run.stage, run.attempt))));
    let until = began.0 + usual::too_long(usual) - now;
    let look = Look { look: execution.id, pipeline: execution.pipeline.clone(), stage: place, usual };
    notifier.reminders.look(&look, until).await
}

/// How long each of these executions took that can be compared.
async fn took(notifier: &Notifier, found: &[Execution], now: i64) -> Result<Vec<i64>> {
    let mut took = Vec::new();
    for execution in usual::comparable(found, now) {
        took.push(usual::duration(execution, now) - waits(notifier, execution, now).await?.0);
    }
    Ok(took)
}

/// How long their last attempts at the stage of this name took.
async fn took_in(notifier: &Notifier, found: &[Execution], name: &StageName, now: i64) -> Result<Vec<i64>> {
    let mut keys = Vec::new();
    for execution in usual::comparable(found, now) {
        let pipeline = notifier.pipeline_of(execution).await?;
        let stage = pipeline.stages().iter().position(|stage| stage.name == *name);
        let attempt = stage.and_then(|stage| Some((stage, execution.attempts.get(stage).copied()?)));
        keys.extend(attempt.map(|(stage, attempt)| Key::Stage(execution.id, stage, attempt)));
    }
    let mut took = Vec::new();
    for keys in keys.chunks(AT_ONCE) {
        for found in notifier.store.load(keys).await?.into_iter().flatten() {
            match found.entity {
                Entity::Stage(run) if run.status == StageStatus::Succeeded && !run.rolls_back => {
                    took.push(run.updated.since(run.started) - usual::waited(&run, now));
                }
                _ => {}
            }
        }
    }
    Ok(took)
}

/// Looks at an execution, or its attempt at a stage: what is to be told of it if it is slow; otherwise it is looked at again.
///
/// # Errors
/// The store's, and the queue's.
pub async fn look<'a>(notifier: &Notifier, facts: &'a Facts, look: &Look) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    let run = match look.stage {
        None => None,
        Some((stage, attempt)) => match notifier.attempt(execution.id, stage, attempt).await? {
            None => return Ok(Vec::new()),
            run => run,
        },
    };
    let run = run.as_ref();
    let is_open = run.map_or(execution.status.is_open(), |run| run.status.is_open());
    if !is_open || rules(facts, run).next().is_none() {
        return Ok(Vec::new());
    }
    let now = notifier.clock.now().0;
    let (began, (waited, waits)) = match run {
        None => (execution.started, waits(notifier, execution, now).await?),
        Some(run) => (run.started, (usual::waited(run, now), asks_now(run))),
    };
    let took = now - began.0 - waited;
    let left = usual::too_long(look.usual) - took;
    if left > 0 {
        // While a person is waited for, time stands still.
        let until = if waits { LONGEST_DELAY * 1_000 } else { left };
        notifier.reminders.look(look, until).await?;
        return Ok(Vec::new());
    }
    let place = match run {
        None => line::place(execution, &*notifier.pipeline_of(execution).await?),
        Some(_) => String::new(),
    };
    let line = line::of_slow(notifier, facts, run, &place, (took, look.usual));
    let mut id = vec!["slow".to_owned(), execution.id.to_string()];
    id.extend(run.into_iter().flat_map(|run| [run.name.to_string(), run.attempt.to_string()]));
    let id: Vec<&str> = id.iter().map(String::as_str).collect();
    Ok(rules(facts, run).map(|rule| Told::once(rule, &id, line.clone())).collect())
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
