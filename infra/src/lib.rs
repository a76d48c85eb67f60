//! The command `millrace`: puts Millrace into an AWS account, and opens it to CodePipeline's clients.
//!
//! The same code runs against AWS and against the emulators; the command `local` uses this library to deploy on them. Who calls
//! is whoever the AWS SDK's default chain finds: environment, profile, IAM Identity Center, instance or task role.
//!
//! - [`Account`]: the caller's credentials and region, as configuration for SDK clients of any region.
//! - [`Installation`]: what the home stack of an installation tells about it.
//! - [`definition`]: a pipeline's definition, of the installation or in a file.
//! - [`role`]: the least roles of a pipeline.
//! - [`doctor`]: what is wrong with an installation or a pipeline, and what mends it.
//! - [`stacks`]: what CloudFormation knows of a stack.
//! - [`output`]: printing to a reader that may go away, and errors in words.
//!
//! This crate may touch CloudFormation, S3, and whatever a subcommand says: `doctor` reads at every service that it looks at. The functions know nothing of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod account;
pub mod definition;
pub mod doctor;
mod installation;
pub mod output;
pub mod role;
pub mod stacks;
mod trust;

pub use account::Account;
pub use installation::Installation;
