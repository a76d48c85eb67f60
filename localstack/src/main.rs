//! `cargo run -p local -- up | down | status | demo [NAME] [--yes] | run FILE --source DIR | logs [PIPELINE] | why PIPELINE`,
//! each with `--on ministack` or `--on localstack`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use local::console::{self, console_address};
use local::{Emulator, Options, Stack};

mod demo;
mod logs;
mod mail;
mod progress;
mod run;
mod samples;
mod why;

use millrace::output::{CLOSED_PIPE, Closed, outln, report, words};

/// Millrace on this machine.
#[derive(Parser)]
#[command(name = "local", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The emulator of AWS to use.
    #[arg(long, global = true, value_enum, default_value = "ministack")]
    on: Emulator,
}

#[derive(Subcommand)]
enum Command {
    /// Start the emulator, build the functions, deploy what changed, write target/local/env.
    Up,
    /// Stop the emulator and forget what was in it.
    Down,
    /// Tell whether it is up; the exit status is 0 only if it is.
    Status,
    /// Run a release: from an object in S3, through a build, to a deployment in the other region. Or run a sample.
    Demo {
        /// A sample of `samples/`, run as `run` runs a pipeline of yours.
        name: Option<String>,
        /// Print the samples' names and what they show.
        #[arg(long)]
        list: bool,
        /// Use the approver's link without waiting for anybody: open the page, send the form.
        #[arg(long)]
        yes: bool,
    },
    /// Run a pipeline of your own: make what its definition names, create it, and show its first release.
    Run(run::Wanted),
    /// Print what the functions have logged: Millrace's own, and every other Lambda function of the emulator.
    Logs(logs::Wanted),
    /// Serve the console beside an emulator: what `up` starts.
    #[command(name = console::COMMAND, hide = true)]
    ServeConsole(console::Served),
    /// Explain what the executions of a pipeline are waiting for.
    Why {
        /// The name of the pipeline.
        pipeline: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(&arguments).await {
        Ok(code) => code,
        Err(error) if error.is::<Closed>() => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            let error = words(&error);
            report(&format!("error: {error}"));
            for trouble in local::trouble(arguments.on, &error) {
                report(&trouble);
            }
            ExitCode::FAILURE
        }
    }
}

async fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let emulator = arguments.on;
    match &arguments.command {
        Command::Up => {
            let stack = Stack::up(emulator, Options::default()).await?;
            outln!("up: {} at {}", emulator.name(), stack.endpoint)?;
            outln!("CodePipeline answers at {}", stack.api_url)?;
            outln!("console: {}", stack.open_console().await?)?;
            match stack.git_address()? {
                Some(address) => outln!("git: push to {address}; the first push creates the repository")?,
                None => outln!("git: it is not installed, so there are no repositories to push to")?,
            }
            outln!("clients: . target/local/env")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Down => {
            let stopped = local::down(emulator, None).await?;
            outln!("{} {}", emulator.name(), if stopped { "stopped" } else { "was not running" })?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status => match Stack::attach(emulator, None).await {
            Ok(stack) => {
                outln!("up: {} at {}, CodePipeline at {}", emulator.name(), stack.endpoint, stack.api_url)?;
                if let Some(address) = console_address(emulator) {
                    outln!("console: {address}")?;
                }
                let Some(death) = local::dead_sidecar(emulator) else { return Ok(ExitCode::SUCCESS) };
                outln!("{death}")?;
                Ok(ExitCode::FAILURE)
            }
            Err(error) => {
                outln!("down: {}", words(&error))?;
                Ok(ExitCode::FAILURE)
            }
        },
        Command::Demo { list: true, .. } => {
            outln!("{}", samples::list(&samples::all()?))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { name: Some(name), yes, .. } => released(emulator, &samples::find(name)?.wanted(*yes)?).await,
        Command::Demo { name: None, yes, .. } => {
            let stack = Stack::up(emulator, Options::default()).await?;
            outln!("console: {}/pipelines/{}", stack.open_console().await?, demo::PIPELINE)?;
            Ok(if demo::run(&stack, *yes).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Run(wanted) => released(emulator, wanted).await,
        Command::ServeConsole(served) => {
            served.run().await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Why { pipeline } => {
            let stack = Stack::attach(emulator, None).await?;
            why::print(&stack, pipeline).await.map(|()| ExitCode::SUCCESS)
        }
        Command::Logs(wanted) => {
            let stack = Stack::attach(emulator, None).await?;
            logs::print(&stack, wanted).await.map(|()| ExitCode::SUCCESS)
        }
    }
}

async fn released(emulator: Emulator, wanted: &run::Wanted) -> Result<ExitCode> {
    let input = wanted.read()?;
    let stack = Stack::up(emulator, Options::default()).await?;
    let console = stack.open_console().await?;
    // Standard output may be for a program.
    report(&format!("console: {console}/pipelines"));
    let report = run::run(&stack, wanted, input).await?;
    report.print(wanted.json)?;
    Ok(if report.has_succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        assert!(matches!(demo.command, Command::Demo { name: None, yes: true, list: false }));
        let sample = Arguments::parse_from(["local", "demo", "ecs"]);
        assert!(matches!(sample.command, Command::Demo { name: Some(name), .. } if name == "ecs"));
        let words = "run pipeline.json --source . --parameter Branch=a=b --pipeline Release --yes --json --keep";
        let run = Arguments::parse_from(["local"].into_iter().chain(words.split(' ')));
        assert!(matches!(run.command, Command::Run(_)));
        let refused = Arguments::try_parse_from(["local", "run", "x", "--source", ".", "--parameter", "Branch"]).err();
        assert!(refused.unwrap().to_string().contains("KEY=VALUE"));
        let why = Arguments::parse_from(["local", "why", "release"]);
        assert!(matches!(why.command, Command::Why { pipeline } if pipeline == "release"));
        assert!(matches!(Arguments::parse_from(["local", "logs"]).command, Command::Logs(_)));
        let words = ["local", "logs", "release", "--execution", "x", "--follow", "--since", "10m"];
        assert!(matches!(Arguments::parse_from(words).command, Command::Logs(_)));
        let refused = Arguments::try_parse_from(["local", "logs", "--execution", "x"]).err().expect("no pipeline");
        assert!(refused.to_string().contains("PIPELINE"), "{refused}");
    }
}
