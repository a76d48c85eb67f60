//! Conformance: every operation of CodePipeline's API over the wire, in both protocols, through the API's handler with
//! a real driver and the in-memory store.
//!
//! - [`table`] has a [`table::Row`] for each operation: a call that succeeds, a call for each documented error, and a
//!   reason for each documented error that cannot occur here.
//! - [`edges`] makes inputs at and beyond the edge of each constraint of each operation, from the public model's data.
//! - [`page`] writes `OPERATIONS.md`: what is tested, and what differs from AWS.
//!
//! The tests fail when an operation has no row, when a documented error of an operation is neither produced nor
//! excused, and when the page is not what the table says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this crate is a test")]

pub mod edges;
pub mod model;
pub mod page;
pub mod protocol;
pub mod sample;
pub mod table;
pub mod world;
