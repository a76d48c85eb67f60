//! What the definition names, made on the local stack; and taken away again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, EnvironmentVariable, EnvironmentVariableType, ProjectArtifacts,
    ProjectEnvironment, ProjectSource, SourceType,
};
use aws_sdk_codepipeline::types::{ActionCategory, ActionConfigurationProperty, ArtifactDetails};
use aws_sdk_lambda::client::Waiters;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use aws_sdk_s3::types::{
    BucketVersioningStatus, CreateBucketConfiguration, EventBridgeConfiguration, NotificationConfiguration,
    VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_ssm::types::ParameterType;
use local::{COMPUTE_PROJECT, HOME, REGIONS, Stack};
use millrace::output::{report, words};
use pipeline::declaration::ActionDeclaration;
use pipeline::{Declaration, TypeId};
use serde_json::Value;

use super::definition::Definition;
use super::here::{
    Found, Here, NewFunction, NewProject, Place, machine_arn, place, region, rules, service_place, value,
};
use super::localize::Regions;
use super::plan::Plan;
use super::source::Source;
use super::template::{self, text};
use super::{cdk, localize, repository};

/// Most artifacts that an action of a custom type reads, and makes.
const MOST_ARTIFACTS: i32 = 5;

/// Newer than any that templates ask for, which is 6.
const BOOTSTRAP_VERSION: &str = "30";

/// How long a function may take until it can be published.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something that was not there before.
#[derive(Debug)]
enum Made {
    Bucket(Place),
    Project(Place),
    Function(Place),
    Machine(Place),
    /// A cluster of ECS.
    Cluster(Place),
    /// A stack that a CloudFormation action makes.
    Stack(Place),
    /// A region and an ARN.
    Topic(Place),
    /// A parameter in Parameter Store.
    Parameter(Place),
    /// A queue of SQS, by its URL.
    Queue(String),
    ActionType(TypeId),
    /// A repository at the code host, by owner and name.
    Repository(String),
    /// A pipeline, by its name.
    Pipeline(String),
}

/// What this run has made so far.
#[derive(Debug)]
pub(super) struct Resources<'a> {
    stack: &'a Stack,
    made: Vec<Made>,
}

/// A CodeBuild client for the build host.
pub(super) fn codebuild(stack: &Stack, region: &str) -> Result<aws_sdk_codebuild::Client> {
    let config = aws_sdk_codebuild::config::Builder::from(&stack.sdk(region));
    let config = config.endpoint_url(stack.value("AWS_ENDPOINT_URL_CODEBUILD")?).build();
    Ok(aws_sdk_codebuild::Client::from_conf(config))
}

/// Whether a value is known before the pipeline runs.
fn is_known(value: &str) -> bool {
    !value.is_empty() && !value.contains("#{")
}

/// Has the buckets of S3 sources tell of changes. Only a pipeline that stays needs it: before, the object that its first release
/// reads would start a second one.
pub(super) async fn watch_sources(stack: &Stack, plan: &Plan) -> Result<()> {
    for action in plan.declaration.stages.iter().flat_map(|stage| &stage.actions) {
        let id = &action.action_type_id;
        if (id.category.as_str(), id.owner.as_deref(), id.provider.as_str()) != ("Source", Some("AWS"), "S3") {
            continue;
        }
        let events = EventBridgeConfiguration::builder().build();
        let configuration = NotificationConfiguration::builder().event_bridge_configuration(events).build();
        let bucket = value(action, "S3Bucket");
        let put = stack.s3(region(action)).put_bucket_notification_configuration().bucket(bucket);
        let put = put.notification_configuration(configuration).send().await;
        put.with_context(|| format!("cannot turn on events of the bucket {bucket}"))?;
    }
    Ok(())
}

impl<'a> Resources<'a> {
    pub(super) const fn new(stack: &'a Stack) -> Self {
        Self { stack, made: Vec::new() }
    }

