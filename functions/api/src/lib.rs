//! CodePipeline's API as a Lambda function behind an API Gateway REST API.
//!
//! Each request is decoded and handed to the driver, and the answer is encoded in the protocol of the request. Nothing
//! is decided here: what a declaration may say is in `pipeline`, what executions do is in `engine`. Access is
//! controlled by IAM, at API Gateway; the function learns the caller's ARN from the request's context.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod action_types;
mod actions;
mod app;
mod approvals;
mod conditions;
mod control;
mod convert;
mod convert_types;
mod errors;
mod executions;
mod history;
mod job_data;
mod jobs;
mod links;
mod page;
mod pipelines;
mod revisions;
mod router;
mod rule_types;
mod state;
mod tags;
mod targets;
mod third_party;
mod transitions;
mod webhooks;

pub use app::App;
pub use router::handle;
