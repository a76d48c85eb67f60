//! When something has broken, and when it is fixed: by the order in which executions started.

use store::RuleOutcome;

/// How an execution, or its attempt at a stage, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// The execution's number: its place in the order of starts.
    pub number: u64,
    /// Which end of the execution it is: grows each time somebody has a stage tried again.
    pub run: u32,
    /// Whether it failed; otherwise it succeeded.
    pub failed: bool,
}

/// What an outcome means to whoever knows the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It fails, and did not.
    Broken,
    /// It succeeds, and did not.
    Fixed,
    /// It is as it was.
    Same,
}

/// What an outcome means to a rule that knows `last`; none for what is known already, and for what is older than that: an
/// execution that ends after a later one says nothing about how things stand.
pub fn news(last: Option<&RuleOutcome>, seen: Outcome) -> Option<News> {
    if last.is_some_and(|last| (seen.number, seen.run) <= (last.number, last.run)) {
        return None;
    }
    Some(match (last.is_some_and(|last| last.failed), seen.failed) {
        (false, true) => News::Broken,
        (true, false) => News::Fixed,
        _ => News::Same,
    })
}
