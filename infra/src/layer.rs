//! The Lambda layer with the proxy as an extension: built, packed with the API's URL, and published.

use std::io::{Cursor, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LayerVersionContentInput;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::extension::{NAME, URL_FILE};
use crate::output::{outln, report};
use crate::programs::build_extension;
use crate::proxy::ApiUrl;
use crate::{Account, Architecture, Installation};

/// What `millrace layer` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the functions are built for. Without it, there is a layer for each.
    #[arg(long, value_enum)]
    architecture: Vec<Architecture>,
}

impl Args {
    /// Builds and publishes the layers of the installation whose home stack is `stack`, and prints their ARNs.
    ///
    /// # Errors
    /// When there is no such installation, a tool is missing, or Lambda does not take the layer.
    pub async fn run(&self, account: &Account, stack: &str) -> Result<ExitCode> {
        let url: ApiUrl = Installation::find(account, stack).await?.output("ApiUrl")?.parse()?;
        let client = Client::new(&account.sdk(account.home()));
        let both = [Architecture::X86, Architecture::Arm64];
        let wanted = if self.architecture.is_empty() { &both[..] } else { &self.architecture };
        let mut zips = Vec::new();
        for &architecture in wanted {
            let program = tokio::task::spawn_blocking(move || build_extension(architecture)).await??;
            let program = std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
            zips.push((architecture, zipped(&program, &url)?));
        }
        // All are built before the first one is published.
        for (architecture, zip) in zips {
            report(&format!("the layer for {} has {} KiB", architecture.name(), zip.len() / 1024));
            outln!("{}", publish(&client, &name(stack, architecture), architecture, zip).await?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the layer of the installation `stack` is called, for functions of one architecture.
#[must_use]
pub fn name(stack: &str, architecture: Architecture) -> String {
    format!("{stack}-extension-{}", architecture.name())
}

/// Removes all versions of the installation's layers. Functions that have one keep it, as Lambda does not take it from them.
///
/// # Errors
/// When Lambda does not list or remove them.
pub(crate) async fn remove(account: &Account, stack: &str, say: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
    let client = Client::new(&account.sdk(account.home()));
    for architecture in [Architecture::X86, Architecture::Arm64] {
        let name = name(stack, architecture);
        let mut versions = client.list_layer_versions().layer_name(&name).into_paginator().items().send();
        while let Some(version) = versions.next().await {
            let version = match version.map_err(SdkError::into_service_error) {
                Err(error) if error.is_resource_not_found_exception() => break,
                version => version.with_context(|| format!("cannot list the versions of the layer {name}"))?.version(),
            };
            say(&format!("removing version {version} of the layer {name}"));
            let removed = client.delete_layer_version().layer_name(&name).version_number(version).send().await;
            removed.with_context(|| format!("cannot remove version {version} of the layer {name}"))?;
        }
    }
    Ok(())
}

/// Publishes a layer for functions of one architecture; returns the ARN of its version.
///
/// # Errors
/// When Lambda does not take it.
pub async fn publish(client: &Client, name: &str, architecture: Architecture, zip: Vec<u8>) -> Result<String> {
    let published = client
        .publish_layer_version()
        .layer_name(name)
        .description("Millrace: leads the CodePipeline client of a function to its API")
        .content(LayerVersionContentInput::builder().zip_file(Blob::new(zip)).build())
        .compatible_architectures(architecture.name().into())
        .send()
        .await
        .with_context(|| format!("cannot publish the layer {name}"))?;
    published.layer_version_arn.with_context(|| format!("Lambda gives the layer {name} no ARN"))
}

/// The layer's zip: the program that [`build_extension`] builds, and the URL of the API that it leads to. The same program gives the
/// same bytes.
///
/// # Errors
/// When the program is larger than a zip can hold.
pub fn zipped(program: &[u8], url: &ApiUrl) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::DEFAULT);
    zip.start_file(format!("extensions/{NAME}"), options.unix_permissions(0o755))?;
    zip.write_all(program)?;
    zip.start_file(URL_FILE, options.unix_permissions(0o644))?;
    writeln!(zip, "{url}")?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_layer_is_an_executable_extension_and_the_api_s_url() {
        let url: ApiUrl = "https://abc.execute-api.eu-west-1.amazonaws.com/live".parse().unwrap();
        let bytes = zipped(b"program", &url).unwrap();
        assert_eq!(bytes, zipped(b"program", &url).unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            files.push((file.name().unwrap().into_owned(), file.unix_mode().unwrap() & 0o777, content));
        }
        // Lambda starts what is in extensions/, and nothing else may be there.
        assert_eq!(files[0], ("extensions/millrace".to_owned(), 0o755, "program".to_owned()));
        assert_eq!(files[1], ("millrace/api-url".to_owned(), 0o644, format!("{url}\n")));
        assert_eq!(files.len(), 2);
    }
}
