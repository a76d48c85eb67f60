//! Small plots: how the last executions went and how long they took.

use engine::{Execution, ExecutionStatus};
use maud::{Markup, html};
use pages::{State, took_words};
use pictures::states;

const DAY: i64 = 24 * 3_600_000;
/// How far back plots and figures look.
pub const DAYS: i64 = 30;

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

/// Those of the last [`DAYS`] days.
pub fn recent(executions: &[Execution], now: i64) -> impl Iterator<Item = &Execution> {
    executions.iter().filter(move |it| now - it.started.0 <= DAYS * DAY)
}

/// How long an execution has taken, or has been going on.
pub fn duration(execution: &Execution, now: i64) -> i64 {
    if execution.status.is_open() { now - execution.started.0 } else { execution.updated.since(execution.started) }
}

/// The value in the middle.
pub fn median(values: Vec<i64>) -> Option<i64> {
    percentile(values, 50)
}

/// The smallest value that so many of a hundred do not exceed.
pub fn percentile(mut values: Vec<i64>, percent: usize) -> Option<i64> {
    values.sort_unstable();
    values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

impl Figures {
    /// Of executions of the last [`DAYS`] days. Rollbacks run one stage, so they say nothing about the whole.
    pub fn of(executions: &[Execution], now: i64) -> Self {
        let whole: Vec<&Execution> = recent(executions, now).filter(|it| it.rollback.is_none()).collect();
        let count = |status| whole.iter().filter(|it| it.status == status).count();
        let succeeded = count(ExecutionStatus::Succeeded);
        let took = whole.iter().filter(|it| it.status == ExecutionStatus::Succeeded).map(|it| duration(it, now));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9]), Some(9));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![9, 1, 5, 7]), Some(5));
    }
}
