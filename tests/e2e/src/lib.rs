//! End to end: official clients against the deployed stack, as a user would have it, on either emulator.
//!
//! `tests/ministack.rs` and `tests/localstack.rs` run the same cases. Each brings up one emulator of its own, deploys
//! the stack, runs the cases (several at once; those that kill processes alone, at the end) and takes the emulator
//! down:
//!
//! ```text
//! cargo test -p e2e                                       # both
//! cargo test -p e2e --test ministack                      # one
//! cargo test -p e2e --test ministack -- approval          # cases with this word in their name
//! ```
//!
//! Each case makes its own buckets, topics and pipelines, named after the case, so that cases do not see each other:
//!
//! ```no_run
//! # async fn case(case: &std::sync::Arc<e2e::Case>) -> anyhow::Result<()> {
//! use e2e::Action;
//!
//! let release = case.draft("release").source().await?;
//! let release = release.stage("Go", [Action::approval("Ask")]).create().await?;
//! let execution = release.first().await?;
//! release.until_action(&execution, "Ask", "InProgress").await?;
//! # Ok(())
//! # }
//! ```
//!
//! When a case fails, the states of its pipelines and the functions' logs are printed.

mod case;
mod cases;
mod check;
mod declare;
mod diagnosis;
mod fixture;
pub mod http;
mod iam;
mod mail;
mod permissions;
mod pipeline;
mod python;
mod runner;
mod wait;
mod zips;

pub use case::Case;
pub use declare::{Action, Draft};
pub use fixture::Programs;
pub use mail::{Mail, Mailbox};
pub use pipeline::Pipeline;
pub use runner::{Entry, Run, Suite, main, run, say};
pub use wait::{PATIENCE, until};
