//! `code-host --root FOLDER --connection FILE [--port PORT] [--emulator PID]`: the code host as a command, until it is killed
//! or its emulator has ended. Under the name `post-receive` it is Git's hook.

use std::io::{stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use code_host::{POST_RECEIVE, Server, Settings, post_receive};
use liveness::is_alive;

/// Keeps repositories to push to, and tells pipelines of it as GitHub would.
#[derive(Parser)]
#[command(name = "code-host", version)]
struct Arguments {
    /// The folder in which repositories are kept.
    #[arg(long)]
    root: PathBuf,
    /// The file with the token of the API, and the address and the secret of the webhook. It may come later.
    #[arg(long)]
    connection: PathBuf,
    /// The port of 127.0.0.1 on which to listen; 0 lets the system choose.
    #[arg(long, default_value_t = 4590)]
    port: u16,
    /// The process id of the emulator, with which the code host ends.
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    emulator: Option<i32>,
}

/// How often it is looked whether the emulator is still there.
const TICK: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|it| it == POST_RECEIVE) {
        return post_receive(stdin().lock(), stdout().lock());
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
        .init();
    let Arguments { root, connection, port, emulator } = Arguments::parse();
    let hook = std::env::current_exe().context("this program has no file")?;
    let server = Server::start(port, Settings { root, connection, hook })?;
    tracing::info!(url = server.url(), "the code host answers");
    while emulator.is_none_or(is_alive) {
        std::thread::sleep(TICK);
    }
    tracing::info!("the emulator has ended");
    Ok(())
}
