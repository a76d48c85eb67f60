//! ECS services that pipelines deploy images to.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::ContainerDefinition;
use local::{Emulator, HOME};

use crate::case::Case;
use crate::check::{fails_with, named};
use crate::declare::{ARTIFACT, Action};
use crate::runner::say;
use crate::zips;

fn container(name: &str, image: &str) -> ContainerDefinition {
    ContainerDefinition::builder().name(name).image(image).memory(64).build()
}

/// A new cluster and a service in it, of the containers `web` and `proxy`.
pub(super) async fn service(case: &Case) -> Result<(String, String)> {
    let ecs = Client::new(&case.stack.sdk(HOME));
    let (cluster, service) = (case.named("cluster"), case.named("shop"));
    ecs.create_cluster().cluster_name(&cluster).send().await?;
    let containers = vec![container("web", "web:old"), container("proxy", "proxy:1")];
    ecs.register_task_definition().family(&service).set_container_definitions(Some(containers)).send().await?;
    // The emulator has no place where containers could run.
    let create = ecs.create_service().cluster(&cluster).service_name(&service).task_definition(&service);
    create.desired_count(0).send().await?;
    Ok((cluster, service))
}

/// An action that gives a service the images of `imagedefinitions.json`.
pub(super) fn deploy(name: &str, cluster: &str, service: &str) -> Action {
    Action::new(name, "Deploy", "ECS").set("ClusterName", cluster).set("ServiceName", service).input(ARTIFACT)
}

/// A service gets the images that a file names; a file that names another container changes nothing.
pub async fn images_deployed(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator == Emulator::Localstack {
        say("images_deployed: not tried, LocalStack's open edition has no ECS");
        return Ok(());
    }
    let ecs = Client::new(&case.stack.sdk(HOME));
    let (cluster, service) = service(case).await?;
    let deploy = |definitions: &str| {
        let source = zips::zipped(&[("imagedefinitions.json", definitions)]);
        source.map(|source| (source, deploy("Deploy", &cluster, &service)))
    };
    let (source, action) = deploy(r#"[{"name": "web", "imageUri": "web@sha256:new"}]"#)?;
    let draft = case.draft("services").source_of(source).await?;
    let pipeline = draft.stage("Deploy", [action]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    let found = ecs.describe_services().cluster(&cluster).services(&service).send().await?;
    let found = found.services().first().context("no service")?;
    let revision = found.task_definition().context("no task definition")?;
    let definition = ecs.describe_task_definition().task_definition(revision).send().await?;
    let definition = definition.task_definition.context("no task definition")?;
    let images =
        definition.container_definitions().iter().map(|it| (it.name().unwrap_or(""), it.image().unwrap_or("")));
    assert_eq!(images.collect::<Vec<_>>(), [("web", "web@sha256:new"), ("proxy", "proxy:1")]);
    let actions = pipeline.actions(&first).await?;
    let result = named(&actions, "Deploy")?.output().and_then(|output| output.execution_result());
    let id = result.and_then(|result| result.external_execution_id()).context("no external execution id")?;
    ensure!(found.deployments().iter().any(|deployment| deployment.id() == Some(id)), "{id}: {found:?}");

    let (source, action) = deploy(r#"[{"name": "app", "imageUri": "app:1"}]"#)?;
    let draft = case.draft("no-container").source_of(source).await?;
    let pipeline = draft.stage("Deploy", [action]).stage("Next", [Action::approval("Never")]).create().await?;
    let first = pipeline.first().await?;
    let words = ["names the container app", "web, proxy"];
    fails_with(&pipeline, &first, "Deploy", "ConfigurationError", &words).await?;
    let after = ecs.describe_services().cluster(&cluster).services(&service).send().await?;
    assert_eq!(after.services().first().and_then(|service| service.task_definition()), Some(revision));
    Ok(())
}
