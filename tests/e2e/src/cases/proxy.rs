//! Clients of CodePipeline as people have them, through the proxy, and a function with the proxy as its extension.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use aws_credential_types::Credentials as Keys;
use aws_sdk_codepipeline::error::ProvideErrorMetadata as _;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use local::{Emulator, HOME};
use millrace::proxy::{Api, Credentials, Proxy};
use millrace::{Architecture, layer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use super::clients;
use crate::case::Case;
use crate::check::named;
use crate::declare::Action;
use crate::wait::PATIENCE;
use crate::zips;

/// The function of the README, word for word.
const HANDLER: &str = r#"import boto3

pipelines = boto3.client("codepipeline")


def handler(event, context):
    job = event["CodePipeline.job"]
    try:
        words = job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "")
        print(f"checking {words}")
        pipelines.put_job_success_result(jobId=job["id"], outputVariables={"Checked": words})
    except Exception as error:
        pipelines.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": str(error)})
"#;

/// All that boto3 and the aws CLI do works through the proxy, and none of it uses `/`, which the local stack happens to have open.
pub async fn clients_through_the_proxy(case: &Arc<Case>) -> Result<()> {
    let keys = Credentials::new(Keys::new("test", "test", None, None, "e2e"));
    let proxy = Proxy::bind(0, Api::new(case.stack.api_url.parse()?, HOME.to_owned(), keys)).await?;
    let (endpoint, log) = (proxy.url(), Arc::<Mutex<Vec<String>>>::default());
    let lines = log.clone();
    let proxy = proxy.with_log(move |line| lines.lock().unwrap_or_else(|kept| kept.into_inner()).push(line.to_owned()));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(proxy.serve(async move {
        let _ = ended.await;
    }));
    let worked = clients::boto3_and_cli_at(case, &endpoint).await;
    drop(end);
    serving.await?;
    worked?;

    let log = log.lock().unwrap_or_else(|kept| kept.into_inner()).clone();
    let calls: Vec<Value> = log.iter().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
    for call in &calls {
        let (operation, path) = (call["operation"].as_str().unwrap_or("-"), call["path"].as_str().unwrap_or("-"));
        let expected = match call["pipeline"].as_str() {
            Some(pipeline) => format!("/pipelines/{pipeline}/{operation}"),
            None => format!("/service/CodePipeline_20150709/operation/{operation}"),
        };
        ensure!(path == expected, "{call} is not for {expected}");
    }
    for (operation, with_pipeline) in [("CreatePipeline", true), ("PutApprovalResult", true), ("ListPipelines", false)]
    {
        let found =
            calls.iter().find(|call| call["operation"] == operation).with_context(|| format!("no {operation}"))?;
        ensure!(found["pipeline"].is_string() == with_pipeline && found["status"] == 200, "{found}");
    }
    Ok(())
}

/// Policies decide by path: one for a single pipeline works, and so does one for an operation. Whoever has neither is told what is
/// missing, and whoever signs with a wrong key gets nowhere. Only MiniStack checks any of that.
pub async fn policies_by_path(case: &Arc<Case>) -> Result<()> {
    if case.stack.emulator != Emulator::Ministack {
        return Ok(());
    }
    let iam = aws_sdk_iam::Client::new(&case.stack.sdk(HOME));
    let policies = [
        ("one", "/pipelines/prod-*/GetPipeline", ["PipelineNotFoundException", "AccessDeniedException"]),
        ("all", "/service/*/GetPipeline", ["PipelineNotFoundException", "PipelineNotFoundException"]),
        ("none", "/pipelines/*/StopPipelineExecution", ["AccessDeniedException", "AccessDeniedException"]),
    ];
    for (purpose, path, expected) in policies {
        let user = case.named(purpose);
        iam.create_user().user_name(&user).send().await?;
        let resource = format!("arn:aws:execute-api:{HOME}:*:*/live/POST{path}");
        let statement = json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        iam.put_user_policy().user_name(&user).policy_name("call").policy_document(policy).send().await?;
        let key = iam.create_access_key().user_name(&user).send().await?.access_key.context("no key")?;
        let keys = |secret: &str| Keys::new(key.access_key_id(), secret, None, None, "e2e");
        let said = get_pipelines(case, keys(key.secret_access_key())).await?;
        for (said, code) in said.iter().zip(expected) {
            ensure!(said.starts_with(code), "{purpose}: {said}, not {code}");
        }
        if expected[1] == "AccessDeniedException" {
            let missing = "/POST/pipelines/dev/GetPipeline or on arn:aws:execute-api:";
            ensure!(said[1].contains(missing), "{purpose}: {}", said[1]);
        }
        let said = get_pipelines(case, keys("of somebody else")).await?;
        ensure!(said.iter().all(|said| said.starts_with("InvalidSignatureException")), "{purpose}: {said:?}");
    }
    Ok(())
}

