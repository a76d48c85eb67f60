//! An installation for the bench alone, and what the bench puts beside it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_lambda::types::{Environment, LastUpdateStatus};
use aws_sdk_s3::types::CreateBucketConfiguration;
use local::{ARCHITECTURE, Emulator, HOME, Lifetime, Options, Stack};
use store::DynamoStore;

use crate::pipelines::{Places, SOURCE_KEY};

/// The bucket for the bench's own functions, and their key there.
const CODE: &str = "bench-floor";
const TEMPLATE: &str = include_str!("../template.yaml");
/// The functions that write on an action's behalf.
const WRITERS: [&str; 2] = ["worker", "sweeper"];

/// A stack with everything that the bench needs.
#[derive(Debug)]
pub(crate) struct Installation {
    pub stack: Stack,
    pub places: Places,
    /// The floor's bus and log group.
    pub bus: String,
    pub floor_log: String,
    /// The name of the table that the floor's function and the bench itself write to.
    pub table: String,
    /// A client that does not know that it is answered by a function which does nothing.
    pub empty: aws_sdk_codepipeline::Client,
    /// The role of state machines.
    pub states_role: String,
    /// The name of the log group of the worker.
    pub worker_log: String,
    /// The name of the log group of the publisher.
    pub publisher_log: String,
    pub logs: aws_sdk_cloudwatchlogs::Client,
    pub codepipeline: aws_sdk_codepipeline::Client,
    lambda: aws_sdk_lambda::Client,
}

impl Installation {
    /// `name` tells this one from others on the same emulator; `program` is the bench's own.
    pub async fn up(emulator: Emulator, name: &str, program: &Path) -> Result<Self> {
        let options = Options {
            name: Some(format!("{name}-{}", emulator.name())),
            lifetime: Lifetime::UntilExit,
            // The template's own periods, as on AWS: `local` hurries them.
            parameters: [("LeaseSeconds", "60"), ("SweepSeconds", "60"), ("PollSeconds", "5")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Options::default()
        };
        let stack = Stack::up(emulator, options).await?;
        let place = CreateBucketConfiguration::builder().location_constraint(HOME.into()).build();
        let s3 = stack.s3(HOME);
        s3.create_bucket().bucket(CODE).create_bucket_configuration(place).send().await?;
        let package = zipped("bootstrap", &std::fs::read(program)?)?;
        s3.put_object().bucket(CODE).key(CODE).body(package.into()).send().await.context("cannot put the program")?;
        let parameters = [
            ("CodeBucket", CODE),
            ("FunctionCode", CODE),
            ("Architecture", ARCHITECTURE),
            ("EndpointUrl", &stack.endpoint),
            ("CodePipelineUrl", &stack.api_url),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let outputs = stack.deploy(HOME, "bench", TEMPLATE, BTreeMap::from(parameters)).await?;
        let output =
            |name: &str| outputs.get(name).cloned().with_context(|| format!("the bench's stack has no output {name}"));
        let places = Places {
            role: stack.value("MILLRACE_PIPELINE_ROLE")?.to_owned(),
            artifacts: stack.artifacts(HOME)?.to_owned(),
            key: stack.value("MILLRACE_ARTIFACT_KEY_EU_WEST_1")?.to_owned(),
            source: output("SourceBucket")?,
            target: output("TargetBucket")?,
            state_machine: output("StateMachineArn")?,
            function: output("TaskFunctionArn")?,
        };
        let source = zipped("index.html", b"<!DOCTYPE html><title>bench</title>")?;
        let put = s3.put_object().bucket(&places.source).key(SOURCE_KEY).body(source.into());
        put.send().await.context("cannot put the source")?;
        let sdk = stack.sdk(HOME);
        Ok(Self {
            bus: output("BusName")?,
            floor_log: output("FloorLogGroup")?,
            table: output("TableName")?,
            empty: aws_sdk_codepipeline::Client::from_conf(
                aws_sdk_codepipeline::config::Builder::from(&sdk).endpoint_url(output("EmptyApiUrl")?).build(),
            ),
            states_role: output("StatesRoleArn")?,
            worker_log: format!("/aws/lambda/{}", stack.function_name("worker")),
            publisher_log: format!("/aws/lambda/{}", stack.function_name("publisher")),
            logs: aws_sdk_cloudwatchlogs::Client::new(&sdk),
            codepipeline: stack.codepipeline(),
            lambda: aws_sdk_lambda::Client::new(&sdk),
            places,
            stack,
        })
    }

    /// Leads the functions that write on an action's behalf to another address of DynamoDB.
    pub async fn lead_writers_to(&self, dynamodb: &str) -> Result<()> {
        for function in WRITERS {
            let name = self.stack.function_name(function);
            let known = self.lambda.get_function_configuration().function_name(&name).send().await?;
            let mut variables: HashMap<String, String> =
                known.environment().and_then(|environment| environment.variables().cloned()).unwrap_or_default();
            variables.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), dynamodb.into());
            let environment = Environment::builder().set_variables(Some(variables)).build();
            let update = self.lambda.update_function_configuration().function_name(&name).environment(environment);
            update.send().await.with_context(|| format!("cannot change the environment of {name}"))?;
            let began = tokio::time::Instant::now();
            loop {
                let now = self.lambda.get_function_configuration().function_name(&name).send().await?;
                match now.last_update_status() {
                    Some(LastUpdateStatus::InProgress) if began.elapsed() < Duration::from_secs(30) => {}
                    None | Some(LastUpdateStatus::Successful) => break,
                    status => bail!("the environment of {name} was not changed: {status:?}"),
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// The table, as a function of the installation sees it.
    pub async fn store(&self) -> Result<DynamoStore> {
        let name = self.stack.function_name("worker");
        let known = self.lambda.get_function_configuration().function_name(&name).send().await?;
        let table = known.environment().and_then(|it| it.variables()?.get("MILLRACE_TABLE").cloned());
        let client = aws_sdk_dynamodb::Client::new(&self.stack.sdk(HOME));
        Ok(DynamoStore::new(client, table.with_context(|| format!("{name} knows no table"))?))
    }

    /// How large a function's package is, in bytes.
    pub async fn package_size(&self, function: &str) -> Result<i64> {
        let name = self.stack.function_name(function);
        Ok(self.lambda.get_function_configuration().function_name(name).send().await?.code_size())
    }
}

/// A zip of one file, which may be executed.
fn zipped(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_level(Some(1)).unix_permissions(0o755);
    zip.start_file(name, options)?;
    zip.write_all(content)?;
    Ok(zip.finish()?.into_inner())
}
