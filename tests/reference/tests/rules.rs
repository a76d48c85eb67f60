//! The model itself does what the user guide shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reference::{Command, Mode, Model, Place, Refused, Shape, Status};

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
