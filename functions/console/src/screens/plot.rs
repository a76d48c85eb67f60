//! Small plots: how the last executions went and how long they took.

use engine::usual::comparable;
use engine::{Execution, ExecutionStatus};
use maud::{Markup, html};
use pages::{State, took_words};

pub use engine::usual::{duration, median, percentile, recent};

use crate::states;

/// What the last executions tell.
#[derive(Debug, Default)]
pub struct Figures {
    /// Executions that succeeded or failed.
    pub ended: usize,
    /// Executions that succeeded, of those that ended.
    pub succeeded: usize,
    /// The median time from the start to the end of those that succeeded, in milliseconds.
    pub usual: Option<i64>,
}

impl Figures {
    /// Of executions of the last 30 days. Rollbacks run one stage, so they say nothing about the whole.
    pub fn of(executions: &[Execution], now: i64) -> Self {
        let whole: Vec<&Execution> = recent(executions, now).filter(|it| it.rollback.is_none()).collect();
        let count = |status| whole.iter().filter(|it| it.status == status).count();
        let succeeded = count(ExecutionStatus::Succeeded);
        let took = comparable(executions, now).map(|it| duration(it, now));
        Self { ended: succeeded + count(ExecutionStatus::Failed), succeeded, usual: median(took.collect()) }
    }

    /// The part that succeeded, in percent.
    pub fn rate(&self) -> Option<usize> {
        (self.ended > 0).then(|| self.succeeded * 100 / self.ended)
    }
}

/// A bar for each execution, the oldest first: its height says how long it took, its colour and its foot how it went.
pub fn bars(executions: &[Execution], now: i64) -> Markup {
    let shown: Vec<&Execution> = recent(executions, now).collect();
    let longest = shown.iter().map(|it| duration(it, now)).max().unwrap_or(1).max(1);
    let figures = Figures::of(executions, now);
    let width = 4;
    let total = shown.len() as i64 * width;
    let words = match (figures.rate(), figures.usual) {
        (Some(rate), Some(usual)) => {
            format!("the last {}: {rate} % succeeded, usually in {}", shown.len(), took_words(usual))
        }
        (Some(rate), None) => format!("the last {}: {rate} % succeeded", shown.len()),
        _ => "none has ended yet".to_owned(),
    };
    html! {
        svg class="plot" viewBox={ "0 0 " (total.max(40)) " 28" } preserveAspectRatio="none" role="img" aria-label=(words) {
            @for (place, it) in shown.iter().rev().enumerate() {
                @let (state, _) = states::execution(it);
                @let height = (duration(it, now) * 22 / longest).max(2);
                @let x = place as i64 * width;
                rect class=(state.class()) x=(x) y=(24 - height) width=(width - 1) height=(height) {}
                // What failed is told by a second sign: a foot below the line.
                @if state == State::Failed { rect class=(state.class()) x=(x) y="25" width=(width - 1) height="3" {} }
            }
            @if let Some(usual) = figures.usual {
                @let y = 24 - (usual * 22 / longest).max(2);
                line class="usual" x1="0" x2=(total.max(40)) y1=(y) y2=(y) {}
            }
        }
    }
}
