//! The console as a browser has it: pages through the proxy, and what a person does on them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials as Keys;
use local::HOME;
use millrace::proxy::{Api, Credentials, Proxy};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::case::Case;
use crate::declare::Action;
use crate::http::{self, Answer};

/// Reads pages, approves what waits as the page's script would, and sees that a page that is no longer true changes nothing.
pub async fn console_through_the_proxy(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("shown").source().await?.stage("Gate", [Action::approval("Ask")]);
    let pipeline = draft.stage("End", [Action::machine("Done", case.machine(HOME, "echo")?, "{}")]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.until_asked("Ask").await?;

    let (base, serving) = serve(case).await?;
    let root = get(&base, "/", &[]).await?;
    ensure!((root.status, root.header("location")) == (302, "/console"), "{}", root.status);
    let all = get(&base, &format!("/console/pipelines?search={}", pipeline.name), &[]).await?;
    ensure!(all.status == 200 && all.text().contains(&pipeline.name), "the list: {}", all.status);
    let address = format!("/console/pipelines/{}", pipeline.name);
    let page = get(&base, &address, &[]).await?;
    ensure!(
        page.status == 200 && page.text().contains("waits for somebody to approve or reject it"),
        "{}",
        page.status
    );
    ensure!(page.header("content-security-policy").starts_with("default-src 'none'"), "{:?}", page.headers);
    for more in
        ["/history", &format!("/executions/{execution}"), "/time", "/rollback?stage=End", "?stage=Gate&action=Ask"]
    {
        let more = get(&base, &format!("{address}{more}"), &[]).await?;
        ensure!(more.status == 200, "{}: {}", more.status, more.text());
    }
    ensure!(get(&base, "/console/wall", &[]).await?.status == 200, "the wall");
    ensure!(get(&base, "/console/pipelines/nobody", &[]).await?.status == 404, "a pipeline that is not there");
    let foreign = get(&base, &address, &[("sec-fetch-site", "cross-site")]).await?;
    ensure!(foreign.status == 403 && !foreign.text().contains("<button"), "{}", foreign.status);

    let known = page.header("etag").to_owned();
    let same = get(&base, &address, &[("if-none-match", &known), ("x-millrace-live", "1")]).await?;
    ensure!((same.status, same.body.len()) == (304, 0), "{}", same.status);

    // What the button holds, as the script sends it.
    let body = button(&page.text(), "PutApprovalResult").context("no button")?;
    ensure!(body["result"]["status"] == "Approved", "{body}");
    let unproven = post(&base, "PutApprovalResult", &body, &[]).await?;
    ensure!(unproven.status == 403, "without the console's header: {unproven:?}");
    let proof = [("x-millrace-console", "1")];
    let done = post(&base, "PutApprovalResult", &body, &proof).await?;
    ensure!(done.status == 200, "{done:?}");
    let again = post(&base, "PutApprovalResult", &body, &proof).await?;
    ensure!(again.status == 400 && again.text().contains("ApprovalAlreadyCompletedException"), "{again:?}");
    pipeline.ends(&execution, "Succeeded").await?;
    let changed = get(&base, &address, &[("if-none-match", &known), ("x-millrace-live", "1")]).await?;
    ensure!(changed.status == 200 && !changed.text().contains("<html"), "{}", changed.status);
    serving.abort();
    Ok(())
}

/// A proxy to the console's pages: its address, and what serves it.
async fn serve(case: &Case) -> Result<(String, JoinHandle<()>)> {
    let keys = Credentials::new(Keys::new("test", "test", None, None, "e2e"));
    let proxy = Proxy::bind(0, Api::new(case.stack.api_url.parse()?, HOME.to_owned(), keys)).await?.with_log(|_| {});
    let base = proxy.url();
    Ok((base, tokio::spawn(proxy.serve(std::future::pending()))))
}

/// The HTML of a page of the console, by its path behind `/console`.
pub(super) async fn page(case: &Case, path: &str) -> Result<String> {
    let (base, serving) = serve(case).await?;
    let page = get(&base, &format!("/console{path}"), &[]).await;
    serving.abort();
    let page = page?;
    ensure!(page.status == 200, "{path}: {}", page.status);
    Ok(page.text())
}

async fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    http::send("GET", &format!("{base}{path}"), &owned(headers), None).await
}

/// A call as the script makes it; `own`: the headers that only the console's own pages send.
async fn post(base: &str, operation: &str, body: &Value, own: &[(&str, &str)]) -> Result<Answer> {
    let mut headers = owned(own);
    headers.push(("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()));
    headers.push(("origin".to_owned(), base.to_owned()));
    headers.push(("sec-fetch-site".to_owned(), "same-origin".to_owned()));
    let url = format!("{base}/service/CodePipeline_20150709/operation/{operation}");
    http::send("POST", &url, &headers, Some(body.to_string().as_bytes())).await
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The request that the page's first button of this operation holds.
fn button(html: &str, operation: &str) -> Option<Value> {
    let rest = html.split(&format!("data-op=\"{operation}\"")).nth(1)?;
    let body = rest.split("data-body=\"").nth(1)?.split('"').next()?;
    serde_json::from_str(&body.replace("&quot;", "\"").replace("&amp;", "&")).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_button_holds_its_request() {
        let html = "<button data-op=\"Stop\" data-body=\"{&quot;a&quot;:&quot;b &amp; c&quot;}\">";
        assert_eq!(button(html, "Stop").unwrap(), json!({"a": "b & c"}));
        assert!(button(html, "Start").is_none());
    }
}
