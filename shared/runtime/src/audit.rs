//! The audit log: one line for each thing that somebody asked to be changed.

use store::ChangeOrigin;

/// The target of its lines, which no filter of `RUST_LOG` hides.
pub(crate) const TARGET: &str = "audit";

/// Writes a line: who asked, from where, in which request ([`ChangeOrigin`] of the work that is being done), for what, and
/// what came of it: `ok`, or the exception's name.
pub fn audit(operation: &str, pipeline: Option<&str>, result: &str) {
    let origin = ChangeOrigin::current();
    let caller = origin.as_ref().map(|origin| origin.caller.as_str());
    let source = origin.as_ref().and_then(|origin| origin.source.as_deref());
    let request = origin.as_ref().map(|origin| origin.request.as_str());
    tracing::info!(target: TARGET, operation, pipeline, caller, source, request, result);
}
