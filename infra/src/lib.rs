//! The command `millrace`: puts Millrace into an AWS account, and opens it to CodePipeline's clients.
//!
//! The same code runs against AWS and against the emulators; the command `local` uses this library to deploy on them. Who calls
//! is whoever the AWS SDK's default chain finds: environment, profile, IAM Identity Center, instance or task role.
//!
//! - [`Account`]: the caller's credentials and region, as configuration for SDK clients of any region.
//! - [`Installation`]: what the home stack of an installation tells about it.
//! - [`audit_log`]: `millrace audit`.
//! - [`stacks`]: what CloudFormation knows of a stack.
//! - [`output`]: printing to a reader that may go away, and errors in words.
//!
//! This crate may touch CloudFormation, S3, the table, and whatever a subcommand says. The functions know nothing of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod account;
pub mod audit_log;
mod installation;
pub mod output;
pub mod stacks;

pub use account::Account;
pub use installation::Installation;
