//! `millrace badge`: the Markdown that shows how a pipeline stands, for a README.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
use http::{HeaderMap, Method, StatusCode};
use pipeline::{PipelineName, StageName};

use crate::output::outln;
use crate::proxy::{Api, Chain, Credentials};
use crate::{Account, Installation};

/// What `millrace badge` is asked for.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The name of a pipeline.
    pub pipeline: String,
    /// The state of this stage, and not that of the pipeline.
    #[arg(long)]
    pub stage: Option<String>,
    /// The drawing of stages and actions, and not the badge.
    #[arg(long, conflicts_with = "stage")]
    pub graph: bool,
}

impl Arguments {
    /// Prints the line.
    ///
    /// # Errors
    /// When the installation cannot be read, and as [`Self::line`].
    pub async fn run(&self, account: &Account, profile: Option<&str>, stack: &str) -> Result<ExitCode> {
        let url: crate::proxy::ApiUrl = Installation::find(account, stack).await?.output("ApiUrl")?.parse()?;
        let region = url.region().unwrap_or(account.home()).to_owned();
        let api = Api::new(url, region, Credentials::new(Chain::new(profile, account.home())));
        outln!("{}", self.line(&api).await?.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Asks the console for the line, signed as the caller: it makes the links, so that nobody else needs the key.
    ///
    /// # Errors
    /// When there is no such pipeline or stage, its pictures are not public (with the words that say how they become so), or the
    /// caller may not see its pages.
    pub async fn line(&self, api: &Api) -> Result<String> {
        ensure!(PipelineName::new(&self.pipeline).is_ok(), "{:?} is no name of a pipeline", self.pipeline);
        let query = match &self.stage {
            Some(stage) => {
                ensure!(StageName::new(stage).is_ok(), "{stage:?} is no name of a stage");
                format!("?stage={stage}")
            }
            None if self.graph => "?picture=graph.svg".to_owned(),
            None => String::new(),
        };
        let target = format!("/console/pipelines/{}/badge.md{query}", self.pipeline);
        let answer = api
            .page((Method::GET, &target), &HeaderMap::new(), Vec::new())
            .await
            .map_err(|error| anyhow!("{}", error.message))?;
        let text = String::from_utf8_lossy(answer.body()).trim().to_owned();
        match (answer.status(), &self.stage) {
            (StatusCode::OK, _) => Ok(text),
            (StatusCode::NOT_FOUND, Some(stage)) => {
                bail!("there is no pipeline {} with a stage {stage}", self.pipeline)
            }
            (StatusCode::NOT_FOUND, None) => bail!("there is no pipeline {}", self.pipeline),
            (StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE, _) => bail!("{text}"),
            (status, _) => bail!("the console answers with {status}"),
        }
    }
}
