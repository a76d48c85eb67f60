//! A reader that goes away ends the command, and nothing else: no panic, no message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::pipe;
use std::process::{Command, Stdio};

#[test]
fn a_command_whose_output_nobody_reads_ends_as_a_closed_pipe_ends_programs() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["status", "--on", "localstack"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn an_error_that_nobody_reads_is_still_an_error() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    // No emulator of that name is up in a test's machine, or it has no such pipeline: an error either way.
    let output = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["why", "there-is-no-such-pipeline", "--on", "localstack"])
        .stderr(writer)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
