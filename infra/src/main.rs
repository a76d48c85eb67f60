//! `millrace COMMAND [--profile NAME] [--region HOME] [--stack NAME]`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use millrace::audit_log::{self, AuditLog};
use millrace::output::{CLOSED_PIPE, Closed, outln, report, words};
use millrace::{Account, Installation};

/// Millrace in an AWS account.
#[derive(Parser)]
#[command(name = "millrace", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

/// Where the installation is, or is to be.
#[derive(Args)]
struct Place {
    /// A profile of the AWS configuration files; otherwise what the SDK's default chain finds.
    #[arg(long, global = true)]
    profile: Option<String>,
    /// The region of the home stack; otherwise that of the environment or the profile.
    #[arg(long, global = true)]
    region: Option<String>,
    /// The name of the home stack.
    #[arg(long, global = true, default_value = "millrace")]
    stack: String,
}

#[derive(Subcommand)]
enum Command {
    /// Tell where the installation answers.
    Status,
    /// Show who called what and what changed, or check that nobody has altered the record of it.
    Audit(audit_log::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    match execute(&Arguments::parse()).await {
        Ok(code) => code,
        Err(error) if error.is::<Closed>() => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            report(&format!("error: {}", words(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let place = &arguments.place;
    let account = Account::from_environment(place.profile.as_deref(), place.region.as_deref()).await?;
    match &arguments.command {
        Command::Status => {
            let installation = Installation::find(&account, &place.stack).await?;
            outln!("{} in {}: CodePipeline at {}", installation.name, account.home(), installation.output("ApiUrl")?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit(arguments) => {
            let log = AuditLog::of(&account, &place.stack, arguments).await?;
            let right = log.run(arguments, &mut |line| outln!("{line}")).await?;
            Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
