//! From a change to what is to be told of it, and to which rule.

use anyhow::Result;
use engine::{ActionId, ActionStatus, Execution, ExecutionStatus, StageRun, StageStatus, is_approval};
use pipeline::notification::{Rule, When};
use sha2::{Digest, Sha256};

use crate::Notifier;
use crate::event::{Change, Of};
use crate::facts::Facts;
use crate::line::{self, Line};
use crate::outcome::{News, Outcome};
use crate::slow;

/// Until an approval that may approve itself is looked at again, in seconds.
const DECIDED: i32 = 5;

/// Something that a rule may have to tell.
#[derive(Debug)]
pub struct Told<'a> {
    /// The rule, with its name.
    pub rule: &'a (String, Rule),
    /// What tells the message from others of the pipeline.
    pub id: String,
    /// Whether it is told in any case, or only if it is news.
    pub about: About,
    /// What people read, before it is put into the words of their topic or chat.
    pub line: Line,
}

/// What a message depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// It is told whatever was told before.
    Itself,
    /// What the rule knew of outcomes before this one.
    Outcome(Outcome),
}

impl<'a> Told<'a> {
    /// A message of a rule that is told once for all of `parts` together.
    pub fn once(rule: &'a (String, Rule), parts: &[&str], line: Line) -> Self {
        Self { rule, id: id(&rule.0, parts), about: About::Itself, line }
    }

    /// Whether the rule tells news of this kind.
    pub fn tells(&self, news: News) -> bool {
        match news {
            News::Broken => self.rule.1.tells(When::Breaks),
            News::Fixed => self.rule.1.tells(When::Fixed),
            News::Same => false,
        }
    }
}

fn id(rule: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in [rule].iter().chain(parts) {
        // Its length before each part, so that none flows into the next.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// What a change is to be told as. `body`: the message that told of it.
///
/// # Errors
/// The store's, and the queue's.
pub async fn of<'a>(notifier: &Notifier, facts: &'a Facts, change: &Change, body: &str) -> Result<Vec<Told<'a>>> {
    match &change.of {
        Of::Execution => of_execution(notifier, facts, change).await,
        Of::Stage(name, attempt) => of_stage(notifier, facts, change, (name, *attempt)).await,
        Of::Action(id) => of_approval(notifier, facts, *id, body).await,
    }
}

fn rules_of(facts: &Facts, tells: impl Fn(&Rule) -> bool) -> impl Iterator<Item = &(String, Rule)> {
    facts.rules.iter().filter(move |(_, rule)| tells(rule))
}

fn is_about_outcomes(rule: &Rule) -> bool {
    rule.tells(When::Breaks) || rule.tells(When::Fixed)
}

async fn of_execution<'a>(notifier: &Notifier, facts: &'a Facts, change: &Change) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    let mut told = Vec::new();
    if change.state == "STARTED" {
        told.extend(missing_stages(notifier, facts).await?);
        slow::begin(notifier, facts, None).await?;
    }
    if let Some(outcome) = outcome_of(execution).filter(|outcome| change.state == word(outcome.failed)) {
        let line = line::of_outcome(notifier, facts, outcome.failed, None);
        let rules = rules_of(facts, |rule| rule.stage.is_none() && is_about_outcomes(rule));
        told.extend(rules.map(|rule| of_outcome(rule, execution, outcome, line.clone())));
    }
    if stands(execution, &change.state) {
        // An execution starts once, whatever an event says of the time.
        let time = if change.state == "STARTED" { "" } else { &change.time };
        let line = line::of_state(notifier, facts, &change.state, None);
        let rules = rules_of(facts, |rule| rule.stage.is_none() && rule.tells(When::Every));
        let parts = ["every", &execution.id.to_string(), &change.state, time];
        told.extend(rules.map(|rule| Told::once(rule, &parts, line.clone())));
    }
    Ok(told)
}

/// How an execution has ended, if it says something about the pipeline: a rollback that succeeded brought an earlier state back, and
/// fixed nothing.
fn outcome_of(execution: &Execution) -> Option<Outcome> {
    let failed = match execution.status {
        ExecutionStatus::Failed => true,
        ExecutionStatus::Succeeded if execution.rollback.is_none() => false,
        _ => return None,
    };
    let run = execution.attempts.iter().map(|attempts| u32::from(*attempts)).sum();
    Some(Outcome { number: execution.number, run, failed })
}

/// The same of the latest attempt at a stage. One that was tried again since says nothing about how the stage stands.
fn outcome_of_stage(execution: &Execution, run: &StageRun) -> Option<Outcome> {
    let failed = match run.status {
        StageStatus::Failed => true,
        StageStatus::Succeeded if !run.rolls_back => false,
        _ => return None,
    };
    let latest = execution.attempts.get(run.stage) == Some(&run.attempt);
    latest.then_some(Outcome { number: execution.number, run: run.attempt.into(), failed })
}

fn of_outcome<'a>(rule: &'a (String, Rule), execution: &Execution, outcome: Outcome, line: Line) -> Told<'a> {
    let parts = ["outcome", &execution.id.to_string(), &outcome.run.to_string(), word(outcome.failed)];
    Told { about: About::Outcome(outcome), ..Told::once(rule, &parts, line) }
}

fn word(failed: bool) -> &'static str {
    if failed { "FAILED" } else { "SUCCEEDED" }
}

