//! The page behind the link of an approval message.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::{Action, Case, Mailbox, PATIENCE, Pipeline, until};
use serde_json::json;

use crate::browser::{Browser, Key, Look};
use crate::page::{good, good_in_every_look};

const APPROVE: &str = "button[value=approve]";
const REJECT: &str = "button[value=reject]";
const REJECT_FOR_NEWER: &str = "button[value=reject-for-newer]";

/// A pipeline that waits for an approval, and the link to its page.
struct Asking {
    pipeline: Pipeline,
    execution: String,
    link: String,
    mailbox: Mailbox,
}

async fn asking(case: &Arc<Case>, purpose: &str) -> Result<Asking> {
    let words = "Version 2 of the shop.\nThe colours are new.";
    asking_with(case, purpose, words, "https://example.com/changes?a=1&b=2").await
}

async fn asking_with(case: &Arc<Case>, purpose: &str, words: &str, address: &str) -> Result<Asking> {
    let mailbox = case.mailbox(&format!("{purpose}-mail")).await?;
    let ask = Action::approval("Ask").set("NotificationArn", &mailbox.topic).set("CustomData", words);
    let ask = if address.is_empty() { ask } else { ask.set("ExternalEntityLink", address) };
    let done = Action::machine("Done", case.machine(local::HOME, "echo")?, "{}");
    let draft = case.draft(purpose).source().await?.stage("Gate", [ask]).stage("End", [done]);
    let pipeline = draft.create().await?;
    let execution = pipeline.first().await?;
    let link = mailbox.next().await?.link;
    Ok(Asking { pipeline, execution, link, mailbox })
}

impl Asking {
    async fn heading(&self, browser: &Browser, expected: &str) -> Result<()> {
        let found = browser.text("h1").await?;
        ensure!(found == expected, "the page says {found:?}, not {expected:?}");
        Ok(())
    }

    /// What the approval says about who answered, and the comment.
    async fn answered(&self, by: &str, comment: &str) -> Result<()> {
        let action = self.pipeline.action("Ask").await?.context("no approval")?;
        let expected = format!("approval link (name given: {by})");
        ensure!(action.last_updated_by() == Some(expected.as_str()), "answered by {:?}", action.last_updated_by());
        ensure!(action.summary() == Some(comment), "the comment is {:?}", action.summary());
        Ok(())
    }
}

pub async fn approval_in_every_look(case: &Arc<Case>) -> Result<()> {
    let asking = asking(case, "look").await?;
    let browser = Browser::open().await?;
    browser.goto(&asking.link).await?;
    asking.heading(&browser, "Approve Ask?").await?;
    for words in [&asking.pipeline.name, "Gate", "Version 2 of the shop.\nThe colours are new."] {
        browser.until_text("main", words).await?;
    }
    good_in_every_look(&browser, "approval").await?;
    let complaints = browser.complaints().await?;
    ensure!(complaints.is_empty(), "the browser complains: {complaints:?}");

    browser.enter("#name", "Ada Lovelace").await?;
    browser.enter("#comment", "Looks good.\nGo.").await?;
    browser.click(APPROVE).await?;
    asking.heading(&browser, "Approved").await?;
    good_in_every_look(&browser, "approved").await?;
    asking.pipeline.ends(&asking.execution, "Succeeded").await?;
    asking.answered("Ada Lovelace", "Looks good.\nGo.").await
}

pub async fn approval_by_keyboard(case: &Arc<Case>) -> Result<()> {
    let asking = asking(case, "keys").await?;
    let browser = Browser::open().await?;
    browser.goto(&asking.link).await?;
    browser.tab_to("name").await?;
    browser.write("Grace Hopper").await?;
    // The Enter key in a field answers nothing: nobody approves by mistake.
    browser.press(Key::Enter).await?;
    asking.heading(&browser, "Approve Ask?").await?;
    browser.tab_to("comment").await?;
    browser.write("By keys alone").await?;
    browser.press(Key::Tab).await?;
    browser.press(Key::Tab).await?;
    let second = browser.focused().await?;
    browser.press(Key::ShiftTab).await?;
    let first = browser.focused().await?;
    ensure!([first.as_str(), &second] == ["button[name=decision]"; 2], "first {first}, then {second}");
    asking.heading(&browser, "Approve Ask?").await?;
    browser.press(Key::Enter).await?;
    browser.until_text("h1", "Approved").await?;
    asking.pipeline.ends(&asking.execution, "Succeeded").await?;
    asking.answered("Grace Hopper", "By keys alone").await
}

