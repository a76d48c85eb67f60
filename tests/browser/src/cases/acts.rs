//! What people do in the console, through the proxy as whoever runs it.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use e2e::{Action, Case, PATIENCE, until};
use local::HOME;
use serde_json::json;

use crate::browser::{Browser, Key};
use crate::cases::console::{failed, quiet, waiting};
use crate::door::Door;
use crate::page::{good, good_in_every_look};

/// Presses a button that asks first.
pub async fn ask(browser: &Browser, operation: &str, label: &str) -> Result<()> {
    let find = "const [op, label] = arguments; \
        const found = [...document.querySelectorAll(`button[data-op=${op}]`)].find(it => it.textContent.startsWith(label)); \
        document.querySelectorAll('[data-test]').forEach(it => it.removeAttribute('data-test')); \
        if (found) found.dataset.test = 'it'; return !!found;";
    let there = || async { Ok((browser.script(find, json!([operation, label])).await? == true).then_some(())) };
    until(PATIENCE, || format!("there is no button {label} for {operation}"), there).await?;
    browser.click("[data-test=it]").await?;
    browser.until("the dialog is open", "return document.getElementById('act').open").await
}

/// Fills in the field with this label.
async fn fill(browser: &Browser, label: &str, text: &str) -> Result<()> {
    let find = "const found = [...document.querySelectorAll('#act-fields label')] \
        .find(it => it.innerText.includes(arguments[0])); \
        document.querySelectorAll('[data-field]').forEach(it => it.removeAttribute('data-field')); \
        if (found) { const it = found.querySelector('input, textarea, select'); it.dataset.field = 'it'; it.value = ''; } \
        return !!found;";
    ensure!(browser.script(find, json!([label])).await? == true, "the dialog has no field {label:?}");
    browser.enter("[data-field=it]", text).await
}

/// Confirms, and waits until the dialog is closed.
pub async fn confirm(browser: &Browser) -> Result<()> {
    browser.click("#act-yes").await?;
    let closed = browser.until("the dialog closes", "return !document.getElementById('act').open").await;
    match closed {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(error.context(format!("the dialog says: {}", browser.text("#act").await.unwrap_or_default())))
        }
    }
}

/// A start with a variable, an approval, a rejection, a stop.
pub async fn console_starts_approves_rejects_stops(case: &Arc<Case>) -> Result<()> {
    let (pipeline, first) = waiting(case, "acts").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.pipeline(&pipeline.name)).await?;

    ask(&browser, "PutApprovalResult", "Approve").await?;
    good(&browser).await?;
    browser.screenshot("dialog-approve").await?;
    fill(&browser, "Comment", "By the console").await?;
    confirm(&browser).await?;
    pipeline.ends(&first, "Succeeded").await?;
    let action = pipeline.action("Ask").await?.context("no approval")?;
    ensure!(action.summary() == Some("By the console"), "the comment is {:?}", action.summary());
    ensure!(action.last_updated_by().is_some_and(|by| by.starts_with("arn:aws:")), "{:?}", action.last_updated_by());
    browser.until_text("main", "Nothing runs, and nothing waits.").await?;

    ask(&browser, "StartPipelineExecution", "Start").await?;
    fill(&browser, "Colour", "green").await?;
    good(&browser).await?;
    confirm(&browser).await?;
    let second = pipeline.another(&[&first]).await?.pipeline_execution_id.context("no id")?;
    let variables = pipeline.execution(&second).await?.variables.unwrap_or_default();
    let colour = variables.iter().find(|it| it.name() == Some("Colour")).and_then(|it| it.resolved_value());
    ensure!(colour == Some("green"), "it was started with {variables:?}");
    pipeline.until_action(&second, "Ask", "InProgress").await?;
    ask(&browser, "PutApprovalResult", "Reject").await?;
    fill(&browser, "Comment", "Too green").await?;
    confirm(&browser).await?;
    pipeline.ends(&second, "Failed").await?;

    let third = pipeline.start().await?;
    pipeline.until_action(&third, "Ask", "InProgress").await?;
    ask(&browser, "StopPipelineExecution", "Stop").await?;
    fill(&browser, "Reason", "Enough").await?;
    browser
        .script(
            "[...document.querySelectorAll('#act-fields input[type=checkbox]')].forEach(it => it.click())",
            json!([]),
        )
        .await?;
    confirm(&browser).await?;
    let ended = pipeline.ends(&third, "Stopped").await?;
    ensure!(ended.status_summary().is_some_and(|it| it.contains("Enough")), "{:?}", ended.status_summary());
    browser.until_text("main", "Nothing runs, and nothing waits.").await?;
    quiet(&browser).await
}

