//! The build host beside an emulator, which runs the builds of its pipelines.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::Lifetime;
use crate::instance::{Instance, Running};
use crate::sdk::KEY;
use crate::sidecar::{Kind, Next, Place, Sidecar, Started};

/// The package of the build host, and its program.
const PACKAGE: &str = "build-host";
/// The port on which a build host listens by default.
const USUAL_PORT: u16 = 4580;

/// The build host of an instance.
pub(crate) struct BuildHost {
    pub sidecar: Sidecar,
    /// Where builds have their folders.
    root: PathBuf,
}

impl BuildHost {
    pub fn of(instance: &Instance) -> Self {
        let root = instance.folder.join("builds");
        let kind = Kind {
            file: "build-host",
            name: "the build host",
            lost: ", and its projects and builds are gone",
            usual_port: USUAL_PORT,
        };
        Self { sidecar: Sidecar::new(instance, kind, &root), root }
    }

    /// Starts the build host beside a running emulator unless it runs already.
    pub async fn run(
        &self,
        place: Place,
        programs: &BTreeMap<String, PathBuf>,
        emulator: Running,
        lifetime: Lifetime,
        say: fn(&str),
    ) -> Result<Started> {
        let port = match self.sidecar.next(place, say)? {
            Next::Runs(running) => return Ok((running, None)),
            Next::StartAt(port) => port,
        };
        // What builds left behind whose host was killed.
        if self.root.exists() {
            fs::remove_dir_all(&self.root).with_context(|| format!("cannot empty {}", self.root.display()))?;
        }
        let program = programs.get(PACKAGE).context("cargo built no build host")?;
        let pid = emulator.pid.to_string();
        let words =
            [program.as_os_str(), "--root".as_ref(), self.root.as_ref(), "--emulator".as_ref(), OsStr::new(&pid)];
        let endpoint = emulator.endpoint();
        // The keys are what builds are given: never the user's own.
        let environment =
            [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", KEY)];
        self.sidecar.start(&words, port, &environment, lifetime).await
    }
}
