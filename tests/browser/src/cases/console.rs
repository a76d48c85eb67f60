//! The console's screens: what they show, in every look, and that a running release is seen as it runs.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials as Keys;
use e2e::{Action, Case, Pipeline};
use local::HOME;
use serde_json::json;

use crate::browser::{Browser, Key, Look};
use crate::cases::acts::{ask, confirm};
use crate::door::Door;
use crate::page::{good, good_in_every_look};

/// A pipeline that waits for an approval in its second stage.
pub async fn waiting(case: &Arc<Case>, purpose: &str) -> Result<(Pipeline, String)> {
    let done = Action::machine("Done", case.machine(HOME, "echo")?, "{}");
    let ask = Action::approval("Ask").set("CustomData", "Is it good?");
    let draft = case.draft(purpose).source().await?.variable("Colour", "blue");
    let pipeline = draft.stage("Gate", [ask]).stage("End", [done]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.until_asked("Ask").await?;
    Ok((pipeline, execution))
}

/// A pipeline whose second stage has failed.
pub async fn failed(case: &Arc<Case>, purpose: &str) -> Result<(Pipeline, String)> {
    let broken = Action::machine("Break", case.machine(HOME, "broken")?, "{}");
    let pipeline = case.draft(purpose).source().await?.stage("Bad", [broken]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Failed").await?;
    Ok((pipeline, execution))
}

/// Answers the approval by the API, as somebody else does.
pub async fn answer(case: &Case, pipeline: &Pipeline, status: &str) -> Result<()> {
    let token = pipeline.until_asked("Ask").await?.token.context("no token")?;
    let result =
        aws_sdk_codepipeline::types::ApprovalResult::builder().summary("fine").status(status.into()).build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    put.token(token).result(result).send().await?;
    Ok(())
}

/// The keys of somebody who may do this one thing.
pub async fn user(case: &Case, purpose: &str, action: &str, resource: &str) -> Result<Keys> {
    let iam = aws_sdk_iam::Client::new(&case.stack.sdk(HOME));
    let user = case.named(purpose);
    iam.create_user().user_name(&user).send().await?;
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    iam.put_user_policy().user_name(&user).policy_name("may").policy_document(policy).send().await?;
    let key = iam.create_access_key().user_name(&user).send().await?.access_key.context("no key")?;
    Ok(Keys::new(key.access_key_id(), key.secret_access_key(), None, None, "browser"))
}

/// The browser has nothing to complain about.
pub async fn quiet(browser: &Browser) -> Result<()> {
    let complaints = browser.complaints().await?;
    ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");
    Ok(())
}

pub async fn console_pipelines(case: &Arc<Case>) -> Result<()> {
    let ((waits, _), (fails, _)) = tokio::try_join!(waiting(case, "wait"), failed(case, "fail"))?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.url).await?;
    ensure!(browser.address().await? == door.page("/pipelines"), "the way in leads to {}", browser.address().await?);
    // Other cases have pipelines too: the search leaves those of this one.
    browser.tab_to("input[name=search]").await?;
    browser.write("console-pipelines").await?;
    browser.press(Key::Enter).await?;
    browser.until_text("main", &waits.name).await?;
    let rows =
        browser.script("return [...document.querySelectorAll('tbody tr')].map(it => it.innerText)", json!([])).await?;
    let rows: Vec<&str> = rows.as_array().into_iter().flatten().filter_map(|row| row.as_str()).collect();
    ensure!(rows.len() == 2, "the search finds {rows:?}");
    for (name, state) in [(&waits.name, "waiting"), (&fails.name, "failed")] {
        ensure!(rows.iter().any(|row| row.contains(name) && row.contains(state)), "{name} is not {state}: {rows:?}");
    }
    good_in_every_look(&browser, "pipelines").await?;
    browser.goto(&door.page("/pipelines?search=no-such-name")).await?;
    browser.until_text("main", "No pipeline is like that.").await?;
    good(&browser).await?;
    quiet(&browser).await
}

/// Whether what was marked can still be seen without scrolling, and whether it has the focus. Where exactly it stands changes with
/// what is around it.
const PLACE: &str = "const {top, bottom} = window.marked.getBoundingClientRect(); \
    return [top >= 0 && bottom <= innerHeight, document.activeElement === window.marked];";

/// Somebody watches a release: what happens is on the page within two seconds of the API's knowing, and whoever reads keeps their
/// place, what they have selected and what has the focus.
pub async fn console_follows_a_release(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution) = waiting(case, "follow").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.pipeline(&pipeline.name)).await?;
    browser.until_text("main", "waits for somebody to approve or reject").await?;
    good_in_every_look(&browser, "pipeline").await?;

    browser.click("a[href*='action=Fetch']").await?;
    browser.until_text("#panel", "Fetch").await?;
    good_in_every_look(&browser, "action").await?;
    // On a small screen there is something to scroll.
    browser.look(Look { phone: true, dark: false }).await?;
    browser
        .script(
            "const link = document.querySelector('#panel a[href]') || document.querySelector('#panel'); \
             window.marked = link; link.scrollIntoView({block: 'center'}); link.focus({preventScroll: true}); \
             window.seen = null; const main = document.getElementById('main'); \
             new MutationObserver(() => { \
               if (!window.seen && !main.innerText.includes('waits for somebody to approve')) window.seen = Date.now(); \
             }).observe(main, {subtree: true, childList: true, characterData: true, attributes: true});",
            json!([]),
        )
        .await?;
    answer(case, &pipeline, "Approved").await?;
    let known = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    browser.until("the page shows that it was approved", "return window.seen !== null").await?;
    let seen = browser.script("return window.seen", json!([])).await?.as_i64().context("no time")?;
    let took = seen - i64::try_from(known)?;
    e2e::say(&format!("the console showed it {took} ms after the API knew"));
    ensure!(took < 3_000, "the page showed it only {took} ms after the API knew");
    let place = browser.script(PLACE, json!([])).await?;
    ensure!(place == json!([true, true]), "what had the focus is (seen, focused): {place}");
    pipeline.ends(&execution, "Succeeded").await?;
    browser.until_text("main", "Nothing runs, and nothing waits.").await?;
    ensure!(browser.shows("#panel").await?, "what was selected is gone");
    quiet(&browser).await
}

