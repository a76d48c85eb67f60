//! The audit log: who called what, what changed, and the proof that nobody has altered it since.
//!
//! The log is a chain of lines in objects of S3. Each line holds its number, the SHA-256 of the line before, and its own, over
//! all of the line in front of it: no line can be changed, removed or moved without the next one showing it. The objects are
//! numbered, each is put only if there is none of its number yet, and so no two writers can continue the chain from the same
//! line. The table keeps the [`Tip`], the last line of all, which shows when the end of the log is missing.
//!
//! - [`Record`]: a call or a change.
//! - [`extend`]: the lines of an object that continues the chain.
//! - [`append()`]: puts that object, whatever other writers do at the same time, and whatever an earlier one died of.
//! - [`Checker`]: what is wrong with a chain, and where.
//! - [`Filter`]: what somebody looks for.
//! - `Bucket` (feature `s3`): the objects.
//!
//! What a chain alone cannot show: that somebody who may put objects has added lines to its end. Only the auditor may
//! (`infra/home.yaml`). And whoever replaces *all* objects from some line on *and* the tip in the table leaves a chain that is
//! right in itself: a checkpoint that was noted elsewhere shows it, and so do the versions that S3's object lock keeps.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod append;
mod check;
mod line;
mod record;
mod search;
mod show;

#[cfg(feature = "s3")]
mod bucket;

pub use append::{AppendError, Objects, PortError, Tips, append};
pub use check::{Checker, Fault, Place};
pub use line::{Line, Tip, Unreadable, extend, hash, lines};
pub use record::{Record, What, exact};
pub use search::Filter;

#[cfg(feature = "s3")]
pub use bucket::{Bucket, Listed, key};
