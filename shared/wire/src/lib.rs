//! CodePipeline's API on the wire: its two protocols, its constraints, its errors, and which operation a request calls.
//!
//! It touches only bytes: no I/O, no async, no call to AWS. No shape is written by hand: structures are the SDK's, read
//! and written by AWS's own codecs, and constraints come from a table made from the public model
//! (`data/constraints.json`, made by `data/make.py`).
//!
//! ```
//! use aws_sdk_codepipeline::operation::get_pipeline::{GetPipelineInput, GetPipelineOutput};
//! use wire::{Exception, Operation, Protocol};
//!
//! fn answer(request: &http::Request<Vec<u8>>) -> Result<wire::Response, wire::ApiError> {
//!     let call = wire::route(request.method(), request.uri().path(), request.headers())?;
//!     match call.operation {
//!         Operation::GetPipeline => {
//!             let input: GetPipelineInput = wire::decode(call.protocol, request.body())?;
//!             if input.name() != Some("release") {
//!                 return Err(Exception::PipelineNotFoundException.because("There is no such pipeline."));
//!             }
//!             Ok(wire::encode(call.protocol, &GetPipelineOutput::builder().build()))
//!         }
//!         _ => Err(Exception::AccessDeniedException.because("This example gets pipelines only.")),
//!     }
//! }
//!
//! let request = http::Request::post("/")
//!     .header("content-type", "application/x-amz-json-1.1")
//!     .header("x-amz-target", "CodePipeline_20150709.GetPipeline")
//!     .body(br#"{"name":"release"}"#.to_vec())?;
//! let response = answer(&request).unwrap_or_else(|error| error.encode(Protocol::of(request.headers())));
//! assert_eq!(response.status(), 200);
//! # Ok::<(), http::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cbor;
mod codec;
mod constraints;
mod error;
mod json;
#[macro_use]
mod operation;
pub mod page;
mod pipeline_path;
mod protocol;

pub use codec::{decode, encode, from_json, to_json};
pub use error::{ApiError, Exception, allowed};
pub use operation::{Input, NoSuchOperation, Operation, Shape};
pub use pipeline_path::{check_pipeline, pipeline_in, pipeline_of};
pub use protocol::{Call, Path, Protocol, route};

/// A whole answer: status, headers, body.
pub type Response = http::Response<Vec<u8>>;

/// The longest body, in bytes: what a Lambda function can be sent in one synchronous call (Lambda quotas), which is
/// less than the 10 MB that API Gateway takes.
pub const MAX_BODY: usize = 6 * 1024 * 1024;

/// How deep structures, lists and maps may nest. The model's own inputs need less than 20 levels; beyond this limit,
/// which is also that of the codecs and of serde_json, a body is refused before it can exhaust the stack.
pub const MAX_DEPTH: usize = 127;

/// How many values (structures, lists, maps, and what is in them) a body may hold. The largest pipeline that
/// CodePipeline's quotas allow has fewer than 200,000; without a limit, a body of [`MAX_BODY`] bytes could take several
/// hundred times its size in memory, as a map of one short key does.
pub const MAX_VALUES: usize = 250_000;

#[cfg(test)]
mod tests;
