//! The log of an action, in its panel.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use aws_credential_types::Credentials as Keys;
use e2e::{Action, Case, Pipeline};
use local::HOME;
use serde_json::json;

use crate::browser::Browser;
use crate::cases::console::{quiet, user};
use crate::door::Door;
use crate::page::good_in_every_look;

/// A build that prints and then waits for a file, and a call of a function.
async fn building(case: &Arc<Case>, go: &Path) -> Result<(Pipeline, String)> {
    let wait = format!("while [ ! -e '{}' ]; do sleep 0.1; done", go.display());
    let commands = json!([r"printf '\033[31mred\033[0m <img src=x onerror=alert(1)>\n'", wait, "echo at the end"]);
    let make = Action::new("Make", "Compute", "Commands").input("App").with("commands", commands);
    let pipeline = case
        .draft("log")
        .source()
        .await?
        .stage("Build", [make])
        .stage("Check", [Action::check("Check", "index.html")])
        .create()
        .await?;
    let execution = pipeline.first().await?;
    Ok((pipeline, execution))
}

/// Somebody watches a build: the panel shows its last lines, and those that follow, as text; and when it has ended, all of them.
pub async fn console_shows_a_log(case: &Arc<Case>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let go = folder.path().join("go");
    let (pipeline, execution) = building(case, &go).await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    let address = format!("{}?stage=Build&action=Make", door.pipeline(&pipeline.name));
    browser.goto(&address).await?;
    browser.until_text("#panel .log", "red <img src=x onerror=alert(1)>").await?;
    ensure!(!browser.shows("#panel img").await?, "words of a log became markup");
    good_in_every_look(&browser, "log").await?;

    // Who selects a text in it keeps that while lines are added.
    browser.script("getSelection().selectAllChildren(document.querySelector('.log pre'))", json!([])).await?;
    std::fs::write(&go, "")?;
    pipeline.ends(&execution, "Succeeded").await?;
    browser.until_text("#panel .log", "Phase complete: POST_BUILD State: SUCCEEDED").await?;
    browser.until_text("#panel", "succeeded").await?;
    let log = browser.text("#panel .log pre").await?;
    ensure!(log.matches("Running command echo at the end").count() == 1, "a line stands twice or never: {log}");
    let selected = browser.script("return String(getSelection())", json!([])).await?;
    ensure!(selected.as_str().is_some_and(|it| it.contains("red <img")), "the selection is {selected}");

    browser.goto(&address).await?;
    browser.until_text("#panel .log", "State: SUCCEEDED").await?;
    browser.goto(&format!("{}?stage=Check&action=Check", door.pipeline(&pipeline.name))).await?;
    browser.until_text("#panel .log", "START RequestId: ").await?;
    browser.until_text("#panel .log", "REPORT RequestId: ").await?;
    quiet(&browser).await?;

    // Somebody who may see the page and what ran, and no logs.
    let keys: Keys = user(case, "watcher", "execute-api:Invoke", "*").await?;
    let door = Door::with(case, keys).await?;
    browser.goto(&format!("{}?stage=Build&action=Make", door.pipeline(&pipeline.name))).await?;
    let permission = format!("a policy must allow logs:GetLogEvents on arn:aws:logs:{HOME}:*:log-group:");
    browser.until_text("#panel .log", &permission).await?;
    ensure!(!browser.shows("#panel .log pre").await?, "a log is shown to somebody who may not read it");

    let plain = Browser::without_scripts().await?;
    plain.goto(&address).await?;
    ensure!(!plain.shows("#panel .log").await?, "without script, a log is promised that nobody reads");
    ensure!(plain.shows("#panel a[href*='codebuild']").await?, "the link to the service is not there");
    Ok(())
}
