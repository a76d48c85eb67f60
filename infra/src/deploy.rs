//! `millrace deploy`: puts an installation into an account, or brings it to this version.
//!
//! [`Plan::new`] finds out what would change, by a change set for each stack; [`Plan::execute`] does it, home first, since
//! what the regions forward goes there. An emulator gets the same, by the same code.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::account::{Account, Caller};
use crate::change_set::{Deployment, Outcome, Planned, Step};
use crate::code_bucket::CodeBucket;
use crate::package::{Package, code_parameter};
use crate::programs::{Architecture, FUNCTIONS};
use crate::template::{self, Template};
use crate::versions::{self, Shift};
use crate::{changes, parameters};

pub use command::Arguments;
pub(crate) use command::answered;

/// An installation as it is to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of the home stack. Everything is called after it.
    pub stack: String,
    /// The regions of action. The home region is one in any case.
    pub regions: BTreeSet<String>,
    /// Where each function's program is, by the function's name.
    pub programs: BTreeMap<String, PathBuf>,
    /// What the programs were built for.
    pub architecture: Architecture,
    /// Parameters of the templates, by name. What is not among them keeps the value that the stack has, or its default.
    pub parameters: BTreeMap<String, String>,
    /// How traffic goes over to new versions of the functions. Without it none are published, and everything runs what the stack
    /// was last updated to.
    pub shift: Option<Shift>,
}

/// What a deployment will do.
pub struct Plan {
    bucket: CodeBucket,
    packages: Vec<Package>,
    stacks: Vec<Planned<'static>>,
    account: Account,
    shift: Option<Shift>,
    /// Functions that do not run what their stack has already.
    behind: Vec<String>,
    /// What was put into the bucket for CloudFormation to compare, and whether the bucket was made for that.
    template: Option<String>,
    made_bucket: bool,
}

/// What became of the stacks: name, region, outcome, outputs. The home stack comes first.
#[derive(Debug)]
pub struct Deployed(pub Vec<(String, String, Outcome, BTreeMap<String, String>)>);

/// The name of region.yaml's stack of an installation.
#[must_use]
pub fn region_stack(stack: &str) -> String {
    format!("{stack}-region")
}

impl Plan {
    /// Finds out what would change. A change set waits for each stack that would; [`Plan::discard`] takes all of it back.
    ///
    /// # Errors
    /// When a stack is in a state in which it cannot be deployed, or something is refused; the message says what to do, and
    /// nothing has changed.
    pub async fn new(account: &Account, caller: &Caller, wanted: &Wanted) -> Result<Self> {
        let bucket = CodeBucket::new(account, caller, &wanted.stack)?;
        let packages = FUNCTIONS.iter().map(|name| {
            let program = wanted.programs.get(*name).with_context(|| format!("there is no program {name}"))?;
            Ok((*name, Package::read(name, program)?))
        });
        let packages = packages.collect::<Result<Vec<_>>>()?;
        let own = own_parameters(account, caller, wanted, &bucket, &packages);
        let (home, region) = (Template::parse(template::HOME)?, Template::parse(template::REGION)?);
        let known: BTreeSet<_> = home.parameters().union(&region.parameters()).copied().collect();
        parameters::check(wanted.parameters.keys(), &known, &own.keys().cloned().collect())?;
        let of = |template: &Template<'_>| -> BTreeMap<String, String> {
            let known = template.parameters();
            let all = own.iter().chain(&wanted.parameters).filter(|(name, _)| known.contains(name.as_str()));
            all.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let of_home = of(&home);
        let mut of_region = of(&region);
        if bucket.is_emulated() {
            // The emulators' CodeBuild runs nothing.
            of_region.insert("ComputeProject".into(), String::new());
        }

        let packages = packages.into_iter().map(|(_, package)| package).collect();
        let mut plan = Self {
            bucket,
            packages,
            stacks: Vec::new(),
            account: account.clone(),
            shift: wanted.shift,
            behind: Vec::new(),
            template: None,
            made_bucket: false,
        };
        let regions = [account.home()].into_iter().chain(regions(account, wanted));
        let stacks = [(account.home(), wanted.stack.clone(), &home, &of_home)]
            .into_iter()
            .chain(regions.map(|name| (name, region_stack(&wanted.stack), &region, &of_region)));
        for (place, name, template, parameters) in stacks {
            if let Err(error) = plan.add(account, caller, place, name, template, parameters.clone()).await {
                plan.discard().await;
                return Err(error);
            }
        }
        if plan.shift.is_some() && plan.stacks.first().is_some_and(|home| matches!(home.step, Step::Nothing(_))) {
            match versions::behind(account, &wanted.stack).await {
                Ok(behind) => plan.behind = behind,
                Err(error) => {
                    plan.discard().await;
                    return Err(error);
                }
            }
        }
        Ok(plan)
    }

    async fn add(
        &mut self,
        account: &Account,
        caller: &Caller,
        region: &str,
        name: String,
        template: &Template<'static>,
        parameters: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut url = None;
        if let Some(key) = template.key(&name) {
            self.made_bucket |= self.bucket.ensure().await?;
            if self.bucket.put_once(&key, || Ok(template.body.into())).await? {
                self.template = Some(key.clone());
            }
            url = Some(self.bucket.url(&key));
        }
        let deployment = Deployment { name, template: template.body, url, parameters, protected: true };
        self.stacks.push(Planned::new(account, region, &caller.arn, deployment).await?);
        Ok(())
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.behind.is_empty() && self.stacks.iter().all(|stack| matches!(stack.step, Step::Nothing(_)))
    }

