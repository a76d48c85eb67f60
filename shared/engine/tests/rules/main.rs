//! The rules of execution, each by a test of its name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod actions;
mod answers;
mod conditions;
mod environment;
mod job_workers;
mod last_runs;
mod lifecycle;
mod lost;
mod modes;
mod proposal;
mod random;
mod retry;
mod revisions;
mod rollback;
mod starts;
mod stop;
mod together;
mod update;
mod why;
