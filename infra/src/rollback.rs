//! `millrace rollback`: puts the functions back to the versions that ran before the last deployment.

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::deploy::answered;
use crate::output::{outln, report};
use crate::{Account, Installation, versions};

/// Put the functions back to the versions that ran before the last deployment. The stacks stay as they are.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    /// Rolls the functions of the installation `stack` back.
    ///
    /// # Errors
    /// When there is no version before, or Lambda does not let the caller move an alias.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        ensure!(self.yes || stdin().is_terminal(), "nobody can be asked here: --yes rolls back without asking");
        Installation::find(account, stack).await?;
        let question = format!("put the functions of {stack} in {} back? (yes/no) ", account.home());
        if !self.yes && !matches!(answered(&question).await?.to_lowercase().as_str(), "yes" | "y") {
            outln!("nothing was changed")?;
            return Ok(ExitCode::FAILURE);
        }
        roll_back(account, stack, &mut report).await?;
        outln!("the functions run as before; `millrace deploy` goes forward again")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts every function that the last deployment has changed back to the version before; `say` hears of each.
///
/// # Errors
/// When there is no version before, or Lambda does not let the caller move an alias. Running it again goes on.
pub async fn roll_back(account: &Account, stack: &str, say: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
    versions::roll_back(account, stack, say).await
}
