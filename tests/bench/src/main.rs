//! `cargo run -p bench`: measures, prints a table, writes JSON under `target/bench`.
//!
//! Deployed as a Lambda function, the same program is one of the functions that Millrace's are compared with.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bench::{Effort, measure, packages};
use clap::{Parser, Subcommand};
use local::Emulator;

/// The figures for which the design has budgets, as ratios in one run on the local stack.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The emulator to measure on.
    #[arg(long, value_enum, default_value_t = Emulator::Ministack)]
    on: Emulator,
    /// How often each pipeline is run.
    #[arg(long, default_value_t = Effort::default().repeat, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// End with status 1 when a budget is exceeded.
    #[arg(long, global = true)]
    check: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Build the functions as for AWS, with cargo-lambda: how large each package is, and how soon each is ready.
    Functions,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    if bench::function::is_wanted() {
        return bench::function::serve().await.map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    if let Some(Command::Functions) = arguments.command {
        let rows = packages::measure().await?;
        save("functions", &serde_json::to_string_pretty(&rows)?)?;
        return Ok(verdict(arguments.check && rows.iter().any(|row| row.kept() == Some(false))));
    }
    let effort = Effort { repeat: arguments.repeat, ..Effort::default() };
    let report = measure(arguments.on, &effort, &std::env::current_exe()?).await?;
    save(report.emulator, &serde_json::to_string_pretty(&report)?)?;
    // Whoever reads may go away (`| head`): the exit status says it as well.
    let mut out = std::io::stdout();
    _ = writeln!(out, "{report}");
    Ok(verdict(arguments.check && !report.over().is_empty()))
}

/// Writes what was found where the next one to look for it looks.
fn save(name: &str, json: &str) -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(format!("{name}.json")), json)?)
}

fn verdict(is_over: bool) -> ExitCode {
    if is_over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
