//! The command line of `millrace destroy`.

use std::io::{IsTerminal, stdin};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::Destruction;
use crate::Account;
use crate::deploy::answered;
use crate::output::{outln, report};

/// Remove the installation from the account, and what it has stored.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Leave the table, the keys and the artifact buckets, and list them.
    #[arg(long)]
    keep_data: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// With --yes: even if executions are running or there are artifacts.
    #[arg(long, requires = "yes")]
    force: bool,
}

impl Arguments {
    /// Destroys the installation `stack`.
    ///
    /// # Errors
    /// When something cannot be removed; the message says what, and that running it again goes on.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        ensure!(self.yes || stdin().is_terminal(), "nobody can be asked here: --yes --force destroys without asking");
        let caller = account.caller().await?;
        let destruction = Destruction::find(account, &caller, stack).await?;
        let regions: Vec<_> = destruction.regions.iter().map(String::as_str).collect();
        outln!("{stack} in account {}: home {}, regions {}", caller.account, account.home(), regions.join(", "))?;
        for stored in &destruction.stored {
            let stays = self.keep_data || stored.kind == super::stored::Kind::Log;
            outln!("  {} {stored}", if stays { "stays:" } else { "is removed, with all that is in it:" })?;
        }
        let running = destruction.running().await?;
        outln!("{running}")?;
        if self.yes {
            ensure!(
                self.force || running.executions == 0 && (self.keep_data || running.is_idle()),
                "nothing was removed, since something would be lost: --force with --yes destroys it nevertheless"
            );
        } else if answered(&format!("to destroy it, type its name ({stack}): ")).await? != stack {
            outln!("nothing was removed")?;
            return Ok(ExitCode::FAILURE);
        }
        let left = destruction.execute(self.keep_data, &mut report).await.with_context(|| {
            format!("{stack} is half destroyed; mend the cause and run `millrace destroy` again, which goes on")
        })?;
        outln!("{stack} is destroyed")?;
        for line in left.0 {
            outln!("  {line}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
