//! The whole installation on an emulator.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ChildStdin;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;

use crate::deploy::{Deployment, Outcome, describe, is_good, outputs};
use crate::emulator::Emulator;
use crate::instance::Instance;
use crate::paths::Paths;
use crate::sdk::{self, ACCOUNT, HOME, REGIONS};
use crate::{environment, package, processes};

/// Name of home.yaml's stack, and what the functions' names begin with.
const STACK: &str = "millrace";
/// Name of region.yaml's stack in each region.
const REGION_STACK: &str = "millrace-region";
/// Name of the stack with a role for pipelines.
const ROLE_STACK: &str = "millrace-pipeline-role";

/// How long an emulator lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until [`down`].
    #[default]
    Detached,
    /// As long as the [`Stack`] that started it, or its process if that ends sooner, however it ends.
    UntilExit,
}

/// How a stack is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which instance: emulators of different names know nothing of each other. None is the user's own, on the usual port.
    pub name: Option<String>,
    /// How long the emulator lives, if it has to be started.
    pub lifetime: Lifetime,
    /// Parameters of `infra/home.yaml`, over those that this crate sets.
    pub parameters: BTreeMap<String, String>,
    /// Is told what is going on, a line at a time.
    pub say: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, lifetime: Lifetime::Detached, parameters: BTreeMap::new(), say: |line| eprintln!("{line}") }
    }
}

/// A deployed installation.
#[derive(Debug)]
pub struct Stack {
    /// Which emulator it runs on.
    pub emulator: Emulator,
    /// Where all of AWS's services answer.
    pub endpoint: String,
    /// Where CodePipeline answers: the endpoint for CodePipeline clients.
    pub api_url: String,
    /// Everything that `target/local/env` says.
    pub env: BTreeMap<String, String>,
    /// Where the instance keeps its log and its state.
    pub folder: PathBuf,
    pid: i32,
    _guard: Option<ChildStdin>,
}

impl Stack {
    /// Brings the stack up: installs and starts the emulator, builds the functions, deploys what changed, writes `env`.
    ///
    /// # Errors
    /// When any of that fails; the message says what and, where it can, what to do.
    pub async fn up(emulator: Emulator, options: Options) -> Result<Self> {
        let paths = Paths::new();
        let say = options.say;
        let instance = instance(&paths, emulator, options.name.as_deref());
        let _lock = instance.lock()?;

        let mut starting = None;
        let running = match instance.running().await {
            Some(running) => running,
            None => {
                instance.stop().await?;
                let program = emulator.install(&paths, say)?;
                let started = instance.start(&program, options.lifetime)?;
                let running = started.running;
                say(&format!("starting {} on port {}", emulator.name(), running.port));
                starting = Some(started);
                running
            }
        };
        // The emulator starts while cargo builds.
        let root = paths.root.clone();
        let programs = tokio::task::spawn_blocking(move || package::build(&root)).await?;
        if let Some(starting) = &mut starting {
            instance.wait_until_ready(starting).await?;
        }
        let deployed = deploy(&paths, &running.endpoint(), &programs?, &options).await;
        let (env, said) = match deployed {
            Ok(deployed) => deployed,
            Err(error) if instance.running().await.is_none() => {
                return Err(error.context(format!("{} died. {}", emulator.name(), instance.last_words())));
            }
            Err(error) => return Err(error),
        };
        say(&said);
        environment::write(&env, &instance.folder.join("env"))?;
        if options.name.is_none() {
            environment::write(&env, &paths.state.join("env"))?;
        }
        let guard = starting.and_then(|starting| starting.guard);
        Self::new(emulator, running.endpoint(), env, instance.folder, running.pid, guard)
    }

    /// The stack of an instance that is up already; nothing is built or deployed.
    ///
    /// # Errors
    /// When it is not up; the message says what is missing.
    pub async fn attach(emulator: Emulator, name: Option<&str>) -> Result<Self> {
        let paths = Paths::new();
        let instance = instance(&paths, emulator, name);
        let Some(running) = instance.running().await else {
            bail!(
                "{} is not running; start it with: cargo run -p local -- up --on {}",
                emulator.name(),
                emulator.name()
            );
        };
        let env = read_env(&running.endpoint()).await?;
        Self::new(emulator, running.endpoint(), env, instance.folder, running.pid, None)
    }

