//! The pages over the real driver and an in-memory store. Each page that a test looks at is left in `target/tmp/console` as a file
//! that a browser opens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod badge;
mod edit;
mod pages;
mod world;