pub async fn approval_without_scripts(case: &Arc<Case>) -> Result<()> {
    let asking = asking(case, "plain").await?;
    let browser = Browser::without_scripts().await?;
    browser.goto("data:text/html,<title>off</title><script>document.title = 'on'</script>").await?;
    ensure!(browser.title().await? == "off", "the browser runs scripts");
    browser.look(Look { phone: true, dark: false }).await?;
    browser.goto(&asking.link).await?;
    browser.enter("#name", "Ada").await?;
    browser.enter("#comment", "The colours are wrong").await?;
    browser.click(REJECT).await?;
    asking.heading(&browser, "Rejected").await?;
    asking.pipeline.ends(&asking.execution, "Failed").await?;
    asking.answered("Ada", "The colours are wrong").await
}

/// The browser itself holds back a form without a name; one that comes all the same is explained, and what was written stays.
pub async fn approval_with_faults(case: &Arc<Case>) -> Result<()> {
    let asking = asking(case, "faults").await?;
    let browser = Browser::open().await?;
    browser.goto(&asking.link).await?;
    browser.enter("#comment", "my words").await?;
    browser.click(APPROVE).await?;
    asking.heading(&browser, "Approve Ask?").await?;
    ensure!(browser.focused().await? == "name", "the field to be filled in has not the focus");
    ensure!(!browser.shows("[role=alert]").await?, "the form was sent without a name");

    browser.script("document.querySelector('form').noValidate = true", json!([])).await?;
    browser.click(APPROVE).await?;
    browser.until_text("[role=alert]", "Enter your name.").await?;
    let kept = browser.script("return document.querySelector('#comment').value", json!([])).await?;
    ensure!(kept == "my words", "what was written is lost: {kept}");
    good_in_every_look(&browser, "approval-faults").await?;
    browser.enter("#name", "Ada").await?;
    browser.click(APPROVE).await?;
    asking.heading(&browser, "Approved").await
}

/// Two people have the page open and answer at once: one answer counts, and the other person is told whose.
pub async fn approval_by_two_at_once(case: &Arc<Case>) -> Result<()> {
    let asking = asking(case, "two").await?;
    let (ada, grace) = tokio::try_join!(Browser::open(), Browser::open())?;
    for (browser, name) in [(&ada, "Ada"), (&grace, "Grace")] {
        browser.goto(&asking.link).await?;
        browser.enter("#name", name).await?;
        browser.enter("#comment", name).await?;
    }
    tokio::try_join!(ada.click(APPROVE), grace.click(REJECT))?;
    let found = [ada.text("h1").await?, grace.text("h1").await?];
    let over = "This approval has been answered";
    let (loser, name, verb, end) = match [found[0].as_str(), found[1].as_str()] {
        ["Approved", other] if other == over => (&grace, "Ada", "approved", "Succeeded"),
        [other, "Rejected"] if other == over => (&ada, "Grace", "rejected", "Failed"),
        _ => anyhow::bail!("the two are told {found:?}"),
    };
    let told = loser.text("main").await?;
    ensure!(told.contains(&format!("{verb} by approval link (name given: {name})")), "the other is told {told:?}");
    good(loser).await?;
    asking.pipeline.ends(&asking.execution, end).await?;
    asking.answered(name, name).await
}

/// Every way in which a link is over or wrong has a page that says so, which anybody can read.
pub async fn approval_links_that_are_over(case: &Arc<Case>) -> Result<()> {
    let (stale, deleted) = tokio::try_join!(asking(case, "stale"), asking(case, "gone"))?;
    let browser = Browser::open().await?;
    browser.goto(&stale.link.replace("stage=Gate", "stage=Gaze")).await?;
    stale.heading(&browser, "This link is not genuine").await?;
    good_in_every_look(&browser, "approval-forged").await?;

    // Open in a browser while somebody rejects it elsewhere and has the stage run again.
    browser.goto(&stale.link).await?;
    browser.enter("#name", "Late").await?;
    let elsewhere = Browser::open().await?;
    elsewhere.goto(&stale.link).await?;
    elsewhere.enter("#name", "Early").await?;
    elsewhere.click(REJECT).await?;
    stale.pipeline.ends(&stale.execution, "Failed").await?;
    let retry = case.pipelines.retry_stage_execution().pipeline_name(&stale.pipeline.name).stage_name("Gate");
    retry.pipeline_execution_id(&stale.execution).retry_mode("ALL_ACTIONS".into()).send().await?;
    let newer = stale.mailbox.next().await?.link;
    browser.click(APPROVE).await?;
    let told = browser.text("main").await?;
    ensure!(told.contains("Early") || told.contains("no longer needed"), "an old link is answered by {told:?}");
    good(&browser).await?;
    browser.goto(&newer).await?;
    stale.heading(&browser, "Approve Ask?").await?;

    case.pipelines.delete_pipeline().name(&deleted.pipeline.name).send().await?;
    browser.goto(&deleted.link).await?;
    deleted.heading(&browser, "This approval is over").await?;
    good_in_every_look(&browser, "approval-over").await
}

