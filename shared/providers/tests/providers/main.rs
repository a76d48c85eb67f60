//! Each provider against an AWS that a test prepares: what is asked of which service with whose context, and what comes
//! of its answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod appconfig;
mod approval;
mod build_shell;
mod cloudformation;
mod codebuild;
mod codecommit;
mod codedeploy;
mod codedeploy_to_ecs;
mod commands;
mod connection_source;
mod device_farm;
mod documentation;
mod ec2_deploy;
mod ec2_target_groups;
mod ecr;
mod ecr_build_and_publish;
mod ecs;
mod eks;
mod elastic_beanstalk;
mod github_source;
mod inspector_scan;
mod job_worker;
mod lambda_deploy;
mod lambda_executor;
mod lambda_invoke;
mod managed;
mod permissions;
mod pins;
mod pipeline_invoke;
mod registry;
mod rules;
mod s3_deploy;
mod s3_source;
mod service_catalog;
mod source_polls;
mod stack_sets;
mod step_functions;

use std::collections::BTreeMap;

use driver::{ActionExecutor, Outcome, Task, TaskInput};
use engine::{ActionError, Artifact, ExecutionId, Pin, Success, Timestamp};
use pipeline::{Action, ActionName, ArtifactName, Compute, PipelineName, StageName, TypeId};
use runtime::{Clients, JobIds, Settings};
use serde_json::{Value, json};
use testkit::Aws;
use uuid::Uuid;

use permissions::Checked;

pub const REGION: &str = "eu-west-1";
pub const STORE: &str = "store-eu";

/// The one artifact of a job, as a function is told of it.
pub fn located(name: &str) -> Value {
    let key = format!("shop/{name}/abcdefghijklmnop");
    let location = json!({"type": "S3", "s3Location": {"bucketName": STORE, "objectKey": key}});
    json!([{"name": name, "revision": null, "location": location}])
}

pub const ACCOUNT: &str = "111122223333";

/// Runs actions, and refuses what their providers' permissions do not allow.
pub fn registry(aws: &Aws) -> Checked {
    registry_with(aws, settings())
}

/// The same on a local stack, whose code host is at this address.
pub fn registry_beside(aws: &Aws, code_host: &'static str) -> Checked {
    let usual = settings_with(move |name| (name == "MILLRACE_LOCAL_CODE_HOST").then(|| code_host.to_owned()));
    registry_with(aws, usual)
}

fn registry_with(aws: &Aws, settings: Settings) -> Checked {
    Checked::new(providers::Registry::new(&settings, &Clients::from_config(aws.config())).unwrap(), aws)
}

fn settings() -> Settings {
    settings_with(|_| None)
}

