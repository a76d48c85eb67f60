//! The benchmark: the figures that the design has budgets for, as ratios within one run on the local stack.
//!
//! The *floor* is one event, one function, one conditional put on the same emulator: the time from before `PutEvents`
//! until the put has been answered, as the function logs it ([`function`]: the bench's own program, deployed). The
//! *gap* is the time from the end of one action's provider work to the beginning of the next one's, as the worker logs
//! them around the provider's calls. Lambda actions race the same functions as the tasks of a Step Functions state
//! machine; API calls race a function that does nothing behind the same kind of API.
//!
//! Write requests are counted by a proxy in front of the emulator's DynamoDB, as the difference between a pipeline and
//! one twice as long. All programs, including the floor's function, are built in the profile of the benchmark itself: with
//! `--release` they are as quick as what is deployed.
//!
//! `cargo run [--release] -p bench -- [--on localstack] [--repeat N] [--check]` prints a table and writes
//! `target/bench/{emulator}.json`. It starts an emulator of its own, which ends with it; other work on the same machine
//! disturbs the figures.
//!
//! `cargo run -p bench -- functions [--check]` builds the functions as `millrace deploy` does for AWS, and tells how large each is and
//! how soon it is ready ([`packages`]). It needs no emulator.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let report = bench::measure(local::Emulator::Ministack, &bench::Effort::default(), &std::env::current_exe()?).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod function;
mod installation;
mod lines;
mod measure;
pub mod packages;
mod past;
mod pipelines;
mod processor;
mod proxy;
mod report;
mod state_machine;
mod statistics;

pub use measure::{Effort, measure};
pub use report::{Report, Row};
