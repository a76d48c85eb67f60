//! The Lambda layer with the proxy as an extension: built, packed with the API's URL, and published.

use std::env;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LayerVersionContentInput;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::extension::{NAME, URL_FILE};
use crate::output::{outln, report};
use crate::proxy::ApiUrl;
use crate::{Account, Installation};

/// The crate's binary that is the extension.
const PROGRAM: &str = "millrace-extension";

/// What `millrace layer` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which functions; repeat it for both, which is what happens without it.
    #[arg(long, value_enum)]
    architecture: Vec<Architecture>,
}

/// What a function runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    /// Intel and AMD, which functions have unless they say otherwise.
    #[value(name = "x86_64")]
    X86,
    /// AWS's Graviton.
    #[value(name = "arm64")]
    Arm64,
}

impl Architecture {
    /// Lambda's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::X86 => "--x86-64",
            Self::Arm64 => "--arm64",
        }
    }
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
        for &architecture in if self.architecture.is_empty() { &both[..] } else { &self.architecture } {
            let program = tokio::task::spawn_blocking(move || build(architecture)).await??;
            let program = std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
            let zip = zipped(&program, &url)?;
            report(&format!("the layer for {} has {} KiB", architecture.name(), zip.len() / 1024));
            let name = format!("{stack}-extension-{}", architecture.name());
            outln!("{}", publish(&client, &name, architecture, zip).await?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Builds the extension with cargo-lambda, for Lambda's Amazon Linux; returns where it is.
fn build(architecture: Architecture) -> Result<PathBuf> {
    let infra = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = infra.parent().unwrap_or(infra);
    ensure!(
        root.join("Cargo.lock").is_file(),
        "Millrace's sources are not at {} any more: run this in a clone",
        root.display()
    );
    let folder = root.join("target/lambda/layer").join(architecture.name());
    let cargo = || Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let known = cargo().args(["lambda", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(
        known.is_ok_and(|status| status.success()),
        "cargo-lambda, which builds the extension, is missing: `pip install cargo-lambda ziglang`, or on a Mac \
         `brew install cargo-lambda`"
    );
    let built = cargo()
        .args(["lambda", "build", "--profile", "lambda", "--locked", "--package", "millrace", "--bin", PROGRAM])
        .args(["--extension", architecture.option(), "--lambda-dir"])
        .arg(&folder)
        .current_dir(root)
        // What is printed is the layers' ARNs.
        .stdout(std::io::stderr())
        .status()
        .context("cannot build the extension: cargo does not start")?;
    ensure!(
        built.success(),
        "cannot build the extension for {}: see cargo's messages above. A target that Rust lacks comes with `rustup target add`",
        architecture.name()
    );
    Ok(folder.join("extensions").join(PROGRAM))
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

/// The layer's zip: the program of `millrace-extension`, and the URL of the API that it leads to. The same program gives the
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
