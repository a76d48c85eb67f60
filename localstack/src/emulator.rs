//! The two emulators: how each is installed and started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::paths::Paths;
use millrace::output::report;

mod dynamodb_local;
mod localstack;
pub(crate) mod ministack;
mod python;

/// An emulator of AWS on which the stack can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Emulator {
    /// The default: one small Python process.
    Ministack,
    /// The second target: LocalStack's last release under an open licence, without Docker. Needs Java 17 and npm.
    Localstack,
}

impl Emulator {
    /// The word that the command line takes, also the name of the folder under `target/local`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Localstack => "localstack",
        }
    }

    /// Installs the emulator under `target/` unless it is there already, and says how to start it. `enforcing`: so that it
    /// checks permissions, which only MiniStack can.
    ///
    /// # Errors
    /// When something is missing on this machine or cannot be installed; the message says what to do.
    pub(crate) fn install(self, paths: &Paths, enforcing: bool, say: fn(&str)) -> Result<Program> {
        match self {
            Self::Ministack => ministack::program(paths, enforcing, say),
            Self::Localstack => localstack::program(paths, say),
        }
    }

    /// How long it may take to start.
    pub(crate) const fn start_limit(self) -> Duration {
        match self {
            Self::Ministack => Duration::from_secs(30),
            Self::Localstack => Duration::from_secs(120),
        }
    }
}

/// Installs MiniStack under `target/local` unless it is there, and returns the Python that runs it with `-m ministack`: for
/// tests that need a service of the emulator and no stack.
///
/// # Errors
/// When something is missing on this machine or cannot be installed; the message says what to do.
pub fn install_ministack() -> Result<PathBuf> {
    ministack::install(&Paths::new(), report)
}

/// Installs Amazon's DynamoDB Local under `target/local` unless it is there, and returns the folder of its jar.
///
/// # Errors
/// When something is missing on this machine or cannot be installed; the message says what to do.
pub fn install_dynamodb_local() -> Result<PathBuf> {
    dynamodb_local::install(report)
}

/// What to run for an emulator, apart from the instance's own port and folder.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Environment that does not depend on the instance.
    pub environment: Vec<(&'static str, OsString)>,
    /// Names of variables that take the instance's port, a folder, or an address.
    pub per_instance: fn(port: u16, folder: &Path) -> Vec<(&'static str, OsString)>,
}

/// Where an instance keeps what it unpacks.
fn scratch(folder: &Path) -> PathBuf {
    folder.join("tmp")
}
