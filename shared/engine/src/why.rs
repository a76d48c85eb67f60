//! Why something waits, and why something failed, in words for people.

use jiff::Timestamp as Time;
use pipeline::{ConditionKind, Pipeline};

use crate::kind;
use crate::state::{ActionRun, ActionStatus, Execution, ExecutionStatus, OutboxTask, Position, StageLocks, StageRun};
use crate::time::Timestamp;

/// What an execution waits for, a sentence for each thing; how it ended, when it has ended.
///
/// `stage` is the attempt in which it is, if it is in one.
pub fn why(execution: &Execution, pipeline: &Pipeline, locks: &StageLocks, stage: Option<&StageRun>) -> Vec<String> {
    match execution.position {
        Position::Out => vec![ended(execution)],
        Position::Waiting(index) => vec![in_front(execution, pipeline, locks, index)],
        Position::In(_) => {
            let Some(stage) = stage else {
                return vec!["It is about to enter a stage.".to_owned()];
            };
            let ending = match execution.status {
                ExecutionStatus::Stopping => Some("It was stopped and waits for what still runs:".to_owned()),
                ExecutionStatus::Cancelling => {
                    Some("Its pipeline was updated: it is cancelled when what still runs has ended:".to_owned())
                }
                _ => None,
            };
            let running = stage.runs().filter(|(_, run)| run.status.in_flight());
            ending.into_iter().chain(running.map(|(place, run)| of_run(pipeline, stage, place, run))).collect()
        }
    }
}

fn ended(execution: &Execution) -> String {
    let how = match execution.status {
        ExecutionStatus::Succeeded => "succeeded",
        ExecutionStatus::Failed => "failed",
        ExecutionStatus::Superseded => "was superseded",
        ExecutionStatus::Cancelled => "was cancelled",
        ExecutionStatus::Stopped => "was stopped",
        ExecutionStatus::InProgress | ExecutionStatus::Cancelling | ExecutionStatus::Stopping => "is going on",
    };
    let summary = execution.summary.as_ref().map(|summary| format!(" {summary}")).unwrap_or_default();
    format!("It waits for nothing: it {how} at {}.{summary}", at(execution.updated))
}

fn in_front(execution: &Execution, pipeline: &Pipeline, locks: &StageLocks, index: usize) -> String {
    let Some(declared) = pipeline.stages().get(index) else {
        return "It waits for a stage that its version does not have.".to_owned();
    };
    let name = &declared.name;
    let id = execution.id;
    if let Some(task) = locks.outbox.iter().find(|task| task.execution() == id) {
        return match task {
            OutboxTask::Supersede { by, .. } => format!("It was overtaken by execution {by} in front of stage {name}."),
            OutboxTask::Cancel { cause, .. } => format!("It is about to be cancelled. {cause}"),
            OutboxTask::Enter { .. } | OutboxTask::RollBack { .. } => {
                format!("It was let into stage {name} and is entering.")
            }
        };
    }
    let Some(lock) = locks.stages.get(name) else {
        return format!("It waits in front of stage {name}.");
    };
    let ahead = lock.waiting.iter().take_while(|waiting| waiting.execution != id).count();
    let behind = match ahead {
        0 => String::new(),
        1 => ", behind 1 other that waits".to_owned(),
        more => format!(", behind {more} others that wait"),
    };
    if lock.transition.disabled {
        let by = lock.transition.changed_by.as_deref().filter(|by| !by.is_empty()).unwrap_or("somebody");
        let when = lock.transition.changed_at.map(|when| format!(" at {}", at(when))).unwrap_or_default();
        let reason = lock.transition.reason.as_deref().unwrap_or_default();
        return format!(
            "It waits in front of stage {name}{behind}: its transition was closed by {by}{when}, with the reason {reason:?}."
        );
    }
    match lock.holder {
        Some(holder) => format!("It waits in front of stage {name}{behind}: execution {holder} is in it."),
        None => format!("It waits in front of stage {name}{behind}."),
    }
}

/// Which of several failures are named in the summary of an execution; of the others it says how many there are.
const NAMED: usize = 3;
/// How much of a failure's message the summary of an execution shows, in characters.
const LONGEST_CAUSE: usize = 500;