    fn new(
        emulator: Emulator,
        endpoint: String,
        env: BTreeMap<String, String>,
        folder: PathBuf,
        pid: i32,
        guard: Option<ChildStdin>,
    ) -> Result<Self> {
        let api_url =
            env.get("AWS_ENDPOINT_URL_CODEPIPELINE").context("the environment has no CodePipeline endpoint")?.clone();
        Ok(Self { emulator, endpoint, api_url, env, folder, pid, _guard: guard })
    }

    /// Configuration for SDK clients of `region`; CodePipeline's own is [`Stack::codepipeline`].
    #[must_use]
    pub fn sdk(&self, region: &str) -> SdkConfig {
        sdk::config(&self.endpoint, region)
    }

    /// A CodePipeline client, as anybody would make it.
    #[must_use]
    pub fn codepipeline(&self) -> aws_sdk_codepipeline::Client {
        let config = aws_sdk_codepipeline::config::Builder::from(&self.sdk(HOME)).endpoint_url(&self.api_url).build();
        aws_sdk_codepipeline::Client::from_conf(config)
    }

    /// An S3 client of `region`.
    #[must_use]
    pub fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        sdk::s3(&self.sdk(region))
    }

    /// A value of [`Stack::env`].
    ///
    /// # Errors
    /// When there is no such variable.
    pub fn value(&self, name: &str) -> Result<&str> {
        Ok(self.env.get(name).with_context(|| format!("the stack's environment has no {name}"))?)
    }

    /// The artifact bucket of `region`.
    ///
    /// # Errors
    /// When `region` is none of [`REGIONS`].
    pub fn artifacts(&self, region: &str) -> Result<&str> {
        self.value(&format!("MILLRACE_ARTIFACTS_{}", region.to_uppercase().replace('-', "_")))
    }

    /// The name under which a function of the installation is deployed ("worker" is `millrace-worker`).
    #[must_use]
    pub fn function_name(&self, function: &str) -> String {
        format!("{STACK}-{function}")
    }

    /// Ids of the processes in which a function of this emulator runs now; for tests that kill them. Linux only.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub fn pids(&self, function: &str) -> Result<Vec<i32>> {
        processes::of_function(&self.function_name(function), &self.endpoint)
    }

    /// The process id of the emulator; for tests that kill it.
    #[must_use]
    pub const fn emulator_pid(&self) -> i32 {
        self.pid
    }
}

/// Stops an instance. Returns whether it was running.
///
/// # Errors
/// When it cannot be stopped.
pub async fn down(emulator: Emulator, name: Option<&str>) -> Result<bool> {
    let paths = Paths::new();
    let instance = instance(&paths, emulator, name);
    let _lock = instance.lock()?;
    let stopped = instance.stop().await?;
    let env = instance.folder.join("env");
    let everybodys = paths.state.join("env");
    // The other emulator's env stays.
    if name.is_none() && fs::read(&everybodys).ok() == fs::read(&env).ok() {
        let _ = fs::remove_file(everybodys);
    }
    let _ = fs::remove_file(env);
    Ok(stopped)
}

fn instance(paths: &Paths, emulator: Emulator, name: Option<&str>) -> Instance {
    Instance::new(emulator, paths.instance(name.unwrap_or(emulator.name())), name.is_none())
}

