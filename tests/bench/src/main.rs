//! `cargo run -p bench`: measures, prints a table, writes JSON under `target/bench`.
//!
//! Deployed as a Lambda function, the same program is one of the functions that Millrace's are compared with.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bench::{Effort, measure};
use clap::Parser;
use local::Emulator;

/// The figures for which the design has budgets, as ratios in one run on the local stack.
#[derive(Parser)]
struct Arguments {
    /// The emulator to measure on.
    #[arg(long, value_enum, default_value_t = Emulator::Ministack)]
    on: Emulator,
    /// How often each pipeline is run.
    #[arg(long, default_value_t = Effort::default().repeat, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// End with status 1 when a budget is exceeded.
    #[arg(long)]
    check: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    if bench::function::is_wanted() {
        return bench::function::serve().await.map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    let effort = Effort { repeat: arguments.repeat, ..Effort::default() };
    let report = measure(arguments.on, &effort, &std::env::current_exe()?).await?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{}.json", report.emulator)), serde_json::to_string_pretty(&report)?)?;
    // Whoever reads may go away (`| head`): the exit status says it as well.
    let mut out = std::io::stdout();
    _ = writeln!(out, "{report}");
    Ok(if arguments.check && !report.over().is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
