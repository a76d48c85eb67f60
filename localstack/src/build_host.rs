//! The build host beside an emulator: the process of an instance that runs the builds of its pipelines.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::instance::{Instance, Running, command, end, forget, is_alive, last_words, noted, port_of, reserve};
use crate::sdk::KEY;
use crate::{Lifetime, http};

/// The package of the build host, and its program.
pub(crate) const PACKAGE: &str = "build-host";

/// The port on which a build host listens by default.
const USUAL_PORT: u16 = 4580;

/// It has nothing to load.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What is known of an instance's build host before it is needed.
pub(crate) enum Place {
    /// An earlier command started it. It may have died since.
    Started(Running),
    /// The port on which it will listen: the emulator's functions are told before it runs.
    Reserved(TcpListener),
}

/// The build host of an instance.
pub(crate) struct BuildHost {
    folder: PathBuf,
    usual_port: bool,
}

impl BuildHost {
    pub fn of(instance: &Instance) -> Self {
        Self { folder: instance.folder.clone(), usual_port: instance.usual_port }
    }

    fn note(&self) -> PathBuf {
        self.folder.join("build-host.json")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("build-host.log")
    }

    /// Where builds have their folders.
    fn root(&self) -> PathBuf {
        self.folder.join("builds")
    }

    /// The build host that an earlier command started and no other one stopped.
    pub fn noted(&self) -> Option<Running> {
        noted(&self.note())
    }

    /// Says so if the build host has ended although nobody stopped it.
    pub fn death(&self) -> Option<String> {
        let died = self.noted().is_some_and(|running| !is_alive(running.pid));
        let words = || last_words(&self.log());
        died.then(|| format!("the build host has died, and its projects and builds are gone. {}", words()))
    }

    pub fn reserve(&self) -> Result<TcpListener> {
        reserve(self.usual_port.then_some(USUAL_PORT))
    }

    /// Starts the build host beside a running emulator unless it runs already, and waits until it answers. One that has died
    /// gets its port again, which the emulator's functions know.
    pub async fn run(
        &self,
        place: Place,
        programs: &BTreeMap<String, PathBuf>,
        emulator: Running,
        lifetime: Lifetime,
        say: fn(&str),
    ) -> Result<(Running, Option<ChildStdin>)> {
        let port = match place {
            Place::Started(running) => match self.death() {
                None => return Ok((running, None)),
                Some(death) => {
                    say(&format!("{death}\nstarting the build host again"));
                    running.port
                }
            },
            Place::Reserved(listener) => port_of(&listener)?,
        };
        let root = self.root();
        // What builds left behind whose host was killed.
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("cannot empty {}", root.display()))?;
        }
        let program = programs.get(PACKAGE).context("cargo built no build host")?;
        let (port_text, emulator_pid) = (port.to_string(), emulator.pid.to_string());
        let words = [
            program.as_os_str(),
            "--root".as_ref(),
            root.as_os_str(),
            "--port".as_ref(),
            port_text.as_ref(),
            "--emulator".as_ref(),
            emulator_pid.as_ref(),
        ];
        let log = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut child = command(&words.map(ToOwned::to_owned), lifetime)
            .current_dir(&self.folder)
            .env("AWS_ENDPOINT_URL", emulator.endpoint())
            // What builds are given: never the user's own.
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", KEY)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the build host")?;
        let running = Running { pid: i32::try_from(child.id())?, port };
        fs::write(self.note(), serde_json::to_string(&running)?).context("cannot note the build host's process")?;
        let guard = child.stdin.take();
        let began = Instant::now();
        // Whatever it answers: it refuses calls that are not signed.
        while http::get(&running.endpoint()).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("the build host died while it started ({status}). {}", last_words(&self.log()));
            }
            if began.elapsed() > START_LIMIT {
                bail!("the build host did not answer within {} s. {}", START_LIMIT.as_secs(), last_words(&self.log()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((running, guard))
    }

    /// Ends the build host and the builds that run.
    pub async fn stop(&self) -> Result<()> {
        if let Some(running) = self.noted() {
            end(running.pid, &self.root()).await;
            forget(&self.note())?;
        }
        Ok(())
    }
}
