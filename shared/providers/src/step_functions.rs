//! Invoke/StepFunctions: an execution of a state machine. Source: CodePipeline user guide, 'AWS Step Functions invoke
//! action reference'.
//!
//! The execution's name is the attempt's id (behind `ExecutionNamePrefix` and a hyphen), so that a standard state
//! machine starts once for an attempt, however often it is asked to: Step Functions keeps names for 90 days. Express
//! state machines do not look at names, and their executions cannot be looked for. The action succeeds as soon as one
//! has started, so only a worker that is lost between the start and the commit can start one twice.

use artifacts::write_zip;
use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::{DescribeExecutionError, DescribeExecutionOutput};
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use driver::{Outcome, Task};
use engine::{ActionId, Artifact, External, Progress, Success};
use serde::Deserialize;
use serde_json::Value;

use crate::artifact_files::text;
use crate::configuration::{missing, read, store, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::{READ_INPUTS, WRITE_OUTPUTS};
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried,
};

/// Longest name of an execution. Source: Step Functions API, `StartExecution`.
const LONGEST_NAME: usize = 80;
/// Longest input and output in bytes. Source: Step Functions quotas.
const LONGEST_INPUT: u64 = 262_144;
/// The file in the output artifact.
const OUTPUT_FILE: &str = "output.json";

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.states",
            detail_types: &["Step Functions Execution Status Change"],
            correlation: Correlation::AttemptId(attempt_of),
        }),
        entity: Some(EntityPage { key: "StateMachineArn", path: "states/home?region={region}#/statemachines/view/{}" }),
        ..ProviderInfo::of(
            &[Implements::aws("Invoke", "StepFunctions")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll; express state machines at once",
                tried: Tried::Emulators,
                differs: "None known.",
            },
        )
    },
    provider: &StepFunctions,
    token: execution_name,
};

/// The parts of the state machine's ARN, without the version or the alias.
fn machine(scope: &Scope<'_>) -> String {
    let arn = scope.value_or_any("StateMachineArn");
    arn.split(':').take(7).collect::<Vec<_>>().join(":")
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["states:DescribeStateMachine", "states:StartExecution"], |scope| {
            vec![machine(scope), scope.value_or_any("StateMachineArn")]
        }),
        Permission::new(&["states:DescribeExecution"], |scope| {
            vec![format!("{}:*", machine(scope).replace(":stateMachine:", ":execution:"))]
        }),
    ],
    READ_INPUTS,
    WRITE_OUTPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    state_machine_arn: &'a str,
    execution_name_prefix: Option<&'a str>,
    input: Option<&'a str>,
    #[serde(default)]
    input_type: InputType,
}

#[derive(Default, Deserialize)]
enum InputType {
    #[default]
    Literal,
    FilePath,
}

/// The execution's name ends with the attempt's id.
fn attempt_of(detail: &Value) -> Option<ActionId> {
    if detail.get("status")?.as_str() == Some("RUNNING") {
        return None;
    }
    let name = detail.get("name")?.as_str()?;
    name.get(name.len().checked_sub(36)?..)?.parse().ok()
}

struct StepFunctions;

