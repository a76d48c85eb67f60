//! A program that runs beside an emulator and may outlive the command that started it: noted, logged, found again and stopped
//! by the same means, whatever it serves.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use liveness::is_alive;

use crate::instance::{Instance, Running, command, end, forget, last_words, noted, port_of, reserve};
use crate::{Lifetime, http};

/// None of them has much to load.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What is known of a sidecar before it is needed.
pub(crate) enum Place {
    /// An earlier command started it. It may have died since.
    Started(Running),
    /// The port on which it will listen: the emulator's functions are told before it runs.
    Reserved(TcpListener),
}

impl Place {
    pub fn port(&self) -> Result<u16> {
        match self {
            Self::Started(running) => Ok(running.port),
            Self::Reserved(listener) => port_of(listener),
        }
    }
}

/// What is to be done about a sidecar that is needed now.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing: this process, of an earlier start, still serves.
    Runs(Running),
    /// It is to be started on this port.
    StartAt(u16),
}

/// A sidecar that runs, and what ends it with this process where it is to live no longer: its standard input.
pub(crate) type Started = (Running, Option<ChildStdin>);

/// Which program it is.
pub(crate) struct Kind {
    /// Names its note and its log in the instance's folder.
    pub file: &'static str,
    /// What it is, for people: "the build host".
    pub name: &'static str,
    /// What is gone when it has died, behind "has died".
    pub lost: &'static str,
    /// The port that it takes beside the user's own emulator, if it is free.
    pub usual_port: u16,
}

/// A program beside an emulator, whether it runs or not.
pub(crate) struct Sidecar {
    folder: PathBuf,
    kind: Kind,
    /// What its command line has and no other program's.
    mark: PathBuf,
    /// None beside another emulator than the user's own.
    usual_port: Option<u16>,
}

impl Sidecar {
    pub fn new(instance: &Instance, kind: Kind, mark: impl Into<PathBuf>) -> Self {
        let usual_port = instance.usual_port.then_some(kind.usual_port);
        Self { folder: instance.folder.clone(), kind, mark: mark.into(), usual_port }
    }

    fn note(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.kind.file))
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.kind.file))
    }

    /// What an earlier command started and no other one stopped.
    pub fn noted(&self) -> Option<Running> {
        noted(&self.note())
    }

    /// Says so if it has ended although nobody stopped it.
    pub fn death(&self) -> Option<String> {
        let died = self.noted().is_some_and(|running| !is_alive(running.pid));
        died.then(|| format!("{} has died{}. {}", self.kind.name, self.kind.lost, last_words(&self.log())))
    }

    /// Keeps a port for it.
    pub fn reserve(&self) -> Result<TcpListener> {
        reserve(self.usual_port)
    }

    /// Whether it is to be started, and where. One that has died gets its port again, which the emulator's functions know.
    pub fn next(&self, place: Place, say: fn(&str)) -> Result<Next> {
        let port = place.port()?;
        if let Place::Started(running) = place {
            let Some(death) = self.death() else { return Ok(Next::Runs(running)) };
            say(&format!("{death}\nstarting {} again", self.kind.name));
        }
        Ok(Next::StartAt(port))
    }

    /// Starts it, with its port behind its other arguments, and waits until it answers, whatever that is.
    pub async fn start(
        &self,
        words: &[&OsStr],
        port: u16,
        environment: &[(&str, &str)],
        lifetime: Lifetime,
    ) -> Result<Started> {
        let (name, log) = (self.kind.name, self.log());
        let mut words: Vec<OsString> = words.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--port".into(), port.to_string().into()]);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = command(&words, lifetime)
            .current_dir(&self.folder)
            .envs(environment.iter().copied())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let running = Running { pid: i32::try_from(child.id())?, port };
        let note = serde_json::to_string(&running)?;
        fs::write(self.note(), note).with_context(|| format!("cannot note the process of {name}"))?;
        let guard = child.stdin.take();
        let began = Instant::now();
        while http::get(&running.endpoint()).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} died while it started ({status}). {}", last_words(&log));
            }
            if began.elapsed() > START_LIMIT {
                bail!("{name} did not answer within {} s. {}", START_LIMIT.as_secs(), last_words(&log));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((running, guard))
    }

    /// Ends it and what it has started, if it runs.
    pub async fn stop(&self) -> Result<()> {
        if let Some(running) = self.noted() {
            end(running.pid, &self.mark).await;
            forget(&self.note())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Emulator;

    #[tokio::test]
    async fn what_has_died_is_told_with_its_last_words_and_gets_its_port_again() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::new(Emulator::Ministack, folder.path().to_owned(), false);
        let kind = Kind { file: "helper", name: "the helper", lost: ", and its notes are gone", usual_port: 1 };
        let sidecar = Sidecar::new(&instance, kind, "helper-of-nobody");
        assert!(sidecar.noted().is_none() && sidecar.death().is_none());
        let reserved = Place::Reserved(sidecar.reserve().unwrap());
        let Next::StartAt(port) = sidecar.next(reserved, |_| ()).unwrap() else { panic!("it has not run yet") };
        let words = ["sh", "-c", "echo out of luck"].map(OsStr::new);
        let error = sidecar.start(&words, port, &[], Lifetime::Detached).await.unwrap_err().to_string();
        assert!(error.contains("the helper died while it started") && error.contains("out of luck"), "{error}");

        let death = sidecar.death().unwrap();
        assert!(
            death.starts_with("the helper has died, and its notes are gone.") && death.contains("out of luck"),
            "{death}"
        );
        let started = Place::Started(sidecar.noted().unwrap());
        assert!(matches!(sidecar.next(started, |_| ()).unwrap(), Next::StartAt(again) if again == port));
        sidecar.stop().await.unwrap();
        assert!(sidecar.death().is_none(), "it was stopped");
    }
}
