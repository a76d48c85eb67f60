//! `millrace doctor`: what is wrong with an installation, or with a pipeline, and what mends it. It only reads.

mod bucket;
mod clock;
mod finding;
mod home;
mod limits;
mod named;
mod notifications;
mod pipeline;
mod resources;
mod roles;
mod rules;
mod services;
mod traces;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

pub use self::finding::{Finding, Findings, Level};
use crate::output::outln;
use crate::{Account, Installation, definition};

/// What `millrace doctor` is asked for.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Look at this pipeline, or at the one in this file, and not only at the installation.
    pipeline: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Looks at everything, and prints what it finds. The exit status is 1 if there is an error among it.
    ///
    /// # Errors
    /// When there are no credentials, or nobody reads what is printed.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        let client_endpoint = std::env::var("AWS_ENDPOINT_URL_CODEPIPELINE").ok();
        let findings = examine(account, stack, self.pipeline.as_deref(), client_endpoint.as_deref()).await?;
        if self.json {
            outln!("{:#}", json!({"findings": findings.all()}))?;
        } else {
            for finding in findings.all() {
                outln!("{finding}")?;
            }
        }
        let failed = findings.all().iter().any(|finding| finding.level == Level::Error);
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What is found in the installation of this home stack, and in a pipeline if one is named. `client_endpoint`: where
/// CodePipeline's clients of this shell send their requests, if that is said.
///
/// # Errors
/// When there are no credentials.
pub async fn examine(
    account: &Account,
    stack: &str,
    pipeline: Option<&str>,
    client_endpoint: Option<&str>,
) -> Result<Findings> {
    let number = account.number().await?;
    let mut findings = Findings::new(account.endpoint().is_some());
    let Some(installation) = home::look(account, stack, &number, client_endpoint, &mut findings).await else {
        return Ok(findings);
    };
    if let Some(name) = pipeline {
        match definition::find(account, &installation, name).await {
            Ok(pipeline) => self::pipeline::look(account, &installation, &pipeline, &mut findings).await,
            Err(error) => findings.error(format!("the pipeline {name}: {error:#}"), "see the words of the error"),
        }
    }
    Ok(findings)
}

/// Where the parts of this module look.
struct Place<'a> {
    account: &'a Account,
    installation: &'a Installation,
    number: &'a str,
}