    /// What will change, a line for each resource.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.stacks.iter().flat_map(changes::lines).collect();
        if !self.behind.is_empty() {
            lines.push(format!("functions that will go over to what their stack has: {}", self.behind.join(", ")));
        }
        lines
    }

    /// Takes everything back that was made to find out what would change.
    pub async fn discard(self) {
        for stack in &self.stacks {
            stack.discard().await;
        }
        if let Some(key) = &self.template {
            let _ = self.bucket.remove(key).await;
        }
        if self.made_bucket {
            let _ = self.bucket.remove_bucket().await;
        }
    }

    /// Uploads the functions and changes the stacks; `say` hears of each resource.
    ///
    /// # Errors
    /// When a stack cannot be changed, with the first resource that failed; the message says how far it came. The stack is as
    /// it was, unless the message says otherwise, and the same command goes on from there.
    pub async fn execute(self, say: &mut (dyn FnMut(&str) + Send)) -> Result<Deployed> {
        if let Err(error) = self.upload().await {
            self.discard().await;
            return Err(error);
        }
        let mut deployed = Vec::new();
        for (at, stack) in self.stacks.iter().enumerate() {
            let (name, region) = (&stack.deployment.name, &stack.region);
            if !matches!(stack.step, Step::Nothing(_)) {
                say(&format!("{name} in {region}:"));
            }
            match stack.execute(say).await {
                Ok((outcome, outputs)) => deployed.push((name.clone(), region.clone(), outcome, outputs)),
                Err(error) => {
                    for waiting in &self.stacks[at..] {
                        waiting.discard().await;
                    }
                    return Err(error.context(self.how_far(at)));
                }
            }
        }
        if let (Some(shift), Some(home)) = (self.shift, self.stacks.first()) {
            let name = &home.deployment.name;
            say(&format!("functions of {name} in {}:", home.region));
            let released = versions::release(&self.account, name, shift, say).await;
            if !released
                .with_context(|| format!("{}, but not the functions' new code", self.how_far(self.stacks.len())))?
            {
                say("  they run this version already");
            }
        }
        Ok(Deployed(deployed))
    }

    async fn upload(&self) -> Result<()> {
        self.bucket.ensure().await?;
        for package in &self.packages {
            package.upload(&self.bucket).await?;
        }
        Ok(())
    }

    /// What was done when stack `at` failed, and what is left.
    fn how_far(&self, at: usize) -> String {
        let places = |stacks: &[Planned<'_>]| {
            let places = stacks.iter().map(|it| format!("{} in {}", it.deployment.name, it.region));
            places.collect::<Vec<_>>().join(", ")
        };
        let done =
            if at == 0 { "no stack was deployed".into() } else { format!("deployed: {}", places(&self.stacks[..at])) };
        match self.stacks.get(at + 1..) {
            Some(left @ [_, ..]) => format!("{done}; not begun: {}; deploying again goes on from here", places(left)),
            _ => format!("{done}; deploying again goes on from here"),
        }
    }
}

/// The regions of action besides the home region.
fn regions<'a>(account: &'a Account, wanted: &'a Wanted) -> impl Iterator<Item = &'a str> {
    wanted.regions.iter().map(String::as_str).filter(|region| *region != account.home())
}

/// The parameters that the deployment itself sets.
fn own_parameters(
    account: &Account,
    caller: &Caller,
    wanted: &Wanted,
    bucket: &CodeBucket,
    packages: &[(&str, Package)],
) -> BTreeMap<String, String> {
    let home = account.home();
    let all = [home].into_iter().chain(regions(account, wanted)).collect::<Vec<_>>().join(",");
    let endpoint = account.endpoint().unwrap_or_default();
    let mut parameters = BTreeMap::from(
        [
            ("CodeBucket", bucket.name.clone()),
            ("Architecture", wanted.architecture.name().to_owned()),
            ("EndpointUrl", endpoint.to_owned()),
            ("Regions", all),
            ("HomeRegion", home.to_owned()),
            // The output of home.yaml, which is not there yet when the first change sets are made.
            ("HomeBusArn", format!("arn:{}:events:{home}:{}:event-bus/default", caller.partition(), caller.account)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    parameters.extend(packages.iter().map(|(name, package)| (code_parameter(name), package.key.clone())));
    parameters
}

/// Uploads a program beside those of the installation `stack`, for a template of one's own; returns bucket and key.
///
/// # Errors
/// When the program cannot be read or uploaded.
pub async fn upload(account: &Account, stack: &str, name: &str, program: &Path) -> Result<(String, String)> {
    let bucket = CodeBucket::new(account, &account.caller().await?, stack)?;
    let package = Package::read(name, program)?;
    package.upload(&bucket).await?;
    Ok((bucket.name, package.key))
}

/// Deploys one template in `region`, without a question; returns what became of the stack and its outputs.
///
/// # Errors
/// When CloudFormation refuses it; the message has the first resource that failed, and why.
pub async fn apply(
    account: &Account,
    region: &str,
    deployment: Deployment<'_>,
) -> Result<(Outcome, BTreeMap<String, String>)> {
    ensure!(
        Template::parse(deployment.template)?.key(&deployment.name).is_none(),
        "the template of {} is too long to be deployed without a bucket",
        deployment.name
    );
    let caller = account.caller().await?;
    Planned::new(account, region, &caller.arn, deployment).await?.execute(&mut |_| ()).await
}
