//! The command `millrace`: puts Millrace into an AWS account, and opens it to CodePipeline's clients.
//!
//! The same code runs against AWS and against the emulators; the command `local` uses this library to deploy on them. Who calls
//! is whoever the AWS SDK's default chain finds: environment, profile, IAM Identity Center, instance or task role.
//!
//! - [`Account`]: the caller's credentials and region, as configuration for SDK clients of any region.
//! - [`Installation`]: what the home stack of an installation tells about it.
//! - [`deploy`]: puts an installation into an account, or brings it to another version; [`programs`] builds its functions.
//! - [`definition`]: a pipeline's definition, of the installation or in a file.
//! - [`role`]: the least roles of a pipeline.
//! - [`doctor`]: what is wrong with an installation or a pipeline, and what mends it.
//! - [`rollback`]: puts its functions back to the versions before; [`destroy`] removes it.
//! - [`audit_log`]: `millrace audit`.
//! - [`badge`]: the Markdown of a public picture.
//! - [`cost`]: what executions have cost.
//! - [`stacks`]: what CloudFormation knows of a stack.
//! - [`proxy`]: the endpoint on this machine for CodePipeline's clients.
//! - [`extension`]: the same in a Lambda layer.
//! - [`layer`]: that layer.
//! - [`output`]: printing to a reader that may go away, and errors in words.
//!
//! This crate may touch CloudFormation, S3, and whatever a subcommand says: [`doctor`] reads at every service that it looks at,
//! [`destroy`] reads the table through `store`. The functions know nothing of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod account;
pub mod audit_log;
pub mod badge;
mod change_set;
mod changes;
mod code_bucket;
pub mod cost;
pub mod definition;
pub mod deploy;
pub mod destroy;
pub mod doctor;
pub mod extension;
mod http_client;
mod installation;
pub mod layer;
pub mod output;
mod package;
mod parameters;
pub mod programs;
mod progress;
pub mod proxy;
mod removal;
pub mod role;
pub mod rollback;
pub mod shell;
pub mod stacks;
mod state;
pub mod template;
mod trust;
mod versions;
mod watch;

pub use account::{Account, Caller};
pub use audit::hash;
pub use change_set::{Deployment, Outcome};
pub use installation::Installation;
pub use package::package_size;
pub use programs::{Architecture, FUNCTIONS};
pub use versions::Shift;