    /// Makes everything but the pipeline.
    pub(super) async fn make(&mut self, plan: &Plan, here: &Here, source: &Source) -> Result<()> {
        for region in localize::regions(&plan.declaration) {
            if !REGIONS.contains(&region) {
                self.bucket(region, &localize::store(self.stack, region)?.location).await?;
            }
        }
        for action in plan.declaration.stages.iter().flat_map(|stage| &stage.actions) {
            self.make_for(action, here, source).await?;
        }
        for rule in plan.declaration.stages.iter().flat_map(rules) {
            let value = |key| rule.configuration.as_ref().and_then(|it| it.get(key));
            let region = rule.region.as_deref();
            match (rule.rule_type_id.provider.as_str(), value("FunctionName"), value("ProjectName")) {
                ("LambdaInvoke", Some(name), _) => self.function(place(region, name), here).await?,
                ("CodeBuild", _, Some(name)) => self.found_project(place(region, name), here).await?,
                ("Commands", ..) => self.compute(region.unwrap_or(HOME)).await?,
                _ => {}
            }
        }
        for (id, properties) in &here.new_types {
            self.own_type(id, properties).await?;
        }
        for (id, keys) in &plan.types {
            self.action_type(id, keys).await?;
        }
        Ok(())
    }

    async fn make_for(&mut self, action: &ActionDeclaration, here: &Here, source: &Source) -> Result<()> {
        let id = &action.action_type_id;
        if id.owner.as_deref() == Some("Custom") {
            return Ok(());
        }
        let region = region(action);
        match (id.category.as_str(), id.provider.as_str()) {
            ("Source", "S3") => {
                let (bucket, key) = (value(action, "S3Bucket"), value(action, "S3ObjectKey"));
                self.bucket(region, bucket).await?;
                let put = self.stack.s3(region).put_object().bucket(bucket).key(key).body(source.zip.clone().into());
                put.send().await.with_context(|| format!("cannot put the source into s3://{bucket}/{key}"))?;
            }
            ("Source", "CodeStarSourceConnection") => {
                self.repository(value(action, "FullRepositoryId"), value(action, "BranchName"), source)?;
            }
            ("Deploy", "S3") if is_known(value(action, "BucketName")) => {
                self.bucket(region, value(action, "BucketName")).await?;
            }
            (_, "CodeBuild") => {
                self.found_project(place(Some(region), value(action, "ProjectName")), here).await?;
            }
            (_, "Commands") => self.compute(region).await?,
            (category, "Lambda") => {
                let place = place(Some(region), value(action, "FunctionName"));
                self.function(place.clone(), here).await?;
                if category == "Deploy" && is_known(value(action, "FunctionAlias")) {
                    self.alias(&place, value(action, "FunctionAlias")).await?;
                }
            }
            (_, "StepFunctions") => self.machine(place(Some(region), value(action, "StateMachineArn")), here).await?,
            ("Deploy", "ECS") => self.service(service_place(action), value(action, "ClusterName"), here).await?,
            ("Deploy", "CloudFormation") if is_known(value(action, "StackName")) => {
                let stack = value(action, "StackName");
                let client = aws_sdk_cloudformation::Client::new(&self.stack.sdk(region));
                if client.describe_stacks().stack_name(stack).send().await.is_err() {
                    self.made.push(Made::Stack((region.to_owned(), stack.to_owned())));
                }
            }
            ("Approval", _) if is_known(value(action, "NotificationArn")) => {
                self.topic(region, value(action, "NotificationArn")).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A branch of a repository with the source in it, unless somebody has pushed it.
    fn repository(&mut self, name: &str, branch: &str, source: &Source) -> Result<()> {
        let url = format!("{}/{name}.git", self.stack.value("MILLRACE_GIT_URL")?);
        if repository::has_branch(&url, branch)? {
            return Ok(());
        }
        if !repository::kept(self.stack, name)?.exists() {
            self.made.push(Made::Repository(name.to_owned()));
        }
        source.push(&url, branch).with_context(|| format!("cannot push the source to {url}"))
    }

    /// What the templates of the CDK look for: that somebody has bootstrapped the account.
    pub(super) async fn bootstrap(&mut self, authored: &Definition, declaration: &Declaration) -> Result<()> {
        let Some(template) = &authored.template else { return Ok(()) };
        let Some(parameter) = template.bootstrap_version() else { return Ok(()) };
        let regions = Regions::new(&authored.home);
        let mut buckets = BTreeSet::new();
        for asset in cdk::published(&template.folder)? {
            let region = asset.region.map_or_else(|| HOME.to_owned(), |region| regions.local(&region));
            if buckets.insert(asset.bucket.clone()) {
                self.bucket(&region, &asset.bucket).await?;
            }
            if asset.elsewhere {
                let body = template::read(&asset.path)?;
                let put = self.stack.s3(&region).put_object().bucket(&asset.bucket).key(&asset.key).body(body.into());
                put.send().await.with_context(|| format!("cannot publish {}", asset.path.display()))?;
            }
        }
        // Each region has its own.
        for region in localize::regions(declaration) {
            let client = aws_sdk_ssm::Client::new(&self.stack.sdk(region));
            if client.get_parameter().name(parameter).send().await.is_ok() {
                continue;
            }
            let put = client.put_parameter().name(parameter).value(BOOTSTRAP_VERSION).r#type(ParameterType::String);
            put.send().await.with_context(|| format!("cannot make the parameter {parameter} in {region}"))?;
            self.made.push(Made::Parameter((region.to_owned(), parameter.to_owned())));
        }
        Ok(())
    }

    /// A bucket with versions, unless it is there.
    async fn bucket(&mut self, region: &str, name: &str) -> Result<()> {
        let s3 = self.stack.s3(region);
        if s3.head_bucket().bucket(name).send().await.is_ok() {
            return Ok(());
        }
        let constraint = CreateBucketConfiguration::builder().location_constraint(region.into()).build();
        let mut create = s3.create_bucket().bucket(name);
        if region != "us-east-1" {
            create = create.create_bucket_configuration(constraint);
        }
        create.send().await.with_context(|| format!("cannot make the bucket {name} in {region}"))?;
        self.made.push(Made::Bucket((region.to_owned(), name.to_owned())));
        let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let versioning = s3.put_bucket_versioning().bucket(name).versioning_configuration(versions).send().await;
        versioning.with_context(|| format!("cannot turn on versions in the bucket {name}")).map(drop)
    }

    /// A project of the template, unless it is there.
    async fn found_project(&mut self, place: Place, here: &Here) -> Result<()> {
        match here.projects.get(&place) {
            Some(Found::Makable(project)) => self.project(place, project).await,
            _ => Ok(()),
        }
    }

    /// The project in whose builds commands run, in a region in which the installation has none.
    async fn compute(&mut self, region: &str) -> Result<()> {
        if REGIONS.contains(&region) {
            return Ok(());
        }
        self.project((region.to_owned(), COMPUTE_PROJECT.to_owned()), &NewProject::default()).await
    }

    /// A project, unless an earlier action has had it made.
    async fn project(&mut self, place: Place, project: &NewProject) -> Result<()> {
        if self.made.iter().any(|made| matches!(made, Made::Project(there) if *there == place)) {
            return Ok(());
        }
        let environment = ProjectEnvironment::builder().r#type(EnvironmentType::LinuxContainer);
        let mut environment =
            environment.image("aws/codebuild/standard:7.0").compute_type(ComputeType::BuildGeneral1Small);
        for variable in &project.variables {
            let kind = EnvironmentVariableType::from(variable.kind.as_str());
            let variable = EnvironmentVariable::builder().name(&variable.name).value(&variable.value).r#type(kind);
            environment = environment.environment_variables(variable.build()?);
        }
        let source = ProjectSource::builder().r#type(SourceType::Codepipeline);
        let created = codebuild(self.stack, &place.0)?
            .create_project()
            .name(&place.1)
            .source(source.set_buildspec(project.buildspec.clone()).build()?)
            .artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::Codepipeline).build()?)
            .environment(environment.build()?)
            .service_role(self.stack.value("MILLRACE_PIPELINE_ROLE")?)
            .send()
            .await;
        created.with_context(|| format!("cannot create the build project {}", place.1))?;
        self.made.push(Made::Project(place));
        Ok(())
    }

    /// A function of the template, unless it is there.
    async fn function(&mut self, place: Place, here: &Here) -> Result<()> {
        let is_made = self.made.iter().any(|made| matches!(made, Made::Function(there) if *there == place));
        let Some(Found::Makable(function)) = here.functions.get(&place).filter(|_| !is_made) else { return Ok(()) };
        let (region, name) = &place;
        let NewFunction { runtime, handler, timeout, code, variables, .. } = function;
        let environment = Environment::builder()
            .set_variables(Some(variables.clone().into_iter().collect()))
            // Where it finds AWS, and reports the result of its job.
            .variables("AWS_ENDPOINT_URL", &self.stack.endpoint)
            .variables("AWS_ENDPOINT_URL_CODEPIPELINE", &self.stack.api_url);
        let client = aws_sdk_lambda::Client::new(&self.stack.sdk(region));
        let created = client
            .create_function()
            .function_name(name)
            .runtime(Runtime::from(runtime.as_str()))
            .handler(handler)
            .set_timeout(*timeout)
            .role(self.stack.value("MILLRACE_PIPELINE_ROLE")?)
            .environment(environment.build())
            .code(FunctionCode::builder().zip_file(Blob::new(code.clone())).build())
            .send()
            .await;
        created.with_context(|| format!("cannot create the function {name}"))?;
        self.made.push(Made::Function(place));
        Ok(())
    }

    /// An alias to which an action deploys, with the first version behind it, of a function that was made here.
    async fn alias(&self, place: &Place, alias: &str) -> Result<()> {
        let (region, function) = place;
        let client = aws_sdk_lambda::Client::new(&self.stack.sdk(region));
        let is_made = self.made.iter().any(|made| matches!(made, Made::Function(there) if there == place));
        if !is_made || client.get_alias().function_name(function).name(alias).send().await.is_ok() {
            return Ok(());
        }
        let active = client.wait_until_function_active_v2().function_name(function).wait(PATIENCE).await;
        active.with_context(|| format!("the function {function} does not become active"))?;
        let published = client.publish_version().function_name(function).send().await;
        let version =
            published.with_context(|| format!("cannot publish a version of the function {function}"))?.version;
        let created = client.create_alias().function_name(function).name(alias).set_function_version(version);
        created.send().await.with_context(|| format!("cannot create the alias {alias} of {function}"))?;
        Ok(())
    }

    /// A state machine of the template, unless it is there.
    async fn machine(&mut self, place: Place, here: &Here) -> Result<()> {
        let is_made = self.made.iter().any(|made| matches!(made, Made::Machine(there) if *there == place));
        let Some(Found::Makable(definition)) = here.machines.get(&place).filter(|_| !is_made) else { return Ok(()) };
        let client = aws_sdk_sfn::Client::new(&self.stack.sdk(&place.0));
        let create = client.create_state_machine().name(&place.1).definition(definition);
        let created = create.role_arn(self.stack.value("MILLRACE_PIPELINE_ROLE")?).send().await;
        created.with_context(|| format!("cannot create the state machine {}", place.1))?;
        self.made.push(Made::Machine(place));
        Ok(())
    }

    /// A service of the template with its task definition, in a cluster that is made if it is not there.
    async fn service(&mut self, place: Place, cluster: &str, here: &Here) -> Result<()> {
        let Some(Found::Makable(template)) = here.services.get(&place) else { return Ok(()) };
        let (region, service) = place;
        let client = aws_sdk_ecs::Client::new(&self.stack.sdk(&region));
        let found = client.describe_clusters().clusters(cluster).send().await.context("cannot look for the cluster")?;
        if !found.clusters().iter().any(|it| it.status() == Some("ACTIVE")) {
            let created = client.create_cluster().cluster_name(cluster).send().await;
            created.with_context(|| format!("cannot make the cluster {cluster}"))?;
            self.made.push(Made::Cluster((region.clone(), cluster.to_owned())));
        }
        let stack = format!("millrace-run-{}", uuid::Uuid::new_v4());
        self.made.push(Made::Stack((region.clone(), stack.clone())));
        let deployed = self.stack.deploy(&region, &stack, &template.to_string(), BTreeMap::new()).await;
        deployed.map(drop).with_context(|| format!("cannot make the service {service}"))
    }

    /// A topic; one that is there stays as it is, and is not taken away.
    pub(super) async fn topic(&mut self, region: &str, arn: &str) -> Result<()> {
        let client = aws_sdk_sns::Client::new(&self.stack.sdk(region));
        if client.get_topic_attributes().topic_arn(arn).send().await.is_ok() {
            return Ok(());
        }
        let name = arn.rsplit(':').next().unwrap_or(arn);
        client.create_topic().name(name).send().await.with_context(|| format!("cannot make the topic {name}"))?;
        self.made.push(Made::Topic((region.to_owned(), arn.to_owned())));
        Ok(())
    }

    /// A queue that gets what the topics publish; answers its URL.
    pub(super) async fn mailbox(&mut self, name: &str, topics: &[Place]) -> Result<String> {
        let sqs = aws_sdk_sqs::Client::new(&self.stack.sdk(HOME));
        let made = sqs.create_queue().queue_name(name).send().await.context("cannot make the approver's mailbox")?;
        let url = made.queue_url.context("a queue without a URL")?;
        self.made.push(Made::Queue(url.clone()));
        let asked = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let found = asked.send().await.context("cannot look at the approver's mailbox")?;
        let queue = found.attributes().and_then(|found| found.get(&QueueAttributeName::QueueArn)).cloned();
        let queue = queue.context("a queue without an ARN")?;
        for (region, topic) in topics {
            let sns = aws_sdk_sns::Client::new(&self.stack.sdk(region));
            let subscribed = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(&queue).send().await;
            subscribed.with_context(|| format!("cannot subscribe to the topic {topic}"))?;
        }
        Ok(url)
    }

    /// An action type of the template, unless it is there.
    async fn own_type(&mut self, id: &TypeId, properties: &Value) -> Result<()> {
        let details = |name: &str| {
            let count = |it: &str| text(&properties[name][it]).parse().unwrap_or_default();
            ArtifactDetails::builder().minimum_count(count("MinimumCount")).maximum_count(count("MaximumCount")).build()
        };
        let keys = properties["ConfigurationProperties"].as_array().into_iter().flatten().map(|it| {
            let is = |name: &str| it.get(name).is_some_and(|it| text(it) == "true");
            let key = ActionConfigurationProperty::builder().name(text(&it["Name"])).required(is("Required"));
            key.key(is("Key")).secret(is("Secret")).queryable(is("Queryable")).build()
        });
        let (inputs, outputs) = (details("InputArtifactDetails"), details("OutputArtifactDetails"));
        let made = self.make_type(id, keys.collect::<Result<_, _>>()?, inputs, outputs).await;
        made.with_context(|| format!("cannot make the action type {}", id.provider))
    }

    async fn action_type(&mut self, id: &TypeId, keys: &[String]) -> Result<()> {
        let property = |key: &String| {
            ActionConfigurationProperty::builder().name(key).required(false).key(false).secret(false).build()
        };
        let artifacts = || ArtifactDetails::builder().minimum_count(0).maximum_count(MOST_ARTIFACTS).build();
        let keys = keys.iter().map(property).collect::<Result<_, _>>()?;
        let made = self.make_type(id, keys, artifacts(), artifacts()).await;
        made.with_context(|| format!("cannot make the action type of the stand-in for {}", id.provider))
    }

    async fn make_type(
        &mut self,
        id: &TypeId,
        keys: Vec<ActionConfigurationProperty>,
        inputs: ArtifactDetails,
        outputs: ArtifactDetails,
    ) -> Result<()> {
        self.stack
            .codepipeline()
            .create_custom_action_type()
            .category(ActionCategory::from(id.category.as_str()))
            .provider(&id.provider)
            .version(id.version.clone().unwrap_or_default())
            .set_configuration_properties(Some(keys))
            .input_artifact_details(inputs)
            .output_artifact_details(outputs)
            .send()
            .await?;
        self.made.push(Made::ActionType(id.clone()));
        Ok(())
    }

    /// Remembers that the pipeline is this run's.
    pub(super) fn has_pipeline(&mut self, name: &str) {
        self.made.push(Made::Pipeline(name.to_owned()));
    }

    /// Deletes all of it, the newest first. What cannot be deleted is said, and stays.
    pub(super) async fn delete(self) {
        for made in self.made.iter().rev() {
            if let Err(error) = self.delete_one(made).await {
                report(&format!("not deleted: {made:?}: {}", words(&error)));
            }
        }
    }

    async fn delete_one(&self, made: &Made) -> Result<()> {
        match made {
            Made::Bucket((region, name)) => self.delete_bucket(region, name).await?,
            Made::Project((region, name)) => {
                codebuild(self.stack, region)?.delete_project().name(name).send().await?;
            }
            Made::Function((region, name)) => {
                let client = aws_sdk_lambda::Client::new(&self.stack.sdk(region));
                client.delete_function().function_name(name).send().await?;
            }
            Made::Machine(place) => {
                let client = aws_sdk_sfn::Client::new(&self.stack.sdk(&place.0));
                client.delete_state_machine().state_machine_arn(machine_arn(place)).send().await?;
            }
            Made::Cluster((region, name)) => {
                let client = aws_sdk_ecs::Client::new(&self.stack.sdk(region));
                client.delete_cluster().cluster(name).send().await?;
            }
            Made::Stack((region, name)) => {
                let client = aws_sdk_cloudformation::Client::new(&self.stack.sdk(region));
                client.delete_stack().stack_name(name).send().await?;
            }
            Made::Topic((region, arn)) => {
                aws_sdk_sns::Client::new(&self.stack.sdk(region)).delete_topic().topic_arn(arn).send().await?;
            }
            Made::Parameter((region, name)) => {
                aws_sdk_ssm::Client::new(&self.stack.sdk(region)).delete_parameter().name(name).send().await?;
            }
            Made::Queue(url) => {
                aws_sdk_sqs::Client::new(&self.stack.sdk(HOME)).delete_queue().queue_url(url).send().await?;
            }
            Made::ActionType(id) => {
                let delete = self.stack.codepipeline().delete_custom_action_type().provider(&id.provider);
                let delete = delete.category(ActionCategory::from(id.category.as_str()));
                delete.version(id.version.clone().unwrap_or_default()).send().await?;
            }
            Made::Repository(name) => std::fs::remove_dir_all(repository::kept(self.stack, name)?)?,
            Made::Pipeline(name) => {
                self.stack.codepipeline().delete_pipeline().name(name).send().await?;
            }
        }
        Ok(())
    }

    async fn delete_bucket(&self, region: &str, name: &str) -> Result<()> {
        let s3 = self.stack.s3(region);
        loop {
            let listed = s3.list_object_versions().bucket(name).send().await?;
            let versions = listed.versions().iter().map(|it| (it.key(), it.version_id()));
            let markers = listed.delete_markers().iter().map(|it| (it.key(), it.version_id()));
            let all: Vec<_> = versions.chain(markers).collect();
            if all.is_empty() {
                break;
            }
            for (key, version) in all {
                let delete = s3.delete_object().bucket(name).key(key.unwrap_or_default());
                delete.set_version_id(version.map(str::to_owned)).send().await?;
            }
        }
        s3.delete_bucket().bucket(name).send().await?;
        Ok(())
    }
}
