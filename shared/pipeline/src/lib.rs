//! The domain: what a pipeline is.
//!
//! A [`Declaration`] is what an author writes: CodePipeline's `PipelineDeclaration`, not yet checked. A [`Pipeline`] is
//! what everything else works with: it exists only if the declaration follows every rule. Otherwise [`Invalid`] lists
//! all violations, each with its place in the notation of AWS's own messages and the exception that AWS answers with.
//! The [`catalogue`] knows CodePipeline's own action types, [`variables`] resolves `#{namespace.key}`, and a
//! declaration can hide its secrets ([`Declaration::masked`]) and get them back ([`Declaration::unmask_from`]). A
//! [`notification`] rule is a tag of a pipeline.
//!
//! This crate only computes: no I/O, no async, no clock, no AWS SDK.
//!
//! ```
//! use pipeline::{Declaration, Pipeline};
//!
//! let declaration: Declaration = serde_json::from_str(r#"{"name": "release", "stages": []}"#)?;
//! let invalid = Pipeline::try_from(declaration).expect_err("it has no stages, no role and no artifact store");
//! assert_eq!(invalid.first().kind.exception(), "ValidationException");
//! assert!(invalid.violations().any(|violation| violation.path == "pipeline.stages"));
//! # Ok::<(), serde_json::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout))]

mod artifact_key;
pub mod catalogue;
pub mod custom;
pub mod declaration;
pub mod git_trigger;
mod invalid;
pub mod limits;
mod names;
pub mod notification;
#[allow(clippy::module_inception)]
mod pipeline;
pub mod schedule;
mod secrets;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod validate;
pub mod variables;
pub mod webhook;

pub use artifact_key::artifact_key;
pub use declaration::{Declaration, TypeId};
pub use invalid::{Invalid, Kind, Violation};
pub use names::{
    ActionName, ArtifactName, InvalidName, Namespace, PipelineName, Region, RoleArn, StageName, WebhookName,
};
pub use pipeline::{
    Action, Compute, Condition, ConditionKind, ExecutionMode, Failure, Pipeline, PipelineType, RetryMode, Stage,
    StageResult,
};
pub use secrets::MASK;
