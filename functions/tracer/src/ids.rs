//! Ids of traces and spans, derived from what they stand for: whoever makes a trace again makes the same one.
//!
//! They are hashes, since collectors that keep a share of all traces decide by the last bytes of the id, and those of an
//! execution's own id are zeros.

use engine::{ActionId, ExecutionId};
use sha2::{Digest, Sha256};

/// The trace of an execution: 16 bytes.
pub fn trace(execution: ExecutionId) -> Vec<u8> {
    hash(&["trace", &execution.to_string()])[..16].to_vec()
}

/// The span of a run of an execution: 0 until it ends for the first time, and one more each time it comes back.
pub fn run(execution: ExecutionId, run: usize) -> Vec<u8> {
    span(&["run", &execution.to_string(), &run.to_string()])
}

/// The span of an attempt at a stage.
pub fn stage(execution: ExecutionId, stage: usize, attempt: u16) -> Vec<u8> {
    span(&["stage", &execution.to_string(), &stage.to_string(), &attempt.to_string()])
}

/// The span of the time in front of a stage, before the attempt of this number or, if there is none, before the end.
pub fn wait(execution: ExecutionId, stage: usize, attempt: u16) -> Vec<u8> {
    span(&["wait", &execution.to_string(), &stage.to_string(), &attempt.to_string()])
}

/// The span of an attempt at an action or a rule, however often its job was continued.
pub fn action(action: ActionId) -> Vec<u8> {
    span(&["action", &action.first_turn().to_string()])
}

fn span(of: &[&str]) -> Vec<u8> {
    hash(of)[..8].to_vec()
}

fn hash(of: &[&str]) -> [u8; 32] {
    Sha256::digest(of.join("/")).into()
}
