//! CodePipeline's API as a Lambda function behind an API Gateway REST API.
//!
//! Each operation is decoded, handed to the driver, and its answer encoded, in the protocol in which it was asked.
//! Nothing is decided here: what a declaration may say is in `pipeline`, what executions do in `engine`. The door itself
//! is IAM's, at API Gateway; the function knows the caller's ARN from the request's context.
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
