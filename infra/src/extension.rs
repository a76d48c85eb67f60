//! The proxy as a Lambda extension: in a layer, beside a function that answers its jobs.
//!
//! Lambda starts what is in a layer's `extensions/` beside the function, and waits with the function's first invocation until
//! each extension asks for its next event. This one listens before it does so, so that the function finds it from its first line
//! on. It wants to hear of nothing but the end, so no invocation waits for it.
//!
//! The layer also has the API's URL, in [`URL_FILE`]; see [`crate::layer`]. The port is that of the variable with which the
//! function's client is led here. Source of the protocol: Lambda's developer guide, "Lambda Extensions API".

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use http::{Request, Response, Uri};
use serde_json::{Value, json};

use crate::http_client::HttpClient;
use crate::output::{report, words};
use crate::proxy::{Api, ApiUrl, Chain, Credentials, PORT, Proxy};

/// The program's name in the layer's folder `extensions`, under which Lambda knows it.
pub const NAME: &str = "millrace";
/// Where the layer has the API's URL, from its root.
pub const URL_FILE: &str = "millrace/api-url";
/// The variable that leads a function's CodePipeline client to the extension.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_CODEPIPELINE";
const IDENTIFIER: &str = "lambda-extension-identifier";

/// Runs until Lambda shuts the function's environment down.
pub async fn run() -> ExitCode {
    match served().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&json!({"extension": NAME, "error": words(&error)}).to_string());
            ExitCode::FAILURE
        }
    }
}

async fn served() -> Result<()> {
    let address = env::var("AWS_LAMBDA_RUNTIME_API")
        .context("this is a Lambda extension; on other machines, `millrace proxy` does the same")?;
    let mut lambda =
        Lambda { base: format!("http://{address}/2020-01-01/extension"), id: String::new(), http: HttpClient::new() };
    lambda.register().await?;
    let proxy = match proxy().await {
        Ok(proxy) => proxy,
        Err(error) => {
            lambda.failed("init", &error).await;
            return Err(error);
        }
    };
    report(&json!({"extension": NAME, "listening": proxy.url()}).to_string());
    let ended = tokio::select! {
        () = proxy.serve(std::future::pending()) => Ok(()),
        ended = lambda.until_shutdown() => ended,
    };
    if let Err(error) = &ended {
        lambda.failed("exit", error).await;
    }
    ended
}

/// The proxy, listening; what it needs to know is in the environment and in the layer.
async fn proxy() -> Result<Proxy> {
    let url = match env::var(ApiUrl::VARIABLE) {
        Ok(url) => url,
        Err(_) => {
            let file = layer()?.join(URL_FILE);
            std::fs::read_to_string(&file).with_context(|| {
                format!("the layer has no API's URL in {}: set {}", file.display(), ApiUrl::VARIABLE)
            })?
        }
    };
    let url: ApiUrl = url.trim().parse()?;
    let region = url.region().map(ToOwned::to_owned).or_else(|| env::var("AWS_REGION").ok());
    let region = region.context("neither the API's URL nor AWS_REGION names a region")?;
    let port = env::var(ENDPOINT).ok().and_then(|endpoint| port_of(&endpoint)).unwrap_or(PORT);
    let credentials = Credentials::new(Chain::new(None, &region));
    Proxy::bind(port, Api::new(url, region, credentials)).await
}

/// Where the layer is unpacked: this program is in its folder `extensions`.
fn layer() -> Result<PathBuf> {
    let program = env::current_exe().context("the extension does not know where it is")?;
    let layer = program.parent().and_then(Path::parent).context("the extension is in no layer")?;
    Ok(layer.to_owned())
}

/// The port of an endpoint on this machine.
fn port_of(endpoint: &str) -> Option<u16> {
    let uri: Uri = endpoint.parse().ok()?;
    let here = uri.scheme_str() == Some("http") && ["127.0.0.1", "localhost"].contains(&uri.host()?);
    uri.port_u16().filter(|_| here)
}

/// Lambda, as an extension sees it.
struct Lambda {
    base: String,
    id: String,
    http: HttpClient,
}

impl Lambda {
    async fn register(&mut self) -> Result<()> {
        let request = Request::post(format!("{}/register", self.base)).header("lambda-extension-name", NAME);
        let answer = self.send(request, json!({"events": ["SHUTDOWN"]})).await.context("cannot register at Lambda")?;
        let id = answer.headers().get(IDENTIFIER).and_then(|id| id.to_str().ok());
        id.context("Lambda has given the extension no identifier")?.clone_into(&mut self.id);
        Ok(())
    }

    /// Says that the extension is ready, and comes back when it is over.
    async fn until_shutdown(&self) -> Result<()> {
        loop {
            let request = Request::get(format!("{}/event/next", self.base)).header(IDENTIFIER, &self.id);
            let answer = self.send(request, Value::Null).await.context("Lambda tells nothing more")?;
            let event: Value = serde_json::from_slice(answer.body()).context("Lambda tells something unknown")?;
            if event["eventType"] == "SHUTDOWN" {
                return Ok(());
            }
        }
    }

    /// Tells Lambda why the extension cannot go on, in the phase `init` or `exit`: it shows that to the function's owner.
    async fn failed(&self, phase: &str, error: &anyhow::Error) {
        let request = Request::post(format!("{}/{phase}/error", self.base))
            .header(IDENTIFIER, &self.id)
            .header("lambda-extension-function-error-type", "Millrace.Extension");
        let body = json!({"errorType": "Millrace.Extension", "errorMessage": words(error), "stackTrace": []});
        if let Err(error) = self.send(request, body).await {
            report(&json!({"extension": NAME, "error": words(&error)}).to_string());
        }
    }

    async fn send(&self, request: http::request::Builder, body: Value) -> Result<Response<Vec<u8>>> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.http.send(request.body(body)?).await?;
        let said = String::from_utf8_lossy(answer.body());
        ensure!(answer.status().is_success(), "the Extensions API answers {}: {said}", answer.status());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_an_endpoint_on_this_machine() {
        assert_eq!(port_of("http://127.0.0.1:7709"), Some(7709));
        assert_eq!(port_of("http://localhost:80/"), Some(80));
        for other in
            ["", "127.0.0.1", "http://127.0.0.1", "https://127.0.0.1:1", "http://example.com:1", "http://127.0.0.1:x"]
        {
            assert_eq!(port_of(other), None, "{other}");
        }
    }
}