/// A retry, a closed and an opened transition, a rollback.
pub async fn console_retries_closes_opens_rolls_back(case: &Arc<Case>) -> Result<()> {
    let (broken, execution) = failed(case, "again").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.pipeline(&broken.name)).await?;
    ask(&browser, "RetryStageExecution", "Retry failed").await?;
    confirm(&browser).await?;
    let tried = || async {
        let tries = broken.actions(&execution).await?.iter().filter(|it| it.action_name() == Some("Break")).count();
        Ok((tries == 2).then_some(()))
    };
    until(PATIENCE, || "the stage is not tried again".to_owned(), tried).await?;

    let done = Action::machine("Done", case.machine(HOME, "echo")?, "{}");
    let pipeline = case.draft("gates").source().await?.stage("End", [done]).create().await?;
    let good_one = pipeline.first().await?;
    pipeline.ends(&good_one, "Succeeded").await?;
    browser.goto(&door.pipeline(&pipeline.name)).await?;
    ask(&browser, "DisableStageTransition", "Close").await?;
    // Without a reason it is not closed.
    browser.click("#act-yes").await?;
    ensure!(browser.shows("#act").await?, "the transition was closed without a reason");
    fill(&browser, "Reason", "Freeze").await?;
    confirm(&browser).await?;
    browser.until_text("main", "Freeze").await?;
    let state = pipeline.stage("End").await?.inbound_transition_state.context("no transition")?;
    ensure!(!state.enabled() && state.disabled_reason() == Some("Freeze"), "{state:?}");
    let second = pipeline.start().await?;
    pipeline.until_action(&second, "Fetch", "Succeeded").await?;
    ask(&browser, "EnableStageTransition", "Open").await?;
    confirm(&browser).await?;
    pipeline.ends(&second, "Succeeded").await?;

    browser.goto(&format!("{}/rollback?stage=End", door.pipeline(&pipeline.name))).await?;
    good(&browser).await?;
    browser.screenshot("rollback").await?;
    ask(&browser, "RollbackStage", "Roll back").await?;
    confirm(&browser).await?;
    let back = pipeline.another(&[&good_one, &second]).await?;
    ensure!(back.execution_type().is_some_and(|it| it.as_str() == "ROLLBACK"), "{back:?}");
    pipeline.ends(back.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    quiet(&browser).await
}

/// A condition that is not met, until somebody overrides it.
pub async fn console_overrides_a_condition(case: &Arc<Case>) -> Result<()> {
    let done = Action::machine("Done", case.machine(HOME, "echo")?, "{}");
    let rule = json!({
        "name": "Go", "configuration": {"Variable": "#{variables.go}", "Operator": "EQ", "Value": "yes"},
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
    });
    let entry = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    let draft = case.draft("rule").source().await?.variable("go", "no");
    let pipeline = draft.stage("End", [done]).with("beforeEntry", entry).create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Failed").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.pipeline(&pipeline.name)).await?;
    browser.until_text("main", "not met").await?;
    good_in_every_look(&browser, "condition").await?;
    ask(&browser, "OverrideStageCondition", "Override").await?;
    good(&browser).await?;
    browser.screenshot("dialog-override").await?;
    confirm(&browser).await?;
    pipeline.ends(&execution, "Succeeded").await?;
    browser.until_text("main", "overridden").await?;
    ensure!(!browser.shows("button[data-op=OverrideStageCondition]").await?, "it can be overridden again");
    quiet(&browser).await
}

/// From the list to an approval without a mouse, and back out of a dialog.
pub async fn console_by_keyboard(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution) = waiting(case, "keys").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&door.page("/pipelines?search=console-by-keyboard")).await?;
    browser.tab_to(&format!("a {}", pipeline.name)).await?;
    browser.press(Key::Enter).await?;
    browser.until_text("h1", &pipeline.name).await?;
    browser.until("scripts are at work", "return document.documentElement.classList.contains('js')").await?;
    browser.tab_to("button Approve…").await?;
    browser.press(Key::Enter).await?;
    browser.until("the dialog has the focus", "return document.activeElement.matches('#act-fields textarea')").await?;
    browser.press(Key::Escape).await?;
    browser.until("the dialog closes", "return !document.getElementById('act').open").await?;
    ensure!(browser.focused().await? == "button Approve…", "the focus is on {}", browser.focused().await?);
    browser.press(Key::Space).await?;
    browser.until("the dialog has the focus", "return document.activeElement.matches('#act-fields textarea')").await?;
    browser.write("Without a mouse").await?;
    browser.tab_to("act-yes").await?;
    browser.press(Key::Enter).await?;
    browser.until("the dialog closes", "return !document.getElementById('act').open").await?;
    pipeline.ends(&execution, "Succeeded").await?;
    let action = pipeline.action("Ask").await?.context("no approval")?;
    ensure!(action.summary() == Some("Without a mouse"), "the comment is {:?}", action.summary());
    Ok(())
}

/// Two people confirm at the same moment: one answer counts, and the other person is told that nothing was changed.
pub async fn console_by_two_at_once(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution) = waiting(case, "two").await?;
    let door = Door::open(case).await?;
    let (ada, grace) = tokio::try_join!(Browser::open(), Browser::open())?;
    for (browser, label) in [(&ada, "Approve"), (&grace, "Reject")] {
        browser.goto(&door.pipeline(&pipeline.name)).await?;
        ask(browser, "PutApprovalResult", label).await?;
        fill(browser, "Comment", label).await?;
    }
    tokio::try_join!(ada.click("#act-yes"), grace.click("#act-yes"))?;
    let over = "return !document.getElementById('act').open || !document.getElementById('act-told').hidden";
    tokio::try_join!(ada.until("there is an answer", over), grace.until("there is an answer", over))?;
    let (told, end, summary) = match (ada.shows("#act").await?, grace.shows("#act").await?) {
        (false, true) => (grace.text("#act-told").await?, "Succeeded", "Approve"),
        (true, false) => (ada.text("#act-told").await?, "Failed", "Reject"),
        both => bail!("of two answers not one counts: {both:?}"),
    };
    ensure!(told.contains("Nothing was changed"), "the other is told {told:?}");
    good(if end == "Succeeded" { &grace } else { &ada }).await?;
    pipeline.ends(&execution, end).await?;
    let action = pipeline.action("Ask").await?.context("no approval")?;
    ensure!(action.summary() == Some(summary), "the comment is {:?}", action.summary());
    Ok(())
}
