//! Jobs that ask to be continued. Source: CodePipeline API, `PutJobSuccessResult`, `continuationToken`.

use pipeline::Action;

use crate::command::{Effect, Progress, Refusal};
use crate::group;
use crate::id::ActionId;
use crate::progress;
use crate::state::ActionStatus;
use crate::step::Step;

/// Whether an action (or a rule) is done by a job, whose result somebody outside may put: a Lambda function or a job worker. Every
/// other action's end comes from its own provider.
pub fn is_job(action: &Action) -> bool {
    let id = &action.type_id;
    let owner = id.owner.as_deref();
    let lambda =
        [("Invoke", "Lambda"), ("Rule", "LambdaInvoke")].contains(&(id.category.as_str(), id.provider.as_str()));
    matches!(owner, Some("Custom" | "ThirdParty")) || lambda
}

/// The job is done, its action is not: another job is given out, with what this one handed over.
pub(crate) fn proceed(
    step: &mut Step<'_, '_>,
    action: ActionId,
    continuation: String,
    report: Progress,
) -> Result<(), Refusal> {
    let run = step.run(action)?;
    if !run.status.in_flight() {
        return Err(step.wrong_state(action, run));
    }
    if run.turn != action.turn {
        return Err(Refusal::StaleJob(action));
    }
    let now = step.now();
    let check = now.plus(step.context.policy.grace);
    let deadline = |requested| step.declared(action).map(|declared| group::deadline(declared, requested, now));
    let deadline = run.requested.and_then(deadline);
    let run = step.run_mut(action)?;
    run.deadline = deadline;
    run.status = ActionStatus::Requested;
    run.check = Some(check);
    run.claims = 0;
    run.turn = action.next_turn().turn;
    run.continuation = Some(continuation);
    progress::apply(run, report);
    step.effects.push(Effect::Run(action.next_turn()));
    Ok(())
}
