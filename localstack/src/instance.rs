//! One emulator process: its folder, its port, its life.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::emulator::{Emulator, Program};
use crate::shell::tail;
use crate::{Lifetime, http};

/// The port that LocalStack and its like listen on by default.
const USUAL_PORT: u16 = 4566;

/// How long an emulator may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What is remembered about a running emulator between two commands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub pid: i32,
    pub port: u16,
}

impl Running {
    pub fn endpoint(self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A folder under `target/local` in which one emulator runs, or may run.
#[derive(Debug)]
pub(crate) struct Instance {
    pub emulator: Emulator,
    pub folder: PathBuf,
    usual_port: bool,
}

impl Instance {
    /// `usual_port`: whether to take 4566 when it is free; other instances leave it to the user's own.
    pub const fn new(emulator: Emulator, folder: PathBuf, usual_port: bool) -> Self {
        Self { emulator, folder, usual_port }
    }

    fn note(&self) -> PathBuf {
        self.folder.join("instance.json")
    }

    /// The file that the emulator's output goes to.
    pub fn log(&self) -> PathBuf {
        self.folder.join("emulator.log")
    }

    /// Keeps other commands away from this instance until the file is dropped.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let lock = File::create(self.folder.join("lock"))?;
        lock.lock().context("cannot lock the instance's folder")?;
        Ok(lock)
    }

    /// The emulator that an earlier command started, if it lives and answers.
    pub async fn running(&self) -> Option<Running> {
        let running = self.noted()?;
        (is_alive(running.pid) && answers(running).await).then_some(running)
    }

    /// Whether an earlier command started the emulator, no other one stopped it, and it is gone.
    pub fn has_died(&self) -> bool {
        self.noted().is_some_and(|running| !is_alive(running.pid))
    }

    fn noted(&self) -> Option<Running> {
        serde_json::from_str(&fs::read_to_string(self.note()).ok()?).ok()
    }

    /// Starts the emulator; it is not ready yet when this returns.
    pub fn start(&self, program: &Program, lifetime: Lifetime) -> Result<Starting> {
        let scratch = self.folder.join("tmp");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).with_context(|| format!("cannot empty {}", scratch.display()))?;
        }
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let port = free_port(self.usual_port)?;
        let log = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut command = match lifetime {
            Lifetime::Detached => {
                let mut command = Command::new(&program.command[0]);
                command.args(&program.command[1..]).stdin(Stdio::null());
                command
            }
            Lifetime::UntilExit => {
                // The pipe's end is this process's end, however it comes about; then the emulator is ended too.
                let mut command = Command::new("sh");
                command.args(["-c", GUARD, "guard"]).args(&program.command).stdin(Stdio::piped());
                command
            }
        };
        let mut child = command
            .current_dir(&self.folder)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .envs((program.per_instance)(port, &self.folder))
            // A shell that was told about one emulator must not lead another one's functions there.
            .env_remove("AWS_ENDPOINT_URL")
            .env_remove("AWS_ENDPOINT_URL_CODEPIPELINE")
            .stdout(log.try_clone()?)
            .stderr(log)
            // Not this command's group: a Ctrl-C here is not meant for the emulator.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.emulator.name()))?;
        let running = Running { pid: i32::try_from(child.id())?, port };
        fs::write(self.note(), serde_json::to_string(&running)?).context("cannot note the emulator's process")?;
        let guard = child.stdin.take();
        Ok(Starting { running, child, guard })
    }

    /// Waits until the emulator answers.
    pub async fn wait_until_ready(&self, starting: &mut Starting) -> Result<()> {
        let limit = self.emulator.start_limit();
        let began = Instant::now();
        loop {
            if let Some(status) = starting.child.try_wait()? {
                bail!("{} died while it started ({status}). {}", self.emulator.name(), self.last_words());
            }
            if answers(starting.running).await {
                return Ok(());
            }
            if began.elapsed() > limit {
                self.stop().await?;
                bail!("{} did not answer within {} s. {}", self.emulator.name(), limit.as_secs(), self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The end of the emulator's log, for an error.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).map_or_else(|_| String::new(), |log| tail(&String::from_utf8_lossy(&log)));
        format!("The end of its log, {}:\n{log}", self.log().display())
    }

    /// Ends the emulator and its functions. Returns whether there was one.
    pub async fn stop(&self) -> Result<bool> {
        let Some(running) = self.noted() else { return Ok(false) };
        let was_alive = is_ours(running.pid, &self.folder);
        if was_alive && let Some(pid) = Pid::from_raw(running.pid) {
            // Itself first, so that it can end what it started; then whatever is left of its group.
            let _ = kill_process(pid, Signal::TERM);
            let began = Instant::now();
            while is_alive(running.pid) && began.elapsed() < STOP_LIMIT {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let _ = kill_process_group(pid, Signal::KILL);
        }
        match fs::remove_file(self.note()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("cannot forget the emulator's process")
            }
            _ => Ok(was_alive),
        }
    }
}

/// A started emulator that may not answer yet.
#[derive(Debug)]
pub(crate) struct Starting {
    pub running: Running,
    child: Child,
    /// Held for as long as the emulator is to live, where it is not detached.
    pub guard: Option<ChildStdin>,
}

/// Runs its arguments, and ends them when its own input ends: LocalStack now and then hangs as it stops, so after ten seconds
/// by force.
const GUARD: &str = r#"exec 3<&0; "$@" </dev/null & emulator=$!; stop() { kill $emulator; (sleep 10; kill -9 $emulator) >/dev/null 2>&1 & }; trap stop TERM; (read -r _ <&3; stop) & wait $emulator; wait $emulator"#;

/// Whether there is such a process, and it is not just waiting to be reaped.
pub(crate) fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok()) && !command_of(pid).is_empty()
}

/// Whether the process that was noted is still the emulator of this folder: process ids come around again.
fn is_ours(pid: i32, folder: &Path) -> bool {
    let venvs = folder.parent().unwrap_or(folder).join("venv-");
    is_alive(pid) && command_of(pid).contains(&*venvs.to_string_lossy())
}

/// The command line of a process; empty when there is none, or it has ended and nobody has asked how.
fn command_of(pid: i32) -> String {
    let output = Command::new("ps").args(["-o", "stat=,command=", "-p", &pid.to_string()]).output();
    let line = output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    if line.trim_start().starts_with('Z') { String::new() } else { line.trim().to_owned() }
}

async fn answers(running: Running) -> bool {
    http::get(&format!("{}/_localstack/health", running.endpoint())).await.is_ok_and(|answer| answer.status == 200)
}

/// The usual port if it is wanted and free, else any.
fn free_port(usual: bool) -> Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    if usual && let Ok(address) = bind(USUAL_PORT) {
        return Ok(address.port());
    }
    Ok(bind(0).context("this machine has no free port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_usual_port_is_left_alone() {
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT));
        assert_ne!(free_port(true).unwrap(), USUAL_PORT);
    }

    #[test]
    fn a_process_that_is_gone_is_not_alive() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(!is_alive(pid));
        assert!(is_alive(i32::try_from(std::process::id()).unwrap()));
    }

    #[test]
    fn somebody_elses_process_is_not_ours() {
        assert!(!is_ours(i32::try_from(std::process::id()).unwrap(), Path::new("/nowhere/local/ministack")));
    }
}
