//! The answer to a manual approval.

use crate::command::Refusal;
use crate::id::{ActionId, ApprovalToken};
use crate::job;
use crate::kind;
use crate::progress;
use crate::stage;
use crate::state::{ActionError, ActionStatus, Approver, StageRun};
use crate::step::Step;

/// Which attempt at an approval action an answer means, among attempts at its stage: the one whose token it names. An
/// answer with another token is for the first, the attempt that is shown, and will be refused; none where that has no
/// such action.
pub fn asked<'a>(
    attempts: impl IntoIterator<Item = &'a StageRun>,
    action: &str,
    token: ApprovalToken,
) -> Option<ActionId> {
    let of_action = |run: &'a StageRun| {
        let index = run.actions.iter().position(|it| it.name.as_str() == action)?;
        Some((run.action_id(index), run.actions[index].token))
    };
    let asked: Vec<_> = attempts.into_iter().filter_map(of_action).collect();
    let named = asked.iter().find(|(_, known)| job::same(known.map(|it| it.0), token.0));
    named.or(asked.first()).map(|(id, _)| *id)
}

/// A person answers. The token is the one that `GetPipelineState` and the approval message show; it is good for one
/// answer. Source: CodePipeline API, `PutApprovalResult`.
///
/// Where the installation demands a separate approver, nobody approves an execution that they started themselves, and a
/// link, which proves nothing about its reader, can only reject. An execution that an event started has no starter.
pub(crate) fn answer(
    step: &mut Step<'_, '_>,
    action: ActionId,
    token: ApprovalToken,
    approved: bool,
    summary: &str,
    by: Approver,
) -> Result<(), Refusal> {
    let run = step.run(action)?;
    let name = run.name.to_string();
    let stage = step.stage().map(|stage| stage.name.to_string()).unwrap_or_default();
    if !step.declared(action).is_some_and(kind::is_approval) || !job::same(run.token.map(|it| it.0), token.0) {
        return Err(Refusal::WrongToken { action: name, stage });
    }
    match run.status {
        ActionStatus::Pending | ActionStatus::CarriedOver => {
            return Err(Refusal::WrongToken { action: name, stage });
        }
        ActionStatus::Succeeded | ActionStatus::Failed | ActionStatus::Abandoned => {
            return Err(Refusal::AlreadyAnswered { action: name, stage });
        }
        // A message may arrive, and be answered, before its sender has written down that it was sent.
        ActionStatus::Requested | ActionStatus::Claimed { .. } | ActionStatus::Running => {}
    }
    if approved && step.context.policy.separate_approver {
        let starter = step.execution().trigger.detail.clone();
        match &by {
            Approver::Caller(caller) if caller.is_empty() => return Err(Refusal::Unproven { action: name, stage }),
            Approver::Caller(caller) if *caller == starter => {
                return Err(Refusal::OwnExecution { action: name, stage, starter });
            }
            Approver::Caller(_) => {}
            Approver::Link { .. } => return Err(Refusal::Unproven { action: name, stage }),
        }
    }
    let run = step.run_mut(action)?;
    run.summary = Some(summary.to_owned());
    run.updated_by = Some(by);
    if approved {
        run.status = ActionStatus::Succeeded;
        run.check = None;
    } else {
        let message = if summary.is_empty() { "Rejected.".to_owned() } else { format!("Rejected: {summary}") };
        progress::fail(run, ActionError { code: "JobFailed".into(), message });
    }
    stage::advance(step, None)
}
