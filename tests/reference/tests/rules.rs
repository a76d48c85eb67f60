//! The model itself does what the user guide shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reference::{ActionStatus, Command, Mode, Model, Place, Refused, Shape, Status};

fn pipeline(mode: Mode) -> Model {
    Model::new(&Shape { mode, stages: vec![vec![1], vec![1], vec![1]] })
}

fn succeed(model: &mut Model, run: usize, stage: usize) {
    model.apply(&Command::Finish { run, stage, action: 0, well: true }).unwrap();
}

/// 'How pipeline executions work', SUPERSEDED: an execution that waits for a locked stage is overtaken by a later one.
#[test]
fn a_waiting_execution_is_superseded() {
    let mut model = pipeline(Mode::Superseded);
    for run in 0..3 {
        model.apply(&Command::Start).unwrap();
        succeed(&mut model, run, 0);
    }
    let places = |model: &Model| model.seen().runs.iter().map(|run| (run.status, run.place)).collect::<Vec<_>>();
    assert_eq!(
        places(&model),
        [
            (Status::InProgress, Place::Inside(1)),
            (Status::Superseded, Place::Out),
            (Status::InProgress, Place::Before(1)),
        ]
    );
    succeed(&mut model, 0, 1);
    assert_eq!(places(&model)[2], (Status::InProgress, Place::Inside(1)), "it enters as soon as the stage is unlocked");
}

/// QUEUED: who waits enters in the order of arrival, and a failure releases the stage.
#[test]
fn a_queue_is_kept() {
    let mut model = pipeline(Mode::Queued);
    for run in 0..3 {
        model.apply(&Command::Start).unwrap();
        succeed(&mut model, run, 0);
    }
    assert_eq!(model.seen().stages[1].waiting, [1, 2]);
    model.apply(&Command::Finish { run: 0, stage: 1, action: 0, well: false }).unwrap();
    let seen = model.seen();
    assert_eq!((seen.runs[0].status, seen.stages[1].locked_by), (Status::Failed, Some(1)));
    assert_eq!(seen.stages[1].waiting, [2]);
}

/// PARALLEL: nobody waits for anybody.
#[test]
fn parallel_executions_do_not_wait() {
    let mut model = pipeline(Mode::Parallel);
    for run in 0..3 {
        model.apply(&Command::Start).unwrap();
        succeed(&mut model, run, 0);
    }
    assert!(model.seen().runs.iter().all(|run| run.place == Place::Inside(1)));
    assert_eq!(model.apply(&Command::Finish { run: 0, stage: 2, action: 0, well: true }), Err(Refused::NotInProgress));
}

/// 'Transitions': what waits for a closed transition can still be superseded; the latest enters when it is opened.
#[test]
fn an_opened_transition_lets_the_latest_in() {
    let mut model = pipeline(Mode::Superseded);
    model.apply(&Command::Close(1)).unwrap();
    for run in 0..2 {
        model.apply(&Command::Start).unwrap();
        succeed(&mut model, run, 0);
    }
    assert_eq!(model.seen().stages[1].waiting, [1]);
    model.apply(&Command::Open(1)).unwrap();
    assert_eq!(model.seen().stages[1].locked_by, Some(1));
    assert_eq!(model.seen().runs[0].status, Status::Superseded);
}

/// 'Stop a pipeline execution': wait lets an action end and starts no other, abandon does not wait, and the stage where it
/// stopped can be retried.
#[test]
fn a_stopped_execution_can_be_retried_where_it_stopped() {
    let mut model = Model::new(&Shape { mode: Mode::Superseded, stages: vec![vec![1], vec![1, 2]] });
    model.apply(&Command::Start).unwrap();
    succeed(&mut model, 0, 0);
    let stop = |abandon| Command::Stop { run: 0, abandon };
    model.apply(&stop(false)).unwrap();
    assert_eq!(model.seen().runs[0].status, Status::Stopping);
    assert_eq!(model.apply(&stop(false)), Err(Refused::StopsAlready));
    succeed(&mut model, 0, 1);
    assert_eq!(model.seen().runs[0].status, Status::Stopped);
    assert_eq!(model.apply(&stop(true)), Err(Refused::NotStoppable));
    model.apply(&Command::Retry { run: 0, stage: 1, all: false }).unwrap();
    model.apply(&stop(true)).unwrap();
    let visit = model.seen().runs[0].visits[1].clone().unwrap();
    assert_eq!(visit.actions, [ActionStatus::Succeeded, ActionStatus::Abandoned]);
    assert_eq!(model.seen().stages[1].locked_by, None);
}

