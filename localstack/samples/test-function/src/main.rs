//! A Lambda function for an Invoke action, as a user would write it: it opens the input artifact with the credentials
//! that come with the job, checks that it contains the file named by `UserParameters`, and reports to CodePipeline.
//!
//! The code is the same wherever it runs: `AWS_ENDPOINT_URL_CODEPIPELINE` says where CodePipeline answers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::collections::HashMap;
use std::io::{Cursor, Read};

use anyhow::{Context, Result, bail, ensure};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_codepipeline::types::{FailureDetails, FailureType};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;

/// The largest artifact that this function opens, in bytes.
const ARTIFACT_LIMIT: i64 = 64 << 20;

/// What CodePipeline sends ("Invoke an AWS Lambda function in a pipeline", CodePipeline user guide).
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "CodePipeline.job")]
    job: Job,
}

#[derive(Deserialize)]
struct Job {
    id: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    action_configuration: ActionConfiguration,
    input_artifacts: Vec<Artifact>,
    artifact_credentials: ArtifactCredentials,
}

#[derive(Deserialize)]
struct ActionConfiguration {
    configuration: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Artifact {
    location: Location,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    s3_location: S3Location,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Location {
    bucket_name: String,
    object_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let config = &config;
    lambda_runtime::run(service_fn(
        move |event: LambdaEvent<Event>| async move { handle(config, event.payload.job).await },
    ))
    .await
}

/// Tests, and reports; only a report that cannot be made is this function's own failure.
async fn handle(config: &SdkConfig, job: Job) -> Result<(), Error> {
    let codepipeline = aws_sdk_codepipeline::Client::new(config);
    match test(config, &job.data).await {
        Ok(bytes) => {
            let report =
                codepipeline.put_job_success_result().job_id(&job.id).output_variables("bytes", bytes.to_string());
            report.send().await?;
        }
        Err(error) => {
            let details =
                FailureDetails::builder().r#type(FailureType::JobFailed).message(format!("{error:#}")).build()?;
            codepipeline.put_job_failure_result().job_id(&job.id).failure_details(details).send().await?;
        }
    }
    Ok(())
}

/// The size of the wanted file in the artifact.
async fn test(config: &SdkConfig, data: &Data) -> Result<usize> {
    let wanted =
        data.action_configuration.configuration.get("UserParameters").context("UserParameters must name a file")?;
    let [artifact] = data.input_artifacts.as_slice() else { bail!("this test takes one artifact") };
    let given = &data.artifact_credentials;
    let credentials =
        Credentials::new(&given.access_key_id, &given.secret_access_key, given.session_token.clone(), None, "job");
    let config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    // A path names the bucket on every endpoint.
    let s3 = aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build());
    let location = &artifact.location.s3_location;
    let object = s3
        .get_object()
        .bucket(&location.bucket_name)
        .key(&location.object_key)
        .send()
        .await
        .context("cannot read the artifact")?;
    let size = object.content_length().unwrap_or(i64::MAX);
    ensure!(size <= ARTIFACT_LIMIT, "the artifact has more than {ARTIFACT_LIMIT} bytes");
    let body = object.body.collect().await.context("cannot read the artifact")?.into_bytes();
    size_of(&body, wanted)
}

fn size_of(archive: &[u8], wanted: &str) -> Result<usize> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).context("the artifact is no zip")?;
    let file = archive.by_name(wanted).with_context(|| format!("the artifact has no {wanted}"))?;
    let mut content = Vec::new();
    file.take(ARTIFACT_LIMIT.unsigned_abs()).read_to_end(&mut content)?;
    ensure!(!content.is_empty(), "{wanted} is empty");
    Ok(content.len())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(content: &[u8]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("index.html", SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_wanted_file_must_be_there_and_hold_something() {
        assert_eq!(size_of(&archive(b"hello"), "index.html").unwrap(), 5);
        assert_eq!(
            size_of(&archive(b"hello"), "other.html").unwrap_err().to_string(),
            "the artifact has no other.html"
        );
        assert_eq!(size_of(&archive(b""), "index.html").unwrap_err().to_string(), "index.html is empty");
        assert_eq!(size_of(b"hello", "index.html").unwrap_err().to_string(), "the artifact is no zip");
    }

    #[test]
    fn a_job_is_read_as_codepipeline_sends_it() {
        let event = serde_json::json!({"CodePipeline.job": {"id": "1", "accountId": "0", "data": {
            "actionConfiguration": {"configuration": {"FunctionName": "f", "UserParameters": "index.html"}},
            "inputArtifacts": [{"name": "Site", "revision": null, "location": {"type": "S3", "s3Location": {"bucketName": "b", "objectKey": "k"}}}],
            "outputArtifacts": [],
            "artifactCredentials": {"accessKeyId": "a", "secretAccessKey": "s", "sessionToken": "t"}}}});
        let event: Event = serde_json::from_value(event).unwrap();
        assert_eq!(event.job.data.input_artifacts[0].location.s3_location.object_key, "k");
    }
}
