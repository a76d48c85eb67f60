//! The editor of a definition.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::{Action, Case, Draft, Pipeline};
use local::HOME;
use serde_json::json;

use crate::browser::{Browser, Key};
use crate::cases::acts::ask;
use crate::cases::console::quiet;
use crate::door::Door;
use crate::page::{good, good_in_every_look};

/// A pipeline that has run through, and how it was declared.
async fn calm(case: &Arc<Case>, purpose: &str) -> Result<(Pipeline, Draft)> {
    let done = |name: &str| Ok::<_, anyhow::Error>(Action::machine(name, case.machine(HOME, "echo")?, "{}"));
    let draft = case.draft(purpose).source().await?.stage("Middle", [done("Test")?, done("Scan")?]);
    let draft = draft.stage("End", [done("Done")?]);
    let pipeline = draft.create().await?;
    let execution = pipeline.first().await?;
    pipeline.ends(&execution, "Succeeded").await?;
    Ok((pipeline, draft))
}

async fn version(case: &Case, pipeline: &Pipeline) -> Result<i32> {
    let found = case.pipelines.get_pipeline().name(&pipeline.name).send().await?;
    found.pipeline.and_then(|it| it.version).context("no version")
}

/// Puts other words in the place of these in the editor, as somebody does who types.
async fn replace(browser: &Browser, from: &str, to: &str) -> Result<()> {
    let script = "const it = document.getElementById('text'), at = it.value.indexOf(arguments[0]); \
        if (at < 0) return false; \
        it.focus(); it.setSelectionRange(at, at + arguments[0].length); \
        return document.execCommand('insertText', false, arguments[1]);";
    ensure!(browser.script(script, json!([from, to])).await? == true, "the text has no {from:?}");
    Ok(())
}

/// The line in which the caret is, and what is selected.
const CARET: &str = "const it = document.getElementById('text'); \
    return [it.value.slice(0, it.selectionStart).split('\\n').length, it.value.slice(it.selectionStart, it.selectionEnd), \
        document.activeElement === it];";

/// Three faults at once, each at its place; they are mended, the drawing follows, and what is saved is the next version.
pub async fn console_edits_a_definition(case: &Arc<Case>) -> Result<()> {
    let (pipeline, _) = calm(case, "edit").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&format!("{}/definition", door.pipeline(&pipeline.name))).await?;
    good_in_every_look(&browser, "definition").await?;
    browser.click("a[href*='/edit?']").await?;
    browser.until_text("#verdict", "Nothing is wrong").await?;
    good_in_every_look(&browser, "edit").await?;

    let faults = [
        ("\"name\": \"Test\"", "\"name\": \"Te st\""),
        ("\"name\": \"End\"", "\"name\": \"End\", \"colour\": \"red\""),
        ("\"executionMode\": \"SUPERSEDED\"", "\"executionMode\": \"SOMETIMES\""),
    ];
    for (good, bad) in faults {
        replace(&browser, good, bad).await?;
    }
    browser.until_text("#verdict", "3 things are wrong").await?;
    good_in_every_look(&browser, "edit-faults").await?;
    let count = browser.script("return document.querySelectorAll('.faults button').length", json!([])).await?;
    for nth in 0..count.as_u64().context("no count")? {
        let words = format!(
            "const it = document.querySelectorAll('.faults button')[{nth}]; it.click(); return it.textContent;"
        );
        let said = browser.script(&words, json!([])).await?;
        let caret = browser.script(CARET, json!([])).await?;
        let line = format!("Line {},", caret[0]);
        ensure!(said.as_str().is_some_and(|said| said.starts_with(&line)), "{said} leads to {caret}");
        ensure!(caret[1].as_str().is_some_and(|it| !it.is_empty()) && caret[2] == true, "{caret}");
    }
    // Nothing is asked of the API while something is wrong.
    browser.click("button[data-op=UpdatePipeline]").await?;
    browser.until("the faults have the focus", "return document.activeElement.id === 'verdict'").await?;
    ensure!(!browser.shows("#act").await?, "it may be saved with faults");

    for (good, bad) in faults {
        replace(&browser, bad, good).await?;
    }
    replace(&browser, "\"name\": \"Scan\"", "\"name\": \"Inspect\"").await?;
    browser.until_text("#verdict", "Nothing is wrong").await?;
    browser.until_text("#plan", "Inspect").await?;
    replace(&browser, "\"stages\": [", "\"stages\": [[").await?;
    browser.until_text("#verdict", "1 thing is wrong").await?;
    browser.until_text("#found", "The drawing is of the last one that could.").await?;
    browser.until_text("#plan", "Inspect").await?;
    replace(&browser, "\"stages\": [[", "\"stages\": [").await?;
    ask(&browser, "UpdatePipeline", "Save").await?;
    let told = browser.text("#act").await?;
    ensure!(told.contains("Save as version 2") && told.contains("Inspect") && told.contains("1 line added"), "{told}");
    good_in_every_look(&browser, "dialog-save").await?;
    browser.click("#act-yes").await?;
    browser.until_text("main", "From version 1 to version 2").await?;
    good_in_every_look(&browser, "difference").await?;
    ensure!(version(case, &pipeline).await? == 2, "it is no new version");
    let stage = pipeline.stage("Middle").await?;
    let names: Vec<_> = stage.action_states().iter().filter_map(|it| it.action_name()).collect();
    ensure!(names == ["Test", "Inspect"], "it has {names:?}");
    quiet(&browser).await
}

