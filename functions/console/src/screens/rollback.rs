//! To what a stage can be rolled back, and what would change.

use engine::Execution;
use maud::{Markup, html};
use pages::{ago, name, shown};
use pipeline::{PipelineName, PipelineType};

use crate::address;
use crate::change;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::{acts, head};
use crate::trouble::Trouble;

/// Executions that are offered.
const OFFERED: usize = 10;

/// The executions that a stage can go back to, and what each would change.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let stage = asked.get("stage");
    let board = console.board(pipeline, None, &asked.address()).await?;
    let found = console.driver.succeeded(pipeline, stage, None, OFFERED).await?.executions;
    let tag = board.version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let column = board.columns.iter().find(|column| column.stage().name.as_str() == stage);
    let there = column.and_then(|column| board.executions.get(&column.run.as_ref()?.execution));
    let targets: Vec<&Execution> = found.iter().filter(|it| it.rollback.is_none()).collect();
    let main = html! {
        (head(pipeline.as_str(), "", &html! {}, &html! {}))
        h2 class="thing" { "Roll back " (name(stage)) }
        p class="soft" { "The stage runs again with the artifacts and variables of an execution that succeeded in it. Other stages stay as they are." }
        @if board.pipeline.kind() == PipelineType::V1 {
            div class="empty" { p { "A pipeline of type V1 cannot be rolled back." } }
        } @else if targets.is_empty() {
            div class="empty" { p { "No execution of the pipeline's current version has succeeded in this stage." } p { a href=(address::of(pipeline.as_str(), "")) { "Back" } } }
        } @else {
            div class="scroll" { table class="cards" {
                thead { tr { th { "Back to" } th { "What would change" } th { "Started" } th { span class="vh" { "Do it" } } } }
                tbody { @for target in targets { (offer(pipeline.as_str(), stage, target, there, console.now())) } }
            } }
        }
    };
    Ok(Shown::Screen(Screen {
        title: format!("Roll back {stage} of {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: SCRIPT,
    }))
}

fn offer(pipeline: &str, stage: &str, target: &Execution, there: Option<&Execution>, now: i64) -> Markup {
    let is_there = there.is_some_and(|it| it.id == target.id);
    html! {
        tr data-k=(target.id) {
            td { a class="name" href=(address::execution(pipeline, target.id)) { "#" (target.number) } @if is_there { div class="small soft" { "is in the stage now" } } }
            td { (differences(target, there)) }
            td { (ago(target.started.0, now)) div class="small soft" { (change::trigger(&target.trigger)) } }
            td { (acts::roll_back(pipeline, stage, target)) }
        }
    }
}

/// Revisions and variables that are others than those in the stage now.
fn differences(target: &Execution, there: Option<&Execution>) -> Markup {
    let Some(there) = there else { return html! { (change::line(target)) } };
    let now = |action: &str| there.revisions.iter().find(|it| it.action.as_str() == action);
    let variables = target.variables.iter().filter(|(key, value)| there.variables.get(*key) != Some(value));
    let same =
        target.revisions.iter().all(|it| now(it.action.as_str()).is_some_and(|now| now.revision.id == it.revision.id));
    html! {
        @for it in &target.revisions {
            @if let Some(now) = now(it.action.as_str()).filter(|now| now.revision.id != it.revision.id) {
                div { (name(it.action.as_str())) ": " code title=(shown(&now.revision.id)) { (change::short(&now.revision.id)) } " → " code title=(shown(&it.revision.id)) { (change::short(&it.revision.id)) } }
            }
        }
        div { (change::line(target)) }
        @for (key, value) in variables {
            div { "Variable " (name(key)) ": " (name(there.variables.get(key).map_or("", String::as_str))) " → " (name(value)) }
        }
        @if same { div class="small soft" { "The revisions are those that are there now." } }
    }
}
