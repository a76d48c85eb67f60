//! `millrace proxy` as a process.

use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::client::call;
use crate::gateway::{Gateway, answered};
use crate::signature::{KEY, REGION, SECRET};

/// Longer than anything takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn millrace() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.env_clear().env("AWS_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent");
    command.arg("proxy").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn with_keys() -> Command {
    let mut command = millrace();
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

#[tokio::test]
async fn it_prints_the_endpoint_and_ends_when_it_is_told() {
    let gateway = Gateway::start(|_| std::future::ready(answered("{}"))).await;
    let mut child = with_keys().args(["--port", "0"]).env("MILLRACE_API_URL", gateway.url()).spawn().unwrap();
    let mut printed = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    timeout(PATIENCE, lines.read_line(&mut printed)).await.expect("a line").unwrap();
    let port = printed.trim().strip_prefix("export AWS_ENDPOINT_URL_CODEPIPELINE=http://127.0.0.1:").unwrap();
    assert_eq!(call(port.parse().unwrap(), "ListPipelines", "{}").await.status, 200);
    assert_eq!(gateway.received().len(), 1);

    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert!(status.success() && said.contains(r#""operation":"ListPipelines""#), "{said}");
}

async fn fails(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    assert!(!status.success() && stdout.is_empty());
    String::from_utf8(stderr).unwrap()
}

#[tokio::test]
async fn it_says_why_it_cannot_begin() {
    let url = "https://abc.execute-api.eu-west-1.amazonaws.com/live";
    let said = fails(millrace().args(["--port", "0", "--api-url", url])).await;
    assert!(said.contains("aws sso login"), "{said}");

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = fails(with_keys().args(["--port", &port, "--api-url", url])).await;
    assert!(said.contains("cannot listen on port") && said.contains("--port"), "{said}");

    let said = fails(with_keys().args(["--api-url", "http://example.com/live"])).await;
    assert!(said.contains("ApiUrl"), "{said}");
    let said = fails(with_keys().env_remove("AWS_REGION").args(["--api-url", "https://pipelines.example.com"])).await;
    assert!(said.contains("--region"), "{said}");
}
