//! From crates to zips: what CloudFormation deploys as Lambda functions.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use serde::Deserialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::build_host;
use crate::hash::hash;

/// The installation's functions, by package name.
pub const FUNCTIONS: &[&str] =
    &["api", "worker", "replicator", "trigger", "approval", "publisher", "sweeper", "auditor"];

/// What tests and the demo deploy beside the installation.
const SAMPLES: &[&str] = &["sample-test"];

/// The profile of the functions that are built: the one in which this program was built.
pub const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

/// Builds the functions and the build host; returns where each one is.
pub(crate) fn build(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let packages =
        FUNCTIONS.iter().chain(SAMPLES).chain([&build_host::PACKAGE]).flat_map(|package| ["--package", package]);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Under `cargo run` and `cargo test` these tell about another package. Build scripts that look at them (ring's)
    // would run again, and all that depends on them be built anew, whenever such a run follows a plain build.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "--bins", "--message-format=json-render-diagnostics", "--profile", PROFILE])
        .args(packages)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot build the functions: `cargo` does not start")?;
    if !output.status.success() {
        bail!("cannot build the functions: see cargo's messages above");
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The programs in cargo's messages (JSON, one a line).
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect()
}

/// Puts a program where CloudFormation finds it; returns its key, which holds the hash of the program, so that an
/// unchanged program has an unchanged key.
pub(crate) async fn upload(s3: &Client, bucket: &str, name: &str, program: &Path) -> Result<String> {
    let program = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let key = format!("functions/{name}/{}.zip", &hash(&program)[..16]);
    if s3.head_object().bucket(bucket).key(&key).send().await.is_err() {
        let put = s3.put_object().bucket(bucket).key(&key).body(zipped(&program)?.into());
        put.send().await.with_context(|| format!("cannot upload the function {name}"))?;
    }
    Ok(key)
}

/// A Lambda package of a custom runtime: one executable called `bootstrap`.
fn zipped(program: &[u8]) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // It goes no further than this machine.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", stored)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// The template parameter that takes a function's key.
pub(crate) fn code_parameter(function: &str) -> String {
    let mut letters = function.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain("Code".chars()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"api"},"executable":"/t/debug/api"}
{"reason":"compiler-artifact","target":{"name":"engine"},"executable":null}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), BTreeMap::from([("api".to_owned(), PathBuf::from("/t/debug/api"))]));
    }

    #[test]
    fn a_package_holds_an_executable_bootstrap() {
        let mut archive = zip::ZipArchive::new(Cursor::new(zipped(b"program").unwrap())).unwrap();
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"program");
    }

    #[test]
    fn parameters_are_named_after_functions() {
        assert_eq!(code_parameter("worker"), "WorkerCode");
    }
}
