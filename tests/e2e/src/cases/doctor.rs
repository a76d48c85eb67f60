//! `millrace doctor` and `millrace role`: a pipeline that is well, and one thing after another that is not.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_s3::types::{BucketVersioningStatus, NotificationConfiguration, VersioningConfiguration};
use local::{ACCOUNT, HOME};
use millrace::doctor::{Findings, Level, examine};
use millrace::{Account, Installation, role};
use providers::permission::role_needs;
use serde_json::json;

use crate::case::Case;
use crate::declare::Action;
use crate::wait::until;
use crate::zips;

const STACK: &str = "millrace";

struct Doctor {
    account: Account,
    api: String,
    pipeline: String,
}

impl Doctor {
    async fn examine(&self) -> Result<Findings> {
        examine(&self.account, STACK, Some(&self.pipeline), Some(&self.api)).await
    }

    /// The doctor finds no error.
    async fn is_well(&self) -> Result<()> {
        let found = self.examine().await?;
        let errors: Vec<String> =
            found.all().iter().filter(|it| it.level == Level::Error).map(ToString::to_string).collect();
        ensure!(errors.is_empty(), "a healthy stack has errors: {errors:#?}");
        Ok(())
    }

    /// Just this is wrong, and what mends it is said.
    async fn finds(&self, level: Level, what: &str, mend: &str) -> Result<()> {
        let found = self.examine().await?;
        let said = |it: &&millrace::doctor::Finding| {
            it.level == level && it.what.contains(what) && it.mend.as_deref().unwrap_or_default().contains(mend)
        };
        let all: Vec<String> = found.all().iter().map(ToString::to_string).collect();
        ensure!(found.all().iter().any(|it| said(&it)), "{what} ({mend}) is not among {all:#?}");
        let errors = found.all().iter().filter(|it| it.level == Level::Error && !it.what.contains(what)).count();
        ensure!(errors == 0, "there are {errors} errors beside {what}: {all:#?}");
        Ok(())
    }
}

