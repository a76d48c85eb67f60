//! The stages that a definition makes, drawn as those of a pipeline are, with nothing in them.

use maud::{Markup, html};
use pages::name;
use pipeline::{Action, ConditionKind, Pipeline, Stage};

use crate::screens::parts;

/// The drawing. `home`: the region in which the pipeline lives.
pub fn draw(pipeline: &Pipeline, home: &str) -> Markup {
    html! {
        div class="flow plan" {
            (parts::gates())
            @for (index, of) in pipeline.stages().iter().enumerate() {
                @if index > 0 {
                    div class="gate" { (parts::gate(false)) (parts::goods(pipeline, index)) }
                }
                (stage(of, home))
            }
        }
    }
}

fn stage(stage: &Stage, home: &str) -> Markup {
    let condition = |kind| stage.condition(kind).map(|it| condition(kind, &it.rules)).unwrap_or_default();
    html! {
        div class="stage pending" {
            header { h3 class="thing" { (name(stage.name.as_str())) } }
            div class="groups" {
                (condition(ConditionKind::BeforeEntry))
                @for (order, group) in parts::grouped(stage) {
                    @let cards = html! {
                        ul class="actions" { @for (_, action) in &group { li { (card(action, home)) } } }
                    };
                    (parts::beside(order, group.len(), &cards))
                }
                (condition(ConditionKind::OnSuccess))
                (condition(ConditionKind::OnFailure))
            }
        }
    }
}

fn card(action: &Action, home: &str) -> Markup {
    html! {
        div class="action pending" {
            span class="an" { (name(action.name.as_str())) }
            span class="who" { (parts::provider(action, home)) }
        }
    }
}

fn condition(kind: ConditionKind, rules: &[Action]) -> Markup {
    html! {
        div class="cond pending" {
            div { strong { (parts::title(kind)) } }
            ul class="rules" {
                @for rule in rules { li { (name(rule.name.as_str())) " " span class="soft" { (rule.type_id.provider) } } }
            }
        }
    }
}
