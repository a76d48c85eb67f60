//! What the descriptors say that IAM must allow is compared with what every test of this crate asks of AWS: [`Checked`] looks
//! at each call that a start or a poll makes. That no permission is superfluous is seen when all other tests have run, which a
//! process of its own does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use driver::{ActionExecutor, Clock, ExecutorError, NewestRevision, Outcome, SourceReader, Task};
use pipeline::Action;
use pipeline::git_trigger::GitEvent;
use providers::permission::{Holder, Permission, Permissions, Scope, Statement, Store, copy};
use testkit::{Aws, Call};

use crate::{ACCOUNT, REGION, task};

/// A registry that may ask AWS for nothing but what its providers' permissions allow.
pub struct Checked {
    registry: providers::Registry,
    aws: Aws,
}

impl Checked {
    pub fn new(registry: providers::Registry, aws: &Aws) -> Self {
        Self { registry, aws: aws.clone() }
    }

    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { registry: self.registry.with_clock(clock), ..self }
    }
}

#[async_trait]
impl ActionExecutor for Checked {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let before = self.aws.all_calls().len();
        let outcome = self.registry.start(task).await;
        self.aws.all_calls()[before..].iter().for_each(|call| check(task, call));
        outcome
    }

    async fn poll(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let before = self.aws.all_calls().len();
        let outcome = self.registry.poll(task).await;
        self.aws.all_calls()[before..].iter().for_each(|call| check(task, call));
        outcome
    }
}

