//! From crates to programs: what runs as Lambda functions.

use std::collections::BTreeMap;
use std::env;
use std::io::stderr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::shell::version_of;

/// The installation's functions, by package name.
pub const FUNCTIONS: &[&str] = &[
    "api",
    "worker",
    "replicator",
    "trigger",
    "webhook",
    "approval",
    "publisher",
    "sweeper",
    "auditor",
    "console",
    "tracer",
    "notifier",
];

/// The profile of programs for an emulator: the one in which this program was built.
pub const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

/// What `local` runs on an emulator besides. Cargo would choose other features for the functions, and build them again, if it
/// built them without these packages.
const BESIDES: &[&str] = &["build-host", "sample-test"];

/// The program of the Lambda layer, by its name in this package.
const EXTENSION: &str = "millrace-extension";

/// What a function is built for, as Lambda calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Architecture {
    /// AWS's Graviton: the cheaper one.
    #[value(name = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86,
}

impl Architecture {
    /// This machine's: emulators run functions as they are.
    pub const HERE: Self = if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::X86 };

    /// Lambda's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    /// The one with that name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Arm64, Self::X86].into_iter().find(|it| it.name() == name)
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Arm64 => "--arm64",
            Self::X86 => "--x86-64",
        }
    }
}

/// The root of the workspace in which this crate was compiled.
fn workspace() -> Result<&'static Path> {
    let infra = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = infra.parent().unwrap_or(infra);
    ensure!(
        root.join("functions").is_dir(),
        "the functions are built from Millrace's sources, which are not at {} any more: run `cargo run -p millrace -- \
         deploy` in a clone",
        root.display()
    );
    Ok(root)
}

/// Builds the functions, and what `local` runs besides, with plain cargo for this machine; returns where each program is. For
/// an emulator.
///
/// # Errors
/// When cargo is missing or a package does not build.
pub fn build_here() -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["build", "--bins", "--message-format=json-render-diagnostics", "--profile", PROFILE]);
    let built = build(&mut command, BESIDES)?;
    Ok(executables(&String::from_utf8_lossy(&built)))
}

/// Builds the functions with cargo-lambda, small and for the glibc of Lambda's Amazon Linux; returns where each program is.
///
/// # Errors
/// When a tool is missing, with how to get it, or when a package does not build.
pub fn build_for_aws(architecture: Architecture) -> Result<BTreeMap<String, PathBuf>> {
    let folder = workspace()?.join("target/lambda").join(architecture.name());
    build(cargo_lambda(architecture, &folder)?.stdout(Stdio::inherit()), &[])?;
    let programs: BTreeMap<_, _> =
        FUNCTIONS.iter().map(|name| ((*name).to_owned(), folder.join(name).join("bootstrap"))).collect();
    for (name, program) in &programs {
        ensure!(program.is_file(), "cargo-lambda has built no {name}: {} is missing", program.display());
    }
    Ok(programs)
}

/// Builds the program of the layer in the same way; returns where it is. Nothing is printed to standard output.
///
/// # Errors
/// When a tool is missing, with how to get it, or when it does not build.
pub fn build_extension(architecture: Architecture) -> Result<PathBuf> {
    let folder = workspace()?.join("target/lambda/layer").join(architecture.name());
    let mut command = cargo_lambda(architecture, &folder)?;
    run(command.args(["--extension", "--package", "millrace", "--bin", EXTENSION]).stdout(stderr()), "the extension")?;
    let program = folder.join("extensions").join(EXTENSION);
    ensure!(program.is_file(), "cargo-lambda has built no extension: {} is missing", program.display());
    Ok(program)
}

/// A build with cargo-lambda into `folder`, if the tools for it are there.
fn cargo_lambda(architecture: Architecture, folder: &Path) -> Result<Command> {
    let zig = env::var_os("CARGO_ZIGBUILD_ZIG_PATH").is_some();
    check_tools(|program, arguments| version_of(program, arguments).is_some(), zig)?;
    let mut command = cargo();
    command.args(["lambda", "build", "--profile", "lambda", "--locked", architecture.option(), "--lambda-dir"]);
    command.arg(folder);
    Ok(command)
}

/// What is missing for a build with cargo-lambda. `answers` says whether a program with these arguments does; `zig`, whether
/// the environment names a zig.
fn check_tools(answers: impl Fn(&str, &[&str]) -> bool, zig: bool) -> Result<()> {
    let zig = zig || answers("zig", &["version"]) || answers("python3", &["-m", "ziglang", "version"]);
    let missing = match (answers("cargo", &["lambda", "--version"]), zig) {
        (true, true) => return Ok(()),
        (false, true) => "cargo-lambda, which builds the functions, is",
        (true, false) => "zig, with which cargo-lambda links for AWS's machines, is",
        (false, false) => {
            "cargo-lambda, which builds the functions, and zig, with which it links for AWS's machines, are"
        }
    };
    bail!(
        "{missing} not installed. Both are on PyPI: `pip install cargo-lambda ziglang`, or `uv tool install cargo-lambda \
         --with ziglang`; with Homebrew: `brew install cargo-lambda zig`"
    )
}

fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Under `cargo run` and `cargo test` these tell about another package. Build scripts that look at them (ring's)
    // would run again, and all that depends on them be built anew, whenever such a run follows a plain build.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    cargo.stdout(Stdio::piped());
    cargo
}

/// Runs a build of the functions and `others`; returns what it prints.
fn build(cargo: &mut Command, others: &[&str]) -> Result<Vec<u8>> {
    run(cargo.args(FUNCTIONS.iter().chain(others).flat_map(|package| ["--package", package])), "the functions")
}

/// Runs a build of `what`; returns what it prints.
fn run(cargo: &mut Command, what: &str) -> Result<Vec<u8>> {
    let output = cargo
        .current_dir(workspace()?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| {
            format!("cannot build {what}: `cargo` does not start; it is part of Rust, https://rustup.rs")
        })?;
    ensure!(output.status.success(), "cannot build {what}: see cargo's messages above");
    Ok(output.stdout)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"api"},"executable":"/t/debug/api"}
{"reason":"compiler-artifact","target":{"name":"engine"},"executable":null}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executables(messages), BTreeMap::from([("api".to_owned(), PathBuf::from("/t/debug/api"))]));
    }

    #[test]
    fn whoever_lacks_a_tool_is_told_which_and_how_to_get_it() {
        let error = |cargo_lambda: bool, python: bool| {
            let answers = |program: &str, _: &[&str]| match program {
                "cargo" => cargo_lambda,
                "python3" => python,
                _ => false,
            };
            check_tools(answers, false).map_err(|error| error.to_string())
        };
        assert_eq!(error(true, true), Ok(()), "zig from PyPI is a module of Python");
        let both = error(false, false).unwrap_err();
        assert!(
            both.starts_with("cargo-lambda,") && both.contains("and zig") && both.contains("pip install"),
            "{both}"
        );
        assert!(error(true, false).unwrap_err().starts_with("zig,"));
        let cargo_lambda = error(false, true).unwrap_err();
        assert!(cargo_lambda.starts_with("cargo-lambda,") && !cargo_lambda.contains("and zig"), "{cargo_lambda}");
    }

    #[test]
    fn every_folder_of_functions_is_built() {
        let folders = std::fs::read_dir(workspace().unwrap().join("functions")).unwrap();
        let mut folders: Vec<_> = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut functions = FUNCTIONS.to_vec();
        folders.sort();
        functions.sort_unstable();
        assert_eq!(folders, functions);
    }
}
