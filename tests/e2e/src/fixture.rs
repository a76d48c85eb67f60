//! What all cases share: the stack, its clients, two functions and the state machines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Architecture, Environment, FunctionCode, Runtime, State};
use local::{ARCHITECTURE, AWAY, HOME, Stack};
use serde_json::json;
use testkit::collector::Collector;

use crate::wait::until;
use crate::{iam, zips};

/// A region in which the installation has nothing: what a pipeline needs there is the user's.
pub const FAR: &str = "ap-southeast-2";

/// State machines, by the name under which cases know them.
const MACHINES: &[(&str, &str)] = &[
    // Gives back what it is given.
    ("echo", r#"{"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": true}}}"#),
    // Takes its time.
    ("slow", r#"{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 2, "End": true}}}"#),
    // Outlasts every case.
    ("endless", r#"{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}}}"#),
    // Fails with its reasons.
    (
        "broken",
        r#"{"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "Tests.Failed", "Cause": "3 of 7 were red"}}}"#,
    ),
];

/// Programs of this crate that cases run as functions, and as a function's layer.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program that a function runs to forward what it is invoked with.
    pub forward: PathBuf,
    /// The program of a function that has the proxy as its extension.
    pub extension: PathBuf,
}

/// The stack and what was added to it.
#[derive(Debug)]
pub struct Fixture {
    /// The installation that all cases share.
    pub stack: Stack,
    /// CodePipeline, as anybody would reach it.
    pub pipelines: aws_sdk_codepipeline::Client,
    /// S3 clients by region.
    s3: BTreeMap<&'static str, aws_sdk_s3::Client>,
    /// This and the clients below are for the home region.
    pub sqs: aws_sdk_sqs::Client,
    pub sns: aws_sdk_sns::Client,
    pub events: aws_sdk_eventbridge::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub kms: aws_sdk_kms::Client,
    pub sfn: aws_sdk_sfn::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub parameters: aws_sdk_ssm::Client,
    /// CodeBuild, which the build host speaks.
    pub codebuild: aws_sdk_codebuild::Client,
    /// Where the installation sends its traces.
    pub collector: Collector,
    programs: Option<Programs>,
    dynamodb: aws_sdk_dynamodb::Client,
    machines: BTreeMap<(&'static str, &'static str), String>,
}

impl Fixture {
    /// Function that looks whether the artifact has the file named by `UserParameters`.
    pub const CHECK: &'static str = "e2e-check";
    /// Function that puts its event into the queue that the action's configuration names, and as a third party's executor
    /// answers what that says.
    pub const FORWARD: &'static str = "e2e-forward";

    pub async fn new(stack: Stack, collector: Collector, programs: Option<Programs>) -> Result<Self> {
        let home = stack.sdk(HOME);
        let codebuild = aws_sdk_codebuild::config::Builder::from(&home);
        let codebuild = codebuild.endpoint_url(stack.value("AWS_ENDPOINT_URL_CODEBUILD")?).build();
        let mut fixture = Self {
            pipelines: stack.codepipeline(),
            s3: [HOME, AWAY, FAR].map(|region| (region, stack.s3(region))).into(),
            sqs: aws_sdk_sqs::Client::new(&home),
            sns: aws_sdk_sns::Client::new(&home),
            events: aws_sdk_eventbridge::Client::new(&home),
            lambda: aws_sdk_lambda::Client::new(&home),
            kms: aws_sdk_kms::Client::new(&home),
            sfn: aws_sdk_sfn::Client::new(&home),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&home),
            parameters: aws_sdk_ssm::Client::new(&home),
            codebuild: aws_sdk_codebuild::Client::from_conf(codebuild),
            collector,
            programs,
            dynamodb: aws_sdk_dynamodb::Client::new(&home),
            machines: BTreeMap::new(),
            stack,
        };
        let (bucket, key) = fixture.stack.upload("sample-test").await?;
        let role = json!({"Service": "lambda.amazonaws.com"});
        let role = iam::role(&home, "e2e-functions", &role, &["execute-api:Invoke", "sqs:SendMessage"]).await?;
        let check = FunctionCode::builder().s3_bucket(bucket).s3_key(key).build();
        fixture.function(Self::CHECK, &role, check).await?;
        if let Some(programs) = &fixture.programs {
            let package = Blob::new(zips::package(&std::fs::read(&programs.forward)?)?);
            fixture.function(Self::FORWARD, &role, FunctionCode::builder().zip_file(package).build()).await?;
        }
        for region in [HOME, AWAY] {
            let client = aws_sdk_sfn::Client::new(&fixture.stack.sdk(region));
            for (name, definition) in MACHINES {
                let made = client.create_state_machine().name(format!("e2e-{name}")).definition(*definition);
                let made = made.role_arn(fixture.role()?).send().await.context("cannot make a state machine")?;
                fixture.machines.insert((region, name), made.state_machine_arn);
            }
        }
        Ok(fixture)
    }

    async fn function(&self, name: &str, role: &str, code: FunctionCode) -> Result<()> {
        let environment = Environment::builder()
            .variables("AWS_ENDPOINT_URL", &self.stack.endpoint)
            .variables("AWS_ENDPOINT_URL_CODEPIPELINE", &self.stack.api_url);
        self.lambda
            .create_function()
            .function_name(name)
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .architectures(Architecture::from(ARCHITECTURE))
            .role(role)
            .timeout(30)
            .memory_size(256)
            .environment(environment.build())
            .code(code)
            .send()
            .await
            .with_context(|| format!("cannot make the function {name}"))?;
        until(
            Duration::from_secs(60),
            || format!("the function {name} does not become active"),
            || async {
                let found = self.lambda.get_function_configuration().function_name(name).send().await?;
                Ok((found.state.is_none_or(|state| state == State::Active)).then_some(()))
            },
        )
        .await
    }

    /// The program of `src/bin/extension.rs`.
    pub fn extension(&self) -> Result<&Path> {
        Ok(&self.programs.as_ref().context("this suite has no programs of its own")?.extension)
    }

    /// An S3 client of [`HOME`], [`AWAY`] or [`FAR`].
    pub fn s3(&self, region: &str) -> &aws_sdk_s3::Client {
        self.s3.get(region).unwrap_or(&self.s3[HOME])
    }

    /// The role under which pipelines run.
    pub fn role(&self) -> Result<&str> {
        self.stack.value("MILLRACE_PIPELINE_ROLE")
    }

    /// A partition of Millrace's table, as anybody would read it there.
    pub async fn table_partition(&self, key: &str) -> Result<String> {
        let query = self.dynamodb.query().table_name(self.stack.value("MILLRACE_TABLE")?);
        let query = query.key_condition_expression("pk = :pk");
        let found = query.expression_attribute_values(":pk", AttributeValue::S(key.to_owned())).send().await?;
        Ok(format!("{:?}", found.items()))
    }

    /// The ARN of a state machine of `MACHINES`.
    pub fn machine(&self, region: &'static str, name: &'static str) -> Result<&str> {
        Ok(self.machines.get(&(region, name)).with_context(|| format!("there is no state machine {name}"))?)
    }

    /// The artifact store of a region and the ARN of its key.
    pub fn store(&self, region: &str) -> Result<(&str, &str)> {
        let key = format!("MILLRACE_ARTIFACT_KEY_{}", region.to_uppercase().replace('-', "_"));
        Ok((self.stack.artifacts(region)?, self.stack.value(&key)?))
    }
}
