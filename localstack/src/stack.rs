//! The whole installation on an emulator.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ChildStdin;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use millrace::programs::build_here;
use millrace::proxy::Logs;
use millrace::shell::version_of;
use millrace::{Account, Deployment, deploy};

use crate::build_host::BuildHost;
use crate::code_host::CodeHost;
use crate::console::{self, Door};
use crate::emulator::Emulator;
use crate::emulator::ministack::DECISIONS;
use crate::environment::{self, Endpoints};
use crate::installation;
use crate::instance::{Instance, Running, endpoint};
use crate::options::Options;
use crate::paths::Paths;
use crate::processes;
use crate::sdk::{self, HOME};
use crate::sidecar::Place;

/// An installation that is deployed on a running emulator.
#[derive(Debug)]
pub struct Stack {
    /// Which emulator it runs on.
    pub emulator: Emulator,
    /// Where all of AWS's services answer.
    pub endpoint: String,
    /// Where CodePipeline answers: the endpoint for CodePipeline clients.
    pub api_url: String,
    /// The variables that `target/local/env` sets, by name.
    pub env: BTreeMap<String, String>,
    /// Where the instance keeps its log and its state.
    pub folder: PathBuf,
    account: Account,
    pid: i32,
    programs: BTreeMap<String, PathBuf>,
    _guards: Vec<ChildStdin>,
}

impl Stack {
    /// Brings the stack up: installs and starts the emulator and what runs beside it, builds the functions, deploys what
    /// changed, writes `env`.
    ///
    /// # Errors
    /// When any of that fails; the message says what and, where it can, what to do.
    pub async fn up(emulator: Emulator, options: Options) -> Result<Self> {
        let paths = Paths::new();
        let say = options.say;
        let instance = instance(&paths, emulator, options.name.as_deref());
        let (build_host, code_host) = (BuildHost::of(&instance), CodeHost::of(&instance));
        let _lock = instance.lock()?;

        let mut starting = None;
        let noted = (build_host.sidecar.noted(), code_host.sidecar.noted());
        let (running, builds, code) = match (instance.running().await, noted) {
            (Some(running), (Some(builds), Some(code))) => (running, Place::Started(builds), Place::Started(code)),
            // The functions of an emulator that was started without what runs beside it would not find that.
            _ => {
                instance.stop().await?;
                build_host.sidecar.stop().await?;
                code_host.sidecar.stop().await?;
                let program = emulator.install(&paths, options.enforcing, say)?;
                let builds = Place::Reserved(build_host.sidecar.reserve()?);
                let code = Place::Reserved(code_host.sidecar.reserve()?);
                let told = [
                    ("AWS_ENDPOINT_URL_CODEBUILD", endpoint(builds.port()?)),
                    ("MILLRACE_LOCAL_CODE_HOST", endpoint(code.port()?)),
                ];
                let started = instance.start(&program, options.lifetime, &told)?;
                let running = started.running;
                say(&format!("starting {} on port {}", emulator.name(), running.port));
                starting = Some(started);
                (running, builds, code)
            }
        };
        // The emulator starts while cargo builds.
        let programs = tokio::task::spawn_blocking(build_here).await?;
        if let Some(starting) = &mut starting {
            instance.wait_until_ready(starting).await?;
        }
        let programs = programs?;
        let (builds, build_guard) = build_host.run(builds, &programs, running, options.lifetime, say).await?;
        let (code, code_guard) = code_host.run(code, &programs, running, options.lifetime, say).await?;
        let endpoints = Endpoints { aws: running.endpoint(), codebuild: builds.endpoint(), git: code.endpoint() };
        say(&format!("CodeBuild answers at {}: builds run on this machine, with your rights", endpoints.codebuild));
        let deployed = installation::deploy(&paths, &endpoints, &programs, &options).await;
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
        let mut stack = Self::new(emulator, running, env, instance.folder)?;
        stack.programs = programs;
        stack._guards = [guard, build_guard, code_guard].into_iter().flatten().collect();
        code_host.connect(&stack.endpoint, &endpoints.git, &stack.api_url).await?;
        Ok(stack)
    }

    /// The stack of an instance that is up already; nothing is built or deployed.
    ///
    /// # Errors
    /// When it is not up; the message says what is missing.
    pub async fn attach(emulator: Emulator, name: Option<&str>) -> Result<Self> {
        let paths = Paths::new();
        let instance = instance(&paths, emulator, name);
        let noted = (BuildHost::of(&instance).sidecar.noted(), CodeHost::of(&instance).sidecar.noted());
        let (Some(running), (Some(builds), Some(code))) = (instance.running().await, noted) else {
            bail!(
                "{} is not running; start it with: cargo run -p local -- up --on {}",
                emulator.name(),
                emulator.name()
            );
        };
        let endpoints = Endpoints { aws: running.endpoint(), codebuild: builds.endpoint(), git: code.endpoint() };
        let env = installation::read_env(&endpoints).await?;
        Self::new(emulator, running, env, instance.folder)
    }

