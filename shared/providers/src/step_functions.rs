//! Invoke/StepFunctions: an execution of a state machine. Source: CodePipeline user guide, 'AWS Step Functions invoke
//! action reference'.
//!
//! The execution's name is the attempt's id (behind `ExecutionNamePrefix` and a hyphen), so that a standard state
//! machine starts once for an attempt, however often it is asked to: Step Functions keeps names for 90 days. Express
//! state machines do not look at names, and their executions cannot be looked for. The action succeeds as soon as one
//! has started, so only a worker that is lost between the start and the commit can start one twice.
//!
//! The role needs `states:StartExecution`, `states:DescribeExecution`, `states:DescribeStateMachine`, and
//! `states:StopExecution` for actions that are given up.

use artifacts::{Bucket, Settings, Zip, ZipLimits, write_zip};
use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use driver::{Outcome, Task};
use engine::{External, Progress, Success};

use crate::configuration::{optional, required, store, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};
use crate::provider::Provider;

/// Longest name of an execution. Source: Step Functions API, `StartExecution`.
const LONGEST_NAME: usize = 80;
/// Longest input and output in bytes. Source: Step Functions quotas.
const LONGEST_INPUT: u64 = 262_144;
/// The file in the output artifact.
const OUTPUT_FILE: &str = "output.json";

pub(crate) struct StepFunctions;

#[async_trait]
impl Provider for StepFunctions {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let machine = required(task, "StateMachineArn")?;
        let name = execution_name(task)?;
        let input = input(context).await?;
        let client = context.session().await?.sfn();
        let (started, express) = futures::join!(
            client.start_execution().state_machine_arn(machine).name(&name).input(input).send(),
            is_express_machine(&client, machine),
        );
        let arn = match started {
            Ok(started) => started.execution_arn,
            // Nobody else uses this name: an earlier worker started it, and it may have ended already.
            Err(error) if error.as_service_error().is_some_and(|it| it.is_execution_already_exists()) => {
                execution_arn(machine, &name).ok_or_else(|| ProviderError::aws("StartExecution", machine, &error))?
            }
            Err(error) => return Err(ProviderError::aws("StartExecution", machine, &error)),
        };
        if !express && !is_express(&arn) {
            return Ok(Outcome::Running { report: report(task, arn, None), poll: true });
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
        let arn = running(task)?;
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
            _ => Ok(Outcome::Running { report: report(task, arn, None), poll: true }),
        }
    }

    async fn cancel(&self, context: ActionContext<'_>) -> Result<(), ProviderError> {
        let task = context.task;
        let arn = running(task)?;
        if is_express(&arn) {
            return Ok(());
        }
        let client = context.session().await?.sfn();
        let cause = format!("Pipeline execution {} gave up the action {}.", task.execution(), task.action.name);
        let stopped =
            client.stop_execution().execution_arn(&arn).error("PipelineAction.Stopped").cause(cause).send().await;
        match stopped {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_execution_does_not_exist()) => Ok(()),
            Err(error) => Err(ProviderError::aws("StopExecution", &arn, &error)),
        }
    }
}

/// The name under which this attempt is executed.
fn execution_name(task: &Task) -> Result<String, ProviderError> {
    let id = task.id.first_turn();
    let name = match optional(task, "ExecutionNamePrefix") {
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
fn running(task: &Task) -> Result<String, ProviderError> {
    match &task.external {
        Some(external) => Ok(external.id.clone()),
        None => {
            let machine = required(task, "StateMachineArn")?;
            execution_arn(machine, &execution_name(task)?).ok_or_else(|| {
                ProviderError::configuration(format!("StateMachineArn {machine:?} is not the ARN of a state machine"))
            })
        }
    }
}

fn report(task: &Task, arn: String, summary: Option<String>) -> Progress {
    let url = Some(console::step_functions(&task.region, &arn));
    Progress { external: Some(External { id: arn, url }), summary, percent: None }
}

/// What the state machine is given.
async fn input(context: ActionContext<'_>) -> Result<String, ProviderError> {
    let task = context.task;
    match optional(task, "InputType").unwrap_or("Literal") {
        "Literal" => Ok(optional(task, "Input").unwrap_or("{}").to_owned()),
        "FilePath" => {
            let path = required(task, "Input")?;
            let input = task.inputs.first().ok_or_else(|| {
                ProviderError::configuration(format!(
                    "{} needs an input artifact, as its InputType is FilePath",
                    title(task)
                ))
            })?;
            let store = context.bucket(&input.bucket).await?;
            file(&store, &input.artifact.key, &format!("the input artifact {}", input.artifact.name), path).await
        }
        other => Err(ProviderError::configuration(format!("InputType is {other:?}, and can be Literal or FilePath"))),
    }
}

/// A file of an artifact.
async fn file(store: &Bucket, key: &str, label: &str, path: &str) -> Result<String, ProviderError> {
    let limits = ZipLimits::default();
    let archive = store.download(key, None, limits.total_bytes).await?;
    let content = Zip::open(archive, label, limits).await?.read(path, LONGEST_INPUT).await?;
    String::from_utf8(content.to_vec())
        .map_err(|_| ProviderError::failed(JOB_FAILED, format!("the file {path} in {label} is not UTF-8 text")))
}

async fn succeeded(
    context: ActionContext<'_>,
    arn: String,
    found: &DescribeExecutionOutput,
) -> Result<Outcome, ProviderError> {
    let task = context.task;
    if let Some(artifact) = task.outputs.first() {
        let output = found.output.as_deref().ok_or_else(|| {
            ProviderError::failed(
                JOB_FAILED,
                format!("Step Functions did not give out the output of {arn}, so there is no artifact"),
            )
        })?;
        let (bucket, encryption) = store(task)?;
        let zip = write_zip([(OUTPUT_FILE, output)])?;
        let bucket = context.bucket(bucket).await?;
        bucket.put(&artifact.key, &zip.into(), &Settings::encrypted(encryption)).await?;
    }
    let variables = [("StateMachineArn", found.state_machine_arn.clone()), ("ExecutionArn", arn.clone())];
    Ok(Outcome::Succeeded(Success {
        report: report(task, arn, None),
        outputs: task.outputs.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
