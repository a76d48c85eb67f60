//! Every rule of execution by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod actions;
mod answers;
mod crossing;
mod job_workers;
mod lost;
mod random;
mod rig;
