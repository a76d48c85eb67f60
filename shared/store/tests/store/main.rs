//! One suite on every twin: in memory, on MiniStack, and on Amazon's own DynamoDB Local.
//!
//! The emulators are started by the tests, and a test fails when one cannot be: they need Python 3 and, for DynamoDB
//! Local, Java and npm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod emulator;
mod entity;
mod format;
mod lossy;
mod samples;
mod suite;

use emulator::Emulator;
use store::MemoryStore;

#[tokio::test]
async fn in_memory() {
    suite::run(async || MemoryStore::new()).await;
}

#[tokio::test]
async fn on_ministack() {
    let emulator = Emulator::ministack().await;
    suite::run(async || emulator.store().await).await;
    lossy::run(&emulator).await;
}

#[tokio::test]
async fn on_dynamodb_local() {
    let emulator = Emulator::dynamodb_local().await;
    suite::run(async || emulator.store().await).await;
    lossy::run(&emulator).await;
}
