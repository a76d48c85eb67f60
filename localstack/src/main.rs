//! `cargo run -p local -- up | down | status | demo [--yes] | logs | why PIPELINE`, each with `--on ministack` or `--on localstack`.
#![allow(clippy::print_stdout, reason = "a command prints")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use local::{Emulator, Options, Stack};

mod demo;
mod logs;
mod why;

/// Millrace on this machine.
#[derive(Parser)]
#[command(name = "local", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Which emulator of AWS.
    #[arg(long, global = true, value_enum, default_value = "ministack")]
    on: Emulator,
}

#[derive(Subcommand)]
enum Command {
    /// Start the emulator, build the functions, deploy what changed, write target/local/env.
    Up,
    /// Stop the emulator and forget what was in it.
    Down,
    /// Say whether it is up; the exit status is 0 only then.
    Status,
    /// Run a release: from an object in S3 to a deployment in the other region.
    Demo {
        /// Use the approver's link without waiting for anybody: open the page, send the form.
        #[arg(long)]
        yes: bool,
    },
    /// Print what the functions have logged.
    Logs,
    /// Say what the executions of a pipeline wait for.
    Why {
        /// The pipeline's name.
        pipeline: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            let error = format!("{error:#}");
            eprintln!("error: {error}");
            for trouble in local::trouble(arguments.on, &error) {
                eprintln!("{trouble}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let emulator = arguments.on;
    match &arguments.command {
        Command::Up => {
            let stack = Stack::up(emulator, Options::default()).await?;
            println!("up: {} at {}", emulator.name(), stack.endpoint);
            println!("CodePipeline answers at {}", stack.api_url);
            println!("clients: . target/local/env");
            Ok(ExitCode::SUCCESS)
        }
        Command::Down => {
            let stopped = local::down(emulator, None).await?;
            println!("{} {}", emulator.name(), if stopped { "stopped" } else { "was not running" });
            Ok(ExitCode::SUCCESS)
        }
        Command::Status => match Stack::attach(emulator, None).await {
            Ok(stack) => {
                println!("up: {} at {}, CodePipeline at {}", emulator.name(), stack.endpoint, stack.api_url);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                println!("down: {error:#}");
                Ok(ExitCode::FAILURE)
            }
        },
        Command::Demo { yes } => {
            let stack = Stack::up(emulator, Options::default()).await?;
            Ok(if demo::run(&stack, *yes).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Why { pipeline } => {
            let stack = Stack::attach(emulator, None).await?;
            why::print(&stack, pipeline).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Logs => logs::print(&Stack::attach(emulator, None).await?).await.map(|()| ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_as_documented() {
        let arguments = Arguments::parse_from(["local", "up", "--on", "localstack"]);
        assert_eq!(arguments.on, Emulator::Localstack);
        assert_eq!(Arguments::parse_from(["local", "status"]).on, Emulator::Ministack);
        let demo = Arguments::parse_from(["local", "demo", "--yes", "--on", "localstack"]);
        assert!(matches!(demo.command, Command::Demo { yes: true }));
        let why = Arguments::parse_from(["local", "why", "release"]);
        assert!(matches!(why.command, Command::Why { pipeline } if pipeline == "release"));
    }
}
