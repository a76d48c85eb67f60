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
mod errors;
mod executions;
mod job_data;
mod jobs;
mod links;
mod page;
mod pipelines;
mod shape;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod third_party;
mod transitions;
mod type_shapes;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = runtime::Settings::from_environment()?;
    let clients = runtime::Clients::new(&settings).await;
    let app = app::App::new(runtime::driver(&settings, &clients)?, settings.account()?, clients.roles().clone());
    let app = &app;
    runtime::run_http(|request| async move { Ok(app::handle(app, request).await) }).await
}
