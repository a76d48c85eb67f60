//! The proxy over the wire, between raw clients and a stand-in for API Gateway that computes each signature for itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binary;
mod calls;
mod client;
mod console;
mod extension;
mod failures;
mod fuzz;
mod gateway;
mod log;
mod refusals;
mod server;
mod signature;
mod world;
