//! Real builds through the real client: the build host's processes, MiniStack's S3, SSM, Secrets Manager and CloudWatch Logs.
//! MiniStack refuses CodeBuild's events, as AWS does from anybody but itself, and builds go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod world;

use std::io::{BufRead, BufReader, Cursor, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, Build, BuildPhaseType, EnvironmentVariable,
    EnvironmentVariableType, ProjectArtifacts, ProjectSource, SourceType, StatusType,
};
use world::{BUCKET, World, phase, to_zip, way};
use zip::write::{SimpleFileOptions, ZipWriter};

fn variable(name: &str, value: &str) -> EnvironmentVariable {
    EnvironmentVariable::builder().name(name).value(value).build().unwrap()
}

fn context(build: &Build, kind: BuildPhaseType) -> (String, String) {
    let context = phase(build, kind).contexts.unwrap().remove(0);
    (context.status_code.unwrap(), context.message.unwrap())
}

#[tokio::test]
async fn a_build_leaves_its_artifact_its_variables_and_its_log() {
    const SPEC: &str = r#"
version: 0.2
env:
  variables: {GREETING: from the buildspec, PLACE: here}
  exported-variables: [VERSION, PLACE, AWS_REGION]
phases:
  install: {runtime-versions: {nodejs: 22}}
  pre_build:
    commands: ["cd tools && VERSION=1.$CODEBUILD_BUILD_NUMBER"]
  build:
    commands:
      - ./make.sh
      - "echo \"$GREETING, $ATTEMPT\""
      - test "$CODEBUILD_SRC_DIR/tools" = "$PWD"
artifacts:
  files: ["**/*"]
  base-directory: out
"#;
    let world = World::new().await;
    world.project("app").await;
    let make = "#!/bin/sh\nmkdir -p ../out/bin; echo \"version $VERSION\" > ../out/bin/app; chmod +x ../out/bin/app";
    world.put_zip("in/source.zip", &[("buildspec.yml", SPEC), ("tools/make.sh", make)]).await;
    let start = world.codebuild.start_build().project_name("app").source_type_override(SourceType::S3);
    let start = start.source_location_override(format!("{BUCKET}/in/source.zip")).idempotency_token("attempt-1");
    let start = start.environment_variables_override(variable("GREETING", "from the start"));
    let start = start.environment_variables_override(variable("ATTEMPT", "attempt-1"));
    let start = start.artifacts_override(to_zip("out/app", "key", None));
    let id = start.clone().send().await.unwrap().build_value.unwrap().id.unwrap();
    let again = start.clone().send().await.unwrap().build_value.unwrap().id.unwrap();
    assert_eq!(again, id, "a token starts one build");
    let other = start.buildspec_override("version: 0.2").send().await.unwrap_err();
    assert!(other.into_service_error().is_invalid_input_exception());

    let build = world.end(&id).await;
    let log = world.log(&build).await;
    assert_eq!(build.build_status, Some(StatusType::Succeeded), "{:?} {log:#?}", build.phases);
    assert_eq!((build.build_number, build.current_phase.as_deref()), (Some(1), Some("COMPLETED")));
    assert!(build.arn.as_ref().unwrap().ends_with(&format!(":build/{id}")) && build.end_time.is_some());
    let phases = ["DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING"];
    let expected: Vec<_> = phases.iter().map(|it| ((*it).to_owned(), "SUCCEEDED".to_owned())).collect();
    assert_eq!(way(&build)[..7], expected);
    let variables = build.environment.as_ref().unwrap().environment_variables.as_ref().unwrap();
    assert!(variables.contains(&variable("ATTEMPT", "attempt-1")));
    let exported = build.exported_environment_variables.as_ref().unwrap();
    let exported: Vec<_> =
        exported.iter().map(|it| (it.name.as_deref().unwrap(), it.value.as_deref().unwrap())).collect();
    assert_eq!(exported, [("VERSION", "1.1"), ("PLACE", "here")]);
    assert_eq!(world.unzip("out/app/key").await, [("bin/app".to_owned(), "version 1.1\n".to_owned(), 0o755)]);
    let artifacts = build.artifacts.unwrap();
    assert_eq!(artifacts.location.unwrap(), "arn:aws:s3:::store/out/app/key");
    assert_eq!(artifacts.sha256_sum.unwrap().len(), 64);
    assert!(log.iter().any(|line| line == "from the start, attempt-1"), "{log:#?}");
    assert!(log.iter().any(|line| line == "[Container] Running command ./make.sh"), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("runtime-versions")), "{log:#?}");
    assert_eq!(world.root.path().read_dir().unwrap().count(), 0, "the folders of builds are gone");
}

