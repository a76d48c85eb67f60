//! What the tests of several crates share.
//!
//! - [`TestClock`], [`Outbox`], [`TestExecutor`]: what a driver is set up with, in addition to `store::MemoryStore`.
//! - [`setup()`], [`create`]: a driver over these, and a pipeline for it.
//! - [`CountingStore`]: the in-memory store, recording each request.
//! - [`Stub`]: one AWS service as a function from requests to answers.
//! - [`Aws`]: S3 in memory, STS, and answers that a test prepares for every other service.
//! - [`TestLog`]: what is logged while a test runs.
//! - [`Template`]: `infra/home.yaml` and `infra/region.yaml`, and what they give to each function.
//! - [`collector`]: a server that takes traces, and what is true of every trace.
//! - [`kms`]: the key that signs approval links.
//! - [`model`]: what the public model says of operations, and inputs that it allows.
//! - [`peak_memory`], [`noise`]: for tests of how much memory something takes.
//! - [`zips`]: zips as nobody's tools make them.
//!
//! Cargo builds a crate a second time for its own unit tests, so these cannot use fakes from here that implement the
//! crate's own traits; its tests in `tests/`, and all other crates, can.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this crate serves tests only")]

mod aws;
mod clock;
pub mod collector;
mod config;
mod counting;
mod executor;
mod http;
mod kms;
mod log;
mod memory;
pub mod model;
mod outbox;
pub mod samples;
mod setup;
mod stub;
mod template;
pub mod zips;

pub use aws::{Aws, Call, Reply, Stored};
pub use clock::TestClock;
pub use counting::{CountingStore, TableRequest};
pub use executor::TestExecutor;
pub use http::{body, decode, sha256};
pub use kms::kms;
pub use log::TestLog;
pub use memory::{noise, peak_memory};
pub use outbox::Outbox;
pub use setup::{create, setup};
pub use stub::{Answer, Request, Stub};
pub use template::{Environment, Template};
