//! Configurations that pipelines deploy with AppConfig.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_appconfig::Client;
use aws_sdk_appconfig::types::{DeploymentState, GrowthType, ReplicateTo};
use local::{Emulator, HOME};

use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::runner::say;
use crate::zips;

/// An application of AppConfig with an environment and a strategy that deploys at once.
pub(super) struct Shop {
    client: Client,
    application: String,
    environment: String,
    strategy: String,
}

impl Shop {
    pub(super) async fn new(case: &Case) -> Result<Self> {
        let client = Client::new(&case.stack.sdk(HOME));
        let application = client.create_application().name(case.named("shop")).send().await?;
        let application = application.id.context("an application without an id")?;
        let environment = client.create_environment().application_id(&application).name("prod").send().await?;
        let environment = environment.id.context("an environment without an id")?;
        let strategy = client.create_deployment_strategy().name(case.named("at-once")).growth_factor(100.0);
        let strategy = strategy.deployment_duration_in_minutes(0).growth_type(GrowthType::Linear);
        let strategy = strategy.replicate_to(ReplicateTo::None).send().await?.id.context("a strategy without an id")?;
        Ok(Self { client, application, environment, strategy })
    }

    /// A new profile with its content at this place; returns its id.
    pub(super) async fn profile(&self, name: &str, location: &str) -> Result<String> {
        let create = self.client.create_configuration_profile().application_id(&self.application).name(name);
        create.location_uri(location).send().await?.id.context("a profile without an id")
    }

    /// An action that deploys `conf/flags.json` as the content of a profile.
    pub(super) fn deploy(&self, name: &str, profile: &str) -> Action {
        let action = Action::new(name, "Deploy", "AppConfig").set("Application", &self.application);
        let action = action.set("Environment", &self.environment).set("ConfigurationProfile", profile);
        let action = action.set("InputArtifactConfigurationPath", "conf/flags.json");
        action.set("DeploymentStrategy", &self.strategy).input(ARTIFACT)
    }
}

/// A file becomes a hosted version, which is deployed; a profile whose content is elsewhere is refused.
pub async fn configurations_deployed(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator == Emulator::Localstack {
        say("configurations_deployed: not tried, LocalStack's open edition has no AppConfig");
        return Ok(());
    }
    let shop = Shop::new(case).await?;
    let (client, application, environment) = (&shop.client, &shop.application, &shop.environment);
    let hosted = shop.profile("flags", "hosted").await?;
    let deploy = |profile: &str| shop.deploy("Deploy", profile);
    let source = || zips::zipped(&[("conf/flags.json", r#"{"fast": true}"#)]);
    let draft = case.draft("flags").source_of(source()?).await?;
    let pipeline = draft.stage("Deploy", [deploy(&hosted)]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    let actions = pipeline.actions(&first).await?;
    let result = named(&actions, "Deploy")?.output().and_then(|output| output.execution_result());
    let id = result.and_then(|result| result.external_execution_id()).context("no external execution id")?;
    assert_eq!(id, format!("application/{application}/environment/{environment}/deployment/1"));
    let deployment = client.get_deployment().application_id(application).environment_id(environment);
    let deployment = deployment.deployment_number(1).send().await?;
    ensure!(deployment.state() == Some(&DeploymentState::Complete), "{deployment:?}");
    let version = deployment.configuration_version().context("no version")?.parse()?;
    let version = client.get_hosted_configuration_version().application_id(application).version_number(version);
    let version = version.configuration_profile_id(&hosted).send().await?;
    assert_eq!(version.content_type(), Some("application/json"));
    assert_eq!(version.content().map(|content| content.as_ref()), Some(br#"{"fast": true}"#.as_slice()));

    let elsewhere = shop.profile("elsewhere", "codepipeline://shop").await?;
    let draft = case.draft("elsewhere").source_of(source()?).await?.stage("Deploy", [deploy(&elsewhere)]);
    let pipeline = draft.stage("Next", [Action::approval("Never")]).create().await?;
    let first = pipeline.first().await?;
    let words = ["has its content at codepipeline://shop", "profiles that AppConfig hosts"];
    fails_with(&pipeline, &first, "Deploy", "ConfigurationError", &words).await
}
