//! The state machine: every rule of execution, and nothing else.
//!
//! [`decide`] takes what is known of an execution, a [`Command`] and the time, and returns a [`Decision`]: the items
//! that change, to be committed together, and the [`Effect`]s to dispatch afterwards. [`start`] and [`set_transition`]
//! do the same for a pipeline as a whole. No function here does I/O, reads a clock or makes a random id; the crate may
//! only touch `pipeline`.
//!
//! Each family of commands has a file: `start`, `group` (what starts together), `progress` (claim, report, finish),
//! `stage` (what follows in a stage when nothing in it runs any more), `condition`, `stage_locks` (who holds, who
//! waits, who overtakes), `lifecycle` (from one stage to the next), `approval`, `job` (with its `queue`), `stop`,
//! `retry`, `rollback`, `sweep` (time-outs and lost work), `transition`; `item_size` keeps items small; `why` says what
//! an execution is waiting for, `proposal` (with `change_set`) what an approval decides, and [`usual`] how long executions take.
//!
//! It is safe to decide again: a decision depends only on the items it was given, and each effect can be derived again
//! from the items it changed (an action that is `Requested`, a task on the locks). So a process may die before the
//! commit (nothing happened) or after it (the sweeper finds the intent).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod approval;
mod change_set;
mod command;
mod condition;
mod group;
mod id;
mod item_size;
mod job;
mod kind;
mod lifecycle;
mod overrides;
mod progress;
mod proposal;
mod queue;
mod retry;
mod rollback;
mod stage;
mod stage_locks;
mod start;
mod state;
mod step;
mod stop;
mod sweep;
mod time;
mod transition;
pub mod usual;
mod why;

pub use approval::asked;
pub use command::{Command, Context, Decision, Effect, End, Progress, Refusal, State, Success};
pub use id::{ActionId, ApprovalToken, ExecutionId, Incarnation, JobNonce, UnknownId, WorkerId};
pub use job::{check_client, offered_with};
pub use kind::{is_approval, is_function_job, is_job};
pub use overrides::{InvalidOverride, PUT_REVISION, Reported, check_overrides, report_revision};
pub use proposal::{
    ChangeSet, FoundRevision, LiveRevision, NewerExecution, Proposal, ProposalFacts, SourceChange, approves_itself,
    between, change_sets_made, live_in_parallel, proposal, stages_behind,
};
pub use queue::{Job, JobChange, Queue};
pub use rollback::{Rollback, give_up_rollback, rollback};
pub use start::{InvalidVariables, Start, start, start_variables};
pub use state::*;
pub use time::{Policy, Timestamp};
pub use transition::{TransitionChange, delete, set_transition, update};
pub use why::{failure, why};

/// Decides what a command changes.
///
/// # Errors
/// [`Refusal`] when it changes nothing, with the reason.
pub fn decide(state: State, command: Command, context: &mut Context<'_>) -> Result<Decision, Refusal> {
    let mut step = step::Step::new(state, context);
    match command {
        Command::Claim { action, worker } => progress::claim(&mut step, action, worker)?,
        Command::Renew { action, worker } => progress::renew(&mut step, action, worker)?,
        Command::Started { action, worker, report, poll, event_source } => {
            progress::started(&mut step, action, worker, report, poll, event_source)?
        }
        Command::Report { action, report } => progress::report(&mut step, action, report)?,
        Command::Finish { action, end, next_worker } => progress::finish(&mut step, action, end, next_worker)?,
        Command::Result { action, end } => job::result(&mut step, action, end)?,
        Command::Offer { action, nonce } => job::offer(&mut step, action, nonce)?,
        Command::Acknowledge { action, nonce, timeout } => job::acknowledge(&mut step, action, nonce, timeout)?,
        Command::Continue { action, continuation, report } => job::proceed(&mut step, action, continuation, report)?,
        Command::Approve { action, token, approved, summary, by } => {
            approval::answer(&mut step, action, token, approved, &summary, by)?;
        }
        Command::Enter { stage } => lifecycle::enter(&mut step, &stage)?,
        Command::Supersede { by } => lifecycle::supersede(&mut step, by)?,
        Command::Cancel => stop::cancel(&mut step)?,
        Command::Stop { abandon, reason } => stop::stop(&mut step, abandon, reason)?,
        Command::Retry { stage, mode, current } => retry::by_hand(&mut step, &stage, mode, &current)?,
        Command::Override { stage, kind, by } => condition::overrule(&mut step, &stage, kind, by)?,
        Command::Sweep => sweep::sweep(&mut step)?,
    }
    Ok(step.into_decision())
}
