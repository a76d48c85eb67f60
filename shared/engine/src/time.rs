//! Time as the engine sees it: a number that comes in as an argument.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Adds milliseconds; negative ones lead back.
    #[must_use]
    pub fn plus(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Adds minutes.
    #[must_use]
    pub fn plus_minutes(self, minutes: u32) -> Self {
        self.plus(i64::from(minutes) * 60_000)
    }

    /// Milliseconds since `earlier`, negative when it is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What waits in front of a transition that was closed for more days than these does not go on when it is opened. Source:
/// CodePipeline user guide, 'Manage transitions between stages'.
pub(crate) const TRANSITION_DAYS: i64 = 30;

/// What an installation sets: the engine's own periods, in milliseconds, which decide how soon lost work is found and never
/// what happens to it; and who may approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a worker owns an action before it must have renewed or finished it.
    pub lease: i64,
    /// How long requested work may stay without an owner before it is dispatched again.
    pub grace: i64,
    /// The delay before the first poll of a running action; it doubles up to `poll_most`.
    pub poll_first: i64,
    /// The longest delay between two polls.
    pub poll_most: i64,
    /// Whether an approval must come from somebody else than who started the execution.
    pub separate_approver: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { lease: 60_000, grace: 20_000, poll_first: 5_000, poll_most: 60_000, separate_approver: false }
    }
}

impl Policy {
    /// The delay before poll number `count` (from 0).
    pub fn poll_delay(&self, count: u32) -> i64 {
        self.poll_first.saturating_mul(1 << count.min(20)).min(self.poll_most)
    }
}
