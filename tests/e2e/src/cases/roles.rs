//! `millrace role`: what it makes is all that a release needs, and nothing of it can be left out.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudwatch::types::StateValue;
use futures::future::try_join_all;
use local::{ACCOUNT, AWAY, Emulator, HOME};
use millrace::role::{self, Plan};
use millrace::{Account, Installation, definition};
use providers::permission::{Installed, Statement, role_needs};
use serde_json::json;

use super::conditions::condition;
use super::{configurations, functions, invokes, rules, services, stacks};
use crate::case::Case;
use crate::check::{deployed, fails_with};
use crate::declare::{ARTIFACT, Action, Draft};
use crate::runner::say;
use crate::zips;

/// An action, and what it cannot do without: the IAM action, a part of the resources' ARNs, and the operation that is refused.
struct Kind {
    name: &'static str,
    action: Action,
    needs: &'static str,
    on: String,
    refused: &'static str,
}

/// A release with an action of every kind that the emulator has and checks runs with the role that `millrace role` makes of its
/// definition, and with no other right. An action of each kind fails in a pipeline whose role lacks one of its rights. Builds
/// are not among them: what runs them on an emulator checks nothing.
pub async fn one_role_for_a_release(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator == Emulator::Localstack {
        say("one_role_for_a_release: not tried, LocalStack's open edition checks no permissions");
        return Ok(());
    }
    let roles = Roles::new(case).await?;
    let (here, away) = (case.bucket(HOME, "here").await?, case.bucket(AWAY, "away").await?);
    let kinds = kinds(case, &here, &away).await?;
    let source = zips::zipped(&[
        ("index.html", "<h1>Millrace</h1>"),
        ("app.py", &functions::code("two")),
        ("conf/flags.json", r#"{"fast": true}"#),
        ("imagedefinitions.json", r#"[{"name": "web", "imageUri": "web:new"}]"#),
        ("queue.yaml", stacks::TEMPLATE),
    ])?;
    let draft = case.draft("all").source_of(source).await?;

    let (test, rest): (Vec<_>, Vec<_>) = kinds.iter().partition(|kind| ["Unit", "Run"].contains(&kind.name));
    let (ask, deploy): (Vec<_>, Vec<_>) = rest.into_iter().partition(|kind| kind.name == "Ask");
    let actions = |of: Vec<&Kind>| of.into_iter().map(|kind| kind.action.clone()).collect::<Vec<_>>();
    let alarm = json!({"AlarmName": rules::alarm(case, "errors", StateValue::Ok).await?});
    let all = draft.clone().stage("Test", actions(test));
    let all = all.with("beforeEntry", condition("FAIL", "Quiet", "CloudWatchAlarm", &alarm, &[]));
    let all = all.stage("Late", actions(ask)).stage("Deploy", actions(deploy));
    let pipeline = roles.make("all", all, None).await?.create().await?;

    // While it runs, each kind alone, with a role that lacks something.
    let refused = try_join_all(kinds.iter().map(async |kind| {
        let draft = case.draft(&kind.name.to_lowercase()).source_in(draft.bucket());
        let draft = draft.stage("Do", [kind.action.clone()]).stage("Next", [Action::approval("Never")]);
        let pipeline = roles.make(kind.name, draft, Some((kind.needs, &kind.on))).await?.create().await?;
        let first = pipeline.first().await?;
        fails_with(&pipeline, &first, kind.name, "PermissionError", &[kind.refused])
            .await
            .with_context(|| format!("without {} on {:?}", kind.needs, kind.on))
    }));
    let released = async {
        let first = pipeline.first().await?;
        let asked = pipeline.until_asked("Ask").await?;
        stacks::approve(case, &pipeline.name, asked.token().context("no token")?).await?;
        pipeline.ends(&first, "Succeeded").await
    };
    tokio::try_join!(refused, released)?;
    for (region, bucket) in [(HOME, &here), (AWAY, &away)] {
        let files = ["app.py", "conf/flags.json", "imagedefinitions.json", "index.html", "queue.yaml"];
        deployed(case, region, bucket, &files).await?;
    }
    Ok(())
}

/// Actions of all kinds, over resources of this case's own.
async fn kinds(case: &Arc<Case>, here: &str, away: &str) -> Result<Vec<Kind>> {
    let kind = |name, action, needs, on: &str, refused| Kind { name, action, needs, on: on.to_owned(), refused };
    let topic = case.sns.create_topic().name(case.named("topic")).send().await?.topic_arn.context("no topic")?;
    let (cluster, service) = services::service(case).await?;
    let shop = configurations::Shop::new(case).await?;
    let function = functions::function(case).await?;
    let code = Action::new("Code", "Deploy", "Lambda").set("FunctionName", &function);
    let code = code.set("FunctionAlias", functions::ALIAS).set("DeployStrategy", "AllAtOnce").input(ARTIFACT);
    let stack = stacks::deploy("Stack", "CREATE_UPDATE", &case.named("stack"), 1);
    let stack = stacks::from_template(stack, case.role()?, "queue.yaml");
    let stack = stack.set("ParameterOverrides", &json!({"Name": case.named("queue")}).to_string());
    let child = invokes::with_color(case, "child", "none").await?;
    let child = child.stage("Test", [Action::machine("Run", case.machine(HOME, "echo")?, "{}")]).create().await?;
    Ok(vec![
        kind("Unit", Action::check("Unit", "index.html"), "lambda:InvokeFunction", "", "Invoke"),
        kind(
            "Run",
            Action::machine("Run", case.machine(HOME, "echo")?, "{}"),
            "states:StartExecution",
            "",
            "StartExecution",
        ),
        kind("Ask", Action::approval("Ask").set("NotificationArn", &topic), "sns:Publish", "", "Publish"),
        kind("Here", Action::unpack("Here", here), "s3:PutObject", here, "PutObject"),
        kind("Away", Action::unpack("Away", away).away(), "s3:PutObject", away, "PutObject"),
        kind("Stack", stack, "cloudformation:CreateStack", "", "CreateStack"),
        kind("Service", services::deploy("Service", &cluster, &service), "ecs:UpdateService", "", "UpdateService"),
        kind(
            "Flags",
            shop.deploy("Flags", &shop.profile("flags", "hosted").await?),
            "appconfig:StartDeployment",
            "",
            "StartDeployment",
        ),
        kind("Code", code, "lambda:UpdateFunctionCode", "", "UpdateFunctionCode"),
        kind("Release", invokes::invoke(&child, "red"), "execute-api:Invoke", "", "StartPipelineExecution"),
    ])
}

/// Makes roles as the command does.
struct Roles<'a> {
    case: &'a Case,
    account: Account,
    installation: Installation,
    installed: Installed,
}

impl<'a> Roles<'a> {
    async fn new(case: &'a Case) -> Result<Self> {
        let account = Account::new(case.stack.sdk(HOME)).context("no region")?;
        let installation = Installation::find(&account, "millrace").await?;
        let installed = role::installed(&account, &installation).await?;
        Ok(Self { case, account, installation, installed })
    }

    /// The pipeline with a role of its own, which lacks the right to an IAM action on the resources with this part, if given.
    async fn make(&self, purpose: &str, draft: Draft, without: Option<(&str, &str)>) -> Result<Draft> {
        let name = self.case.named(&format!("role-{purpose}"));
        let draft = draft.role(&format!("arn:aws:iam::{ACCOUNT}:role/{name}"));
        let file = self.case.stack.folder.join(format!("{name}.json"));
        std::fs::write(&file, json!({"pipeline": draft.json()?}).to_string())?;
        let file = file.to_str().context("a path in UTF-8")?;
        let pipeline = definition::find(&self.account, &self.installation, file).await?;
        let mut needs = role_needs(&pipeline, &self.installed);
        ensure!(needs.len() == 1, "no action has a role of its own: {needs:?}");
        if let Some((action, on)) = without {
            let before = needs[0].statements.clone();
            needs[0].statements = lacking(&before, action, on);
            ensure!(needs[0].statements != before, "{purpose} needs no {action} on {on:?}: {before:?}");
        }
        Plan::new(&self.account, &self.installed, pipeline.name().as_str(), &needs)
            .await?
            .carry_out(&self.account)
            .await?;
        Ok(draft)
    }
}

/// The statements without the right to this action on the resources with this part; all that stands beside it stays.
fn lacking(statements: &[Statement], action: &str, on: &str) -> Vec<Statement> {
    let mut left = Vec::new();
    for statement in statements {
        let (mut of_action, mut others) = (statement.clone(), statement.clone());
        of_action.actions.retain(|it| it == action);
        of_action.resources.retain(|resource| !resource.contains(on));
        others.actions.remove(action);
        let parts = [of_action, others].into_iter();
        left.extend(parts.filter(|it| !it.actions.is_empty() && !it.resources.is_empty()));
    }
    left
}
