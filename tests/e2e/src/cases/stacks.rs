//! CloudFormation stacks as pipelines deploy them: made, shown to a person as a change set, changed, deleted; and one that
//! cannot be made.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::Stack;
use aws_sdk_codepipeline::types::{ActionExecutionDetail, ApprovalResult, ApprovalStatus};
use local::{Emulator, HOME};
use serde_json::json;

use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::zips;

/// A queue whose name and time-out are parameters.
pub(super) const TEMPLATE: &str = r#"
Parameters:
  Name: {Type: String}
  Seconds: {Type: Number, Default: "10"}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Ref Name, VisibilityTimeout: !Ref Seconds}
Outputs:
  QueueName: {Value: !GetAtt Queue.QueueName}
  Waits: {Value: !Ref Seconds}
"#;

pub(super) fn deploy(name: &str, mode: &str, stack: &str, order: u8) -> Action {
    let action = Action::new(name, "Deploy", "CloudFormation").set("ActionMode", mode).set("StackName", stack);
    action.with("runOrder", order)
}

pub(super) fn from_template(action: Action, role: &str, template: &str) -> Action {
    action.input(ARTIFACT).set("TemplatePath", &format!("{ARTIFACT}::{template}")).set("RoleArn", role)
}

async fn stack(case: &Case, name: &str) -> Result<Option<Stack>> {
    let client = Client::new(&case.stack.sdk(HOME));
    // CloudFormation has one code for all that is wrong with a request, a stack that is not there among it.
    let found = client.describe_stacks().stack_name(name).send().await;
    Ok(found.ok().and_then(|found| found.stacks.unwrap_or_default().into_iter().next()))
}

fn output<'a>(stack: &'a Stack, key: &str) -> Option<&'a str> {
    stack.outputs().iter().find(|output| output.output_key() == Some(key))?.output_value()
}

fn variable<'a>(actions: &'a [ActionExecutionDetail], action: &str, name: &str) -> Result<Option<&'a str>> {
    let variables = named(actions, action)?.output().and_then(|output| output.output_variables());
    Ok(variables.and_then(|all| all.get(name)).map(String::as_str))
}

