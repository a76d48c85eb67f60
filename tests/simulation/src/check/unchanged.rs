//! Rules of approvals that approve by themselves: nothing would have changed.

use std::collections::BTreeMap;

use engine::{ActionStatus, Execution, ExecutionId, StageRun, StageStatus, Timestamp};
use pipeline::{ActionName, ExecutionMode, Stage};

use super::{Checker, broken};

/// What went live in a stage, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct WentLive {
    at: Timestamp,
    execution: ExecutionId,
}

impl Checker {
    /// A stage attempt was changed: what succeeded in it is live there from now on.
    pub(super) fn went_live(&mut self, before: Option<&StageRun>, after: &StageRun, now: Timestamp) {
        let succeeded = |stage: &StageRun| stage.status == StageStatus::Succeeded;
        if succeeded(after)
            && !before.is_some_and(succeeded)
            && let Some(execution) = self.executions.get(&after.execution)
        {
            let place = (execution.incarnation, after.name.clone());
            self.live.entry(place).or_default().push(WentLive { at: now, execution: after.execution });
        }
    }

    /// An approval that nobody gave: since it was asked for, what was live in the stages behind it was at some time what it lets go on.
    pub(super) fn approved_itself(
        &mut self,
        declared: &Stage,
        before: Option<&StageRun>,
        after: &StageRun,
    ) -> Result<(), String> {
        for (index, (action, run)) in declared.actions.iter().zip(&after.actions).enumerate() {
            let waited = before.is_some_and(|before| before.actions[index].status != ActionStatus::Succeeded);
            let nobody = run.status == ActionStatus::Succeeded && run.updated_by.is_none();
            if action.type_id.category != "Approval" || !waited || !nobody {
                continue;
            }
            self.approved_themselves += 1;
            if action.configuration.get("ApproveUnchanged").is_none_or(|value| value != "true") {
                return broken(format!("nobody approved {} of {}", run.name, after.execution));
            }
            self.nothing_changes(declared, index, after, run.requested.unwrap_or_default())?;
        }
        Ok(())
    }

    fn nothing_changes(
        &self,
        declared: &Stage,
        approval: usize,
        after: &StageRun,
        since: Timestamp,
    ) -> Result<(), String> {
        let Some(execution) = self.executions.get(&after.execution) else { return broken("an approval of nothing") };
        let pipeline = self.pipeline(execution)?;
        let order = declared.actions[approval].run_order;
        let releases = |stage: &Stage| stage.actions.iter().any(|action| action.type_id.category != "Approval");
        let here = declared.actions.iter().any(|it| it.run_order > order && it.type_id.category != "Approval");
        let own = pipeline.stages().iter().skip(after.stage).take(usize::from(here));
        let later = pipeline.stages().iter().skip(after.stage + 1).filter(|stage| releases(stage));
        for stage in own.chain(later.filter(|_| execution.rollback.is_none())) {
            let all =
                self.live.get(&(execution.incarnation, stage.name.clone())).map(Vec::as_slice).unwrap_or_default();
            // What was live as it was asked for, and what has become so.
            let first = all.iter().rposition(|it| it.at < since).unwrap_or(0);
            // Executions of mode PARALLEL share no stages: the newest is live, whichever ended last.
            let first = if execution.mode == ExecutionMode::Parallel { 0 } else { first };
            if !all[first..].iter().any(|it| self.releases_the_same(it.execution, execution)) {
                return broken(format!(
                    "{} approves itself, and other than what is live in {} would go on",
                    after.execution, stage.name
                ));
            }
        }
        Ok(())
    }

    fn releases_the_same(&self, live: ExecutionId, execution: &Execution) -> bool {
        let Some(live) = self.executions.get(&live) else { return false };
        let found = |it: &Execution| -> BTreeMap<ActionName, String> {
            it.revisions.iter().map(|it| (it.action.clone(), it.revision.id.clone())).collect()
        };
        (live.version, &live.variables) == (execution.version, &execution.variables) && found(live) == found(execution)
    }
}