#[async_trait]
impl SourceReader for Checked {
    async fn newest(&self, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError> {
        let before = self.aws.all_calls().len();
        let newest = self.registry.newest(task, validator).await;
        self.aws.all_calls()[before..].iter().for_each(|call| check(task, call));
        newest
    }

    async fn changed_files(&self, task: &Task, event: &GitEvent) -> Result<Vec<String>, ExecutorError> {
        let before = self.aws.all_calls().len();
        let files = self.registry.changed_files(task, event).await;
        self.aws.all_calls()[before..].iter().for_each(|call| check(task, call));
        files
    }
}

/// What a call takes.
struct Use {
    action: String,
    /// Where the call tells: the ARN.
    resource: Option<String>,
    /// Otherwise the call succeeds without it, and something is not as good.
    needed: bool,
}

fn needed(action: impl Into<String>, resource: Option<String>) -> Use {
    Use { action: action.into(), resource, needed: true }
}

fn uses(call: &Call) -> Vec<Use> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let object = |path: &str| Some(format!("arn:{}:s3:::{path}", runtime::arn::partition(&call.region)));
    let reads = |path: &str, version: bool| {
        let action = if version { &["s3:GetObject", "s3:GetObjectVersion"][..] } else { &["s3:GetObject"][..] };
        let mut uses: Vec<Use> = action.iter().map(|it| needed(*it, object(path))).collect();
        uses.push(Use { action: "kms:Decrypt".into(), resource: None, needed: false });
        uses
    };
    let operation = call.operation.as_str();
    match (call.service.as_str(), operation) {
        ("s3", "HeadObject" | "GetObject") => {
            let path = decode(&call.path);
            let mut uses = reads(&path, call.query.contains("versionId="));
            if call.status == 404 {
                // Otherwise S3 would say that it is forbidden.
                let bucket = path.split('/').next().unwrap();
                uses.push(Use { action: "s3:ListBucket".into(), resource: object(bucket), needed: false });
            }
            uses
        }
        ("s3", "PutObject" | "CopyObject") => {
            let mut uses = vec![needed("s3:PutObject", object(&decode(&call.path)))];
            if !call.header("x-amz-acl").is_empty() {
                uses.push(needed("s3:PutObjectAcl", object(&decode(&call.path))));
            }
            let key = call.header("x-amz-server-side-encryption-aws-kms-key-id");
            if !key.is_empty() && key != "alias/aws/s3" {
                uses.push(needed("kms:GenerateDataKey", None));
            }
            let source = decode(call.header("x-amz-copy-source"));
            if !source.is_empty() {
                let (path, version) =
                    source.split_once("?versionId=").map_or((source.as_str(), false), |it| (it.0, true));
                uses.extend(reads(path, version));
            }
            uses
        }
        ("sts", "AssumeRole") => {
            let text = call.text();
            let role = text.split('&').find_map(|pair| pair.strip_prefix("RoleArn=")).unwrap();
            vec![needed("sts:AssumeRole", Some(decode(role)))]
        }
        ("execute-api", _) => {
            let path = call.path.replacen("api/live/", "live/POST/", 1);
            vec![needed("execute-api:Invoke", Some(format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:api/{path}")))]
        }
        ("lambda", "Invoke") => vec![needed("lambda:InvokeFunction", None)],
        ("monitoring", _) => vec![needed(format!("cloudwatch:{operation}"), None)],
        (service, _) => vec![needed(format!("{service}:{operation}"), None)],
    }
}

fn check(task: &Task, call: &Call) {
    let name = |arn: &str| arn.rsplit('/').next().unwrap().to_owned();
    let action_role = task.action_role.as_ref().unwrap_or(&task.pipeline_role);
    let (is_actions, is_pipelines) = (call.role == name(action_role), call.role == name(&task.pipeline_role));
    if !is_actions && !is_pipelines {
        // With the function's own rights: it assumes the pipeline's role, and signs links and job ids.
        assert!(["", "sts", "kms"].contains(&call.service.as_str()), "{call:?}");
        return;
    }
    let mut action = task.action.clone();
    action.configuration = task.configuration.clone();
    action.compute = task.compute.clone();
    action.inputs = task.inputs.iter().map(|input| input.artifact.name.clone()).collect();
    action.outputs = task.outputs.iter().map(|output| output.name.clone()).collect();
    let scope = scope(task, &action, action_role);
    let permissions = providers::permissions(&action).unwrap_or_else(|| panic!("{call:?} of a type that is not run"));
    let mut held: Vec<Statement> = Vec::new();
    for permission in permissions.all() {
        if (permission.holder == Holder::Action && is_actions)
            || (permission.holder == Holder::Pipeline && is_pipelines)
        {
            held.extend(permission.statement(&scope));
        }
    }
    if is_pipelines {
        held.extend(Statement::new(&["sts:AssumeRole"], task.action_role.clone(), BTreeMap::new()));
        for input in task.inputs.iter().filter(|input| input.bucket != input.artifact.bucket) {
            let store = |region: &str, bucket: &str| Store { region: region.into(), bucket: bucket.into(), key: None };
            let from = store(&input.artifact.region, &input.artifact.bucket);
            held.extend(copy(&scope, &input.artifact.name, &from, &store(&task.region, &input.bucket)));
        }
    }
    for used in uses(call) {
        let allows = |statement: &&Statement| match &used.resource {
            Some(resource) => statement.names(&used.action, resource),
            None => statement.actions.contains(&used.action),
        };
        if held.iter().any(|statement| allows(&statement)) {
            record(&provider(&action), &used.action);
        } else {
            let on = used.resource.as_deref().unwrap_or("*");
            assert!(
                !used.needed,
                "{} calls {}, and its permissions lack {} on {on}: {held:#?}",
                provider(&action),
                call.operation,
                used.action
            );
        }
    }
}

fn scope<'a>(task: &'a Task, action: &'a Action, role: &'a str) -> Scope<'a> {
    let store = task.store.as_ref();
    Scope {
        pipeline: &task.pipeline,
        action,
        region: &task.region,
        role,
        store: store.map(|(bucket, key)| Store {
            region: task.region.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
        }),
        home: REGION,
        account: ACCOUNT,
        api: Some("api"),
        connection_secrets: "millrace/connections/",
        compute_project: "millrace-compute",
    }
}

/// The name of the provider's file.
fn provider(action: &Action) -> String {
    match providers::find(action) {
        Some(info) => Path::new(info.documentation.file).file_stem().unwrap().to_str().unwrap().to_owned(),
        None if action.is_polled() => "job_worker".to_owned(),
        None => "lambda_executor".to_owned(),
    }
}

/// Where the process that runs all tests writes what was used.
const RECORD: &str = "MILLRACE_USED_PERMISSIONS";

fn record(provider: &str, action: &str) {
    static FILE: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
        let path = std::env::var_os(RECORD)?;
        Some(Mutex::new(OpenOptions::new().append(true).create(true).open(path).unwrap()))
    });
    if let Some(file) = &*FILE {
        writeln!(file.lock().unwrap(), "{provider} {action}").unwrap();
    }
}