#[tokio::test]
async fn a_command_that_fails_is_named_and_the_rules_of_phases_hold() {
    let world = World::new().await;
    world.project("app").await;
    let build = world
        .build("app", "version: 0.2\nphases:\n  build: {commands: [echo before, sh -c 'exit 3', echo never]}\n  post_build: {commands: [echo post $CODEBUILD_BUILD_SUCCEEDING]}\n")
        .await;
    assert_eq!(build.build_status, Some(StatusType::Failed));
    assert_eq!(phase(&build, BuildPhaseType::Build).phase_status, Some(StatusType::Failed));
    let message = "Error while executing command: sh -c 'exit 3'. Reason: exit status 3";
    let expected = ("COMMAND_EXECUTION_ERROR".to_owned(), message.to_owned());
    assert_eq!(context(&build, BuildPhaseType::Build), expected);
    let log = world.log(&build).await;
    assert!(log.iter().any(|line| line == "post 0") && !log.iter().any(|line| line == "never"), "{log:#?}");
    assert!(
        log.contains(&format!("[Container] Phase context status code: COMMAND_EXECUTION_ERROR Message: {message}"))
    );

    let build = world
        .build("app", "version: 0.2\nphases:\n  pre_build: {on-failure: CONTINUE, commands: [exit 4], finally: [echo cleaned]}\n  build: {on-failure: ABORT, commands: [echo 'built $CODEBUILD_BUILD_SUCCEEDING', exit 5]}\n  post_build: {commands: [echo never]}\n")
        .await;
    let log = world.log(&build).await;
    let status = |kind| phase(&build, kind).phase_status.unwrap();
    assert_eq!(
        (status(BuildPhaseType::PreBuild), status(BuildPhaseType::Build)),
        (StatusType::Failed, StatusType::Failed)
    );
    assert!(log.iter().any(|line| line == "cleaned") && !log.iter().any(|line| line == "never"), "{log:#?}");
    assert_eq!(
        way(&build)[3..].iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
        ["BUILD", "FINALIZING", "COMPLETED"]
    );
}

#[tokio::test]
async fn several_sources_become_several_artifacts() {
    const SPEC: &str = r#"
version: 0.2
phases:
  build:
    commands: ['cat main.txt "$CODEBUILD_SRC_DIR_other/other.txt" > both.txt', 'mkdir deep', 'cp both.txt deep/']
artifacts:
  secondary-artifacts:
    one: {files: [both.txt, "deep/*"], name: "named-$(echo x)"}
    two: {files: ["*"], base-directory: $CODEBUILD_SRC_DIR_other, discard-paths: yes}
"#;
    let world = World::new().await;
    world.project("app").await;
    world.put_zip("main.zip", &[("ci/spec.yml", SPEC), ("main.txt", "main\n")]).await;
    world.put_zip("other.zip", &[("other.txt", "other\n")]).await;
    let other = ProjectSource::builder().r#type(SourceType::S3).location(format!("{BUCKET}/other.zip"));
    let one = ProjectArtifacts::builder().r#type(ArtifactsType::S3).location(BUCKET).path("loose").name("unused");
    let one = one.namespace_type(ArtifactNamespace::BuildId).packaging(ArtifactPackaging::None);
    let one = one.override_artifact_name(true).artifact_identifier("one").build().unwrap();
    let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
    let start = world.codebuild.start_build().project_name("app").source_type_override(SourceType::S3);
    let start = start.source_location_override(format!("{BUCKET}/main.zip")).buildspec_override("ci/spec.yml");
    let start = start.secondary_sources_override(other.source_identifier("other").build().unwrap());
    let start = start.artifacts_override(none).secondary_artifacts_override(one);
    let start = start.secondary_artifacts_override(to_zip("out", "two.zip", Some("two")));
    let id = start.send().await.unwrap().build_value.unwrap().id.unwrap();
    let build = world.end(&id).await;
    assert_eq!(build.build_status, Some(StatusType::Succeeded), "{:?}", build.phases);
    let uuid = id.split_once(':').unwrap().1;
    for file in ["both.txt", "deep/both.txt"] {
        assert_eq!(world.read(&format!("loose/{uuid}/named-x/{file}")).await, b"main\nother\n");
    }
    assert_eq!(world.unzip("out/two.zip").await, [("other.txt".to_owned(), "other\n".to_owned(), 0o644)]);
    assert_eq!(build.secondary_artifacts.unwrap().len(), 2);
}