/// Uploads and deploys; returns the environment and a line about what changed.
async fn deploy(
    paths: &Paths,
    endpoint: &str,
    programs: &BTreeMap<String, PathBuf>,
    options: &Options,
) -> Result<(BTreeMap<String, String>, String)> {
    let config = sdk::config(endpoint, HOME);
    let s3 = sdk::s3(&config);
    let bucket = format!("millrace-code-{ACCOUNT}-{HOME}");
    make_bucket(&s3, &bucket, HOME).await?;

    let mut parameters = BTreeMap::from(
        [
            ("CodeBucket", bucket.as_str()),
            ("EndpointUrl", endpoint),
            ("Architecture", if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }),
            // Nobody waits a minute for a repair on a laptop.
            ("LeaseSeconds", "10"),
            ("SweepSeconds", "2"),
            ("PollSeconds", "1"),
            ("LogRetentionDays", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for function in package::FUNCTIONS {
        let program = programs.get(*function).with_context(|| format!("cargo built no program {function}"))?;
        parameters.insert(package::code_parameter(function), package::upload(&s3, &bucket, function, program).await?);
    }
    parameters.extend(options.parameters.clone());

    let mut said = Vec::new();
    let target = Target { endpoint, s3: &s3, bucket: &bucket };
    let home_template = fs::read_to_string(paths.root.join("infra/home.yaml"))?;
    let home = Deployment { name: STACK, template: &home_template, parameters };
    let home = target.apply(HOME, &home, &mut said).await?;
    let output = |name: &str| home.get(name).cloned().with_context(|| format!("home.yaml has no output {name}"));

    let region_template = fs::read_to_string(paths.root.join("infra/region.yaml"))?;
    for region in REGIONS {
        let parameters = BTreeMap::from([
            ("HomeRegion".to_owned(), HOME.to_owned()),
            ("HomeBusArn".to_owned(), output("HomeBusArn")?),
        ]);
        target
            .apply(region, &Deployment { name: REGION_STACK, template: &region_template, parameters }, &mut said)
            .await?;
    }
    let role_template = fs::read_to_string(paths.source.join("samples/pipeline-role.yaml"))?;
    let parameters = ["WorkerRoleArn", "ReplicatorRoleArn", "ExternalId"]
        .into_iter()
        .map(|name| Ok((name.to_owned(), output(name)?)))
        .collect::<Result<_>>()?;
    target.apply(HOME, &Deployment { name: ROLE_STACK, template: &role_template, parameters }, &mut said).await?;

    Ok((read_env(endpoint).await?, said.join(", ")))
}

/// Where stacks are put.
struct Target<'a> {
    endpoint: &'a str,
    s3: &'a aws_sdk_s3::Client,
    bucket: &'a str,
}

impl Target<'_> {
    async fn apply(
        &self,
        region: &str,
        deployment: &Deployment<'_>,
        said: &mut Vec<String>,
    ) -> Result<BTreeMap<String, String>> {
        let key = deployment.template_key();
        self.s3
            .put_object()
            .bucket(self.bucket)
            .key(&key)
            .body(deployment.template.as_bytes().to_vec().into())
            .send()
            .await
            .context("cannot upload a template")?;
        let client = aws_sdk_cloudformation::Client::new(&sdk::config(self.endpoint, region));
        let (outcome, outputs) = deployment.apply(&client, &format!("{}/{}/{key}", self.endpoint, self.bucket)).await?;
        let outcome = match outcome {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "unchanged",
        };
        said.push(format!("{} in {region} {outcome}", deployment.name));
        Ok(outputs)
    }
}

/// Makes a bucket unless it is there.
pub(crate) async fn make_bucket(s3: &aws_sdk_s3::Client, bucket: &str, region: &str) -> Result<()> {
    if s3.head_bucket().bucket(bucket).send().await.is_ok() {
        return Ok(());
    }
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(region.into()).build();
    s3.create_bucket()
        .bucket(bucket)
        .create_bucket_configuration(place)
        .send()
        .await
        .with_context(|| format!("cannot make the bucket {bucket}"))?;
    Ok(())
}

/// The environment, from the stacks' outputs.
async fn read_env(endpoint: &str) -> Result<BTreeMap<String, String>> {
    let home = standing(endpoint, HOME, STACK).await?;
    let mut regions = BTreeMap::new();
    for region in REGIONS {
        regions.insert(region.to_owned(), standing(endpoint, region, REGION_STACK).await?);
    }
    let role = standing(endpoint, HOME, ROLE_STACK).await?;
    environment::variables(
        endpoint,
        &home,
        &regions,
        role.get("PipelineRoleArn").context("the role's stack has no role")?,
    )
}

/// Outputs of a stack that must stand.
async fn standing(endpoint: &str, region: &str, name: &str) -> Result<BTreeMap<String, String>> {
    let client = aws_sdk_cloudformation::Client::new(&sdk::config(endpoint, region));
    match describe(&client, name).await? {
        Some(stack) if is_good(&stack) => Ok(outputs(&stack)),
        _ => bail!(
            "the emulator answers, but the stack {name} does not stand in {region}; run: cargo run -p local -- up"
        ),
    }
}