#[async_trait]
impl Provider for StepFunctions {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let machine = configuration.state_machine_arn;
        let name = context.token;
        let input = input(context, &configuration).await?;
        let client = context.session().await?.sfn();
        let (started, express) = futures::join!(
            client.start_execution().state_machine_arn(machine).name(name).input(input).send(),
            is_express_machine(&client, machine),
        );
        let arn = match started {
            Ok(started) => started.execution_arn,
            // Nobody else uses this name: an earlier worker started it, and it may have ended already.
            Err(error) if error.as_service_error().is_some_and(|it| it.is_execution_already_exists()) => {
                execution_arn(machine, name).ok_or_else(|| ProviderError::aws("StartExecution", machine, &error))?
            }
            Err(error) => return Err(ProviderError::aws("StartExecution", machine, &error)),
        };
        if !express && !is_express(&arn) {
            return Ok(Outcome::Running { report: report(task, arn, None), poll: true, event_source: None });
        }
        if !task.outputs.is_empty() {
            return Err(ProviderError::configuration(format!(
                "{machine} is an express state machine, whose action cannot have an output artifact"
            )));
        }
        Ok(Outcome::Succeeded(Success {
            report: report(task, arn, Some("The express state machine was started".to_owned())),
            variables: [("StateMachineArn".to_owned(), machine.to_owned())].into(),
            ..Success::default()
        }))
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let arn = running(context)?;
        let client = context.session().await?.sfn();
        let found = client
            .describe_execution()
            .execution_arn(&arn)
            .send()
            .await
            .map_err(|error| ProviderError::aws("DescribeExecution", &arn, &error))?;
        match found.status {
            ExecutionStatus::Succeeded => succeeded(context, arn, &found).await,
            ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Aborted => {
                Err(failed(task, arn, &found))
            }
            _ => Ok(Outcome::Running { report: report(task, arn, None), poll: true, event_source: None }),
        }
    }
}

/// The name under which this attempt is executed.
fn execution_name(task: &Task) -> Result<String, ProviderError> {
    let id = task.id.first_turn();
    let configuration: Configuration<'_> = read(task)?;
    let name = match configuration.execution_name_prefix {
        Some(prefix) => format!("{prefix}-{id}"),
        None => id.to_string(),
    };
    if name.chars().count() > LONGEST_NAME {
        let most = LONGEST_NAME - id.to_string().len() - 1;
        return Err(ProviderError::configuration(format!(
            "ExecutionNamePrefix is too long: an execution's name has {LONGEST_NAME} characters at most, so the prefix \
             can have {most}"
        )));
    }
    Ok(name)
}

/// The ARN of a standard state machine's execution, from the machine's (which may name a version or an alias).
fn execution_arn(machine: &str, name: &str) -> Option<String> {
    let parts: Vec<&str> = machine.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "states", region, account, "stateMachine", machine, ..] => {
            Some(format!("arn:{partition}:states:{region}:{account}:execution:{machine}:{name}"))
        }
        _ => None,
    }
}

