//! The console's door beside an emulator: a process of this command that runs `millrace proxy`'s server for it.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_credential_types::Credentials as Keys;
use millrace::output::report;
use millrace::proxy::{Api, ApiUrl, CloudWatch, Credentials, Logs, PORT, Proxy};
use tokio::signal::unix::{SignalKind, signal};

use crate::instance::{Instance, Running, command, end, forget, is_alive, last_words, noted, port_of, reserve};
use crate::sdk::{HOME, KEY, account};
use crate::{Emulator, Lifetime, Stack, http};

/// It has nothing to load.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often it looks whether its emulator lives.
const GLANCE: Duration = Duration::from_secs(1);

/// The word of this command that runs the door. Nobody but this module says it.
pub const COMMAND: &str = "serve-console";

/// What the process is told.
#[derive(Debug, clap::Args)]
pub struct Served {
    /// The port to listen on, at 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where the API answers.
    #[arg(long)]
    api_url: ApiUrl,
    /// Where the emulator answers.
    #[arg(long)]
    endpoint: String,
    /// Where the build host answers.
    #[arg(long)]
    codebuild: String,
    /// The process of the emulator, with which this one ends.
    #[arg(long)]
    emulator: i32,
}

impl Served {
    /// Serves until it is told to end, or its emulator has ended.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn run(&self) -> Result<()> {
        let keys = Credentials::new(Keys::new(KEY, KEY, None, None, "local"));
        let proxy = Proxy::bind(self.port, Api::new(self.api_url.clone(), HOME.to_owned(), keys)).await?;
        let proxy = proxy.with_logs(logs(&self.endpoint, &self.codebuild)?);
        let mut terminated = signal(SignalKind::terminate())?;
        report(&format!("serving {} at {}", self.api_url, proxy.console_url()));
        let emulator = self.emulator;
        let gone = async move {
            while is_alive(emulator) {
                tokio::time::sleep(GLANCE).await;
            }
        };
        proxy
            .serve(async move {
                tokio::select! { _ = terminated.recv() => {}, () = gone => {} }
            })
            .await;
        Ok(())
    }
}

/// The door of an instance.
pub(crate) struct Door {
    folder: PathBuf,
    usual_port: bool,
}

impl Door {
    pub fn of(instance: &Instance) -> Self {
        Self { folder: instance.folder.clone(), usual_port: instance.usual_port }
    }

    fn note(&self) -> PathBuf {
        self.folder.join("console.json")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// Starts the door to a stack anew, so that it is of the same build as this command, at the port that it had. Returns the console's
    /// address.
    pub async fn open(&self, stack: &Stack) -> Result<String> {
        let before = noted(&self.note()).map(|running| running.port);
        self.stop().await?;
        let port = port_of(&reserve(before.or(self.usual_port.then_some(PORT)))?)?;
        let (port_text, emulator_text) = (port.to_string(), stack.emulator_pid().to_string());
        let program = env::current_exe().context("this command has no file")?;
        let words = [
            program.as_os_str(),
            COMMAND.as_ref(),
            "--port".as_ref(),
            port_text.as_ref(),
            "--api-url".as_ref(),
            stack.api_url.as_ref(),
            "--endpoint".as_ref(),
            stack.endpoint.as_ref(),
            "--codebuild".as_ref(),
            stack.value("AWS_ENDPOINT_URL_CODEBUILD")?.as_ref(),
            "--emulator".as_ref(),
            emulator_text.as_ref(),
        ];
        let log = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut child = command(&words.map(ToOwned::to_owned), Lifetime::Detached)
            .current_dir(&self.folder)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the console's door")?;
        let running = Running { pid: i32::try_from(child.id())?, port };
        fs::write(self.note(), serde_json::to_string(&running)?).context("cannot note the console's process")?;
        let began = Instant::now();
        // Whatever it answers.
        while http::get(&running.endpoint()).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("the console's door died while it started ({status}). {}", last_words(&self.log()));
            }
            if began.elapsed() > START_LIMIT {
                bail!(
                    "the console's door did not answer within {} s. {}",
                    START_LIMIT.as_secs(),
                    last_words(&self.log())
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(address(running.port))
    }

    /// Ends it, if it runs.
    pub async fn stop(&self) -> Result<()> {
        if let Some(running) = noted(&self.note()) {
            end(running.pid, COMMAND.as_ref()).await;
            forget(&self.note())?;
        }
        Ok(())
    }
}

/// What reads the logs of actions on an emulator, and of builds on the build host beside it.
pub(crate) fn logs(endpoint: &str, codebuild: &str) -> Result<Logs> {
    Ok(Logs::new(CloudWatch::new(account(endpoint)?).with_codebuild(codebuild.to_owned())))
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}/console")
}

/// The address of the console of the user's own `emulator`, if its door is open.
#[must_use]
pub fn console_address(emulator: Emulator) -> Option<String> {
    let instance = Instance::new(emulator, crate::paths::Paths::new().instance(emulator.name()), true);
    let running = noted(&Door::of(&instance).note())?;
    is_alive(running.pid).then(|| address(running.port))
}
