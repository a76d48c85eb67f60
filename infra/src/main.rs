//! `millrace COMMAND [--profile NAME] [--region HOME] [--stack NAME]`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use millrace::audit_log::{self, AuditLog};
use millrace::output::{CLOSED_PIPE, Closed, outln, report, words};
use millrace::{Account, Installation, badge, cost, deploy, destroy, doctor, layer, proxy, role, rollback};

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
    Deploy(deploy::Arguments),
    Destroy(destroy::Arguments),
    Rollback(rollback::Arguments),
    /// Tell where the installation answers.
    Status,
    /// Serve CodePipeline's clients on this machine: signs what they send for API Gateway, as you.
    Proxy(proxy::Args),
    /// Publish a Lambda layer with the same for functions, and print its ARN for each architecture.
    Layer(layer::Args),
    /// Look for what is wrong with the installation, or with a pipeline, and say what mends it.
    Doctor(doctor::Arguments),
    /// Print the least roles with which a pipeline can run, or make them.
    Role(role::Arguments),
    /// Print the Markdown that shows a pipeline's state to everybody, for a README.
    Badge(badge::Arguments),
    /// Show what executions of a pipeline have cost, by the calls that the functions counted.
    Cost(cost::Arguments),
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
    let region = match &arguments.command {
        Command::Proxy(proxy) => proxy.region().or(place.region.as_deref()),
        _ => place.region.as_deref(),
    };
    let account = Account::from_environment(place.profile.as_deref(), region).await?;
    match &arguments.command {
        Command::Deploy(wanted) => wanted.run(&account, &place.stack).await,
        Command::Rollback(wanted) => wanted.run(&account, &place.stack).await,
        Command::Destroy(wanted) => wanted.run(&account, &place.stack).await,
        Command::Status => {
            let installation = Installation::find(&account, &place.stack).await?;
            outln!("{} in {}: CodePipeline at {}", installation.name, account.home(), installation.output("ApiUrl")?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Layer(layer) => layer.run(&account, &place.stack).await,
        Command::Proxy(proxy) => proxy.run(&account, place.profile.as_deref(), &place.stack).await,
        Command::Doctor(wanted) => wanted.run(&account, &place.stack).await,
        Command::Role(wanted) => wanted.run(&account, &place.stack).await,
        Command::Badge(wanted) => wanted.run(&account, place.profile.as_deref(), &place.stack).await,
        Command::Cost(wanted) => wanted.run(&account, &place.stack, &mut |line| outln!("{line}")).await,
        Command::Audit(arguments) => {
            let log = AuditLog::of(&account, &place.stack, arguments).await?;
            let right = log.run(arguments, &mut |line| outln!("{line}")).await?;
            Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
