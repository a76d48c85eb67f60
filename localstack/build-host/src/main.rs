//! `build-host --root FOLDER [--port PORT] [--parallel BUILDS] [--emulator PID]`: the build host as a command, until it is
//! interrupted or its emulator has ended.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use build_host::{Server, Settings};
use clap::Parser;
use liveness::is_alive;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the builds of pipelines on this machine, behind CodeBuild's API. It runs what buildspecs say with your rights.
#[derive(Parser)]
#[command(name = "build-host", version)]
struct Arguments {
    /// The folder in which each build gets a folder of its own.
    #[arg(long)]
    root: PathBuf,
    /// The port of 127.0.0.1 on which to listen; 0 lets the system choose.
    #[arg(long, default_value_t = 4580)]
    port: u16,
    /// How many builds run at once; others are queued.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// The account in ARNs.
    #[arg(long, default_value = "000000000000")]
    account: String,
    /// The process id of the emulator, with which the build host ends.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    emulator: Option<i32>,
}

/// How often it is looked whether the emulator is still there.
const TICK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
        .init();
    let arguments = Arguments::parse();
    let endpoint = std::env::var("AWS_ENDPOINT_URL").context("AWS_ENDPOINT_URL must be the emulator's URL")?;
    let defaults = Settings::new(arguments.root, endpoint);
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (key, secret) = &defaults.credentials;
    let credentials = (variable("AWS_ACCESS_KEY_ID", key), variable("AWS_SECRET_ACCESS_KEY", secret));
    let settings = Settings { account: arguments.account, parallel: arguments.parallel, credentials, ..defaults };
    let server = Server::start(arguments.port, settings).await?;
    tracing::info!(endpoint = server.endpoint(), "the build host answers");
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
        () = end_of(arguments.emulator) => tracing::info!("the emulator has ended"),
    }
    Ok(())
}

/// Waits until there is no such process; for ever if none is named.
async fn end_of(process: Option<i32>) {
    let Some(process) = process else { return std::future::pending().await };
    while is_alive(process) {
        tokio::time::sleep(TICK).await;
    }
}
