//! Conformance: every operation of CodePipeline's API on the wire, in both protocols, through the API's handler over a
//! real driver and the in-memory store.
//!
//! - [`table`] has a [`table::Row`] for each operation: a good call, a call for each documented error, and the reason for
//!   each documented error that cannot occur here.
//! - [`edges`] makes, from the public model's data, inputs at and beyond the edge of each constraint of each operation.
//! - [`world`] is what all this is tested on, and what the API's own tests with the SDK's client are: the API's handler
//!   over a driver and the in-memory store, behind [`gateway`], with AWS as [`cloud`] plays it.
//! - [`page`] writes what is tested, and what differs from AWS, as `OPERATIONS.md`.
//!
//! The tests fail when an operation has no row, when a documented error of an operation is neither produced nor excused,
//! and when the page is not what the table says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this crate is a test")]

pub mod cloud;
pub mod declaration;
pub mod edges;
pub mod gateway;
pub mod page;
pub mod protocol;
pub mod table;
pub mod world;