    fn new(emulator: Emulator, running: Running, env: BTreeMap<String, String>, folder: PathBuf) -> Result<Self> {
        let api_url =
            env.get("AWS_ENDPOINT_URL_CODEPIPELINE").context("the environment has no CodePipeline endpoint")?;
        Ok(Self {
            emulator,
            endpoint: running.endpoint(),
            api_url: api_url.clone(),
            env,
            folder,
            account: sdk::account(&running.endpoint())?,
            pid: running.pid,
            programs: BTreeMap::new(),
            _guards: Vec::new(),
        })
    }

    /// Puts a function of the installation, or the sample `sample-test`, where a template of yours can take it as code.
    /// Returns bucket and key. Only for a stack that came from [`Stack::up`].
    ///
    /// # Errors
    /// When there is no such program, or the emulator does not take it.
    pub async fn upload(&self, program: &str) -> Result<(String, String)> {
        let path = self.programs.get(program).with_context(|| format!("no program {program} was built"))?;
        deploy::upload(&self.account, installation::STACK, program, path).await
    }

    /// Where the programs of the installation's functions are, by their names, and those of what this crate runs besides. None but
    /// for a stack that came from [`Stack::up`].
    #[must_use]
    pub const fn programs(&self) -> &BTreeMap<String, PathBuf> {
        &self.programs
    }

    /// Deploys a template of yours beside the installation, if it is not there unchanged. Returns its outputs.
    ///
    /// # Errors
    /// When CloudFormation refuses it; the message has the reasons of the resources.
    pub async fn deploy(
        &self,
        region: &str,
        name: &str,
        template: &str,
        parameters: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let deployment = Deployment { name: name.to_owned(), template, url: None, parameters, protected: false };
        Ok(deploy::apply(&self.account, region, deployment).await?.1)
    }

    /// Configuration for SDK clients of `region`; CodePipeline's own is [`Stack::codepipeline`].
    #[must_use]
    pub fn sdk(&self, region: &str) -> SdkConfig {
        self.account.sdk(region)
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
        self.account.s3(region)
    }

    /// What an enforcing MiniStack has allowed and denied until now, a line of JSON each, as `ministack/enforcing.py` says.
    ///
    /// # Errors
    /// When it does not enforce.
    pub fn decisions(&self) -> Result<String> {
        let file = self.folder.join(DECISIONS);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Opens the console of this stack, the user's own, to browsers on this machine, until [`down`]. Returns its address.
    ///
    /// # Errors
    /// When its process does not start.
    pub async fn open_console(&self) -> Result<String> {
        let instance = instance(&Paths::new(), self.emulator, None);
        let _lock = instance.lock()?;
        Door::of(&instance).open(self).await
    }

    /// What reads the logs of actions, for a proxy that serves the console.
    ///
    /// # Errors
    /// When there is no build host.
    pub fn logs(&self) -> Result<Logs> {
        console::logs(&self.endpoint, self.value("AWS_ENDPOINT_URL_CODEBUILD")?)
    }

    /// What repositories are pushed to, with `OWNER/NAME` in it; none where Git is not installed.
    ///
    /// # Errors
    /// When the environment does not say where the code host is.
    pub fn git_address(&self) -> Result<Option<String>> {
        let url = self.value("MILLRACE_GIT_URL")?;
        Ok(version_of("git", &["--version"]).map(|_| format!("{url}/OWNER/NAME.git")))
    }

    /// The folder in which the code host keeps repositories.
    #[must_use]
    pub fn repositories(&self) -> PathBuf {
        CodeHost::repositories(&self.folder)
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
    /// When `region` is not in [`crate::REGIONS`].
    pub fn artifacts(&self, region: &str) -> Result<&str> {
        self.value(&format!("MILLRACE_ARTIFACTS_{}", region.to_uppercase().replace('-', "_")))
    }

    /// The ARN of the key of `region`'s artifact bucket.
    ///
    /// # Errors
    /// When `region` is not in [`crate::REGIONS`].
    pub fn artifact_key(&self, region: &str) -> Result<&str> {
        self.value(&format!("MILLRACE_ARTIFACT_KEY_{}", region.to_uppercase().replace('-', "_")))
    }

    /// The name under which a function of the installation is deployed ("worker" is `millrace-worker`).
    #[must_use]
    pub fn function_name(&self, function: &str) -> String {
        format!("{}-{function}", installation::STACK)
    }

    /// The emulator's own Python, which has boto3.
    #[must_use]
    pub fn python(&self) -> PathBuf {
        Paths::new().venv(self.emulator.name()).join("bin").join("python")
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
    Door::of(&instance).0.stop().await?;
    BuildHost::of(&instance).sidecar.stop().await?;
    CodeHost::of(&instance).sidecar.stop().await?;
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
