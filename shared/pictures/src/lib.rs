//! A pipeline as a picture that is no page: for a README, a wiki, a dashboard of somebody else's.
//!
//! - [`Snapshot`]: what a picture shows of a pipeline, and nothing more: the names of pipeline, stages and actions, their states,
//!   regions, and which transitions are closed. No person, revision, message, configuration or time is in it, so none can be drawn.
//! - [`badge()`], [`graph()`]: from a snapshot to SVG. Pure; they load nothing, run nothing and have no links.
//! - [`PublicLinks`]: links that show a picture to anybody, of pipelines that have the tag [`TAG`] only.
//! - [`states`]: the engine's statuses as states for people; pages use them too.
//!
//! **Text without fonts.** Whoever looks has other fonts than those that a width could be taken from. So widths are guessed from a
//! small table ([`width`]), names are cut to their room by it, and each is told to be as long as it was guessed (`textLength`):
//! a font that differs is stretched by a few percent, and nothing runs over.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod badge;
mod graph;
mod link;
mod snapshot;
pub mod states;
mod svg;
pub mod width;

pub use badge::badge;
pub use graph::graph;
pub use link::{Picture, PublicLink, PublicLinks, TAG};
pub use snapshot::{ActionSnapshot, Snapshot, StageSnapshot};
