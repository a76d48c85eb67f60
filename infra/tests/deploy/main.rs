//! `millrace deploy` and `millrace destroy`, over the wire, against MiniStack. The functions are programs that do nothing: what they do is the
//! end-to-end tests' matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deploying;
mod destroying;
mod refusing;
mod upgrading;
mod world;
