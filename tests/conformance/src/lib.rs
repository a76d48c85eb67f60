//! Conformance: every operation of CodePipeline's API over the wire, in both protocols, through the API's handler with
//! a real driver and the in-memory store.
//!
//! - [`table`] has a [`table::Row`] for each operation: a call that succeeds, a call for each documented error, and a
//!   reason for each documented error that cannot occur here.
//! - [`edges`] makes inputs at and beyond the edge of each constraint of each operation, from the public model's data.
//! - [`world`] is what all this is tested on, and the API's own tests with the SDK's client as well: the API's handler
//!   over a driver and the in-memory store, behind [`gateway`], with [`cloud`] in the place of AWS.
//! - [`page`] writes `OPERATIONS.md`: what is tested, and what differs from AWS.
//!
//! The tests fail when an operation has no row, when a documented error of an operation is neither produced nor
//! excused, and when the page is not what the table says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this crate is a test")]

pub mod cloud;
pub mod declaration;
pub mod edges;
pub mod gateway;
pub mod page;
pub mod protocol;
pub mod table;
pub mod world;
