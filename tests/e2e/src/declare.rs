//! Pipelines in a few lines.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use aws_sdk_codepipeline::types::PipelineDeclaration;
use local::{AWAY, HOME};
use serde_json::{Value, json};

use crate::case::Case;
use crate::fixture::Fixture;
use crate::pipeline::Pipeline;
use crate::zips;

/// The object that sources watch.
pub const SOURCE_KEY: &str = "app.zip";
/// The name of the artifact that sources make.
pub const ARTIFACT: &str = "App";

/// The JSON declaration of an action, built step by step.
#[derive(Clone, Debug)]
pub struct Action(Value);

impl Action {
    /// An action of any type.
    #[must_use]
    pub fn new(name: &str, category: &str, provider: &str) -> Self {
        Self(json!({
            "name": name,
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
            "configuration": {},
        }))
    }

    /// The action `Fetch`, which watches `SOURCE_KEY` in this bucket.
    #[must_use]
    pub fn s3_source(bucket: &str) -> Self {
        let action = Self::new("Fetch", "Source", "S3").set("S3Bucket", bucket).set("S3ObjectKey", SOURCE_KEY);
        action.output(ARTIFACT)
    }

    /// Unpacks the artifact into a bucket.
    #[must_use]
    pub fn unpack(name: &str, bucket: &str) -> Self {
        Self::new(name, "Deploy", "S3").set("BucketName", bucket).set("Extract", "true").input(ARTIFACT)
    }

    /// Puts the artifact into a bucket as it is.
    #[must_use]
    pub fn archive(name: &str, bucket: &str, key: &str) -> Self {
        let action = Self::new(name, "Deploy", "S3").set("BucketName", bucket).set("Extract", "false");
        action.set("ObjectKey", key).input(ARTIFACT)
    }

    /// A manual approval that tells nobody.
    #[must_use]
    pub fn approval(name: &str) -> Self {
        Self::new(name, "Approval", "Manual")
    }

    /// An execution of a state machine.
    #[must_use]
    pub fn machine(name: &str, arn: &str, input: &str) -> Self {
        let action = Self::new(name, "Invoke", "StepFunctions").set("StateMachineArn", arn);
        action.set("InputType", "Literal").set("Input", input)
    }

    /// A job for a function.
    #[must_use]
    pub fn function(name: &str, function: &str, parameters: &str) -> Self {
        Self::new(name, "Invoke", "Lambda").set("FunctionName", function).set("UserParameters", parameters)
    }

    /// The function that looks for a file in the artifact.
    #[must_use]
    pub fn check(name: &str, file: &str) -> Self {
        Self::function(name, Fixture::CHECK, file).input(ARTIFACT)
    }

    /// Sets one configuration key.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.0["configuration"][key] = value.into();
        self
    }

    /// Makes this the only input artifact.
    #[must_use]
    pub fn input(self, artifact: &str) -> Self {
        self.with("inputArtifacts", json!([{"name": artifact}]))
    }

    /// Makes this the only output artifact.
    #[must_use]
    pub fn output(self, artifact: &str) -> Self {
        self.with("outputArtifacts", json!([{"name": artifact}]))
    }

    /// Sets any other member of the declaration.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0[member] = value.into();
        self
    }

    /// Has the action run in the other region.
    #[must_use]
    pub fn away(self) -> Self {
        self.with("region", AWAY)
    }
}

/// A pipeline that is being declared.
#[derive(Clone, Debug)]
pub struct Draft {
    case: Arc<Case>,
    purpose: String,
    name: String,
    stages: Vec<Value>,
    variables: Value,
    triggers: Vec<Value>,
    role: Option<String>,
    mode: &'static str,
    /// Whether the artifact stores name their keys.
    store_keys: bool,
    /// Artifact stores of further regions.
    stores: Vec<(String, Value)>,
    /// The bucket that the source watches.
    bucket: String,
}

impl Draft {
    pub(crate) fn new(case: Arc<Case>, purpose: &str, name: String) -> Self {
        Self {
            case,
            purpose: purpose.to_owned(),
            name,
            stages: Vec::new(),
            variables: json!([]),
            triggers: Vec::new(),
            role: None,
            mode: "SUPERSEDED",
            store_keys: true,
            stores: Vec::new(),
            bucket: String::new(),
        }
    }

    /// A source stage with a bucket of its own, in which the site lies.
    pub async fn source(self) -> Result<Self> {
        self.source_of(zips::site()?).await
    }