/// The type of a state machine: only AWS (and not every emulator) shows it in the execution's ARN. A role that may not
/// look leaves it to the ARN.
async fn is_express_machine(client: &Client, machine: &str) -> bool {
    let found = client.describe_state_machine().state_machine_arn(machine).send().await;
    found.is_ok_and(|found| found.r#type == StateMachineType::Express)
}

/// Executions of express state machines have ARNs of another form.
fn is_express(execution_arn: &str) -> bool {
    execution_arn.split(':').nth(5) == Some("express")
}

/// The execution that was started, also when its start was not written down.
fn running(context: ActionContext<'_>) -> Result<String, ProviderError> {
    match &context.task.external {
        Some(external) => Ok(external.id.clone()),
        None => {
            let Configuration { state_machine_arn: machine, .. } = read(context.task)?;
            execution_arn(machine, context.token).ok_or_else(|| {
                ProviderError::configuration(format!(
                    "StateMachineArn is {machine:?}: it must be the ARN of a state machine"
                ))
            })
        }
    }
}

fn report(task: &Task, arn: String, summary: Option<String>) -> Progress {
    let url = Some(console::step_functions(&task.region, &arn));
    Progress { external: Some(External { id: arn, url }), summary, percent: None }
}

/// What the state machine is given.
async fn input(context: ActionContext<'_>, configuration: &Configuration<'_>) -> Result<String, ProviderError> {
    let task = context.task;
    match configuration.input_type {
        InputType::Literal => Ok(configuration.input.unwrap_or("{}").to_owned()),
        InputType::FilePath => {
            let path = configuration.input;
            let path = path.ok_or_else(|| ProviderError::configuration(missing(task, "Input")))?;
            let input = task.inputs.first().ok_or_else(|| {
                ProviderError::configuration(format!(
                    "{} needs an input artifact, as its InputType is FilePath",
                    title(task)
                ))
            })?;
            text(context, input, path, LONGEST_INPUT).await
        }
    }
}

async fn succeeded(
    context: ActionContext<'_>,
    arn: String,
    found: &DescribeExecutionOutput,
) -> Result<Outcome, ProviderError> {
    let task = context.task;
    let mut outputs = Vec::new();
    if let Some(artifact) = task.outputs.first() {
        let output = found.output.as_deref().ok_or_else(|| {
            ProviderError::failed(
                JOB_FAILED,
                format!("Step Functions did not give out the output of {arn}, so there is no artifact"),
            )
        })?;
        let (bucket, encryption) = store(task)?;
        let zip = write_zip([(OUTPUT_FILE, output)])?;
        let bucket = context.artifact_store(bucket).await?;
        let pin = bucket.put_artifact(&artifact.key, zip, &encryption).await?;
        outputs.push(Artifact { pin, ..artifact.clone() });
    }
    let variables = [("StateMachineArn", found.state_machine_arn.clone()), ("ExecutionArn", arn.clone())];
    Ok(Outcome::Succeeded(Success {
        report: report(task, arn, None),
        outputs,
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        revision: None,
    }))
}

fn failed(task: &Task, arn: String, found: &DescribeExecutionOutput) -> ProviderError {
    let mut message = format!("The state machine execution {arn} ended as {}", found.status.as_str());
    for words in [&found.error, &found.cause].into_iter().flatten() {
        message = format!("{message}: {words}");
    }
    ProviderError::Failed { code: JOB_FAILED, message, report: report(task, arn, None) }
}

impl ClassifyError for StartExecutionError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::StateMachineDoesNotExist(_)
            | Self::StateMachineDeleting(_)
            | Self::InvalidArn(_)
            | Self::InvalidExecutionInput(_)
            | Self::InvalidName(_)
            | Self::KmsInvalidStateException(_)
            | Self::ValidationException(_) => ErrorClass::Configuration,
            Self::KmsAccessDeniedException(_) => ErrorClass::Permission,
            Self::ExecutionLimitExceeded(_) | Self::KmsThrottlingException(_) => ErrorClass::Retryable,
            _ => return None,
        })
    }
}

impl ClassifyError for DescribeExecutionError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::ExecutionDoesNotExist(_) => ErrorClass::Failed,
            Self::InvalidArn(_) | Self::KmsInvalidStateException(_) => ErrorClass::Configuration,
            Self::KmsAccessDeniedException(_) => ErrorClass::Permission,
            Self::KmsThrottlingException(_) => ErrorClass::Retryable,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use engine::ExecutionId;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_end_of_an_execution_names_its_attempt() {
        let id = ExecutionId::from_random(Uuid::from_u128(5)).action(1, 2, 3);
        let of = |name: String, status: &str| attempt_of(&json!({"status": status, "name": name}));
        assert_eq!(of(format!("prefix-{id}"), "SUCCEEDED"), Some(id));
        assert_eq!(of(id.to_string(), "ABORTED"), Some(id));
        assert_eq!(of(format!("prefix-{id}"), "RUNNING"), None);
        assert_eq!(of("somebody else's".into(), "FAILED"), None);
        assert_eq!(of("é".repeat(30), "FAILED"), None, "cut inside a character");
        assert_eq!(attempt_of(&json!({})), None);
    }

    #[test]
    fn an_execution_is_found_by_its_name() {
        let expected = Some("arn:aws:states:eu-west-1:111122223333:execution:load:name".to_owned());
        for machine in ["stateMachine:load", "stateMachine:load:7", "stateMachine:load:live"] {
            assert_eq!(execution_arn(&format!("arn:aws:states:eu-west-1:111122223333:{machine}"), "name"), expected);
        }
        assert_eq!(execution_arn("load", "name"), None);
        assert_eq!(execution_arn("arn:aws:lambda:eu-west-1:111122223333:function:load", "name"), None);
    }

    #[test]
    fn express_executions_are_known_by_their_arn() {
        assert!(is_express("arn:aws:states:eu-west-1:111122223333:express:load:name:uuid"));
        assert!(!is_express("arn:aws:states:eu-west-1:111122223333:execution:express:name"));
    }
}
