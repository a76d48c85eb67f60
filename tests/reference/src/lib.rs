//! A second opinion on the rules of execution: a small model, written from CodePipeline's documentation without looking
//! at `engine`, and random sequences of commands on which both must agree.
//!
//! `command` defines what both sides are asked and what is compared; `model` contains the rules a second time;
//! `adapter` drives the real engine in memory; `sequence` makes sequences, plays them on both sides and finds the
//! shortest on which they differ.
//!
//! ```
//! let sequence = reference::Sequence::random(7);
//! assert!(sequence.check().unwrap().is_ok());
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
mod command;
mod model;
mod sequence;

pub use command::*;
pub use model::Model;
pub use sequence::{Counts, Disagreement, Fault, Row, Sequence};