/// What GetPipeline says through a proxy with these keys: of a pipeline `prod-a`, and of one `dev`. Neither exists.
async fn get_pipelines(case: &Case, keys: Keys) -> Result<Vec<String>> {
    let api = Api::new(case.stack.api_url.parse()?, HOME.to_owned(), Credentials::new(keys));
    let proxy = Proxy::bind(0, api).await?.with_log(|_| {});
    let config = aws_sdk_codepipeline::config::Builder::from(&case.stack.sdk(HOME)).endpoint_url(proxy.url()).build();
    let client = aws_sdk_codepipeline::Client::from_conf(config);
    let serving = tokio::spawn(proxy.serve(std::future::pending()));
    let mut all = Vec::new();
    for name in ["prod-a", "dev"] {
        let error = client.get_pipeline().name(name).send().await.err().context("there is no such pipeline")?;
        let error = error.into_service_error();
        all.push(format!("{}: {}", error.code().unwrap_or_default(), error.message().unwrap_or_default()));
    }
    serving.abort();
    Ok(all)
}

/// A Python function answers its job with nothing but its endpoint's variable, through the layer's program.
pub async fn function_with_the_extension(case: &Arc<Case>) -> Result<()> {
    ensure!(include_str!("../../../../README.md").contains(HANDLER), "the README shows another function");
    let lambda = TcpListener::bind("127.0.0.1:0").await?;
    let port = free_port().await?;
    let endpoint = format!("http://127.0.0.1:{port}");
    // The emulators start functions without extensions, so this stands where Lambda would.
    let mut extension = Command::new(case.extension()?)
        .env_clear()
        .envs([("AWS_LAMBDA_RUNTIME_API", lambda.local_addr()?.to_string()), ("AWS_REGION", HOME.to_owned())])
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_ENDPOINT_URL_CODEPIPELINE", &endpoint)
        .env("MILLRACE_API_URL", &case.stack.api_url)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    asked(&lambda, "/register")
        .await?
        .write_all(
            b"HTTP/1.1 200 OK\r\nlambda-extension-identifier: e2e\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        )
        .await?;
    let mut waits = asked(&lambda, "/event/next").await?;

    let function = case.named("check");
    let code = FunctionCode::builder().zip_file(Blob::new(zips::zipped(&[("check.py", HANDLER)])?)).build();
    let create = case.lambda.create_function().function_name(&function).runtime(Runtime::Python312).code(code);
    let variables = Environment::builder().variables("AWS_ENDPOINT_URL_CODEPIPELINE", &endpoint).build();
    create.handler("check.handler").role(case.role()?).timeout(30).environment(variables).send().await?;
    let act = Action::function("Check", &function, "hello");
    let pipeline = case.draft("extended").source().await?.stage("Check", [act]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Succeeded").await?;
    let actions = pipeline.actions(&execution).await?;
    let output = named(&actions, "Check")?.output().and_then(|output| output.output_variables());
    ensure!(output.and_then(|found| found.get("Checked")).map(String::as_str) == Some("hello"), "{output:?}");

    waits
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 24\r\nconnection: close\r\n\r\n{\"eventType\":\"SHUTDOWN\"}")
        .await?;
    let status = timeout(PATIENCE, extension.wait()).await.context("the extension does not end")??;
    let mut said = String::new();
    extension.stderr.take().context("no log")?.read_to_string(&mut said).await?;
    let path = "/service/CodePipeline_20150709/operation/PutJobSuccessResult";
    ensure!(status.success() && said.contains(&format!(r#""path":"{path}","status":200"#)), "{status}: {said}");
    Ok(())
}

/// A port that nobody has, and that the system hands out to nobody by itself in the meantime.
async fn free_port() -> Result<u16> {
    let first = u16::try_from(std::process::id() % 10_000)?;
    for port in (0..10_000).map(|turn| 20_000 + (first + turn) % 10_000) {
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return Ok(port);
        }
    }
    bail!("there is no free port")
}

/// Lambda takes the layer as it is packed.
pub async fn layer_published(case: &Arc<Case>) -> Result<()> {
    let zip = layer::zipped(b"program", &"https://abc.execute-api.eu-west-1.amazonaws.com/live".parse()?)?;
    let name = case.named("layer");
    let arn = layer::publish(&case.lambda, &name, Architecture::Arm64, zip.clone()).await?;
    ensure!(arn.ends_with(&format!(":layer:{name}:1")), "{arn}");
    let kept = case.lambda.get_layer_version().layer_name(&name).version_number(1).send().await?;
    let size = kept.content().map(|content| content.code_size());
    ensure!(size == i64::try_from(zip.len()).ok(), "{kept:?}");
    ensure!(kept.compatible_architectures() == [aws_sdk_lambda::types::Architecture::Arm64], "{kept:?}");
    Ok(())
}

/// The next request to Lambda's Extensions API, without its answer.
async fn asked(lambda: &TcpListener, path: &str) -> Result<TcpStream> {
    let (mut stream, _) = timeout(PATIENCE, lambda.accept()).await.context("the extension asks nothing")??;
    let (mut lines, mut length, mut first) = (BufReader::new(&mut stream), 0, String::new());
    lines.read_line(&mut first).await?;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    lines.read_exact(&mut vec![0; length]).await?;
    ensure!(first.contains(path), "{first} is not for {path}");
    Ok(stream)
}