/// Why a stage failed: what failed in it, each with its cause.
pub fn failure(stage: &StageRun) -> String {
    let failed: Vec<(u8, &ActionRun)> = stage.runs().filter(|(_, run)| run.status == ActionStatus::Failed).collect();
    let mut sentences: Vec<String> =
        failed.iter().take(NAMED).map(|(place, run)| failed_run(stage, *place, run)).collect();
    let more = failed.len().saturating_sub(NAMED);
    if more > 0 {
        sentences.push(format!("{more} more failed."));
    }
    if sentences.is_empty() {
        sentences.push(format!("Stage {} failed.", stage.name));
    }
    sentences.join(" ")
}

fn failed_run(stage: &StageRun, place: u8, run: &ActionRun) -> String {
    let what = what(stage, place, run);
    let message = run.error.as_ref().map(|error| error.message.trim_end_matches('.')).unwrap_or_default();
    if message.is_empty() {
        return format!("{what} failed.");
    }
    let mut shown: String = message.chars().take(LONGEST_CAUSE).collect();
    if shown.len() < message.len() {
        shown.push('…');
    }
    format!("{what} failed: {shown}.")
}

/// How sentences call an action or a rule.
fn what(stage: &StageRun, place: u8, run: &ActionRun) -> String {
    match ConditionKind::at(place) {
        Some((ConditionKind::BeforeEntry, _)) => format!("Before stage {} is entered, rule {}", stage.name, run.name),
        Some((ConditionKind::OnSuccess, _)) => format!("Before stage {} is left, rule {}", stage.name, run.name),
        Some((ConditionKind::OnFailure, _)) => format!("After the failure of stage {}, rule {}", stage.name, run.name),
        None => format!("Action {} in stage {}", run.name, stage.name),
    }
}

fn of_run(pipeline: &Pipeline, stage: &StageRun, place: u8, run: &ActionRun) -> String {
    let declared = pipeline.action(stage.stage, place);
    let what = what(stage, place, run);
    let until =
        run.deadline.map(|deadline| format!("; it fails at {} at the latest", at(deadline))).unwrap_or_default();
    let news = run.summary.as_ref().map(|summary| format!(" ({summary})")).unwrap_or_default();
    match &run.status {
        ActionStatus::Requested if run.continuation.is_some() => {
            let begins = run.check.map(|check| format!(", which begins by {}", at(check))).unwrap_or_default();
            format!("{what} has asked to be continued and waits for its next job{begins}{until}{news}.")
        }
        ActionStatus::Requested => {
            let again = run.check.map(|check| format!(", who is called again at {}", at(check))).unwrap_or_default();
            format!("{what} waits for a worker{again}{until}.")
        }
        ActionStatus::Claimed { until: claim, .. } => {
            format!("{what} is being started by a worker that owns it until {}{until}{news}.", at(*claim))
        }
        ActionStatus::Running if declared.is_some_and(kind::is_approval) => {
            format!("{what} waits for somebody to approve or reject it{until}.")
        }
        ActionStatus::Running => match (&run.job, run.check) {
            (Some(job), _) if job.acknowledged => format!("{what} is in the hands of a job worker{until}{news}."),
            (Some(_), _) => format!("{what} waits for a job worker to take its job{until}."),
            (None, Some(check)) if !declared.is_some_and(kind::is_job) => {
                let external = run.external.as_ref().map(|external| format!(" as {}", external.id)).unwrap_or_default();
                format!("{what} runs{external} and is asked again by {}{until}{news}.", at(check))
            }
            (None, _) => format!("{what} waits for the result of its job{until}{news}."),
        },
        ActionStatus::Pending
        | ActionStatus::Succeeded
        | ActionStatus::Failed
        | ActionStatus::Abandoned
        | ActionStatus::CarriedOver => {
            format!("{what} waits for nothing.")
        }
    }
}

/// A time as people and programs read it.
fn at(time: Timestamp) -> String {
    Time::from_millisecond(time.0 - time.0.rem_euclid(1_000)).unwrap_or_default().to_string()
}