/// From the pipeline to a new version without a mouse.
pub async fn console_edits_without_a_mouse(case: &Arc<Case>) -> Result<()> {
    let (pipeline, _) = calm(case, "edit-keys").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&format!("{}/definition", door.pipeline(&pipeline.name))).await?;
    browser.tab_to("a Edit…").await?;
    browser.press(Key::Enter).await?;
    browser
        .until(
            "the editor is there",
            "return !!document.getElementById('text') && !document.getElementById('text').readOnly",
        )
        .await?;
    browser.tab_to("text").await?;
    browser.write("x").await?;
    browser.until_text("#verdict", "1 thing is wrong").await?;
    browser.tab_to("button Line 1, column 1").await?;
    browser.press(Key::Enter).await?;
    browser
        .until(
            "the caret is at the fault",
            "return document.activeElement.id === 'text' && document.activeElement.selectionStart === 0",
        )
        .await?;
    browser.press(Key::Delete).await?;
    browser.write(" ").await?;
    browser.until_text("#verdict", "Nothing is wrong").await?;
    browser.press(Key::ShiftTab).await?;
    while browser.focused().await? != "button Save…" {
        browser.press(Key::ShiftTab).await?;
    }
    browser.press(Key::Enter).await?;
    browser.until("the dialog is open", "return document.getElementById('act').open").await?;
    ensure!(browser.text("#act").await?.contains("Nothing differs"), "spaces are no difference");
    good(&browser).await?;
    browser.press(Key::Escape).await?;
    browser.press(Key::Space).await?;
    browser.until("the dialog is open", "return document.getElementById('act').open").await?;
    browser.tab_to("act-yes").await?;
    browser.press(Key::Enter).await?;
    browser.until_text("main", "They are the same.").await?;
    ensure!(version(case, &pipeline).await? == 2, "it is no new version");
    Ok(())
}

/// Somebody stores a version while another one edits: that one is told, keeps the text, and changes nothing.
pub async fn console_refuses_what_is_stale(case: &Arc<Case>) -> Result<()> {
    let (pipeline, draft) = calm(case, "edit-late").await?;
    let (door, browser) = (Door::open(case).await?, Browser::open().await?);
    browser.goto(&format!("{}/edit", door.pipeline(&pipeline.name))).await?;
    browser.until("the editor is there", "return !document.getElementById('text').readOnly").await?;
    replace(&browser, "\"name\": \"Scan\"", "\"name\": \"Mine\"").await?;
    ask(&browser, "UpdatePipeline", "Save").await?;
    ensure!(draft.update().await? == 2, "somebody else's is version 2");
    browser.click("#act-yes").await?;
    browser.until_text("#act-told", "Nothing was changed").await?;
    browser.press(Key::Escape).await?;
    browser.until_text("main [role=alert]", "Version 2 has been stored since").await?;
    good_in_every_look(&browser, "edit-stale").await?;
    ensure!(!browser.shows("button[data-op=UpdatePipeline]").await?, "it can still be saved");
    let kept = browser.script("return document.getElementById('text').value.includes('\"Mine\"')", json!([])).await?;
    ensure!(kept == true && version(case, &pipeline).await? == 2, "the text is gone, or something has changed");

    // Between the last look and the save lies a moment in which somebody else can save as well: the API refuses that.
    let late = "const done = arguments[1]; \
        fetch('/service/CodePipeline_20150709/operation/UpdatePipeline', {method: 'POST', \
            body: JSON.stringify({pipeline: JSON.parse(document.getElementById('text').value)}), \
            headers: {'content-type': 'application/x-amz-json-1.1', 'x-millrace-console': '1', \
                'x-millrace-of-version': arguments[0]}}) \
        .then(async it => done([it.status, await it.text()]), it => done([0, String(it)]));";
    let answer = browser.script_with_callback(late, json!(["1"])).await?;
    ensure!(
        answer[0] == 400 && answer[1].as_str().is_some_and(|it| it.contains("version 2 is the newest")),
        "{answer}"
    );
    ensure!(version(case, &pipeline).await? == 2, "it was saved over somebody else's");
    Ok(())
}
