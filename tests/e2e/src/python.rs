//! The clients that are written in Python, in a virtual environment under `target/`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::case::Case;

/// The clients, and all that they need, with hashes.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/requirements.txt");

/// Cases run side by side, and the first makes the environment for all.
static MAKING: Mutex<()> = Mutex::const_new(());

/// The folder with `python` and `aws`; made if it is not there.
pub async fn clients() -> Result<PathBuf> {
    let _making = MAKING.lock().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/local/venv-clients");
    let marker = root.join("installed");
    let locked = std::fs::read_to_string(REQUIREMENTS).with_context(|| format!("cannot read {REQUIREMENTS}"))?;
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == locked) {
        return Ok(root.join("bin"));
    }
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    let mut make = Command::new("python3");
    run(make.args(["-m", "venv"]).arg(&root))
        .await
        .context("cannot make a virtual environment: is there a Python 3.10 or newer?")?;
    let mut install = Command::new(root.join("bin/python"));
    let install = install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    run(install.args(["-r", REQUIREMENTS])).await?;
    std::fs::write(&marker, locked)?;
    Ok(root.join("bin"))
}

/// Runs a client in the environment that `local` writes for everybody, but for CodePipeline's endpoint; returns what it prints.
pub async fn client(case: &Case, endpoint: &str, program: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let environment = case.stack.env.iter();
    command.args(arguments).env_clear().envs(environment).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("AWS_ENDPOINT_URL_CODEPIPELINE", endpoint);
    // No credentials or configuration of the user's own.
    run(command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "")).await
}

async fn run(command: &mut Command) -> Result<String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{program}` does not start"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`{program}` {}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(printed)
}
