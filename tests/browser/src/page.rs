//! What must be true of every page, whatever is on it.

use anyhow::{Context, Result, ensure};
use local::NpmPackage;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::browser::{Browser, Look};

/// Finds what keeps people from using a page: contrast, names of what can be used, roles. Deque's, under the MPL: it is run in
/// the browser, and part of nothing here.
const AXE: NpmPackage = NpmPackage {
    package: "axe-core@4.14.1",
    archive: "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
    folder: "axe-core",
    file: "axe.min.js",
    name: "axe-core",
    without_npm: "The tests of the pages need it: install npm (Debian: apt-get install npm).",
};

static SCRIPT: OnceCell<String> = OnceCell::const_new();

async fn axe() -> Result<&'static String> {
    let fetch = || async {
        let file = tokio::task::spawn_blocking(|| AXE.install(e2e::say)).await??;
        anyhow::Ok(std::fs::read_to_string(file)?)
    };
    SCRIPT.get_or_try_init(fetch).await
}

/// Looks at the page in every look: nothing stands in anybody's way, nothing is cut off. A screenshot of each is left.
pub async fn good_in_every_look(browser: &Browser, name: &str) -> Result<()> {
    let mut bad = Vec::new();
    for look in Look::ALL {
        browser.look(look).await?;
        browser.screenshot(&format!("{name}-{}", look.name())).await?;
        if let Err(error) = good(browser).await {
            bad.push(format!("the page {name} is not good in the look {}: {error:#}", look.name()));
        }
    }
    browser.look(Look::DESK).await?;
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

/// Looks at the page as it is.
pub async fn good(browser: &Browser) -> Result<()> {
    let facts = browser.script(FACTS, json!([])).await?;
    ensure!(facts["lang"] == "en", "the page does not say its language");
    ensure!(facts["title"].as_str().is_some_and(|title| !title.trim().is_empty()), "the page has no title");
    ensure!(facts["headings"] == 1, "the page has {} first headings", facts["headings"]);
    let wide = facts["wide"].as_array().context("no widths")?;
    ensure!(wide.is_empty(), "the page is wider than the window: {wide:?}");
    let found = violations(browser).await?;
    ensure!(found.is_empty(), "axe-core finds:\n{}", found.join("\n"));
    Ok(())
}

/// If the page can be scrolled sideways: the elements that stand out.
const FACTS: &str = r"
    const room = document.documentElement.clientWidth;
    const scrolls = document.documentElement.scrollWidth > room;
    const out = scrolls ? [...document.querySelectorAll('*')].filter(it => it.getBoundingClientRect().right > room + 1) : [];
    return {
        lang: document.documentElement.lang,
        title: document.title,
        headings: document.querySelectorAll('h1').length,
        wide: scrolls ? [`${document.documentElement.scrollWidth} of ${room}`,
            ...out.slice(0, 5).map(it => it.outerHTML.slice(0, 120))] : [],
    };";

/// What axe-core finds, a line each: all its rules, those of WCAG 2.2 AA and its best practices.
async fn violations(browser: &Browser) -> Result<Vec<String>> {
    browser.script(axe().await?, json!([])).await.context("axe-core cannot be loaded into the page")?;
    let run = "const done = arguments[0]; \
        axe.run(document, {resultTypes: ['violations']}).then(it => done(it.violations), it => done(String(it)));";
    let found = browser.script_with_callback(run, json!([])).await?;
    let found = found.as_array().with_context(|| format!("axe-core fails: {found}"))?;
    Ok(found
        .iter()
        .flat_map(|rule| rule["nodes"].as_array().into_iter().flatten().map(|node| said(rule, node)))
        .collect())
}

fn said(rule: &Value, node: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('\n', " ");
    format!("- {}: {} ({})", text(&rule["id"]), text(&node["html"]), text(&node["failureSummary"]))
}
