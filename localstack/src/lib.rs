//! Millrace on this machine: starts and stops either emulator, deploys the stack on it, and tells clients how to reach
//! it.
//!
//! Everything is made under `target/local`: virtual environments with the emulators (`venv-*`), one folder for each
//! running emulator and what runs beside it (build host, code host, the console's door) with their logs, and `env`, a file that any client's shell can source.
//! What is deployed is `infra/home.yaml` and `infra/region.yaml`, by the same code as on AWS (the crate `millrace`); only
//! parameters differ.
//!
//! The command is `cargo run -p local -- up | down | status | demo | run | logs | why`. Tests use the library, with an
//! emulator of their own that ends with them:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use local::{AWAY, Emulator, Lifetime, Options, Stack};
//!
//! let options = Options { name: Some("e2e-ministack".into()), lifetime: Lifetime::UntilExit, ..Options::default() };
//! let stack = Stack::up(Emulator::Ministack, options).await?;
//! let pipelines = stack.codepipeline().list_pipelines().send().await?;
//! let buckets = stack.s3(AWAY).list_buckets().send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! This crate may touch the emulator, `target/`, and processes that it started. It knows none of the other crates; only the
//! command's `run` asks `pipeline` what a valid declaration is, and `providers` which action types are built.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod build_host;
mod code_host;
pub mod console;
mod emulator;
mod environment;
pub mod http;
mod installation;
mod instance;
mod npm;
mod options;
mod paths;
mod processes;
mod sdk;
mod shell;
mod sidecar;
mod stack;
mod trouble;

pub use emulator::{Emulator, install_dynamodb_local, install_ministack};
pub use installation::{ARCHITECTURE, COMPUTE_PROJECT};
pub use instance::command;
pub use millrace::FUNCTIONS;
pub use millrace::programs::PROFILE;
pub use npm::NpmPackage;
pub use options::{Lifetime, Options};
pub use sdk::{ACCOUNT, AWAY, HOME, REGIONS};
pub use stack::{Stack, down};
pub use trouble::{dead_sidecar, trouble};
