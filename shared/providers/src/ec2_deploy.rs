//! Deploy/EC2: an artifact on instances that a tag names, by Systems Manager's Run Command. Source: CodePipeline user guide,
//! 'Amazon EC2 action reference'.
//!
//! Without target groups one command goes to all instances. Systems Manager itself finds them by the tag, runs at most
//! `MaxBatch` at a time, and sends no more of it when `MaxError` is exceeded; its status is that of the action. With
//! `TargetGroupNameList` there is a command for each batch, around which its instances leave their target groups and come
//! back: see `ec2_rollout`. What an instance does is in `ec2_script`, which instances there are in `ec2_fleet`, and how a
//! command is sent once in `ec2_command`.

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{CommandStatus, Target};
use aws_smithy_types::base64;
use driver::{Outcome, Task};
use engine::Success;
use runtime::Session;
use runtime::arn::partition;
use serde::Deserialize;

use crate::artifact_files;
use crate::configuration::{items, missing, read, title};
use crate::context::ActionContext;
use crate::deploy_spec::DeploySpec;
use crate::ec2_command::{DOCUMENT, MOST_NAMED, Recipients, Request, RunCommand, ended_command};
use crate::ec2_fleet::{Fleet, InstanceType, MaxBatch, MaxError};
use crate::ec2_rollout::Rollout;
use crate::ec2_rollout_plan::KEEP_PLANS;
use crate::ec2_script::{FOLDER, Source, script};
use crate::error::{JOB_FAILED, ProviderError};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Conditions, Permission, Permissions, condition, everything};
use crate::provider::{
    Correlation, DeployTarget, Descriptor, Documentation, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};
use crate::target_groups::TargetGroupNames;

/// Longest deploy spec file, and longest script that is made of it: with all else it is a document of at most 64 KB.
const LONGEST_FILE: u64 = 48 << 10;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.ssm",
            detail_types: &["EC2 Command Status-change Notification"],
            correlation: Correlation::ExternalId(ended_command),
        }),
        deploy_target: Some(DeployTarget { key: "InstanceTagKey", kind: "InstanceTag" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "EC2")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::OverTheWire,
                differs: "Batches have at most 50 instances, also where MaxBatch says more or nothing, and all of them \
                          together have the action's time-out. An instance comes back to those of the target groups in \
                          which it was, on the same ports, and one that is not healthy there ten minutes later has \
                          failed. Three minutes before the time-out what is out comes back, its command is cancelled and \
                          the action fails. What an action that was abandoned, or timed out all the same, left outside \
                          comes back when the action runs next: until then that batch gets no traffic. The instances \
                          need the aws CLI, and unzip or Python. There is no log group of the pipeline: a failure \
                          repeats the last lines of three instances. Instances that failed before do not come first. \
                          Without target groups an action that is abandoned or timed out does not cancel its command.",
            },
        )
    },
    provider: &Ec2,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &[
                "ssm:DescribeInstanceInformation",
                "ssm:GetCommandInvocation",
                "ssm:ListCommandInvocations",
                "ssm:ListCommands",
            ],
            everything,
        ),
        Permission::new(SEND_COMMAND, |scope| {
            vec![format!("arn:{}:ssm:{}::document/{DOCUMENT}", partition(scope.region), scope.region)]
        }),
        Permission::new(SEND_COMMAND, |scope| match scope.value("InstanceType").as_deref() {
            Some("EC2") => vec![scope.arn("ec2", "instance/*")],
            Some("SSM_MANAGED_NODE") => vec![scope.arn("ssm", "managed-instance/*")],
            _ => vec![scope.arn("ec2", "instance/*"), scope.arn("ssm", "managed-instance/*")],
        })
        .when(|scope| {
            let key = scope.value_or_any("InstanceTagKey");
            // A key that is not known cannot be in the name of a condition.
            if key.contains('*') {
                return Conditions::new();
            }
            let value = scope.value("InstanceTagValue").unwrap_or_else(|| "*".to_owned());
            condition("StringLike", &format!("ssm:resourceTag/{key}"), [value.as_str()])
        }),
    ],
    BY_TARGET_GROUPS,
    KEEP_PLANS,
    READ_INPUTS,
])
.beside(|_| Some("the instances' own role needs s3:GetObject, s3:GetObjectVersion and kms:Decrypt for the artifact"));

