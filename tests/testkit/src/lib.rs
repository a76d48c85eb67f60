//! What tests of more than one crate stand on.
//!
//! - [`TestClock`], [`Outbox`], [`TestExecutor`]: what a driver works with, beside `store::MemoryStore`.
//! - [`setup()`], [`create`]: a driver over these, and a pipeline for it.
//! - [`CountingStore`]: the in-memory store, which notes what is asked of it.
//! - [`Stub`]: one AWS service as a function from requests to answers.
//! - [`Aws`]: S3 in memory, STS, and answers that a test prepares for every other service.
//! - [`TestLog`]: what is logged meanwhile.
//! - [`Template`]: `infra/home.yaml` and `infra/region.yaml`, and what they give to each function.
//! - [`kms`]: the key that signs approval links.
//! - [`model`]: what the public model says of operations, and inputs that it allows.
//!
//! A crate's own unit tests see the types of this crate's dependencies, but not those of their own crate, which Cargo
//! builds a second time for them: fakes of a crate's own traits serve its tests in `tests/`, and everybody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this crate serves tests only")]

mod aws;
mod clock;
mod config;
mod counting;
mod executor;
mod http;
mod kms;
mod log;
pub mod model;
mod outbox;
pub mod samples;
mod setup;
mod stub;
mod template;

pub use aws::{Aws, Call, Reply, Stored};
pub use clock::TestClock;
pub use counting::{CountingStore, TableRequest};
pub use executor::TestExecutor;
pub use http::{body, decode, sha256};
pub use kms::kms;
pub use log::TestLog;
pub use outbox::Outbox;
pub use setup::{create, setup};
pub use stub::{Answer, Request, Stub};
pub use template::{Environment, Template};