pub async fn ailments_found(case: &Arc<Case>) -> Result<()> {
    let account = Account::new(case.stack.sdk(HOME)).context("no region")?;
    let iam = aws_sdk_iam::Client::new(&case.stack.sdk(HOME));
    let function = case.named("check");
    make_function(case, &function).await?;
    let topic = case.sns.create_topic().name(case.named("topic")).send().await?.topic_arn.context("no topic")?;
    let (_, queue) = case.queue("mail").await?;
    case.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue).send().await?;
    let source = case.bucket(HOME, "source").await?;
    case.notify(&source).await?;
    let site = case.bucket(HOME, "site").await?;
    let role_name = case.named("role");
    let pipeline = case
        .draft("doctor")
        .source_in(&source)
        .stage("Ask", [Action::approval("Ask").set("NotificationArn", &topic)])
        .stage("Check", [Action::function("Check", &function, "x").input(crate::declare::ARTIFACT)])
        .stage("Deploy", [Action::unpack("Site", &site)])
        .role(&format!("arn:aws:iam::{ACCOUNT}:role/{role_name}"))
        .create()
        .await?;
    let doctor = Doctor { account, api: case.stack.api_url.clone(), pipeline: pipeline.name.clone() };

    doctor.finds(Level::Error, "does not exist", "millrace role").await?;
    let installation = Installation::find(&doctor.account, STACK).await?;
    let installed = role::installed(&doctor.account, &installation).await?;
    let definition = millrace::definition::find(&doctor.account, &installation, &doctor.pipeline).await?;
    let needs = role_needs(&definition, &installed);
    let plan = role::Plan::new(&doctor.account, &installed, &doctor.pipeline, &needs).await?;
    ensure!(plan.changes().count() == 1, "{plan:?}");
    plan.carry_out(&doctor.account).await?;
    let plan = role::Plan::new(&doctor.account, &installed, &doctor.pipeline, &needs).await?;
    ensure!(plan.changes().next().is_none(), "a second time there is nothing to do: {plan:?}");
    doctor.is_well().await?;

    // One thing at a time, and back again.
    let versions = async |status: BucketVersioningStatus| {
        let to = VersioningConfiguration::builder().status(status).build();
        case.s3(HOME).put_bucket_versioning().bucket(&source).versioning_configuration(to).send().await
    };
    versions(BucketVersioningStatus::Suspended).await?;
    doctor.finds(Level::Error, &format!("{source} keeps no versions"), "put-bucket-versioning").await?;
    versions(BucketVersioningStatus::Enabled).await?;

    let silent = NotificationConfiguration::builder().build();
    let silence = case.s3(HOME).put_bucket_notification_configuration().bucket(&source);
    silence.notification_configuration(silent).send().await?;
    doctor.finds(Level::Error, "does not tell EventBridge", "put-bucket-notification-configuration").await?;
    case.notify(&source).await?;

    let trust =
        iam.get_role().role_name(&role_name).send().await?.role.and_then(|role| role.assume_role_policy_document);
    let [worker, api] = [&installed.worker_role, &installed.api_role];
    let open = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": [worker, api]}, "Action": "sts:AssumeRole"},
    ]});
    let update = iam.update_assume_role_policy().role_name(&role_name).policy_document(open.to_string());
    update.send().await?;
    doctor.finds(Level::Warning, "without an external id", "sts:ExternalId").await?;
    let other = open.to_string().replace(worker.as_str(), "arn:aws:iam::000000000000:role/other");
    iam.update_assume_role_policy().role_name(&role_name).policy_document(other).send().await?;
    doctor.finds(Level::Error, &format!("does not trust {worker}"), "sts:ExternalId").await?;
    let trust = trust.context("no trust policy")?;
    let trust = url::form_urlencoded::parse(format!("d={}", trust.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, document)| document.into_owned())
        .context("no trust policy")?;
    iam.update_assume_role_policy().role_name(&role_name).policy_document(trust).send().await?;

    case.lambda.delete_function().function_name(&function).send().await?;
    doctor.finds(Level::Error, &format!("the function {function}"), "create-function").await?;
    make_function(case, &function).await?;

    case.sns.delete_topic().topic_arn(&topic).send().await?;
    doctor.finds(Level::Error, &format!("the topic {topic}"), "create-topic").await?;
    case.sns.create_topic().name(case.named("topic")).send().await?;
    let asked = case.sns.subscribe().topic_arn(&topic).protocol("email").endpoint("ada@example.com").send().await?;
    if asked.subscription_arn().is_some_and(|arn| arn.to_lowercase().contains("pending")) {
        doctor.finds(Level::Warning, "ada@example.com", "sns subscribe").await?;
    }

    let rule = started_by_event(case).await?;
    case.events.disable_rule().name(&rule).send().await?;
    let found = doctor.finds(Level::Error, &format!("the rule {rule} in {HOME} is disabled"), "enable-rule").await;
    case.events.enable_rule().name(&rule).send().await?;
    found?;
    doctor.is_well().await
}

/// The rule of the home stack that hears of new objects.
async fn started_by_event(case: &Arc<Case>) -> Result<String> {
    let rules = case.events.list_rules().name_prefix(STACK).send().await?;
    let of_objects = |pattern: Option<&str>| pattern.is_some_and(|pattern| pattern.contains("Object Created"));
    let rule = rules.rules().iter().find(|rule| of_objects(rule.event_pattern())).and_then(|rule| rule.name());
    rule.map(str::to_owned).context("no rule hears of new objects")
}

async fn make_function(case: &Arc<Case>, name: &str) -> Result<()> {
    let package = aws_sdk_lambda::primitives::Blob::new(zips::package(b"#!/bin/sh\n")?);
    let made = case.lambda.create_function().function_name(name).runtime(Runtime::Providedal2023).handler("bootstrap");
    made.role(case.role()?).code(FunctionCode::builder().zip_file(package).build()).send().await?;
    until(
        std::time::Duration::from_secs(30),
        || format!("the function {name} does not appear"),
        || async { Ok(case.lambda.get_function_configuration().function_name(name).send().await.ok().map(|_| ())) },
    )
    .await
}
