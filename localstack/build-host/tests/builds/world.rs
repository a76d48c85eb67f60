//! A build host beside a MiniStack of its own, and clients of both.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_codebuild::types::{
    ArtifactPackaging, ArtifactsType, Build, BuildPhase, BuildPhaseType, ComputeType, EnvironmentType,
    ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use build_host::{Server, Settings};
use zip::write::{SimpleFileOptions, ZipWriter};

pub const BUCKET: &str = "store";
pub const REGION: &str = "eu-west-1";
const PATIENCE: Duration = Duration::from_secs(60);

struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub struct World {
    pub codebuild: aws_sdk_codebuild::Client,
    pub s3: aws_sdk_s3::Client,
    pub aws: SdkConfig,
    pub host: Server,
    pub root: tempfile::TempDir,
    _emulator: Emulator,
}

fn config(endpoint: &str) -> SdkConfig {
    let tls = Provider::Rustls(CryptoMode::Ring);
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test")))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .time_source(aws_smithy_async::time::SystemTimeSource::new())
        .http_client(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https())
        .build()
}

impl World {
    pub async fn new() -> Self {
        Self::with_minute(Duration::from_secs(60)).await
    }

    /// A world in which a minute of a time-out is shorter.
    pub async fn with_minute(minute: Duration) -> Self {
        let python = local::install_ministack().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("build-host-ministack-{port}.log"));
        let log = File::create(&path).unwrap();
        let mut command = Command::new(python);
        command.args(["-m", "ministack"]).env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut emulator = Emulator(command.spawn().unwrap());
        let endpoint = format!("http://127.0.0.1:{port}");
        let aws = config(&endpoint);
        let s3 = aws_sdk_s3::config::Builder::from(&aws).force_path_style(true).build();
        let s3 = aws_sdk_s3::Client::from_conf(s3);
        let begin = Instant::now();
        let here = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::EuWest1).build();
        while let Err(error) = s3.create_bucket().bucket(BUCKET).create_bucket_configuration(here.clone()).send().await
        {
            let ended = emulator.0.try_wait().unwrap();
            let log = || std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                ended.is_none() && begin.elapsed() < PATIENCE,
                "MiniStack does not answer ({ended:?}, {error:?}): {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::fs::remove_file(&path).ok();
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let host = Server::start(0, Settings { minute, ..Settings::new(root.path(), endpoint) }).await.unwrap();
        let codebuild = aws_sdk_codebuild::Client::new(&config(&host.endpoint()));
        Self { codebuild, s3, aws, host, root, _emulator: emulator }
    }

    /// A project as pipelines have them: what it builds and where it writes that is said when a build starts.
    pub async fn project(&self, name: &str) {
        let source = ProjectSource::builder().r#type(SourceType::Codepipeline).build().unwrap();
        let artifacts = ProjectArtifacts::builder().r#type(ArtifactsType::Codepipeline).build().unwrap();
        let create = self.codebuild.create_project().name(name).source(source).artifacts(artifacts);
        create.environment(environment()).service_role("arn:aws:iam::000000000000:role/b").send().await.unwrap();
    }

    /// Puts a ZIP of these files, of which scripts are executable.
    pub async fn put_zip(&self, key: &str, files: &[(&str, &str)]) {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
            zip.start_file(*name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        self.put(key, zip.finish().unwrap().into_inner()).await;
    }

    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.s3.put_object().bucket(BUCKET).key(key).body(bytes.into()).send().await.unwrap();
    }

    pub async fn read(&self, key: &str) -> Vec<u8> {
        let got = self.s3.get_object().bucket(BUCKET).key(key).send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    /// Name, content and permissions of the files in a ZIP in S3.
    pub async fn unzip(&self, key: &str) -> Vec<(String, String, u32)> {
        let mut zip = zip::ZipArchive::new(Cursor::new(self.read(key).await)).unwrap();
        let count = zip.len();
        let file = |at| {
            let mut file = zip.by_index(at).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().into_owned(), text, file.unix_mode().unwrap() & 0o777)
        };
        (0..count).map(file).collect()
    }

    /// Starts a build of this buildspec alone, and waits for its end.
    pub async fn build(&self, project: &str, buildspec: &str) -> Build {
        self.end(&self.start(project, buildspec).await).await
    }

    pub async fn start(&self, project: &str, buildspec: &str) -> String {
        let start = self.codebuild.start_build().project_name(project).source_type_override(SourceType::NoSource);
        let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
        let started = start.artifacts_override(none).buildspec_override(buildspec).send().await.unwrap();
        started.build_value.unwrap().id.unwrap()
    }

    pub async fn get(&self, id: &str) -> Build {
        self.codebuild.batch_get_builds().ids(id).send().await.unwrap().builds.unwrap().remove(0)
    }

    pub async fn end(&self, id: &str) -> Build {
        let begin = Instant::now();
        loop {
            let build = self.get(id).await;
            if build.build_complete {
                return build;
            }
            assert!(begin.elapsed() < PATIENCE, "the build does not end: {build:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The lines of a build's log, without the time of the host's own lines.
    pub async fn log(&self, build: &Build) -> Vec<String> {
        let logs = build.logs.as_ref().unwrap();
        let client = aws_sdk_cloudwatchlogs::Client::new(&self.aws);
        let get = client.get_log_events().log_group_name(logs.group_name.as_ref().unwrap());
        let got = get.log_stream_name(logs.stream_name.as_ref().unwrap()).start_from_head(true).send().await.unwrap();
        let lines = got.events.unwrap().into_iter().filter_map(|it| it.message);
        lines
            .map(|line| match line.strip_prefix("[Container] ") {
                Some(rest) => format!("[Container] {}", &rest["2026/11/25 20:00:00 ".len()..]),
                None => line,
            })
            .collect()
    }
}

pub fn environment() -> ProjectEnvironment {
    let environment = ProjectEnvironment::builder().r#type(EnvironmentType::LinuxContainer).image("any");
    environment.compute_type(ComputeType::BuildGeneral1Small).build().unwrap()
}

pub fn to_zip(path: &str, name: &str, identifier: Option<&str>) -> ProjectArtifacts {
    let artifacts = ProjectArtifacts::builder().r#type(ArtifactsType::S3).location(BUCKET).path(path).name(name);
    let artifacts = artifacts.packaging(ArtifactPackaging::Zip);
    artifacts.set_artifact_identifier(identifier.map(str::to_owned)).build().unwrap()
}

/// A phase of a build.
pub fn phase(build: &Build, kind: BuildPhaseType) -> BuildPhase {
    let phases = build.phases.as_ref().unwrap();
    let found = phases.iter().find(|it| it.phase_type.as_ref() == Some(&kind));
    found.unwrap_or_else(|| panic!("no phase {kind} in {phases:?}")).clone()
}

/// Phases and how they ended, without those that every build has.
pub fn way(build: &Build) -> Vec<(String, String)> {
    let phases = build.phases.as_ref().unwrap();
    let text = |it: &BuildPhase| {
        let status = it.phase_status.as_ref().map(|it| it.as_str().to_owned());
        (it.phase_type.as_ref().unwrap().as_str().to_owned(), status.unwrap_or_default())
    };
    phases.iter().map(text).skip_while(|(kind, _)| kind != "DOWNLOAD_SOURCE").collect()
}
