//! What every function's `main` needs. Nothing is decided here.
//!
//! - [`Settings`]: the environment, read once, each error naming its variable.
//! - [`Clients`]: the function's own AWS clients, each made when first used, over one HTTPS client.
//! - [`Roles`]: sessions under a pipeline's role or an action's, assumed with the pipeline's ARN as external id.
//!   Functions have no rights at providers; everything that an action does is done in such a [`Session`].
//! - [`JobIds`]: the secret ids under which jobs are given out.
//! - [`KmsSecrets`]: secrets in the table, encrypted with the installation's key.
//! - [`PassRole`]: whether a caller may give a role to a pipeline.
//! - [`EventDispatch`] and [`SystemClock`]: the driver's ports on AWS; [`driver()`] puts them together.
//! - [`PipelinePath`]: requests to the installation's own API.
//! - [`ApiGateway`]: whether a request came through the installation's own API.
//! - [`CallLog`]: calls on their way into the audit log.
//! - [`signed`]: signatures for requests that no SDK makes; [`post`] sends such.
//! - [`calls`]: what an invocation costs.
//! - [`Metrics`]: numbers for CloudWatch, in the function's own log.
//! - [`run`] and [`run_http`]: the loop around a handler, with logging.
//!
//! May touch STS and IAM for its own purposes; for the other services it only makes clients (and sends the driver's
//! messages).
//!
//! ```no_run
//! # async fn handle(_: &driver::Driver, _: serde_json::Value) -> anyhow::Result<serde_json::Value> { todo!() }
//! /// `sources` is `providers::SOURCES`.
//! async fn serve(sources: driver::SourceRules) -> anyhow::Result<()> {
//!     let settings = runtime::Settings::from_environment()?;
//!     let clients = runtime::Clients::new(&settings).await;
//!     let driver = runtime::driver(&settings, &clients, sources)?;
//!     let driver = &driver;
//!     runtime::run(|event, _context| async move { handle(driver, event).await }).await
//! }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api_gateway;
pub mod arn;
mod artifacts;
mod audit;
pub mod calls;
mod clients;
mod clock;
mod dispatch;
mod handler;
mod job;
mod job_ids;
mod metrics;
mod pass_role;
mod pipeline_path;
mod roles;
mod secrets;
mod session;
mod settings;
mod sign;
mod web;
mod wiring;

pub use api_gateway::{ApiGateway, NotThroughApi};
pub use artifacts::ArtifactError;
pub use audit::CallLog;
pub use clients::Clients;
pub use clock::SystemClock;
pub use dispatch::EventDispatch;
pub use handler::{run, run_http, start_logging, time_left};
pub use job_ids::{JobIdError, JobIds};
pub use metrics::{Metrics, Unit};
pub use pass_role::{PassRole, PassRoleError};
pub use pipeline_path::PipelinePath;
pub use roles::{Identity, RoleError, Roles};
pub use secrets::{KmsSecrets, WebhookSecrets};
pub use session::Session;
pub use settings::{DEFAULT_TOPICS, SettingError, Settings};
pub use sign::{CannotSign, signed};
pub use web::{WebAnswer, post};
pub use wiring::{driver, driver_with_secrets, reading_driver, webhook_driver};
