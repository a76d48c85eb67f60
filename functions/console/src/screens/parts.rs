//! What drawings of stages are made of, with or without anything in them.

use maud::{Markup, html};
use pages::shown;
use pipeline::{Action, ConditionKind, Pipeline, Stage};

/// The artifacts that a stage reads from earlier ones, each with who made it.
pub fn goods(pipeline: &Pipeline, index: usize) -> Markup {
    let stage = &pipeline.stages()[index];
    let mut goods: Vec<(String, &str)> = Vec::new();
    for input in stage.actions.iter().flat_map(|action| &action.inputs) {
        let Some((from, action)) = pipeline.producer(input) else { continue };
        if from >= index || goods.iter().any(|(_, known)| *known == input.as_str()) {
            continue;
        }
        let from = &pipeline.stages()[from];
        goods.push((format!("{input}, made by {} in {}", from.actions[action].name, from.name), input.as_str()));
    }
    html! {
        @if !goods.is_empty() {
            ul class="goods" aria-label={ "Artifacts into " (stage.name) } {
                @for (whence, artifact) in &goods { li class="chip" title=(whence) { (artifact) } }
            }
        }
    }
}

/// The shapes of gates, once for each drawing.
pub fn gates() -> Markup {
    let gate = |id: &str, top: u32, height: u32, board: &str, after: &str| {
        html! {
            symbol id=(id) viewBox="0 0 100 40" preserveAspectRatio="none" {
                path class="bank" d="M0 14H100M0 30H100" {}
                path class="water" d="M0 20q6-4 12 0t12 0 12 0 8 0M0 26q6-4 12 0t12 0 12 0 8 0" {}
                path class=(after) d="M56 20q6-4 12 0t12 0 12 0 8 0M56 26q6-4 12 0t12 0 12 0 8 0" {}
                path class="post" d="M45 1V33M55 1V33" {}
                rect class=(board) x="46.5" y=(top) width="7" height=(height) {}
            }
        }
    };
    html! {
        svg width="0" height="0" class="symbols" aria-hidden="true" focusable="false" {
            (gate("g-open", 1, 12, "board", "water"))
            (gate("g-closed", 11, 20, "board shut", "water dry"))
        }
    }
}

/// The picture of a transition, as a gate that is open or shut: one of the page's symbols.
pub fn gate(closed: bool) -> Markup {
    html! { svg aria-hidden="true" { use href={ "#g-" (if closed { "closed" } else { "open" }) } {} } }
}

/// A stage's actions in the order of their groups, each with its index.
pub fn grouped(stage: &Stage) -> Vec<(u32, Vec<(usize, &Action)>)> {
    let of = |order| stage.actions.iter().enumerate().filter(|(_, it)| it.run_order == order).collect();
    stage.run_orders().into_iter().map(|order| (order, of(order))).collect()
}

/// A group of so many actions, with what shows them.
pub fn beside(order: u32, count: usize, cards: &Markup) -> Markup {
    let side = match count {
        1 => "",
        2 | 4 => " side c2",
        3 => " side c3",
        _ => " side c4",
    };
    html! {
        div class={ "group" (side) } data-k={ "group-" (order) } {
            @if count > 1 { p class="label" { (count) " side by side" } }
            (cards)
        }
    }
}

/// Who carries an action out, and where, if that is not at home.
pub fn provider(action: &Action, home: &str) -> Markup {
    let region = action.region.as_ref().map(|region| region.as_str()).filter(|region| *region != home);
    html! {
        (shown(&action.type_id.provider))
        @if let Some(region) = region { " " span class="chip" { (region) } }
    }
}

/// What a condition is called.
pub fn title(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::BeforeEntry => "Entry condition",
        ConditionKind::OnSuccess => "Success condition",
        ConditionKind::OnFailure => "Failure condition",
    }
}
