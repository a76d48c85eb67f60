//! The console's door beside an emulator: a process of this command that runs `millrace proxy`'s server for it.

use std::env;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_credential_types::Credentials as Keys;
use liveness::is_alive;
use millrace::output::report;
use millrace::proxy::{Api, ApiUrl, CloudWatch, Credentials, Logs, PORT, Proxy};
use tokio::signal::unix::{SignalKind, signal};

use crate::instance::{Instance, port_of, reserve};
use crate::sdk::{HOME, KEY, account};
use crate::sidecar::{Kind, Sidecar};
use crate::{Emulator, Lifetime, Stack};

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
pub(crate) struct Door(pub Sidecar);

impl Door {
    pub fn of(instance: &Instance) -> Self {
        let kind = Kind { file: "console", name: "the console's door", lost: "", usual_port: PORT };
        Self(Sidecar::new(instance, kind, COMMAND))
    }

    /// Starts the door to a stack anew, so that it is of the same build as this command, at the port that it had. Returns the console's
    /// address.
    pub async fn open(&self, stack: &Stack) -> Result<String> {
        let before = self.0.noted().map(|running| running.port);
        self.0.stop().await?;
        let port = port_of(&match before {
            Some(port) => reserve(Some(port))?,
            None => self.0.reserve()?,
        })?;
        let (program, emulator) =
            (env::current_exe().context("this command has no file")?, stack.emulator_pid().to_string());
        let words = [
            program.as_os_str(),
            COMMAND.as_ref(),
            "--api-url".as_ref(),
            stack.api_url.as_ref(),
            "--endpoint".as_ref(),
            stack.endpoint.as_ref(),
            "--codebuild".as_ref(),
            stack.value("AWS_ENDPOINT_URL_CODEBUILD")?.as_ref(),
            "--emulator".as_ref(),
            emulator.as_ref(),
        ];
        let (running, _) = self.0.start(&words, port, &[], Lifetime::Detached).await?;
        Ok(address(running.port))
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
    let running = Door::of(&instance).0.noted()?;
    is_alive(running.pid).then(|| address(running.port))
}
