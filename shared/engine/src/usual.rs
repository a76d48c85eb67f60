//! How long executions usually take: the one rule of the console's figures and of whoever tells that one takes longer.

use crate::state::{Execution, ExecutionStatus, StageRun};
use crate::time::Timestamp;

const DAY: i64 = 24 * 3_600_000;
/// How far back is looked, in days.
pub const DAYS: i64 = 30;

/// Those that started in the last [`DAYS`] days. Times are in milliseconds, as everywhere here.
pub fn recent(executions: &[Execution], now: i64) -> impl Iterator<Item = &Execution> {
    executions.iter().filter(move |it| now - it.started.0 <= DAYS * DAY)
}

/// Those of the last [`DAYS`] days whose time says something about others: they succeeded, and went through the whole pipeline, as
/// rollbacks do not.
pub fn comparable(executions: &[Execution], now: i64) -> impl Iterator<Item = &Execution> {
    recent(executions, now).filter(|it| it.rollback.is_none() && it.status == ExecutionStatus::Succeeded)
}

/// How long an execution has taken, or has been going on.
pub fn duration(execution: &Execution, now: i64) -> i64 {
    if execution.status.is_open() { now - execution.started.0 } else { execution.updated.since(execution.started) }
}

/// For how long an attempt at a stage has waited for people. Approvals that wait side by side count once.
pub fn waited(run: &StageRun, now: i64) -> i64 {
    // Only approvals have a token.
    let approvals = run.actions.iter().filter(|action| action.token.is_some() && action.attempt == 0);
    let mut waits: Vec<(i64, i64)> = approvals
        .filter_map(|action| {
            let until = if action.status.in_flight() { Timestamp(now) } else { action.updated? };
            Some((action.requested?.0, until.0))
        })
        .collect();
    waits.sort_unstable();
    let (mut sum, mut counted) = (0, i64::MIN);
    for (from, until) in waits {
        sum += (until - from.max(counted)).max(0);
        counted = counted.max(until);
    }
    sum
}

/// From how long on an execution takes longer than usual: half as long again, and a minute more at least.
pub fn too_long(usual: i64) -> i64 {
    (usual + usual / 2).max(usual + 60_000)
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

#[cfg(test)]
mod tests {
    use pipeline::{ActionName, PipelineName, StageName};
    use uuid::Uuid;

    use super::*;
    use crate::id::{ApprovalToken, ExecutionId};
    use crate::state::{ActionRun, ActionStatus, Retries, StageStatus};

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9]), Some(9));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![9, 1, 5, 7]), Some(5));
    }

    #[test]
    fn too_long_is_half_as_long_again_and_a_minute_more() {
        assert_eq!(too_long(10_000), 70_000);
        assert_eq!(too_long(600_000), 900_000);
    }

    #[test]
    fn waits_for_people_count_once_and_until_they_are_over() {
        let action = |from: i64, until: i64, status: ActionStatus, token: bool| ActionRun {
            requested: Some(Timestamp(from)),
            updated: Some(Timestamp(until)),
            status,
            token: token.then(|| ApprovalToken(Uuid::from_u128(1))),
            ..ActionRun::pending(ActionName::new("Ask").unwrap())
        };
        let run = |actions| StageRun {
            execution: ExecutionId::from_random(Uuid::from_u128(1)),
            pipeline: PipelineName::new("release").unwrap(),
            stage: 1,
            name: StageName::new("Gate").unwrap(),
            attempt: 1,
            status: StageStatus::InProgress,
            started: Timestamp(0),
            updated: Timestamp(0),
            actions,
            conditions: vec![],
            retries: Retries::default(),
            rolls_back: false,
        };
        use ActionStatus::{Failed, Running, Succeeded};
        let build = action(0, 500, Succeeded, false);
        assert_eq!(waited(&run(vec![build.clone()]), 900), 0, "nobody was asked");
        let asked =
            [action(100, 300, Succeeded, true), action(200, 250, Failed, true), action(600, 601, Running, true)];
        assert_eq!(waited(&run([vec![build], asked.to_vec()].concat()), 900), 200 + 300);
        let taken_over = ActionRun { attempt: 1, ..action(100, 300, Succeeded, true) };
        assert_eq!(waited(&run(vec![taken_over]), 900), 0, "it was counted in the attempt before");
        assert_eq!(waited(&run(vec![ActionRun::pending(ActionName::new("Ask").unwrap())]), 900), 0);
    }
}
