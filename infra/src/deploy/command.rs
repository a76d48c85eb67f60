//! The command line of `millrace deploy`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_cloudformation::Client;
use clap::Args;

use super::{Plan, Wanted};
use crate::Account;
use crate::output::{outln, report};
use crate::programs::{Architecture, build_for_aws, build_here};
use crate::stacks::{describe, parameters};
use crate::versions::Shift;

/// Build Millrace and put it into the account, or bring the installation there to this version.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Regions in which actions run, with commas between them. The home region, and those that the installation has, always
    /// are.
    #[arg(long, value_delimiter = ',', value_name = "REGION")]
    regions: Vec<String>,
    /// A JSON file with parameters of the templates: an object, or CloudFormation's list. Others stay as they are.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// What the functions are built for; otherwise what the installation has, or arm64.
    #[arg(long)]
    architecture: Option<Architecture>,
    /// ARN of the policy that bounds every role of the installation; the parameter PermissionsBoundary.
    #[arg(long, value_name = "ARN")]
    permissions_boundary: Option<String>,
    /// Path of every role of the installation, such as /platform/; the parameter RolePath.
    #[arg(long, value_name = "PATH")]
    role_path: Option<String>,
    /// How traffic goes over to the new code: `all` at once, or per cent and minutes, such as 10:5. During these minutes alarms
    /// and errors take it back. On AWS 10:5, on an emulator `all`.
    #[arg(long, value_name = "SHIFT")]
    shift: Option<Shift>,
    /// On an emulator: build the functions as for AWS, with cargo-lambda, and not quickly with plain cargo.
    #[arg(long)]
    for_aws: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Only show what would change.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl Arguments {
    /// Deploys the installation `stack`.
    ///
    /// # Errors
    /// When something is missing, refused or fails; the message says what to do, and how far it came.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        let can_ask = stdin().is_terminal();
        ensure!(
            self.yes || self.dry_run || can_ask,
            "nobody can be asked here: --yes deploys without asking, --dry-run only shows what would change"
        );
        for region in self.regions.iter().map(String::as_str).chain([account.home()]) {
            check_region(region)?;
        }
        let mut given = self.parameters.as_deref().map(crate::parameters::read).transpose()?.unwrap_or_default();
        let flags = [("PermissionsBoundary", &self.permissions_boundary), ("RolePath", &self.role_path)];
        given.extend(flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));

        let caller = account.caller().await?;
        let standing = describe(&Client::new(&account.sdk(account.home())), stack).await?;
        let standing = standing.as_ref().map(parameters).unwrap_or_default();
        let architecture = self.architecture(account, &standing)?;
        report(&format!("building the functions for {}", architecture.name()));
        let emulated = account.endpoint().is_some();
        let quickly = emulated && !self.for_aws;
        let building = move || if quickly { build_here() } else { build_for_aws(architecture) };
        let programs = tokio::task::spawn_blocking(building).await??;
        let wanted = Wanted {
            stack: stack.to_owned(),
            regions: self.all_regions(&standing),
            programs,
            architecture,
            parameters: given,
            shift: Some(self.shift.unwrap_or(if emulated { Shift::ALL } else { Shift::GRADUAL })),
        };

        report(&format!("comparing with account {}, as {}", caller.account, caller.arn));
        let plan = Plan::new(account, &caller, &wanted).await?;
        for line in plan.lines() {
            outln!("{line}")?;
        }
        if plan.is_empty() || self.dry_run {
            plan.discard().await;
            outln!(
                "{}",
                if self.dry_run { "nothing was changed, since this was a dry run" } else { "it is up to date" }
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !matches!(answered("deploy this? (yes/no) ").await?.to_lowercase().as_str(), "yes" | "y") {
            plan.discard().await;
            outln!("nothing was changed")?;
            return Ok(ExitCode::FAILURE);
        }
        let deployed = plan.execute(&mut report).await?;
        for (name, region, outcome, _) in &deployed.0 {
            outln!("{name} in {region} {outcome}")?;
        }
        let url = deployed.0.first().and_then(|(.., outputs)| outputs.get("ApiUrl"));
        outln!("CodePipeline answers at {}", url.context("home.yaml's stack has no output ApiUrl")?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn architecture(&self, account: &Account, standing: &BTreeMap<String, String>) -> Result<Architecture> {
        if let Some(endpoint) = account.endpoint() {
            let here = Architecture::HERE;
            ensure!(
                self.architecture.is_none_or(|wanted| wanted == here),
                "the emulator at {endpoint} runs functions on this machine, which is {}: leave --architecture out",
                here.name()
            );
            return Ok(here);
        }
        let standing = standing.get("Architecture").and_then(|name| Architecture::named(name));
        Ok(self.architecture.or(standing).unwrap_or(Architecture::Arm64))
    }

    fn all_regions(&self, standing: &BTreeMap<String, String>) -> BTreeSet<String> {
        let standing = standing.get("Regions").into_iter().flat_map(|regions| regions.split(','));
        let standing = standing.filter(|region| !region.is_empty()).map(str::to_owned);
        self.regions.iter().cloned().chain(standing).collect()
    }
}

/// Refuses what cannot be the name of a region, before a client looks for its host.
fn check_region(region: &str) -> Result<()> {
    let parts: Vec<&str> = region.split('-').collect();
    let [place, middle @ .., number] = parts.as_slice() else { bail!(not_a_region(region)) };
    let letters = |part: &&str| !part.is_empty() && part.chars().all(|it| it.is_ascii_lowercase());
    let number = !number.is_empty() && number.chars().all(|it| it.is_ascii_digit());
    ensure!(letters(place) && !middle.is_empty() && middle.iter().all(letters) && number, not_a_region(region));
    Ok(())
}

fn not_a_region(region: &str) -> String {
    format!("{region:?} is not the name of a region, such as eu-west-1")
}

/// What the person at the terminal answers. Whoever presses Ctrl-C has answered nothing.
pub(crate) async fn answered(question: &str) -> Result<String> {
    crate::output::print(format_args!("{question}"))?;
    let (tell, answer) = tokio::sync::oneshot::channel();
    // Not one of tokio's: the process would wait for it at its end.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        let _ = tell.send(read.map(|_| line));
    });
    let line = tokio::select! {
        line = answer => line.context("nobody reads the terminal")?.context("cannot read the answer")?,
        _ = tokio::signal::ctrl_c() => String::new(),
    };
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &str) -> Arguments {
        Line::parse_from(["deploy"].into_iter().chain(line.split_whitespace())).arguments
    }

    fn account(endpoint: Option<&str>) -> Account {
        let mut config =
            SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-west-1"));
        config.set_endpoint_url(endpoint.map(str::to_owned));
        Account::new(config.build()).unwrap()
    }

    #[test]
    fn the_architecture_is_the_flags_or_the_installations_or_arm() {
        let stands = |name: &str| BTreeMap::from([("Architecture".to_owned(), name.to_owned())]);
        let chosen = |line: &str, standing| arguments(line).architecture(&account(None), &standing).unwrap();
        assert_eq!(chosen("", BTreeMap::new()), Architecture::Arm64);
        assert_eq!(chosen("", stands("x86_64")), Architecture::X86);
        assert_eq!(chosen("--architecture arm64", stands("x86_64")), Architecture::Arm64);
        let emulator = account(Some("http://127.0.0.1:4566"));
        assert_eq!(arguments("").architecture(&emulator, &BTreeMap::new()).unwrap(), Architecture::HERE);
        let other = if Architecture::HERE == Architecture::X86 { "arm64" } else { "x86_64" };
        let refused = arguments(&format!("--architecture {other}")).architecture(&emulator, &BTreeMap::new());
        assert!(refused.unwrap_err().to_string().contains("leave --architecture out"));
    }

    #[test]
    fn regions_of_the_installation_stay() {
        let standing = BTreeMap::from([("Regions".to_owned(), "eu-west-1,us-west-2".to_owned())]);
        let regions = arguments("--regions eu-north-1,us-west-2").all_regions(&standing);
        assert_eq!(regions.into_iter().collect::<Vec<_>>(), ["eu-north-1", "eu-west-1", "us-west-2"]);
        assert!(arguments("").all_regions(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn what_is_no_region_is_refused_at_once() {
        for region in ["eu-west-1", "us-gov-west-1", "ap-southeast-10"] {
            check_region(region).unwrap();
        }
        for region in ["", "eu", "europe", "eu-west", "eu-west-1a", "EU-west-1", "eu--1", "eu-1"] {
            assert!(check_region(region).unwrap_err().to_string().contains("such as eu-west-1"), "{region}");
        }
    }
}
