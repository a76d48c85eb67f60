//! `millrace role`: the least roles with which a pipeline can run, printed or made.

mod documents;
mod iam;

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use pipeline::Pipeline;
use providers::permission::{Installed, RoleNeeds, role_needs};
use serde_json::{Value, json};

use self::documents::documents;
pub use self::iam::Plan;
pub(crate) use self::iam::parsed;
use crate::output::{outln, report};
use crate::{Account, Installation, definition};

/// What `millrace role` is asked for.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The name of a pipeline, or a file with a definition, as GetPipeline answers and CreatePipeline takes it.
    pipeline: String,
    /// Make the roles, or bring them to what is printed.
    #[arg(long)]
    create: bool,
    /// Do not ask before anything is changed.
    #[arg(long, requires = "create")]
    yes: bool,
}

impl Arguments {
    /// Prints the roles, and makes them if that is asked for.
    ///
    /// # Errors
    /// When the installation or the pipeline cannot be read, a policy is too large, or IAM refuses.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        let installation = Installation::find(account, stack).await?;
        let pipeline = definition::find(account, &installation, &self.pipeline).await?;
        let installed = installed(account, &installation).await?;
        let needs = role_needs(&pipeline, &installed);
        let printed: Vec<Value> = needs.iter().map(printed).collect();
        outln!("{:#}", json!({"pipeline": pipeline.name().as_str(), "roles": printed}))?;
        for beside in needs.iter().flat_map(|it| &it.beside) {
            report(&format!("note: {beside}"));
        }
        if self.create {
            self.make(account, &installed, &pipeline, &needs).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn make(
        &self,
        account: &Account,
        installed: &Installed,
        pipeline: &Pipeline,
        needs: &[RoleNeeds],
    ) -> Result<()> {
        let plan = Plan::new(account, installed, pipeline.name().as_str(), needs).await?;
        if plan.changes().next().is_none() {
            report("nothing is to be changed");
            return Ok(());
        }
        plan.changes().for_each(|change| report(&format!("- {change}")));
        if !self.yes && !agreed()? {
            bail!("nothing was changed");
        }
        plan.carry_out(account).await?;
        report("done");
        Ok(())
    }
}

/// Asks whoever sits there.
fn agreed() -> Result<bool> {
    if !stdin().is_terminal() {
        bail!("nobody can be asked here; with --yes nobody is");
    }
    write!(stderr(), "Make these changes? [y/N] ").context("cannot ask")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn printed(needs: &RoleNeeds) -> Value {
    json!({
        "roleArn": needs.arn,
        "trustPolicy": needs.trust_policy(),
        "policies": documents(&needs.statements),
        "besides": needs.beside,
    })
}

/// What policies say of an installation.
///
/// # Errors
/// When the home stack does not tell.
pub async fn installed(account: &Account, installation: &Installation) -> Result<Installed> {
    let parameter = |key: &str, usual: &str| installation.parameter(key).unwrap_or(usual).to_owned();
    Ok(Installed {
        home: account.home().to_owned(),
        account: account.number().await?,
        api: Some(installation.output("ApiId")?.to_owned()),
        connection_secrets: parameter("ConnectionSecrets", "millrace/connections/"),
        compute_project: parameter("ComputeProject", "millrace-compute"),
        worker_role: installation.output("WorkerRoleArn")?.to_owned(),
        replicator_role: installation.output("ReplicatorRoleArn")?.to_owned(),
        api_role: installation.output("ApiRoleArn")?.to_owned(),
    })
}
