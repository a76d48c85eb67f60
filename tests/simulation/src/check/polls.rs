//! Rules of polls: each change starts its pipeline once, and the newest last.

use engine::Execution;
use store::{Key, SourcePoll};

use super::{Checker, broken};

/// How the API names what polls start.
const TRIGGER: &str = "PollForSourceChanges";

impl Checker {
    /// An execution is new: if a poll started it, then for a revision that is newer than all that polls of this source started before.
    pub(super) fn started_by_poll(&self, new: &Execution) -> Result<(), String> {
        if new.trigger.kind != TRIGGER {
            return Ok(());
        }
        let [given] = new.overrides.as_slice() else {
            return broken(format!("a poll starts {} with the revisions {:?}", new.id, new.overrides));
        };
        let of_same =
            |it: &&Execution| it.incarnation == new.incarnation && it.id != new.id && it.trigger.kind == TRIGGER;
        let mut earlier = self.executions.values().filter(of_same).flat_map(|it| &it.overrides);
        match earlier.find(|it| it.action == given.action && number(&it.value) >= number(&given.value)) {
            Some(it) => broken(format!("{} is started for revision {} after {}", new.id, given.value, it.value)),
            None => Ok(()),
        }
    }

    /// What was seen of a source is noted, with the start that must follow unless the pipeline began with it; a start that was noted
    /// is not forgotten before it was made, or gave way to a newer one.
    pub(super) fn poll_changed(&mut self, key: Key, after: &SourcePoll) -> Result<(), String> {
        let before = self.polls.insert(key, after.clone()).filter(|before| before.polled == after.polled);
        let (Some(before), Some(seen)) = (before, &after.seen) else { return Ok(()) };
        let known = match (&before.seen, before.first) {
            (Some(known), _) => known.revision == seen.revision,
            (None, Some(first)) => self.executions.get(&first).is_some_and(|it| {
                it.revisions.iter().any(|it| it.action == after.action && it.revision.id == seen.revision)
            }),
            (None, None) => true,
        };
        let is_due = !known || before.pending.is_some();
        if is_due && after.pending.is_none() && !self.was_started(after, &seen.revision) {
            return broken(format!(
                "revision {} of {} in {} will not start",
                seen.revision, after.action, after.pipeline
            ));
        }
        Ok(())
    }

    fn was_started(&self, poll: &SourcePoll, revision: &str) -> bool {
        let mut executions = self.executions.values().filter(|it| it.incarnation == poll.incarnation);
        executions.any(|it| {
            it.trigger.kind == TRIGGER && it.overrides.iter().any(|it| it.action == poll.action && it.value == revision)
        })
    }

    /// The last poll saw what each source is now. Where a pipeline's first execution waits to read its source, nothing is to be compared.
    pub fn polls_caught_up(&self, newest: impl Fn(&str) -> String) -> Result<(), String> {
        for poll in self.polls.values() {
            let first = poll.first.and_then(|first| self.executions.get(&first));
            let waits = poll.seen.is_none() && first.is_some_and(|it| it.status.is_open());
            let seen = poll.seen.as_ref().map(|seen| seen.revision.clone());
            if let Some(pending) = &poll.pending {
                return broken(format!("{} was not started for {seen:?}: {pending:?}", poll.pipeline));
            }
            if !waits && seen.as_ref() != Some(&newest(&poll.polled)) {
                return broken(format!(
                    "the change of {} to {} was not seen: {poll:?}",
                    poll.polled,
                    newest(&poll.polled)
                ));
            }
        }
        Ok(())
    }
}

/// Sources here count their changes.
fn number(revision: &str) -> u64 {
    revision.parse().unwrap_or_default()
}
