//! What must hold once everything has healed and come to rest.

use engine::{ActionStatus, Position};
use store::{Entity, Versioned};

use super::{Checker, broken};

impl Checker {
    /// Nothing moves any more: each execution has ended, or waits in a line that a closed transition holds up.
    pub fn at_rest(&self, all_open: bool) -> Result<(), String> {
        for (incarnation, locks) in &self.locks {
            if !locks.outbox.is_empty() {
                return broken(format!("outbox are left: {:?}", locks.outbox));
            }
            self.agrees(*incarnation)?;
        }
        for execution in self.executions.values().filter(|it| it.status.is_open()) {
            let id = execution.id;
            if self.outdated(execution) {
                return broken(format!("{id} goes on after its pipeline was updated"));
            }
            let Position::Waiting(index) = execution.position else {
                return broken(format!("{id} is stuck at {:?}", execution.position));
            };
            let name = self.pipeline(execution)?.stages()[index].name.clone();
            let lock = self.locks.get(&execution.incarnation).and_then(|locks| locks.stages.get(&name));
            if all_open || lock.is_none_or(|lock| !lock.transition.disabled) {
                return broken(format!("{id} is stuck in front of {name}: {lock:?}"));
            }
        }
        Ok(())
    }

    /// Requested work does not lie about: whatever was last touched before this time has been taken up.
    pub fn taken_up(&self, before: i64) -> Result<(), String> {
        for stage in self.stages.values().filter(|stage| stage.status.is_open()) {
            for (_, run) in stage.runs() {
                let open = matches!(run.status, ActionStatus::Requested | ActionStatus::Claimed { .. });
                if open && run.updated.is_some_and(|updated| updated.0 < before) {
                    return broken(format!("nobody takes up {} in {} of {}", run.name, stage.name, stage.execution));
                }
            }
        }
        Ok(())
    }

    /// The store holds what was committed, at revisions that grew by one with each commit.
    pub fn same(&self, dump: Vec<Versioned>) -> Result<(), String> {
        let (mut executions, mut stages) = (0, 0);
        for Versioned { entity, .. } in dump {
            let same = match &entity {
                Entity::Execution(it) => {
                    executions += 1;
                    self.executions.get(&it.id) == Some(it)
                }
                Entity::Stage(it) => {
                    stages += 1;
                    self.stages.get(&(it.execution, it.stage, it.attempt)) == Some(it)
                }
                Entity::StageLocks(it) => self.locks.get(&it.incarnation) == Some(it),
                Entity::Head(it) => self.heads.get(&it.pipeline) == Some(it),
                Entity::Declaration(_)
                | Entity::Token(_)
                | Entity::Outputs(_)
                | Entity::Source(_)
                | Entity::SourcePoll(_) => true,
                Entity::Part(_) | Entity::Webhook(_) | Entity::Revision(_) | Entity::ActionType(_) => true,
                Entity::ExternalId(it) => self.knows_external_id(&it.id),
                Entity::Job(_) => self.has_entry(&entity.key()),
                // The auditor's alone, and those of the door for webhooks.
                Entity::AuditTip(_) | Entity::WebhookCalls(_) | Entity::Delivery(_) => false,
                // The notifier's.
                Entity::RuleOutcome(_) | Entity::Notice(_) => false,
            };
            if !same {
                return broken(format!("the store holds {entity:?}, which nobody committed"));
            }
        }
        if executions != self.executions.len() || stages != self.stages.len() {
            return broken("the store lost what was committed");
        }
        Ok(())
    }
}
