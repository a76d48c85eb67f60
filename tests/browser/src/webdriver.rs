//! The WebDriver protocol, as much as is used of it. Source: W3C, 'WebDriver', and ChromeDriver's own commands under `goog`.

use anyhow::{Context, Result, bail};
use e2e::http;
use serde_json::{Value, json};

/// The member that names an element. Source: W3C, 'WebDriver', 'web element identifier'.
pub const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session: a browser with a profile of its own. Dropped, it is closed.
#[derive(Debug)]
pub struct Session {
    url: String,
}

impl Session {
    /// Starts a browser with these capabilities.
    pub async fn start(endpoint: &str, capabilities: Value) -> Result<Self> {
        let body = json!({"capabilities": {"alwaysMatch": capabilities}});
        let made = call("POST", &format!("{endpoint}/session"), Some(body)).await.context("no browser starts")?;
        let id = made["sessionId"].as_str().context("a session without an id")?;
        Ok(Self { url: format!("{endpoint}/session/{id}") })
    }

    /// A command that takes values.
    pub async fn post(&self, command: &str, body: Value) -> Result<Value> {
        call("POST", &format!("{}/{command}", self.url), Some(body)).await
    }

    /// A command that only asks.
    pub async fn get(&self, command: &str) -> Result<Value> {
        call("GET", &format!("{}/{command}", self.url), None).await
    }

    /// A command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let url = std::mem::take(&mut self.url);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { call("DELETE", &url, None).await });
        }
    }
}

async fn call(method: &str, url: &str, body: Option<Value>) -> Result<Value> {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let body = body.map(|body| body.to_string());
    let answer = http::send(method, url, &headers, body.as_deref().map(str::as_bytes)).await?;
    let text = answer.text();
    let mut said: Value = serde_json::from_str(&text).with_context(|| format!("no WebDriver answers so: {text}"))?;
    let value = said["value"].take();
    if answer.status != 200 {
        let [kind, message] = ["error", "message"].map(|member| value[member].as_str().unwrap_or_default().to_owned());
        bail!("{kind}: {}", message.lines().next().unwrap_or_default());
    }
    Ok(value)
}
