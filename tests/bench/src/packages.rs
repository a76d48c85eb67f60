//! The functions as AWS gets them: how large each is, and how soon it is ready.
//!
//! They are built by the code of `millrace deploy`. A function is *ready* when its process asks Lambda for its first request: the
//! time is from before the process is started, on this machine, where it has a whole processor. Lambda gives it a share of one by its
//! memory. The environment is what `infra/home.yaml` gives where all parameters have their defaults.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use millrace::programs::{Architecture, build_extension, build_for_aws};
use millrace::{FUNCTIONS, layer, package_size};
use testkit::Template;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::report::Row;
use crate::statistics::median;

/// How often each function is started, after a first time that reads it from the disk.
const STARTS: usize = 30;
/// The most that a package may have, in megabytes; the worker has every provider in it.
const SIZE: f64 = 6.0;
const WORKER_SIZE: f64 = 16.0;
/// The most that a start may take, in milliseconds.
const READY: f64 = 30.0;
/// What a function that takes longer has is another trouble than being slow.
const LIMIT: Duration = Duration::from_secs(10);
/// How a function asks for a request. Source: Lambda developer guide, 'Lambda runtime API'.
const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next ";

/// Builds all functions and the layer for this machine's architecture, and measures them.
///
/// # Errors
/// When a tool for the build is missing, with how to get it; when a function does not build, or does not start.
pub async fn measure() -> Result<Vec<Row>> {
    let building =
        || Ok::<_, anyhow::Error>((build_for_aws(Architecture::HERE)?, build_extension(Architecture::HERE)?));
    let (programs, extension) = tokio::task::spawn_blocking(building).await??;
    let template = Template::home();
    let mut rows = Vec::new();
    let mut row = |figure: String, value: f64, unit: &'static str, budget: Option<f64>| {
        let row = Row { figure, value, unit, ratio: None, budget };
        eprintln!("{row}");
        rows.push(row);
    };
    for function in FUNCTIONS {
        let program = programs.get(*function).with_context(|| format!("no program {function} was built"))?;
        let most = if *function == "worker" { WORKER_SIZE } else { SIZE };
        row(format!("{function}: package"), package_size(program)? as f64 / 1e6, "MB", Some(most));
        let variables = environment(&template, function);
        let mut times = Vec::new();
        for number in 0..=STARTS {
            let time = ready(program, &variables).await.with_context(|| format!("the function {function}"))?;
            times.extend((number > 0).then_some(time.as_secs_f64() * 1_000.0));
        }
        row(format!("{function}: ready"), median(&times).context("nothing was started")?, "ms", Some(READY));
    }
    let content = std::fs::read(&extension).with_context(|| format!("cannot read {}", extension.display()))?;
    let zip = layer::zipped(&content, &"https://api.execute-api.eu-west-1.amazonaws.com/live".parse()?)?;
    row("(layer)".into(), zip.len() as f64 / 1e6, "MB", None);
    Ok(rows)
}

/// What Lambda gives a function by itself and by the template.
fn environment(template: &Template, function: &str) -> BTreeMap<String, String> {
    let mut letters = function.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let resource: String = first.into_iter().chain(letters).chain("Function".chars()).collect();
    let by_lambda = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", function),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("_HANDLER", "bootstrap"),
        ("RUST_LOG", "info"),
    ];
    let by_lambda = by_lambda.map(|(name, value)| (name.to_owned(), value.to_owned()));
    by_lambda.into_iter().chain(template.environment(&resource).given().clone()).collect()
}

/// The time from the start of a program until it asks for its first request; then it is ended.
async fn ready(program: &Path, variables: &BTreeMap<String, String>) -> Result<Duration> {
    let runtime = TcpListener::bind("127.0.0.1:0").await?;
    let address = runtime.local_addr()?.to_string();
    let began = Instant::now();
    let mut process = Command::new(program)
        .env_clear()
        .envs(variables)
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let asked = async {
        let (mut connection, _) = runtime.accept().await?;
        let mut begin = [0; NEXT.len()];
        connection.read_exact(&mut begin).await?;
        let time = began.elapsed();
        ensure!(begin == NEXT, "it asked for {:?}", String::from_utf8_lossy(&begin));
        Ok(time)
    };
    let time = tokio::select! {
        asked = tokio::time::timeout(LIMIT, asked) => asked.context("it asks for no request")??,
        ended = process.wait() => bail!("it ended before it asked for a request: {}", ended?),
    };
    process.kill().await?;
    Ok(time)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn started(script: &str) -> Result<Duration> {
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        std::fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        ready(&file, &environment(&Template::home(), "worker")).await
    }

    #[tokio::test]
    async fn a_function_is_ready_when_it_asks_for_a_request() {
        let asks = |path: &str| {
            format!(
                "test -n \"$MILLRACE_TABLE\" || exit 3; sleep 0.05; exec 3<>/dev/tcp/${{AWS_LAMBDA_RUNTIME_API/:/\\/}}; \
                 printf 'GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; read -r -t 60 <&3"
            )
        };
        let time = started(&asks("/2018-06-01/runtime/invocation/next")).await.unwrap();
        assert!(time >= Duration::from_millis(50), "{time:?}");
        let other = started(&asks("/2018-06-01/runtime/init/error/and/more")).await.unwrap_err();
        assert!(other.to_string().contains("init/error"), "{other}");
        let dead = started("exit 7").await.unwrap_err();
        assert!(dead.to_string().contains("exit status: 7"), "{dead}");
    }
}