#[tokio::test]
async fn parameters_and_secrets_reach_commands_and_not_the_log() {
    let world = World::new().await;
    world.project("app").await;
    let parameters = aws_sdk_ssm::Client::new(&world.aws);
    let secure = aws_sdk_ssm::types::ParameterType::SecureString;
    parameters.put_parameter().name("/app/password").value("pa$$ word").r#type(secure).send().await.unwrap();
    let secrets = aws_sdk_secretsmanager::Client::new(&world.aws);
    secrets.create_secret().name("app").secret_string(r#"{"token":"t0ken"}"#).send().await.unwrap();
    let spec = "version: 0.2\nenv:\n  secrets-manager: {TOKEN: 'app:token'}\n  exported-variables: [TOKEN, LENGTH]\nphases:\n  build:\n    commands: ['LENGTH=${#PASSWORD}-${#TOKEN}', 'echo \"<$PASSWORD> <$TOKEN>\"', 'exit 1 # t0ken']\n";
    let password = EnvironmentVariable::builder().name("PASSWORD").value("/app/password");
    let password = password.r#type(EnvironmentVariableType::ParameterStore).build().unwrap();
    let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
    let start = world.codebuild.start_build().project_name("app").source_type_override(SourceType::NoSource);
    let start = start.artifacts_override(none).environment_variables_override(password).buildspec_override(spec);
    let build = world.end(&start.send().await.unwrap().build_value.unwrap().id.unwrap()).await;
    let log = world.log(&build).await;
    assert!(log.iter().any(|line| line == "<***> <***>"), "{log:#?}");
    let shown = format!("{log:?} {:?}", build.phases);
    assert!(!shown.contains("t0ken") && !shown.contains("pa$$ word"), "{shown}");
    let exported = build.exported_environment_variables.as_ref().unwrap();
    assert_eq!((exported.len(), exported[0].value.as_deref()), (1, Some("9-5")));

    let spec = "version: 0.2\nenv: {parameter-store: {A: /none}}\nphases: {build: {commands: [ls]}}\n";
    let build = world.build("app", spec).await;
    let (code, message) = context(&build, BuildPhaseType::DownloadSource);
    assert!(code == "Decrypted Variables Error" && message.contains("/none"), "{code} {message}");
}

/// Whether a process with this id runs.
fn runs(pid: i32) -> bool {
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_ok()
}

#[tokio::test]
async fn a_time_out_and_a_stop_kill_the_whole_tree() {
    // A time-out of five minutes takes two seconds.
    let world = World::with_minute(Duration::from_millis(400)).await;
    world.project("app").await;
    let pids = world.root.path().join("pids");
    let pids = pids.to_str().unwrap();
    let spec = format!(
        "version: 0.2\nphases:\n  build:\n    commands: ['(sleep 600 & echo $! >> {pids}; sleep 600) & echo $! >> {pids}; wait']\n  post_build: {{commands: [echo never]}}\n"
    );
    let read = || -> Vec<i32> {
        let text = std::fs::read_to_string(pids).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    for timed_out in [false, true] {
        std::fs::write(pids, "").unwrap();
        let start = world.codebuild.start_build().project_name("app").source_type_override(SourceType::NoSource);
        let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
        let start = start.artifacts_override(none).buildspec_override(&spec);
        let start = if timed_out { start.timeout_in_minutes_override(5) } else { start };
        let id = start.send().await.unwrap().build_value.unwrap().id.unwrap();
        while read().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let processes = read();
        assert!(processes.iter().all(|pid| runs(*pid)));
        if !timed_out {
            world.codebuild.stop_build().id(&id).send().await.unwrap();
        }
        let build = world.end(&id).await;
        let status = if timed_out { StatusType::TimedOut } else { StatusType::Stopped };
        assert_eq!(build.build_status.as_ref(), Some(&status));
        assert_eq!(phase(&build, BuildPhaseType::Build).phase_status, Some(status));
        assert_eq!(
            way(&build)[3..].iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
            ["BUILD", "FINALIZING", "COMPLETED"]
        );
        for _ in 0..100 {
            if processes.iter().all(|pid| !runs(*pid)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(processes.iter().all(|pid| !runs(*pid)), "processes of the build still run: {processes:?}");
    }
}

#[tokio::test]
async fn a_bad_buildspec_and_a_bad_zip_fail_while_sources_are_fetched() {
    let world = World::new().await;
    world.project("app").await;
    let build = world.build("app", "version: 0.2\nphases:\n  biuld: {commands: [ls]}\n").await;
    assert_eq!(build.build_status, Some(StatusType::Failed));
    let (code, message) = context(&build, BuildPhaseType::DownloadSource);
    assert!(code == "YAML_FILE_ERROR" && message.contains("biuld"), "{code} {message}");

    let mut evil = ZipWriter::new(Cursor::new(Vec::new()));
    evil.start_file("../evil", SimpleFileOptions::default()).unwrap();
    evil.write_all(b"evil").unwrap();
    world.put("evil.zip", evil.finish().unwrap().into_inner()).await;
    world.put_zip("empty.zip", &[("readme", "nothing")]).await;
    for (key, code, text) in [
        ("evil.zip", "CLIENT_ERROR", "../evil"),
        ("empty.zip", "YAML_FILE_ERROR", "does not exist"),
        ("none.zip", "CLIENT_ERROR", "none.zip"),
    ] {
        let none = ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().unwrap();
        let start = world.codebuild.start_build().project_name("app").source_type_override(SourceType::S3);
        let start = start.source_location_override(format!("{BUCKET}/{key}")).artifacts_override(none);
        let build = world.end(&start.send().await.unwrap().build_value.unwrap().id.unwrap()).await;
        assert_eq!(build.build_status, Some(StatusType::Failed));
        let (found, message) = context(&build, BuildPhaseType::DownloadSource);
        assert!(found == code && message.contains(text), "{found} {message}");
    }
    assert_eq!(
        world.root.path().read_dir().unwrap().count(),
        0,
        "nothing is left, within a build's folder or beside it"
    );
}

#[test]
fn the_command_ends_with_its_emulator() {
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut emulator = Command::new("sleep").arg("60").spawn().unwrap();
    let mut host = Command::new(env!("CARGO_BIN_EXE_build-host"))
        .args(["--port", "0", "--emulator", &emulator.id().to_string(), "--root"])
        .arg(root.path())
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(host.stderr.take().unwrap()).lines();
    let line = log.next().unwrap().unwrap();
    assert!(line.contains("the build host answers"), "{line}");
    emulator.kill().unwrap();
    assert!(host.wait().unwrap().success());
    emulator.wait().unwrap();
    let rest: Vec<_> = log.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("the emulator has ended")), "{rest:?}");
}