    /// A source stage with a bucket of its own, in which this object lies.
    pub async fn source_of(self, object: Vec<u8>) -> Result<Self> {
        let bucket = self.case.bucket(HOME, &format!("{}-source", self.purpose)).await?;
        self.case.put(HOME, &bucket, SOURCE_KEY, object).await?;
        Ok(self.source_in(&bucket))
    }

    /// A source stage that watches a bucket.
    #[must_use]
    pub fn source_in(mut self, bucket: &str) -> Self {
        bucket.clone_into(&mut self.bucket);
        self.stage("Source", [Action::s3_source(bucket).with("namespace", "Source")])
    }

    /// Adds a stage with these actions.
    #[must_use]
    pub fn stage(mut self, name: &str, actions: impl IntoIterator<Item = Action>) -> Self {
        let actions: Vec<Value> = actions.into_iter().map(|action| action.0).collect();
        self.stages.push(json!({"name": name, "actions": actions}));
        self
    }

    /// The bucket that its source watches.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Any other member of the stage that was declared last: its conditions, or what happens when it fails.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        if let Some(stage) = self.stages.last_mut() {
            stage[member] = value.into();
        }
        self
    }

    /// In another execution mode than SUPERSEDED.
    #[must_use]
    pub const fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    /// With artifact stores that name no key.
    #[must_use]
    pub const fn without_store_keys(mut self) -> Self {
        self.store_keys = false;
        self
    }

    /// With an artifact store in a region where the installation has none.
    #[must_use]
    pub fn store(mut self, region: &str, bucket: &str, key: &str) -> Self {
        let store = json!({"type": "S3", "location": bucket, "encryptionKey": {"id": key, "type": "KMS"}});
        self.stores.push((region.to_owned(), store));
        self
    }

    /// A variable with a default value.
    #[must_use]
    pub fn variable(mut self, name: &str, default: &str) -> Self {
        if let Some(variables) = self.variables.as_array_mut() {
            variables.push(json!({"name": name, "defaultValue": default}));
        }
        self
    }

    /// Started by pushes to the source action's repository that this filter lets pass.
    #[must_use]
    pub fn push_filter(mut self, action: &str, filter: &Value) -> Self {
        let configuration = json!({"sourceActionName": action, "push": [filter]});
        self.triggers.push(json!({"providerType": "CodeStarSourceConnection", "gitConfiguration": configuration}));
        self
    }

    /// Under another role than everybody's.
    #[must_use]
    pub fn role(mut self, arn: &str) -> Self {
        self.role = Some(arn.to_owned());
        self
    }

    /// The whole declaration, as `CreatePipeline` takes it.
    pub fn json(&self) -> Result<Value> {
        let store = |region| -> Result<Value> {
            let (bucket, key) = self.case.store(region)?;
            let mut store = json!({"type": "S3", "location": bucket});
            if self.store_keys {
                store["encryptionKey"] = json!({"id": key, "type": "KMS"});
            }
            Ok(store)
        };
        let mut stores = json!({HOME: store(HOME)?, AWAY: store(AWAY)?});
        for (region, store) in &self.stores {
            stores[region] = store.clone();
        }
        let mut declaration = json!({
            "name": self.name,
            "roleArn": self.role.as_deref().map_or_else(|| self.case.role(), Ok)?,
            "artifactStores": stores,
            "stages": self.stages,
            "variables": self.variables,
            "pipelineType": "V2",
            "executionMode": self.mode,
        });
        if !self.triggers.is_empty() {
            declaration["triggers"] = json!(self.triggers);
        }
        Ok(declaration)
    }

    /// The declaration as the SDK's.
    pub fn declaration(&self) -> Result<PipelineDeclaration> {
        wire::from_json(&self.json()?).map_err(|error| anyhow!("{error}"))
    }

    /// Creates the pipeline; its first execution begins by itself.
    pub async fn create(&self) -> Result<Pipeline> {
        let created = self.case.pipelines.create_pipeline().pipeline(self.declaration()?).send().await;
        created.with_context(|| format!("cannot create the pipeline {}", self.name))?;
        Ok(self.handle())
    }

    /// Changes the pipeline to this declaration; returns its version.
    pub async fn update(&self) -> Result<i32> {
        let updated = self.case.pipelines.update_pipeline().pipeline(self.declaration()?).send().await?;
        updated.pipeline.and_then(|pipeline| pipeline.version).context("a pipeline without a version")
    }

    /// The pipeline, whether it is there or not.
    #[must_use]
    pub fn handle(&self) -> Pipeline {
        Pipeline::new(self.case.clone(), self.name.clone(), self.bucket.clone())
    }
}