/// Whether an execution has come to this state, as far as can be seen later.
fn stands(execution: &Execution, state: &str) -> bool {
    let came_back = execution.attempts.iter().any(|attempts| *attempts > 1);
    match state {
        "STARTED" => true,
        "RESUMED" => came_back,
        "SUCCEEDED" => execution.status == ExecutionStatus::Succeeded,
        "FAILED" => execution.status == ExecutionStatus::Failed || came_back,
        "SUPERSEDED" => execution.status == ExecutionStatus::Superseded,
        "CANCELED" => execution.status == ExecutionStatus::Cancelled,
        "STOPPING" => execution.stop.is_some(),
        "STOPPED" => execution.status == ExecutionStatus::Stopped || (came_back && execution.stop.is_some()),
        _ => false,
    }
}

async fn of_stage<'a>(
    notifier: &Notifier,
    facts: &'a Facts,
    change: &Change,
    (name, attempt): (&str, u16),
) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    let concerned = |rule: &Rule| rule.is_about(name) && (rule.tells(When::Every) || rule.stage.is_some());
    if !facts.rules.iter().any(|(_, rule)| concerned(rule)) {
        return Ok(Vec::new());
    }
    let pipeline = notifier.pipeline_of(execution).await?;
    let Some(stage) = pipeline.stages().iter().position(|stage| stage.name.as_str() == name) else {
        return Ok(Vec::new());
    };
    let Some(run) = notifier.attempt(execution.id, stage, attempt).await? else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    if let Some(outcome) = outcome_of_stage(execution, &run).filter(|outcome| change.state == word(outcome.failed)) {
        let line = line::of_outcome(notifier, facts, outcome.failed, Some(&run));
        let rules = rules_of(facts, |rule| rule.stage.is_some() && rule.is_about(name) && is_about_outcomes(rule));
        told.extend(rules.map(|rule| of_outcome(rule, execution, outcome, line.clone())));
    }
    if stage_stands(&run, &change.state) {
        if matches!(change.state.as_str(), "STARTED" | "RESUMED") {
            slow::begin(notifier, facts, Some(&run)).await?;
        }
        let line = line::of_state(notifier, facts, &change.state, Some(&run));
        let parts = ["every", &execution.id.to_string(), name, &attempt.to_string(), &change.state];
        let rules = rules_of(facts, |rule| rule.is_about(name) && rule.tells(When::Every));
        told.extend(rules.map(|rule| Told::once(rule, &parts, line.clone())));
    }
    Ok(told)
}

/// Whether an attempt at a stage has come to this state.
fn stage_stands(run: &StageRun, state: &str) -> bool {
    match state {
        "STARTED" | "RESUMED" => (run.attempt > 1) == (state == "RESUMED"),
        "SUCCEEDED" => run.status == StageStatus::Succeeded,
        "FAILED" => run.status == StageStatus::Failed,
        "CANCELED" => run.status == StageStatus::Cancelled,
        "STOPPING" => matches!(run.status, StageStatus::Stopping | StageStatus::Stopped),
        "STOPPED" => run.status == StageStatus::Stopped,
        _ => false,
    }
}

/// An approval that waits for a person, if it still does.
async fn of_approval<'a>(notifier: &Notifier, facts: &'a Facts, id: ActionId, body: &str) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    let waits = |rule: &Rule| rule.tells(When::Waits) || rule.tells(When::Every);
    if id.execution != execution.id || !facts.rules.iter().any(|(_, rule)| waits(rule)) {
        return Ok(Vec::new());
    }
    let Some(run) = notifier.attempt(execution.id, id.stage.into(), id.attempt).await? else { return Ok(Vec::new()) };
    let pipeline = notifier.pipeline_of(execution).await?;
    let declared = pipeline.action(id.stage.into(), id.action).filter(|action| is_approval(action));
    let (Some(action), Some(approval)) = (declared, run.find(id)) else { return Ok(Vec::new()) };
    if !approval.status.in_flight() {
        return Ok(Vec::new());
    }
    // Whether it needs anybody is known when a worker has taken it up.
    let itself = action.configuration.get("ApproveUnchanged").is_some_and(|value| value == "true");
    if itself && approval.status != ActionStatus::Running {
        notifier.reminders.again(body, DECIDED).await?;
        return Ok(Vec::new());
    }
    let line = line::of_wait(notifier, facts, &run, action);
    let stage = run.name.as_str().to_owned();
    let rules = rules_of(facts, move |rule| waits(rule) && rule.is_about(&stage));
    let parts = ["waits", &id.first_turn().to_string()];
    Ok(rules.map(|rule| Told::once(rule, &parts, line.clone())).collect())
}

/// Rules about stages that the execution's version of the pipeline does not have. They are kept, since the next version may have the
/// stage; but whoever is to hear of it hears that nothing will come, once for each version.
async fn missing_stages<'a>(notifier: &Notifier, facts: &'a Facts) -> Result<Vec<Told<'a>>> {
    let Facts { execution, .. } = facts;
    if !facts.rules.iter().any(|(_, rule)| rule.stage.is_some()) {
        return Ok(Vec::new());
    }
    let pipeline = notifier.pipeline_of(execution).await?;
    let missing = facts.rules.iter().filter_map(|rule| {
        let stage = rule.1.stage.as_ref()?;
        let there = pipeline.stages().iter().any(|it| it.name == *stage);
        (!there).then(|| {
            let line = line::of_missing(notifier, facts, &rule.0, stage.as_str());
            Told::once(rule, &["missing", stage.as_str(), &execution.version.to_string()], line)
        })
    });
    Ok(missing.collect())
}
