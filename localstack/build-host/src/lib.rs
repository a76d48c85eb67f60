//! A build host for a laptop: enough of CodeBuild's API to run the builds of pipelines, as processes of this machine.
//!
//! The emulators have no CodeBuild that runs anything. This server speaks AWS JSON 1.1 as CodeBuild does, for projects
//! (create, update, delete, get, list) and builds (start, stop, get, list); every other operation is answered with 501. A
//! build fetches its sources from the emulator's S3, runs the commands of its buildspec (version 0.2), and writes its
//! artifacts and its log (CloudWatch Logs) to the emulator, and its state changes to the default event bus where the
//! emulator takes them: LocalStack may, MiniStack refuses events whose source is `aws.codebuild`.
//!
//! | what differs from CodeBuild | |
//! |---|---|
//! | container | none: commands run with the rights of whoever started the host, with the tools of this machine, in a folder of their own under the root; image, `run-as`, runtime versions, privileged mode are noted and ignored |
//! | state | in memory: projects and builds end with the host, and so do the processes of running builds |
//! | sources | ZIP objects in S3, or none |
//! | not done | reports, cache, batches, proxy, VPC, file systems, webhooks, fleets; the log says so where a buildspec asks for them |
//! | process tree | a time-out or a stop kills the build's process group; what a command moves to a group of its own is left alone |
//!
//! Since it runs commands, it listens on this machine's loopback address only, answers no request under another host's
//! name (a web page could otherwise reach it by DNS rebinding) and none without an AWS `Authorization` header.
//! Signatures are not checked, as the emulators do not.
//!
//! The command is `build-host --root FOLDER [--port PORT]` with `AWS_ENDPOINT_URL` in its environment. The crate `local`
//! starts it beside either emulator.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;

mod builds;
mod buildspec;
mod cloud;
mod error;
mod events;
mod log;
mod phases;
mod plan;
mod projects;
mod record;
mod run;
mod server;
mod shell;
mod sources;
mod upload;
mod variables;
mod wire;

pub use cloud::Settings;
pub use server::Server;