/// History, one execution, where time goes, the wall.
pub async fn console_other_screens(case: &Arc<Case>) -> Result<()> {
    let ((waits, execution), (fails, broken)) = tokio::try_join!(waiting(case, "here"), failed(case, "there"))?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    let mut bad = Vec::new();
    for (name, address, words) in [
        ("history", format!("{}/history", door.pipeline(&waits.name)), "waiting for a person"),
        ("execution", format!("{}/executions/{execution}", door.pipeline(&waits.name)), "Ask"),
        ("execution-failed", format!("{}/executions/{broken}", door.pipeline(&fails.name)), "3 of 7 were red"),
        ("time", format!("{}/time", door.pipeline(&fails.name)), "Break"),
        ("badge", format!("{}/badge", door.pipeline(&waits.name)), "millrace:badge"),
        ("wall", door.page("/wall?search=console-other-screens"), &waits.name),
    ] {
        browser.goto(&address).await?;
        browser.until_text("main", words).await.with_context(|| format!("on the page {name}"))?;
        if let Err(error) = good_in_every_look(&browser, name).await {
            bad.push(format!("{error:#}"));
        }
    }
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    quiet(&browser).await
}

/// A picture opened by itself has its colours, in light and in dark: its policy lets its own style in. Links to public ones fit on
/// the page about them.
pub async fn console_pictures(case: &Arc<Case>) -> Result<()> {
    let (pipeline, _) = waiting(case, "drawn").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    for (file, ground) in [("badge.svg", ".card"), ("graph.svg", ".paper")] {
        browser.goto(&format!("{}/{file}", door.pipeline(&pipeline.name))).await?;
        let mut grounds = Vec::new();
        for look in [Look::DESK, Look { phone: false, dark: true }] {
            browser.look(look).await?;
            browser.screenshot(&format!("{file}-{}", look.name())).await?;
            let fill = "return getComputedStyle(document.querySelector(arguments[0])).fill";
            grounds.push(browser.script(fill, json!([ground])).await?);
        }
        let black = json!("rgb(0, 0, 0)");
        ensure!(grounds[0] != grounds[1] && !grounds.contains(&black), "the grounds of {file} are {grounds:?}");
        browser.look(Look::DESK).await?;
    }
    browser.goto(&format!("{}/badge", door.pipeline(&pipeline.name))).await?;
    ask(&browser, "TagResource", "Make public").await?;
    confirm(&browser).await?;
    browser.until_text("main", "graph.svg?proof=").await?;
    good_in_every_look(&browser, "badge-public").await?;
    let link =
        |page: &str| page.split_once("graph.svg?proof=").and_then(|(_, it)| Some(it.split_once(')')?.0.to_owned()));
    let first = link(&browser.text("main").await?);
    ask(&browser, "UntagResource", "Hide").await?;
    confirm(&browser).await?;
    browser.until_text("main", "Nobody sees the pictures").await?;
    ask(&browser, "TagResource", "Make public").await?;
    confirm(&browser).await?;
    browser.until_text("main", "graph.svg?proof=").await?;
    ensure!(first.is_some() && first != link(&browser.text("main").await?), "earlier links are good again");
    quiet(&browser).await
}