/// Pre-production by CREATE_UPDATE; production by a change set that waits for a person; then pre-production is deleted.
pub async fn stacks_by_change_set(case: &Arc<Case>) -> Result<()> {
    let (early, late, role) = (case.named("early"), case.named("late"), case.role()?);
    let configuration = json!({"Parameters": {"Name": format!("{early}-queue")}, "Tags": {"team": "shop"}}).to_string();
    let late_configuration = json!({"StackPolicy": {"Statement": [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}})
    .to_string();
    let files =
        [("queue.yaml", TEMPLATE), ("early.json", configuration.as_str()), ("late.json", late_configuration.as_str())];
    let source = zips::zipped(&files)?;
    let create = from_template(deploy("Create", "CREATE_UPDATE", &early, 1), role, "queue.yaml");
    let create = create.set("TemplateConfiguration", &format!("{ARTIFACT}::early.json"));
    let create = create.set("OutputFileName", "outputs.json").output("Outputs").with("namespace", "Early");
    let get = json!({"Fn::GetParam": ["Outputs", "outputs.json", "Waits"]});
    let overrides = json!({"Name": format!("{late}-queue"), "Seconds": get}).to_string();
    let replace = from_template(deploy("Replace", "CHANGE_SET_REPLACE", &late, 1), role, "queue.yaml");
    let replace = replace.set("ChangeSetName", "release").set("ParameterOverrides", &overrides);
    // LocalStack's open edition has no stack policies.
    let has_policies = case.stack.emulator != Emulator::Localstack;
    let replace =
        if has_policies { replace.set("TemplateConfiguration", &format!("{ARTIFACT}::late.json")) } else { replace };
    let replace = replace.with("inputArtifacts", json!([{"name": ARTIFACT}, {"name": "Outputs"}]));
    let execute = deploy("Execute", "CHANGE_SET_EXECUTE", &late, 3).set("ChangeSetName", "release");
    let ask = Action::approval("Ask").with("runOrder", 2).set("CustomData", "Like #{Early.QueueName}?");
    let clean = deploy("Clean", "DELETE_ONLY", &early, 1).set("RoleArn", role);
    let draft = case.draft("stacks").source_of(source).await?;
    let draft = draft.stage("Early", [create]).stage("Late", [replace, ask, execute.with("namespace", "Late")]);
    let pipeline = draft.stage("Clean", [clean]).create().await?;

    let first = pipeline.first().await?;
    let asked = pipeline.until_asked("Ask").await?;
    let made = stack(case, &early).await?.context("the stack was not made")?;
    ensure!(output(&made, "Waits") == Some("10"), "{made:?}");
    ensure!(made.tags().iter().any(|tag| (tag.key(), tag.value()) == (Some("team"), Some("shop"))), "{made:?}");
    let before = stack(case, &late).await?;
    ensure!(before.is_none_or(|stack| stack.outputs().is_empty()), "the change set was executed too soon");
    approve(case, &pipeline.name, asked.token().context("no token")?).await?;
    pipeline.ends(&first, "Succeeded").await?;
    let actions = pipeline.actions(&first).await?;
    ensure!(variable(&actions, "Create", "QueueName")? == Some(&format!("{early}-queue")), "{actions:?}");
    ensure!(variable(&actions, "Execute", "Waits")? == Some("10"), "{actions:?}");
    let result = named(&actions, "Create")?.output().and_then(|output| output.execution_result());
    let id = result.and_then(|result| result.external_execution_id()).context("no external execution id")?;
    ensure!(id.contains(&early), "the external execution id is the stack's, not {id}");
    let result = named(&actions, "Replace")?.output().and_then(|output| output.execution_result());
    let told =
        result.and_then(|result| result.external_execution_summary()).context("the change set has no summary")?;
    // What LocalStack says of its change sets is not ours to test.
    let exactly = case.stack.emulator == Emulator::Ministack;
    ensure!(!exactly || told == "1 added (Queue AWS::SQS::Queue)", "the change set would do {told:?}");
    ensure!(stack(case, &early).await?.is_none(), "the first stack was not deleted");
    if has_policies {
        let policy = Client::new(&case.stack.sdk(HOME)).get_stack_policy().stack_name(&late).send().await?;
        ensure!(
            policy.stack_policy_body().is_some_and(|body| body.contains("Update:*")),
            "no stack policy: {policy:?}"
        );
    }

    // Nothing is different: the empty change set is no failure. The first stack is made anew.
    let second = pipeline.start().await?;
    pipeline.until_action(&second, "Ask", "InProgress").await?;
    let asked = pipeline.until_asked("Ask").await?;
    approve(case, &pipeline.name, asked.token().context("no token")?).await?;
    pipeline.ends(&second, "Succeeded").await?;
    Ok(())
}

/// A template that nests another, which an action before has put where CloudFormation finds it.
const NESTING: &str = r#"
Parameters:
  Templates: {Type: String}
  Name: {Type: String}
Resources:
  Nested:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: !Sub "https://${Templates}/queue.yaml"
      Parameters: {Name: !Ref Name, Seconds: "20"}
Outputs:
  QueueName: {Value: !GetAtt Nested.Outputs.QueueName}
"#;

/// Nested stacks as AWS's sample has them: a step of the pipeline puts the templates into a bucket, the outer one is told
/// where they are.
pub async fn nested_stacks(case: &Arc<Case>) -> Result<()> {
    let (outer, role, templates) = (case.named("outer"), case.role()?, case.bucket(HOME, "templates").await?);
    let queue = case.named("nested");
    let source = zips::zipped(&[("outer.yaml", NESTING), ("queue.yaml", TEMPLATE)])?;
    let create = from_template(deploy("Create", "CREATE_UPDATE", &outer, 2), role, "outer.yaml");
    let overrides = json!({"Templates": format!("s3.{HOME}.amazonaws.com/{templates}"), "Name": queue}).to_string();
    let create = create.set("ParameterOverrides", &overrides).set("Capabilities", "CAPABILITY_AUTO_EXPAND");
    let draft = case.draft("nested").source_of(source).await?;
    let pipeline = draft.stage("Deploy", [Action::unpack("Templates", &templates), create]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    let actions = pipeline.actions(&first).await?;
    ensure!(variable(&actions, "Create", "QueueName")? == Some(&queue), "{actions:?}");
    let attributes = case.sqs.get_queue_url().queue_name(&queue).send().await;
    attributes.context("the nested stack made no queue")?;
    Ok(())
}

pub(super) async fn approve(case: &Case, pipeline: &str, token: &str) -> Result<()> {
    let result = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("Go").build()?;
    let answer = case.pipelines.put_approval_result().pipeline_name(pipeline).stage_name("Late").action_name("Ask");
    answer.result(result).token(token).send().await?;
    Ok(())
}

/// A stack whose resource cannot be made, and a template that is not there: the failure names the cause.
pub async fn stacks_that_fail(case: &Arc<Case>) -> Result<()> {
    let (name, role) = (case.named("bad"), case.role()?);
    // One emulator refuses the queue, the other the subscription.
    let template = json!({"Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": case.named("slow"), "VisibilityTimeout": 999_999}},
        "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"Protocol": "sqs",
            "Endpoint": "arn:aws:sqs:eu-west-1:000000000000:x", "TopicArn": "arn:aws:sns:eu-west-1:000000000000:none"}},
    }});
    let source = zips::zipped(&[("bad.json", &template.to_string())])?;
    for (purpose, file, code, words) in [
        ("bad-resource", "bad.json", "JobFailed", [name.as_str(), " (AWS::S"]),
        ("no-template", "gone.json", "JobFailed", ["gone.json", ARTIFACT]),
    ] {
        let act = from_template(deploy("Act", "REPLACE_ON_FAILURE", &name, 1), role, file);
        let pipeline = case.draft(purpose).source_of(source.clone()).await?.stage("Deploy", [act]).create().await?;
        let first = pipeline.first().await?;
        fails_with(&pipeline, &first, "Act", code, &words).await?;
    }
    Ok(())
}
