//! A deterministic simulation of Millrace: the real driver and engine with the in-memory store, in a world where
//! everything that can go wrong does, with checks of the design's invariants after every commit.
//!
//! A seed decides everything: the pipelines, what clients do and when, how providers, people and job workers behave,
//! which of several possible things happens next, which invocation dies between which two I/O steps, which message is
//! lost, delivered twice, late or out of order, which commit takes effect although its writer never learns of it. Time
//! is virtual, so that an approval's seven days cost nothing. After a while the world heals; then every execution must
//! come to its end, or wait for something that has a name.
//!
//! ```
//! let ended = simulation::run(7, false);
//! assert_eq!(ended.violation, None);
//! ```
//!
//! `world` has time, chance and the points at which an invocation waits; `ports` has the store, the dispatcher and the
//! clock that go wrong; `outside` the providers, people and buckets; `job_workers` those who poll for jobs; `declare`
//! and `clients` make pipelines and what is done with them; `schedule` chooses what happens next; `check` knows what
//! must hold. The simulation touches nothing outside its own memory.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod check;
mod clients;
mod declare;
mod job_workers;
mod outside;
mod ports;
mod schedule;
mod summary;
mod world;

pub use schedule::{Ended, run};
pub use summary::Counts;
