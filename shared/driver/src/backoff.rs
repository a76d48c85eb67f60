//! How long a writer waits that has lost a race for an item.

use engine::{ActionStatus, StageRun};

/// How often a change is decided again because others were first. Each time all but one of the competitors lose, so
/// this is far above the 50 actions that can run side by side in a stage.
pub(crate) const ATTEMPTS: u32 = 200;

/// Who else may want to write the same item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    /// Those that are about to.
    soon: u64,
    /// Those that may come to.
    ever: u64,
}

/// Where contention cannot be known.
pub(crate) const UNKNOWN: Contention = Contention { soon: 1, ever: 1 };
/// What reading and writing takes where nobody else does it, in milliseconds.
const TURN: u64 = 8;
/// A turn is not longer than this, however busy the table is.
const LONGEST_TURN: u64 = 40;

/// The writers of a stage: actions that are to be claimed or started write soon, the others that run when they are over.
pub(crate) fn of_stage(stage: Option<&StageRun>) -> Contention {
    let actions = || stage.iter().flat_map(|stage| &stage.actions);
    let soon = actions().filter(|run| matches!(run.status, ActionStatus::Requested | ActionStatus::Claimed { .. }));
    Contention { soon: soon.count() as u64, ever: actions().filter(|run| run.status.in_flight()).count() as u64 }
}

impl Contention {
    /// Milliseconds over which the next try is spread, when this many have failed and the last one took that many
    /// milliseconds from its read to its write. With a turn for each rival, about one of them comes at a time; with less,
    /// they fail together, and the more of them there are, the fewer get through. How many there are shows in how long
    /// the last try took, and in how often one has failed.
    pub fn window(self, failed: u32, took: i64) -> u64 {
        let took = u64::try_from(took).unwrap_or(0);
        let seen = (took / TURN).max(1 << failed.min(4)).min(self.ever.max(16));
        took.clamp(TURN, LONGEST_TURN) * seen.max(self.soon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_spread_over_as_many_turns_as_there_are_rivals() {
        let window = |soon, ever, failed| Contention { soon, ever }.window(failed, 10);
        assert_eq!(window(5, 5, 1), 50);
        assert_eq!(window(50, 50, 1), 500);
        assert_eq!(window(50, 50, 9), 500, "no longer than that");
        assert_eq!(window(0, 50, 1), 20, "fifty run, but nothing says that many write now");
        assert_eq!(window(0, 50, 9), 160);
        assert_eq!(UNKNOWN.window(1, 8), 16);
    }

    #[test]
    fn a_slow_try_tells_of_many_rivals() {
        let window = |took| Contention { soon: 0, ever: 50 }.window(1, took);
        assert_eq!(window(0), 2 * TURN);
        assert_eq!(window(80), 10 * LONGEST_TURN);
        assert_eq!(window(9_000), 50 * LONGEST_TURN, "but there are no more than run");
    }
}
