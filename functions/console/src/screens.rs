//! The pages, and what they share.

pub mod acts;
pub mod badge;
pub mod definition;
pub mod difference;
pub mod edit;
pub mod execution;
pub mod flow;
pub mod gantt;
pub mod history;
pub mod panel;
pub mod parts;
pub mod pipeline;
pub mod pipelines;
pub mod plan;
pub mod plot;
pub mod rollback;
pub mod spent;
pub mod wall;

use maud::{Markup, html};
use pages::{name, shown};

use crate::address;

/// The bar's links; `path` is where one is.
pub fn nav(path: &str) -> Markup {
    let item = |address: &str, words: &str| {
        let here = path.trim_end_matches('/').starts_with(address).then_some("page");
        html! { a href=(address) aria-current=[here] { (words) } }
    };
    html! {
        (item(address::WALL, "Wall"))
        (item(address::PIPELINES, "Pipelines"))
    }
}

/// What stands behind a page's content: the dialog that asks before anything is done, filled by the script.
pub fn rest() -> Markup {
    html! {
        dialog id="act" aria-labelledby="act-title" {
            form method="dialog" {
                h2 id="act-title" {}
                p id="act-words" {}
                div id="act-fields" {}
                p class="told" id="act-told" role="alert" hidden {}
                div class="acts" {
                    button type="button" id="act-no" { "Cancel" }
                    button type="submit" id="act-yes" class="main" {}
                }
            }
        }
    }
}

/// What may be wider than the page: it scrolls by itself, also by keyboard, and has a name for those who do not see it.
pub fn scrolling(label: &str, content: &Markup) -> Markup {
    html! { div class="scroll" tabindex="0" role="region" aria-label=(label) { (content) } }
}

/// A pipeline's name above its pages, with the links between them.
pub fn head(pipeline: &str, page: &str, facts: &Markup, acts: &Markup) -> Markup {
    let tab = |to: &str, words: &str| {
        let here = (to == page).then_some("page");
        html! { a href=(address::of(pipeline, to)) aria-current=[here] { (words) } }
    };
    html! {
        noscript { p class="noscript" { "Without script this page can be read. It does not update itself, and nothing can be done from it." } }
        p class="crumbs" { a href=(address::PIPELINES) { "Pipelines" } " /" }
        div class="head" {
            h1 title=(shown(pipeline)) { (name(pipeline)) }
            (facts)
            div class="acts" { (acts) }
        }
        nav class="tabs" aria-label="Pipeline" {
            (tab("", "Now"))
            (tab("history", "History"))
            (tab("time", "Where time goes"))
            (tab("definition", "Definition"))
            (tab("badge", "Badge"))
        }
    }
}
