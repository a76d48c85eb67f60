//! How long a writer waits that has lost a race for an item.

use std::time::Duration;

use engine::{ActionStatus, StageRun};
use store::StoreError;

use crate::commit::Driver;

/// How often a step is decided again because others were first. Each time all but one of the competitors lose, so
/// this is far above the 50 actions that can run side by side in a stage.
const ATTEMPTS: u32 = 200;

impl Driver {
    /// After a lost race: waits a little, so that many writers of one item get through one after another. Gives any
    /// other error back.
    pub(crate) async fn back_off(
        &self,
        attempt: &mut u32,
        contention: Contention,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if !matches!(error, StoreError::Conflict(_)) || *attempt >= ATTEMPTS {
            return Err(error);
        }
        *attempt += 1;
        let chance = self.clock.random().as_u128() as u64;
        self.clock.sleep(Duration::from_millis(chance % contention.window(*attempt))).await;
        Ok(())
    }
}

/// Who else may want to write the same item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    /// Those that are about to.
    soon: u64,
    /// Those that may come to.
    ever: u64,
    /// Milliseconds from the read to the write, just now.
    took: u64,
}

/// Where contention cannot be known.
pub(crate) const UNCONTENDED: Contention = Contention { soon: 1, ever: 1, took: TURN };
/// What reading and writing takes where nobody else does it, in milliseconds.
const TURN: u64 = 8;
/// A turn is not longer than this, however busy the table is.
const LONGEST_TURN: u64 = 40;

/// The writers of a stage: actions that are to be claimed or started write soon, the others that run when they are over.
pub(crate) fn contention(stage: Option<&StageRun>, took: i64) -> Contention {
    let actions = || stage.iter().flat_map(|stage| &stage.actions);
    let soon = actions().filter(|run| matches!(run.status, ActionStatus::Requested | ActionStatus::Claimed { .. }));
    Contention {
        soon: soon.count() as u64,
        ever: actions().filter(|run| run.status.in_flight()).count() as u64,
        took: u64::try_from(took).unwrap_or(0),
    }
}

impl Contention {
    /// Milliseconds over which the next try is spread. With a turn for each rival, about one of them comes at a time;
    /// with less, they fail together, and the more of them there are, the fewer get through. How many there are shows
    /// in how long the last try took, and in how often one has failed.
    fn window(self, attempt: u32) -> u64 {
        let seen = (self.took / TURN).max(1 << attempt.min(4)).min(self.ever.max(16));
        self.took.clamp(TURN, LONGEST_TURN) * seen.max(self.soon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_spread_over_as_many_turns_as_there_are_rivals() {
        let window = |soon, ever, attempt| Contention { soon, ever, took: 10 }.window(attempt);
        assert_eq!(window(5, 5, 1), 50);
        assert_eq!(window(50, 50, 1), 500);
        assert_eq!(window(50, 50, 9), 500, "no longer than that");
        assert_eq!(window(0, 50, 1), 20, "fifty run, but nothing says that many write now");
        assert_eq!(window(0, 50, 9), 160);
        assert_eq!(UNCONTENDED.window(1), 16);
    }

    #[test]
    fn a_slow_try_tells_of_many_rivals() {
        let window = |took| Contention { soon: 0, ever: 50, took }.window(1);
        assert_eq!(window(0), 2 * TURN);
        assert_eq!(window(80), 10 * LONGEST_TURN);
        assert_eq!(window(9_000), 50 * LONGEST_TURN, "but there are no more than run");
    }
}
