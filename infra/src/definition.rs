//! A pipeline's definition: of one that exists, read through the installation's API, or in a file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::operation::get_pipeline::GetPipelineOutput;
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec;
use aws_smithy_schema::serde::ShapeSerializer;
use pipeline::custom::Types;
use pipeline::{Declaration, Pipeline, PipelineName};
use runtime::PipelinePath;
use serde::Deserialize;

use crate::{Account, Installation};

/// GetPipeline's output and CreatePipeline's input.
#[derive(Deserialize)]
struct Document {
    pipeline: Option<Declaration>,
}

/// The pipeline that is meant: the one in the file of that name, if there is such a file, or else the one of that name in
/// the installation.
///
/// # Errors
/// When there is neither, or the definition is not valid.
pub async fn find(account: &Account, installation: &Installation, name_or_file: &str) -> Result<Pipeline> {
    let file = Path::new(name_or_file);
    if file.is_file() {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name_or_file}"))?;
        return of_text(&text).with_context(|| name_or_file.to_owned());
    }
    ensure!(
        PipelineName::new(name_or_file).is_ok(),
        "{name_or_file:?} is neither a file nor the name of a pipeline, which has letters, digits and .@-_"
    );
    of_api(account, installation, name_or_file).await
}

/// The pipeline in the JSON of GetPipeline or CreatePipeline.
fn of_text(text: &str) -> Result<Pipeline> {
    let document: Document = serde_json::from_str(text).context("this is not the JSON of a pipeline")?;
    let Some(declaration) = document.pipeline else {
        bail!("it has no member \"pipeline\": give the JSON that GetPipeline answers, or that CreatePipeline takes")
    };
    Ok(Pipeline::try_from(declaration)?)
}

/// Reads the pipeline as the caller may: with one request that is signed for API Gateway.
async fn of_api(account: &Account, installation: &Installation, name: &str) -> Result<Pipeline> {
    let api = installation.output("ApiUrl")?;
    let config = aws_sdk_codepipeline::config::Builder::from(&account.sdk(account.home())).endpoint_url(api);
    let path = PipelinePath::new(api, name, "GetPipeline");
    let got = Client::from_conf(config.build()).get_pipeline().name(name).customize().interceptor(path).send().await;
    let got = got.with_context(|| {
        format!(
            "cannot read the pipeline {name} of the installation {} (this needs execute-api:Invoke on \
             .../live/POST/pipelines/{name}/GetPipeline)",
            installation.name
        )
    })?;
    let declaration = declaration(&got)?;
    // It was checked when it was stored.
    Ok(Pipeline::stored(declaration, Types::default())?)
}

fn declaration(got: &GetPipelineOutput) -> Result<Declaration> {
    let mut json = JsonCodec::default().create_serializer();
    json.write_struct(GetPipelineOutput::SCHEMA, got).context("GetPipeline's answer cannot be written as JSON")?;
    let document: Document = serde_json::from_slice(&json.finish()).context("GetPipeline's answer is no pipeline")?;
    document.pipeline.context("GetPipeline's answer has no pipeline")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_definition_says_what_it_lacks() {
        let error = |text: &str| format!("{:#}", of_text(text).unwrap_err());
        assert!(error("{}").contains("no member \"pipeline\""));
        assert!(error("[").contains("not the JSON of a pipeline"));
        assert!(error(r#"{"pipeline": {"name": "p"}}"#).contains("pipeline."));
    }
}