const SEND_COMMAND: &[&str] = &["ssm:SendCommand"];

/// What batches need beside the rest: to look at target groups, to leave and join those that `TargetGroupNameList` names, and to
/// cancel a command before the time-out. Nothing where it names none.
const BY_TARGET_GROUPS: &[Permission] = &[
    Permission::new(
        &[
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
            "ssm:CancelCommand",
        ],
        |scope| scope.value("TargetGroupNameList").map(|_| "*".to_owned()).into_iter().collect(),
    ),
    Permission::new(&["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"], |scope| {
        let names = scope.value("TargetGroupNameList").unwrap_or_default();
        items(&names).map(|name| scope.arn("elasticloadbalancing", &format!("targetgroup/{name}/*"))).collect()
    }),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Configuration<'a> {
    instance_tag_key: &'a str,
    instance_tag_value: Option<&'a str>,
    instance_type: InstanceType,
    target_directory: Option<&'a str>,
    pre_script: Option<&'a str>,
    post_script: Option<&'a str>,
    deploy_spec: Option<&'a str>,
    pub(crate) max_batch: Option<MaxBatch>,
    pub(crate) max_error: Option<MaxError>,
    target_group_name_list: Option<TargetGroupNames>,
}

struct Ec2;

#[async_trait]
impl Provider for Ec2 {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        match &deploy.configuration.target_group_name_list {
            Some(names) => Rollout::new(&deploy, names).start().await,
            None => deploy.start().await,
        }
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        match &deploy.configuration.target_group_name_list {
            Some(names) => Rollout::new(&deploy, names).poll().await,
            None => deploy.poll().await,
        }
    }
}

pub(crate) struct Deploy<'a> {
    pub(crate) context: ActionContext<'a>,
    pub(crate) configuration: Configuration<'a>,
    pub(crate) session: Session,
    client: Client,
}