/// Actions that no test reaches, of these providers, and why.
const UNREACHED: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "cloudformation",
            "codedeploy_to_ecs",
            "commands",
            "ecr_build_and_publish",
            "ecs",
            "eks",
            "inspector_scan",
            "stack_sets",
        ],
        &["iam:PassRole"],
        "no call: services ask IAM when they are given a role",
    ),
    (
        &["codedeploy", "codedeploy_to_ecs"],
        &[
            "codedeploy:GetApplicationRevision",
            "codedeploy:GetDeploymentConfig",
            "codedeploy:RegisterApplicationRevision",
        ],
        "CreateDeployment asks for them in turn",
    ),
    (&["codedeploy_to_ecs", "ecs"], &["ecs:TagResource"], "RegisterTaskDefinition asks for it where there are tags"),
    (&["service_catalog"], &["cloudformation:ValidateTemplate"], "Service Catalog asks for it"),
    (
        &["commands", "ecr_build_and_publish", "eks", "inspector_scan"],
        &[
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:GetBucketAcl",
            "s3:GetBucketLocation",
            "secretsmanager:GetSecretValue",
        ],
        "CodeBuild does it with the role of the build",
    ),
    (&["eks"], &["eks:DescribeCluster"], "a command of the build does it"),
    (
        &["ecr_build_and_publish", "inspector_scan"],
        &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:GetAuthorizationToken",
            "ecr:GetDownloadUrlForLayer",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
            "ecr-public:BatchCheckLayerAvailability",
            "ecr-public:CompleteLayerUpload",
            "ecr-public:DescribeRepositories",
            "ecr-public:GetAuthorizationToken",
            "ecr-public:InitiateLayerUpload",
            "ecr-public:PutImage",
            "ecr-public:UploadLayerPart",
            "inspector-scan:ScanSbom",
            "sts:GetServiceBearerToken",
        ],
        "commands of the build do it, Docker among them",
    ),
];

/// What a permission is, whoever has it: providers share lists, whose code is tested with one of them.
fn identity(permission: &Permission) -> String {
    let mut task = task("Deploy", "Any", &[]);
    let property = |it: &pipeline::catalogue::Property| (it.name.to_owned(), "#{x.y}".to_owned());
    let types = providers::all().iter().flat_map(|info| info.types);
    let known = types.filter_map(|it| pipeline::catalogue::find(&it.id()));
    task.action.configuration = known.flat_map(|known| known.configuration.iter().map(property)).collect();
    task.action.inputs = vec![crate::artifact("In").name];
    task.action.outputs = vec![crate::artifact("Out").name];
    let scope = scope(&task, &task.action, &task.pipeline_role);
    format!("{:?} {:?}", permission.holder, permission.statement(&scope))
}

#[test]
fn no_permission_is_superfluous() {
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("used");
    let tests = Command::new(std::env::current_exe().unwrap())
        .args(["-q", "--skip", "no_permission_is_superfluous"])
        .env(RECORD, &record)
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
    let used = std::fs::read_to_string(record).unwrap();
    let used: BTreeSet<(&str, &str)> = used.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let all = all();
    let mut holders: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, permissions) in &all {
        for permission in permissions.all() {
            holders.entry(identity(permission)).or_default().insert(name);
        }
    }
    let (mut unused, mut reached) = (BTreeSet::new(), BTreeSet::new());
    for (name, permissions) in &all {
        for permission in permissions.all() {
            for action in permission.actions {
                let exempt = UNREACHED
                    .iter()
                    .any(|(providers, actions, _)| providers.contains(&name.as_str()) && actions.contains(action));
                let is_used = holders[&identity(permission)].iter().any(|holder| used.contains(&(holder, action)));
                match (exempt, is_used) {
                    (false, false) => drop(unused.insert(format!("{name} {action}"))),
                    (true, true) => drop(reached.insert(format!("{name} {action}"))),
                    _ => {}
                }
            }
        }
    }
    assert!(unused.is_empty(), "no test of the provider uses {unused:#?}");
    assert!(reached.is_empty(), "UNREACHED names {reached:#?}, which tests use");
}

fn all() -> Vec<(String, &'static Permissions)> {
    let infos = providers::all().iter();
    let stem = |file: &str| Path::new(file).file_stem().unwrap().to_str().unwrap().to_owned();
    let mut all: Vec<_> = infos.map(|info| (stem(info.documentation.file), &info.permissions)).collect();
    let mut job = task("Build", "Jenkins", &[]).action;
    job.type_id.owner = Some("Custom".into());
    all.push(("job_worker".into(), providers::permissions(&job).unwrap()));
    job.type_id.owner = Some("ThirdParty".into());
    let function = Some("arn:aws:lambda:eu-west-1:111122223333:function:f".to_owned());
    job.custom = Some(Arc::new(pipeline::custom::Terms { function, ..Default::default() }));
    all.push(("lambda_executor".into(), providers::permissions(&job).unwrap()));
    all
}