/// 'How pipeline executions work': once another execution has entered the failed stage, the failed one cannot be retried.
#[test]
fn only_the_latest_in_a_stage_can_be_retried() {
    let mut model = pipeline(Mode::Superseded);
    for _ in 0..2 {
        model.apply(&Command::Start).unwrap();
    }
    model.apply(&Command::Finish { run: 0, stage: 0, action: 0, well: false }).unwrap();
    let retry = |run| Command::Retry { run, stage: 0, all: true };
    assert_eq!(model.apply(&retry(0)), Err(Refused::NotLatest));
    model.apply(&Command::Finish { run: 1, stage: 0, action: 0, well: false }).unwrap();
    model.apply(&retry(1)).unwrap();
    succeed(&mut model, 1, 0);
    assert_eq!(model.seen().runs[1].place, Place::Inside(1), "it goes on");
}

/// 'Configuring stage retry': what is in progress continues, failed actions are triggered again.
#[test]
fn failed_actions_are_retried_while_others_are_in_progress() {
    let mut model = Model::new(&Shape { mode: Mode::Superseded, stages: vec![vec![1, 1], vec![1]] });
    model.apply(&Command::Start).unwrap();
    let finish = |action, well| Command::Finish { run: 0, stage: 0, action, well };
    let retry = |all| Command::Retry { run: 0, stage: 0, all };
    assert_eq!(model.apply(&retry(false)), Err(Refused::NotRetryable));
    model.apply(&finish(0, false)).unwrap();
    assert_eq!(model.apply(&retry(true)), Err(Refused::Busy));
    model.apply(&retry(false)).unwrap();
    let visit = model.seen().runs[0].visits[0].clone().unwrap();
    assert_eq!(visit.actions, [ActionStatus::InProgress, ActionStatus::InProgress]);
    model.apply(&finish(1, true)).unwrap();
    model.apply(&finish(0, true)).unwrap();
    assert_eq!(model.seen().runs[0].place, Place::Inside(1));
}

/// 'Configuring stage rollback': to an execution that succeeded in the stage and is no rollback, never of the source stage.
#[test]
fn a_rollback_runs_one_stage() {
    let mut model = pipeline(Mode::Queued);
    model.apply(&Command::Start).unwrap();
    (0..3).for_each(|stage| succeed(&mut model, 0, stage));
    let back = |target, stage| Command::Rollback { target, stage };
    assert_eq!(model.apply(&back(0, 0)), Err(Refused::NoRollback));
    model.apply(&back(0, 1)).unwrap();
    assert_eq!(model.apply(&back(0, 1)), Err(Refused::NoRollback), "the stage runs");
    succeed(&mut model, 1, 1);
    assert_eq!(model.seen().runs[1].status, Status::Succeeded);
    assert_eq!(model.apply(&back(1, 1)), Err(Refused::NoRollback));
}

/// 'Quotas': 50 executions at once.
#[test]
fn a_queue_has_an_end() {
    for mode in [Mode::Queued, Mode::Parallel] {
        let mut model = pipeline(mode);
        (0..50).for_each(|_| model.apply(&Command::Start).unwrap());
        assert_eq!(model.apply(&Command::Start), Err(Refused::TooMany));
        model.apply(&Command::Finish { run: 0, stage: 0, action: 0, well: false }).unwrap();
        model.apply(&Command::Start).unwrap();
        assert_eq!(model.apply(&Command::Start), Err(Refused::TooMany));
    }
}