fn settings_with(more: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Settings {
    let settings = Settings::read(move |name| match name {
        "AWS_REGION" => Some(REGION.to_owned()),
        "MILLRACE_ACCOUNT" => Some(ACCOUNT.to_owned()),
        "MILLRACE_HMAC_KEY" => Some("hmac-key".to_owned()),
        "MILLRACE_API_URL" => Some("http://aws.test/api/live".to_owned()),
        "MILLRACE_APPROVAL_URL" => Some("https://gate.example/approve".to_owned()),
        other => more(other),
    });
    settings.unwrap()
}

/// AWS whose KMS signs everything with the same 32 bytes.
pub fn signing() -> Aws {
    let aws = Aws::default();
    aws.on("GenerateMac", 200, format!(r#"{{"Mac": "{}="}}"#, "A".repeat(43)));
    aws
}

/// The id under which a task's job is given out there.
pub async fn job_id(aws: &Aws, task: &Task) -> String {
    JobIds::new(&settings(), &Clients::from_config(aws.config())).unwrap().job(task.id).await.unwrap()
}

pub fn artifact(name: &str) -> Artifact {
    let key = format!("shop/{name}/abcdefghijklmnop");
    Artifact {
        name: ArtifactName::new(name).unwrap(),
        region: REGION.into(),
        bucket: STORE.into(),
        key,
        pin: Pin::default(),
    }
}

/// A task of a pipeline `shop` in its home region.
pub fn task(category: &str, provider: &str, configuration: &[(&str, &str)]) -> Task {
    let configuration: BTreeMap<String, String> =
        configuration.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let action = Action {
        name: ActionName::new("the-action").unwrap(),
        type_id: TypeId {
            category: category.into(),
            owner: Some("AWS".into()),
            provider: provider.into(),
            version: Some("1".into()),
        },
        run_order: 1,
        configuration: configuration.clone(),
        compute: Compute::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        role_arn: None,
        region: None,
        namespace: None,
        timeout_in_minutes: Some(60),
        custom: None,
    };
    Task {
        watched: Vec::new(),
        reviewed: Vec::new(),
        proposal: None,
        approves_itself: false,
        id: ExecutionId::from_random(Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888)).action(1, 0, 1),
        pipeline: PipelineName::new("shop").unwrap(),
        version: 1,
        stage: StageName::new("the-stage").unwrap(),
        action,
        configuration,
        compute: Compute::default(),
        region: REGION.into(),
        pipeline_role: "arn:aws:iam::111122223333:role/pipeline".into(),
        action_role: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        store: Some((STORE.into(), Some("arn:aws:kms:eu-west-1:111122223333:key/k".into()))),
        reclaimed: false,
        continuation: None,
        token: None,
        // 2026-11-23T23:05:09Z, so the attempt was requested an hour earlier.
        deadline: Some(Timestamp(1_795_475_109_000)),
        external: None,
        overrides: Vec::new(),
        revisions: Vec::new(),
    }
}

/// The same with the pin of this content, in a bucket without versions.
pub fn made(name: &str, data: &[u8]) -> Artifact {
    Artifact { pin: Pin { version: None, sha256: Some(testkit::sha256(data)) }, ..artifact(name) }
}

/// An input artifact of which this content was recorded.
pub fn recorded(name: &str, data: &[u8]) -> TaskInput {
    let artifact = made(name, data);
    TaskInput { pin: artifact.pin.clone(), artifact, ..input(name) }
}

pub fn input(name: &str) -> TaskInput {
    TaskInput { artifact: artifact(name), bucket: STORE.into(), key_id: None, pin: Pin::default() }
}

pub async fn succeeded(registry: &Checked, task: &Task) -> Success {
    match registry.start(task).await.unwrap() {
        Outcome::Succeeded(success) => success,
        other => panic!("{other:?}"),
    }
}

pub async fn failed(registry: &Checked, task: &Task) -> ActionError {
    match registry.start(task).await.unwrap() {
        Outcome::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// The message with which the task is put off.
pub async fn put_off(registry: &Checked, task: &Task) -> String {
    registry.start(task).await.unwrap_err().to_string()
}

/// A service refuses one operation after another: each with a status and a code. The action fails with a `FailureType`, or
/// (none) is put off; in any case the service's words are told, and nothing is asked for twice.
pub async fn refusals(
    aws: impl Fn() -> Aws,
    refuse: impl Fn(&Aws, &str, u16, &str),
    task: &Task,
    words: &str,
    table: &[(&str, u16, &str, Option<&str>)],
) {
    for (operation, status, code, failure) in table {
        let aws = aws();
        refuse(&aws, operation, *status, code);
        let message = match failure {
            None => put_off(&registry(&aws), task).await,
            Some(failure) => {
                let error = failed(&registry(&aws), task).await;
                assert_eq!(error.code, *failure, "{operation} {code}");
                error.message
            }
        };
        assert!(message.starts_with(operation), "{message}");
        assert!(message.ends_with(&format!("{code}: {words}")), "{message}");
        assert_eq!(aws.calls(operation).len(), 1, "what it may have begun is looked for first");
    }
}
