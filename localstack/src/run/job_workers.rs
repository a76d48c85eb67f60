//! The job workers of a sample: programs that poll for the jobs of custom actions, as those of a build tool do.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use local::Stack;
use pipeline::{Declaration, TypeId};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::here::value;
use super::template::text;

/// Seconds between two polls that found nothing.
const PAUSE: &str = "0.5";

/// A process for each custom action, which ends with this.
#[derive(Default)]
pub(super) struct JobWorkers {
    running: Vec<Child>,
    log: PathBuf,
}

impl JobWorkers {
    /// Has `program` do the jobs of each action that is of one of these types, which have these properties.
    pub(super) fn start(
        stack: &Stack,
        program: &Path,
        declaration: &Declaration,
        types: &BTreeMap<TypeId, Value>,
    ) -> Result<Self> {
        let log = stack.folder.join("job-worker.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut running = Vec::new();
        for action in declaration.stages.iter().flat_map(|stage| &stage.actions) {
            let id = &action.action_type_id;
            let Some(properties) = types.get(id) else { continue };
            let version = id.version.as_deref().unwrap_or_default();
            let mut worker = Command::new(stack.python());
            worker.arg(program).args(["--category", &id.category, "--provider", &id.provider, "--version", version]);
            worker.args(["--pause", PAUSE]);
            let keys = properties["ConfigurationProperties"].as_array().into_iter().flatten();
            for key in keys.filter(|it| text(&it["Queryable"]) == "true").map(|it| text(&it["Name"])) {
                worker.args(["--query", &format!("{key}={}", value(action, &key))]);
            }
            // Nothing of the user's own AWS settings.
            worker.env_clear().envs(&stack.env).env("PATH", std::env::var_os("PATH").unwrap_or_default());
            worker.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
            running.push(worker.kill_on_drop(true).spawn().context("cannot start the job worker")?);
        }
        Ok(Self { running, log })
    }

    /// Fails if one has ended: its jobs would wait for ever.
    pub(super) fn check(&mut self) -> Result<()> {
        for worker in &mut self.running {
            if let Some(status) = worker.try_wait()? {
                bail!("the job worker has ended ({status}): see {}", self.log.display());
            }
        }
        Ok(())
    }
}