/// What a pipeline's author wrote stays words: no markup, no address that runs a script, and no character that turns the
/// text around it.
pub async fn approval_with_hostile_words(case: &Arc<Case>) -> Result<()> {
    let words =
        "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\u{202e}evorppa\u{2066}";
    let asking = asking_with(case, "hostile", words, "").await?;
    let browser = Browser::open().await?;
    browser.goto(&asking.link).await?;
    ensure!(browser.title().await?.contains("Ask"), "a script has run");
    ensure!(!browser.shows("main img").await? && !browser.shows("main script").await?, "words became markup");
    browser.until_text("main", "<img src=x").await?;
    // What stands behind the words is read from left to right: their direction ends with them.
    let isolated = browser
        .script(
            "const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); \
             for (let node; (node = walker.nextNode());) if (node.data.includes('onerror')) { \
               const style = getComputedStyle(node.parentElement); \
               return style.unicodeBidi !== 'normal' || style.display !== 'inline'; } return false;",
            json!([]),
        )
        .await?;
    ensure!(isolated == true, "the author's words turn what stands behind them");
    good_in_every_look(&browser, "approval-hostile").await
}

/// What runs behind the approval, what would go on, and that a newer execution waits; the answer is given in its favour.
pub async fn approval_says_what_it_decides(case: &Arc<Case>) -> Result<()> {
    let first = asking(case, "decides").await?;
    let browser = Browser::open().await?;
    browser.goto(&first.link).await?;
    browser.until_text("main", "End: nothing has come through yet").await?;
    approve(&browser, &first.link).await?;
    first.pipeline.ends(&first.execution, "Succeeded").await?;

    // The same once more: nothing would change.
    let same = first.pipeline.start().await?;
    let link = first.mailbox.next().await?.link;
    browser.goto(&link).await?;
    browser.until_text("main", "Nothing would change: the stages behind run all of this already.").await?;
    good(&browser).await?;
    approve(&browser, &link).await?;
    first.pipeline.ends(&same, "Succeeded").await?;

    // Something new; while it waits, something newer comes.
    let (object, _) = case.get(local::HOME, &first.pipeline.bucket, "app.zip").await?;
    case.put(local::HOME, &first.pipeline.bucket, "app.zip", object).await?;
    let second = first.pipeline.start().await?;
    browser.goto(&first.mailbox.next().await?.link).await?;
    browser.until_text("main", "End runs ").await?;
    ensure!(!browser.shows(REJECT_FOR_NEWER).await?, "nothing newer waits");
    let third = first.pipeline.start().await?;
    let waits = || async {
        browser.reload().await?;
        Ok(browser.text("main").await?.contains("A newer execution waits behind this one").then_some(()))
    };
    until(PATIENCE, || "the page does not say that a newer execution waits".to_owned(), waits).await?;
    good_in_every_look(&browser, "approval-decides").await?;
    browser.enter("#name", "Grace").await?;
    browser.click(REJECT_FOR_NEWER).await?;
    first.heading(&browser, "Rejected").await?;
    first.pipeline.ends(&second, "Failed").await?;
    first.pipeline.until_action(&third, "Ask", "InProgress").await?;
    let summary = first.pipeline.execution(&second).await?.status_summary.unwrap_or_default();
    ensure!(summary.contains(&format!("in favour of the newer execution {third}")), "the reason is {summary:?}");
    Ok(())
}

/// An approval that says so needs nobody where nothing would change.
pub async fn approval_by_itself(case: &Arc<Case>) -> Result<()> {
    let mailbox = case.mailbox("self-mail").await?;
    let ask = Action::approval("Ask").set("NotificationArn", &mailbox.topic).set("ApproveUnchanged", "true");
    let done = Action::machine("Done", case.machine(local::HOME, "echo")?, "{}");
    let draft = case.draft("self").source().await?.stage("Gate", [ask]).stage("End", [done]);
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    approve(&Browser::open().await?, &mailbox.next().await?.link).await?;
    pipeline.ends(&first, "Succeeded").await?;
    let same = pipeline.start().await?;
    pipeline.ends(&same, "Succeeded").await?;
    let action = pipeline.action("Ask").await?.context("no approval")?;
    ensure!(action.summary() == Some("Approved by itself: nothing would change"), "{:?}", action.summary());
    Ok(())
}

/// Opens a link and approves.
async fn approve(browser: &Browser, link: &str) -> Result<()> {
    browser.goto(link).await?;
    browser.enter("#name", "Ada").await?;
    browser.click(APPROVE).await?;
    browser.until_text("h1", "Approved").await
}
