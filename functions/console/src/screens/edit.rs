//! A definition while somebody changes it: the text, what is wrong with it, what it would make, and what would be different.
//!
//! The address has the version with which the change began, so a page that has been open for long says when that is no longer the
//! newest, and offers no way to save. The text and what is said of it are kept when the page is brought up to date
//! (`data-keep`), and what comes before them is not taken for them (`data-k`).

use driver::PipelineRecord;
use maud::{Markup, html};
use pages::shown;
use pipeline::{MASK, Pipeline, PipelineName};

use crate::address;
use crate::check::{Checked, Fault, check};
use crate::handler::{Asked, Console, EDITOR, Screen, Shown};
use crate::screens::difference::{self, compared, declared};
use crate::screens::{acts, head, plan, scrolling};
use crate::trouble::Trouble;
use crate::version::Version;

/// The longest text that is checked, in bytes. A version takes at most 400 KB of the table; the rest is for spaces.
pub const MOST_TEXT: usize = 1_000_000;
/// Faults that are listed.
const MOST_FAULTS: usize = 100;

/// The editor of a pipeline's definition. It begins with the version that the address names, and can save only while that one is the
/// newest.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let newest = console.driver.pipeline(pipeline, None).await?;
    let here = address::of(pipeline.as_str(), "edit");
    if asked.get("version").is_empty() {
        return Ok(Shown::Elsewhere(address::with(&here, &[("version", &newest.version.to_string())])));
    }
    let tag = Version::of_declaration(&asked.address(), &newest).tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let began = began_with(console, newest.clone(), asked).await?;
    let text = declared(&began.pipeline.masked());
    let checked = check(&console.driver, &began.pipeline, &text).await?;
    let is_newest = began.version == newest.version;
    let save = if is_newest {
        acts::update(pipeline.as_str(), began.version)
    } else {
        html! {}
    };
    let check = address::with(&address::check(pipeline.as_str()), &[("version", &began.version.to_string())]);
    let main = html! {
        (head(pipeline.as_str(), "definition", &html! { span class="chip" { "from version " (began.version) } }, &save))
        @if !is_newest {
            div class="stale" role="alert" data-k="stale" {
                "Version " (newest.version) " has been stored since. What is edited here began with version " (began.version)
                ", so it can no longer be saved. Copy what you need of it, and "
                a href=(address::with(&here, &[("version", &newest.version.to_string())])) { "begin again with version " (newest.version) } "."
            }
        }
        div class="edit" data-k="edit" {
            div class="typed" data-keep {
                label for="text" { "Definition" }
                div class="lines" {
                    pre id="numbers" class="mono" aria-hidden="true" {}
                    textarea id="text" class="mono" spellcheck="false" autocomplete="off" wrap="off" rows="30" readonly
                        aria-describedby="hint" data-check=(check) { (text) }
                }
                p class="small soft" id="hint" { "Secrets are masked; where a mask stays, the secret stays. Nothing changes before it is saved." }
            }
            div class="found" id="found" data-keep { (found(&checked, &began, console.driver.home())) }
        }
    };
    Ok(Shown::Screen(Screen {
        title: format!("Change {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: EDITOR,
    }))
}

/// What is said of a text that is being typed.
pub async fn checked(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    if asked.body.len() > MOST_TEXT {
        return Err(Trouble::TooLong);
    }
    let newest = console.driver.pipeline(pipeline, None).await?;
    let began = began_with(console, newest, asked).await?;
    let checked = check(&console.driver, &began.pipeline, asked.body).await?;
    let main = found(&checked, &began, console.driver.home());
    Ok(Shown::Screen(Screen { title: format!("Change {pipeline}"), main, version: None, class: "", script: EDITOR }))
}

/// The version with which the change began.
async fn began_with(console: &Console, newest: PipelineRecord, asked: &Asked<'_>) -> Result<PipelineRecord, Trouble> {
    let number: u32 = asked.get("version").parse().map_err(|_| Trouble::Nowhere)?;
    if number == newest.version {
        return Ok(newest);
    }
    Ok(console.driver.pipeline(&newest.head.pipeline, Some(number)).await?)
}

fn found(checked: &Checked, began: &PipelineRecord, home: &str) -> Markup {
    let faults = &checked.faults;
    html! {
        p id="verdict" tabindex="-1" role="status" data-faults=(faults.len()) {
            @match faults.len() { 0 => "Nothing is wrong with it", 1 => "1 thing is wrong", many => { (many) " things are wrong" } }
        }
        @if !faults.is_empty() {
            ol class="faults" {
                @for each in faults.iter().take(MOST_FAULTS) { li { (fault(each)) } }
                @if faults.len() > MOST_FAULTS { li { "And " (faults.len() - MOST_FAULTS) " more." } }
            }
        }
        h2 { "What it would make" }
        @match &checked.pipeline {
            Some(pipeline) => div id="plan" { (scrolling("Stages that it would make", &plan::draw(pipeline, home))) },
            None => {
                p class="small soft" { "This text cannot be drawn. The drawing is of the last one that could." }
                // The script leaves the one that is there.
                div id="plan" data-keep {}
            }
        }
        h2 { "What would be different" }
        div id="difference" { (change(checked, began)) }
    }
}

fn fault(fault: &Fault) -> Markup {
    html! {
        @if let Some(place) = fault.place {
            button type="button" class="place" data-from=(place.span.0) data-to=(place.span.1) { "Line " (place.line) ", column " (place.column) }
        }
        span { (shown(&fault.what)) }
        @if !fault.path.is_empty() { code class="small soft" { (shown(&fault.path)) } }
    }
}

/// The difference from the version with which the change began.
fn change(checked: &Checked, began: &PipelineRecord) -> Markup {
    let Some(pipeline) = checked.pipeline.as_ref().filter(|_| checked.faults.is_empty()) else {
        return html! { p class="small soft" { "That is shown when nothing is wrong." } };
    };
    let secrets = new_secrets(pipeline, &began.pipeline);
    let label = format!("Difference from version {}", began.version);
    let lines = difference::between(&label, &compared(&began.pipeline), &compared(pipeline));
    html! {
        @if secrets > 0 { p class="small" { @if secrets == 1 { "1 secret gets another value." } @else { (secrets) " secrets get other values." } } }
        @match lines {
            Some(lines) => (lines),
            None if secrets > 0 => {},
            None => p class="small soft" { "Nothing differs from version " (began.version) "." },
        }
    }
}

/// How many secrets differ. Those that stay are the same here, whether or not this function may read them.
fn new_secrets(pipeline: &Pipeline, before: &Pipeline) -> usize {
    let secrets = |of: &Pipeline| -> Vec<String> {
        of.declaration().clone().secrets_mut(of.types()).map(|secret| secret.clone()).collect()
    };
    let known = secrets(before);
    secrets(pipeline).iter().filter(|secret| *secret != MASK && !known.contains(secret)).count()
}
