//! One emulator process: its folder, its port, its life. What runs beside it lives by the same means.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use liveness::is_alive;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::emulator::{Emulator, Program};
use crate::shell::tail;
use crate::{Lifetime, http};

/// The port that LocalStack and its like listen on by default.
const USUAL_PORT: u16 = 4566;

/// How long a process may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What is remembered about a running process between two commands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub pid: i32,
    pub port: u16,
}

impl Running {
    pub fn endpoint(self) -> String {
        endpoint(self.port)
    }
}

/// The URL of a port of this machine.
pub(crate) fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A folder under `target/local` in which one emulator runs, or may run.
#[derive(Debug)]
pub(crate) struct Instance {
    pub emulator: Emulator,
    pub folder: PathBuf,
    /// Whether to take the usual ports when they are free.
    pub usual_port: bool,
}

impl Instance {
    /// `usual_port`: whether to take 4566 and 4580 when they are free; other instances leave them to the user's own.
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
        noted(&self.note())
    }

    /// Starts the emulator; it is not ready yet when this returns. `told` are variables of the functions, which run
    /// in the emulator's environment: where they find what runs beside it, so that no template has to know.
    pub fn start(&self, program: &Program, lifetime: Lifetime, told: &[(&str, String)]) -> Result<Starting> {
        let scratch = self.folder.join("tmp");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).with_context(|| format!("cannot empty {}", scratch.display()))?;
        }
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let port = port_of(&reserve(self.usual_port.then_some(USUAL_PORT))?)?;
        let log = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut child = command(&program.command, lifetime)
            .current_dir(&self.folder)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .envs((program.per_instance)(port, &self.folder))
            // A shell that was told about one emulator must not lead another one's functions there.
            .env_remove("AWS_ENDPOINT_URL")
            .env_remove("AWS_ENDPOINT_URL_CODEPIPELINE")
            .envs(told.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone()?)
            .stderr(log)
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
        last_words(&self.log())
    }

    /// Ends the emulator and its functions. Returns whether there was one.
    pub async fn stop(&self) -> Result<bool> {
        let Some(running) = self.noted() else { return Ok(false) };
        let venvs = self.folder.parent().unwrap_or(&self.folder).join("venv-");
        let was_alive = end(running.pid, &venvs).await;
        forget(&self.note())?;
        Ok(was_alive)
    }
}

/// The process that a note tells of.
pub(crate) fn noted(note: &Path) -> Option<Running> {
    serde_json::from_str(&fs::read_to_string(note).ok()?).ok()
}

/// Removes a note, if it is there.
pub(crate) fn forget(note: &Path) -> Result<()> {
    match fs::remove_file(note) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", note.display()))
        }
        _ => Ok(()),
    }
}

/// The end of a log, for an error.
pub(crate) fn last_words(log: &Path) -> String {
    let text = fs::read(log).map_or_else(|_| String::new(), |text| tail(&String::from_utf8_lossy(&text)));
    format!("The end of its log, {}:\n{text}", log.display())
}

/// A program to start, in a group of its own: a Ctrl-C here is not meant for it. One that lives until exit is ended when its
/// standard input is closed, which must be held until then.
#[must_use]
pub fn command(program: &[OsString], lifetime: Lifetime) -> Command {
    let mut command = match lifetime {
        Lifetime::Detached => {
            let mut command = Command::new(&program[0]);
            command.args(&program[1..]).stdin(Stdio::null());
            command
        }
        Lifetime::UntilExit => {
            // The pipe's end is this process's end, however it comes about; then the program is ended too.
            let mut command = Command::new("sh");
            command.args(["-c", GUARD, "guard"]).args(program).stdin(Stdio::piped());
            command
        }
    };
    command.process_group(0);
    command
}

/// Ends a process and its group, if `part` is in its command line. Returns whether it is.
pub(crate) async fn end(pid: i32, part: &Path) -> bool {
    let is_it = is_ours(pid, part);
    if is_it && let Some(id) = Pid::from_raw(pid) {
        // Itself first, so that it can end what it started; then whatever is left of its group.
        let _ = kill_process(id, Signal::TERM);
        let began = Instant::now();
        while is_alive(pid) && began.elapsed() < STOP_LIMIT {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _ = kill_process_group(id, Signal::KILL);
    }
    is_it
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
const GUARD: &str = r#"exec 3<&0; "$@" </dev/null & program=$!; stop() { kill $program; (sleep 10; kill -9 $program) >/dev/null 2>&1 & }; trap stop TERM; (read -r _ <&3; stop) & wait $program; wait $program"#;

/// Whether the process that was noted is still the one that was started, with `part` in its command line: process ids
/// come around again.
fn is_ours(pid: i32, part: &Path) -> bool {
    is_alive(pid) && command_of(pid).contains(&*part.to_string_lossy())
}

/// The command line of a process; empty when there is none.
fn command_of(pid: i32) -> String {
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn answers(running: Running) -> bool {
    http::get(&format!("{}/_localstack/health", running.endpoint())).await.is_ok_and(|answer| answer.status == 200)
}

/// Keeps a port from others until it is dropped: the usual one if one is wanted and it is free, else any.
pub(crate) fn reserve(usual: Option<u16>) -> Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(usual) = usual
        && let Ok(listener) = bind(usual)
    {
        return Ok(listener);
    }
    bind(0).context("this machine has no free port")
}

pub(crate) fn port_of(listener: &TcpListener) -> Result<u16> {
    Ok(listener.local_addr().context("a port has no number")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_usual_port_is_left_alone() {
        let taken = reserve(None).unwrap();
        let usual = port_of(&taken).unwrap();
        assert_ne!(port_of(&reserve(Some(usual)).unwrap()).unwrap(), usual);
        drop(taken);
        assert_eq!(port_of(&reserve(Some(usual)).unwrap()).unwrap(), usual);
    }

    #[test]
    fn somebody_elses_process_is_not_ours() {
        assert!(!is_ours(i32::try_from(std::process::id()).unwrap(), Path::new("/nowhere/local/venv-")));
    }
}