impl<'a> Deploy<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        check(context.task, &configuration)?;
        let session = context.session().await?;
        let client = Client::new(session.config());
        Ok(Self { context, configuration, session, client })
    }

    pub(crate) fn fleet(&self) -> Fleet<'_> {
        Fleet {
            client: &self.client,
            region: &self.context.task.region,
            tag_key: self.configuration.instance_tag_key,
            tag_value: self.configuration.instance_tag_value,
            instance_type: self.configuration.instance_type,
        }
    }

    pub(crate) fn commands(&self) -> RunCommand<'_> {
        RunCommand { context: self.context, client: &self.client, label: self.fleet().label() }
    }

    /// What the comment of this attempt's command says, or begins with.
    pub(crate) fn comment(&self) -> String {
        format!("Millrace action execution {}", self.context.token)
    }

    async fn start(&self) -> Result<Outcome, ProviderError> {
        let commands = self.commands();
        if self.context.task.reclaimed
            && let Some(found) = commands.find(&self.comment()).await?
        {
            return Ok(commands.running(&found));
        }
        let request = Request {
            script: self.script().await?,
            recipients: self.recipients().await?,
            seconds: self.context.task.action.timeout_minutes().saturating_mul(60),
            max_concurrency: self.configuration.max_batch.map(|it| it.0.text()),
            max_errors: self.configuration.max_error.map(|it| it.0.text()),
        };
        let sent = commands.send(&self.comment(), request).await?;
        Ok(commands.running(&sent))
    }

    async fn poll(&self) -> Result<Outcome, ProviderError> {
        let commands = self.commands();
        let command = match &self.context.task.external {
            Some(external) => commands.describe(&external.id).await?,
            None => commands.find(&self.comment()).await?.ok_or_else(|| {
                let label = &commands.label;
                ProviderError::failed(JOB_FAILED, format!("Systems Manager has no command of this action for {label}"))
            })?,
        };
        match command.status() {
            // Fewer instances failed than `MaxError` allows, and the command reached all of them.
            _ if command.status_details() == Some("Incomplete") && command.delivery_timed_out_count() == 0 => {
                Ok(Outcome::Succeeded(Success { report: commands.report(&command), ..Success::default() }))
            }
            Some(CommandStatus::Success) => {
                Ok(Outcome::Succeeded(Success { report: commands.report(&command), ..Success::default() }))
            }
            Some(CommandStatus::Failed | CommandStatus::TimedOut | CommandStatus::Cancelled) => {
                Err(commands.failed(&command).await)
            }
            _ => Ok(commands.running(&command)),
        }
    }

    /// What each instance does.
    pub(crate) async fn script(&self) -> Result<String, ProviderError> {
        let task = self.context.task;
        let input = task.inputs.first();
        let input =
            input.ok_or_else(|| ProviderError::configuration(format!("{} needs an input artifact", title(task))))?;
        let Configuration { target_directory, pre_script, post_script, deploy_spec, .. } = self.configuration;
        let spec = match deploy_spec {
            Some(path) => {
                let text = artifact_files::text(self.context, input, path, LONGEST_FILE).await?;
                DeploySpec::parse(&text).map_err(|why| {
                    ProviderError::configuration(format!("the deploy spec file {path} cannot be used: {why}"))
                })?
            }
            None => {
                DeploySpec::all_into(target_directory.unwrap_or_default(), pre_script, post_script.unwrap_or_default())
            }
        };
        let object = self.context.artifact_store(&input.bucket).await?.find(&input.artifact.key, &input.pin).await?;
        let recorded = input.pin.sha256.as_deref().or(input.artifact.pin.sha256.as_deref());
        let source = Source {
            region: &task.region,
            bucket: &input.bucket,
            key: &input.artifact.key,
            version: object.version_id.as_deref(),
            sha256: recorded.and_then(|sha256| base64::decode(sha256).ok()).map(hex::encode),
        };
        let place = format!("{}/{}/{}", task.pipeline, task.stage, task.action.name);
        let script = script(&source, &spec, &place, FOLDER);
        if script.len() as u64 > LONGEST_FILE {
            return Err(ProviderError::configuration(format!(
                "what the deploy spec asks for is a script of {} bytes, and it may have {LONGEST_FILE}",
                script.len()
            )));
        }
        Ok(script)
    }

    /// To whom the one command goes.
    async fn recipients(&self) -> Result<Recipients, ProviderError> {
        let fleet = self.fleet();
        match fleet.found().await? {
            (_, 0) => {
                let (key, value) = fleet.tag();
                Ok(Recipients::Tagged(Target::builder().key(key).values(value).build()))
            }
            (wanted, _) if wanted.len() <= MOST_NAMED => Ok(Recipients::Named(wanted)),
            (wanted, others) => Err(fleet.refused(format!(
                "{} are of the InstanceType and {others} are not, and a command can name {MOST_NAMED} one by one: give them \
                 different tags",
                wanted.len()
            ))),
        }
    }
}

fn check(task: &Task, configuration: &Configuration<'_>) -> Result<(), ProviderError> {
    let refused = |why: String| Err(ProviderError::configuration(why));
    let Configuration { target_directory, pre_script, post_script, deploy_spec, .. } = configuration;
    if configuration.target_group_name_list.is_some() && configuration.instance_type != InstanceType::Ec2 {
        return refused("TargetGroupNameList needs EC2 as InstanceType: target groups have EC2 instances".to_owned());
    }
    let scripts = [("TargetDirectory", target_directory), ("PreScript", pre_script), ("PostScript", post_script)];
    if deploy_spec.is_some() {
        return match scripts.iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => refused(format!("{key} and DeploySpec have values: the file says all of it, or none")),
            None => Ok(()),
        };
    }
    match (target_directory, post_script) {
        (Some(directory), _) if !directory.starts_with('/') => {
            refused(format!("TargetDirectory is {directory:?}: it must begin with /"))
        }
        (Some(_), Some(_)) => Ok(()),
        (None, None) => refused(format!("{} needs TargetDirectory and PostScript, or DeploySpec", title(task))),
        (None, _) => refused(missing(task, "TargetDirectory")),
        (_, None) => refused(missing(task, "PostScript")),
    }
}
