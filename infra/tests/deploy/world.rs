//! An emulator, and programs to deploy on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use millrace::deploy::{Plan, Wanted};
use millrace::destroy::Destruction;
use millrace::{Account, Architecture, Caller, FUNCTIONS, Shift};
use tempfile::TempDir;

pub const HOME: &str = "eu-west-1";
pub const AWAY: &str = "us-west-2";

/// A running emulator with nothing on it; it ends with this value.
pub struct World {
    process: Child,
    pub account: Account,
    pub caller: Caller,
    folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl World {
    /// `name` is the test's.
    pub async fn new(name: &str) -> Self {
        let python = local::install_ministack().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-{name}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(python);
        command.args(["-m", "ministack"]).env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut process = command.spawn().unwrap();
        let account = Account::new(config(&format!("http://127.0.0.1:{port}"))).unwrap();
        let begin = Instant::now();
        let caller = loop {
            match account.caller().await {
                Ok(caller) => break caller,
                Err(error) => assert!(
                    process.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(60),
                    "{error:#}: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                ),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        Self { process, account, caller, folder: tempfile::tempdir().unwrap() }
    }

    /// Programs for all functions that say `what` and do nothing.
    pub fn programs(&self, what: &str) -> BTreeMap<String, PathBuf> {
        let program = |name: &&str| {
            let file = self.folder.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n# {name}, {what}\n")).unwrap();
            ((*name).to_owned(), file)
        };
        FUNCTIONS.iter().map(program).collect()
    }

    /// An installation called `millrace` in two regions, with these parameters.
    pub fn wanted(&self, programs: &str, parameters: &[(&str, &str)]) -> Wanted {
        Wanted {
            stack: "millrace".into(),
            regions: [AWAY.to_owned()].into(),
            programs: self.programs(programs),
            architecture: Architecture::HERE,
            shift: Some(Shift::ALL),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    pub async fn plan(&self, wanted: &Wanted) -> Plan {
        Plan::new(&self.account, &self.caller, wanted).await.unwrap()
    }

    pub async fn deploy(&self, wanted: &Wanted) {
        self.plan(wanted).await.execute(&mut |_| ()).await.unwrap();
    }

    pub async fn destruction(&self) -> Destruction<'_> {
        Destruction::find(&self.account, &self.caller, "millrace").await.unwrap()
    }

    /// The artifact bucket of a region.
    pub async fn artifacts(&self, region: &str) -> String {
        let found = self.cloudformation(region).describe_stacks().stack_name("millrace-region").send().await.unwrap();
        millrace::stacks::outputs(&found.stacks()[0])["ArtifactBucket"].clone()
    }

    pub fn cloudformation(&self, region: &str) -> aws_sdk_cloudformation::Client {
        aws_sdk_cloudformation::Client::new(&self.account.sdk(region))
    }

    /// The names of all buckets.
    pub async fn buckets(&self) -> Vec<String> {
        let listed = self.account.s3(HOME).list_buckets().send().await.unwrap();
        listed.buckets().iter().filter_map(|it| it.name().map(str::to_owned)).collect()
    }

    /// The stacks that stand in a region, each with its status.
    pub async fn stacks(&self, region: &str) -> Vec<String> {
        let listed = self.cloudformation(region).describe_stacks().send().await.unwrap();
        let stacks = listed.stacks().iter();
        stacks.map(|it| format!("{} {}", it.stack_name().unwrap(), it.stack_status().unwrap().as_str())).collect()
    }
}

fn config(endpoint: &str) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(HOME))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(aws_smithy_async::time::SystemTimeSource::new())
        .http_client(http)
        .build()
}