/// A page that is not there says so, and so does one that somebody may not see.
pub async fn console_not_found_and_forbidden(case: &Arc<Case>) -> Result<()> {
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    for path in ["/pipelines/there-is-no-such-pipeline", "/nowhere", "/pipelines/x/executions/no-id"] {
        browser.goto(&door.page(path)).await?;
        ensure!(browser.shows("main h1").await? && browser.shows("main a.button").await?, "no way on from {path}");
        good(&browser).await?;
    }
    good_in_every_look(&browser, "console-not-found").await?;

    let resource = format!("arn:aws:execute-api:{HOME}:*:*/live/GET/console/pipelines/mine-*");
    let door = Door::with(case, user(case, "reader", "execute-api:Invoke", &resource).await?).await?;
    browser.goto(&door.pipeline("mine-a")).await?;
    ensure!(browser.text("h1").await? != "You may not see this page", "the reader may not see what is theirs");
    browser.goto(&door.pipeline("theirs")).await?;
    ensure!(browser.text("h1").await? == "You may not see this page", "{}", browser.text("main").await?);
    browser.until_text("main", "/GET/console/pipelines/theirs").await?;
    good_in_every_look(&browser, "console-forbidden").await
}

/// Whatever people and sources write stays words on every screen.
pub async fn console_with_hostile_words(case: &Arc<Case>) -> Result<()> {
    let evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u{202e}evorppa";
    let done = Action::machine("Done", case.machine(HOME, "echo")?, "{}");
    let ask =
        Action::approval("Ask").set("CustomData", evil).set("ExternalEntityLink", "https://example.com/\"><img src=x>");
    let draft = case.draft("evil").source().await?.variable("Words", evil);
    let pipeline = draft.stage("Gate", [ask]).stage("End", [done]).create().await?;
    let execution = pipeline.first().await?;
    pipeline.until_asked("Ask").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    let here = door.pipeline(&pipeline.name);
    for (name, address) in [
        ("hostile-now", format!("{here}?stage=Gate&action=Ask")),
        ("hostile-execution", format!("{here}/executions/{execution}")),
        ("hostile-history", format!("{here}/history?state=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")),
        (
            "hostile-search",
            door.page("/pipelines?search=%22%3E%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D'owned'%3E"),
        ),
    ] {
        browser.goto(&address).await?;
        browser.until("the page is up to date", "return document.getElementById('main').innerText.length > 10").await?;
        ensure!(!browser.title().await?.contains("owned"), "a script of {name} has run");
        ensure!(!browser.shows("main img").await?, "words of {name} became markup");
        let body = browser.text("body").await?;
        ensure!(!body.contains('\u{202e}'), "{name} shows a character that turns the text behind it");
        good(&browser).await.with_context(|| name.to_owned())?;
    }
    // The dialog is filled by the script.
    browser.goto(&here).await?;
    browser.click("button[data-op=StartPipelineExecution]").await?;
    browser.until("the dialog is open", "return document.getElementById('act').open").await?;
    ensure!(!browser.shows("#act img").await? && !browser.title().await?.contains("owned"), "the dialog runs words");
    good(&browser).await?;
    browser.press(Key::Escape).await?;
    quiet(&browser).await
}
