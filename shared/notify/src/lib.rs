//! What Millrace tells people and other programs.
//!
//! - [`changes`]: finds out from two images of a table item what happened in between; [`EventBuilder`] turns each
//!   change into CodePipeline's state-change event (both are pure); [`Publisher`] puts events on the bus.
//! - [`ApprovalMessage`]: the message to an approval's SNS topic: AWS's JSON, and for e-mail a text with a link.
//! - [`publish_line`]: the line of a notification rule to an SNS topic.
//! - [`Links`]: the signed links in those messages. The signature covers everything that a link decides.
//!
//! May touch EventBridge, SNS and KMS, and of the engine only the types of its items.
//!
//! ```
//! # fn show(old: &engine::StageRun, new: &engine::StageRun, builder: &notify::EventBuilder<'_>) {
//! for change in notify::changes::of_stage(Some(old), new) {
//!     println!("{}", builder.of_stage(new, &change).detail);
//! }
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod approval;
pub mod changes;
mod compare;
mod digest;
mod event;
mod link;
pub mod proposal;
mod publish;
mod time;
mod topic;

pub use approval::{ApprovalMessage, ReviewLink, SendError};
pub use compare::comparison;
pub use digest::digest;
pub use event::{EventBuilder, StateChange};
pub use link::{LinkError, Links, Ticket};
pub use publish::{Publisher, SOURCE, Unpublished};
pub use time::minutes;
pub use topic::{NotificationError, publish_line};
