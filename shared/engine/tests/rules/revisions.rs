//! Revisions that are reported for source actions.

use engine::{End, PUT_REVISION, Reported, Revision, RevisionOverride, Success, Timestamp, report_revision};
use pipeline::{Action, ActionName};
use serde_json::json;

use crate::environment::{TestEnvironment, declared, good, pipeline};

/// The source action of a pipeline, of this owner.
fn source(owner: &str) -> Action {
    let pipeline = declared(&[("Deploy", &[("Go", "Lambda", 1)])], |it| {
        it["stages"][0]["actions"][0]["actionTypeId"]["owner"] = json!(owner);
    });
    pipeline.stages()[0].actions[0].clone()
}

#[test]
fn a_reported_revision_starts_an_execution_unless_it_was_reported_last() {
    let started = TestEnvironment::new(pipeline(&[("Deploy", &[("Go", "Lambda", 1)])])).start();
    let source = source("Custom");
    let new = |revision: &str| Some(Reported::New(RevisionOverride::new(source.name.clone(), PUT_REVISION, revision)));
    assert_eq!(report_revision(&source, "7f3", None), new("7f3"));
    assert_eq!(report_revision(&source, "7f3", Some(("8aa", started))), new("7f3"));
    assert_eq!(report_revision(&source, "7f3", Some(("7f3", started))), Some(Reported::Known(started)));
}

#[test]
fn only_sources_that_are_not_aws_s_take_reports() {
    assert_eq!(report_revision(&source("AWS"), "7f3", None), None, "it finds its revisions by itself");
    let pipeline = pipeline(&[("Deploy", &[("Go", "Lambda", 1)])]);
    assert_eq!(report_revision(&pipeline.stages()[1].actions[0], "7f3", None), None, "no source");
}

fn reported() -> (TestEnvironment, engine::ExecutionId) {
    let mut env = TestEnvironment::new(pipeline(&[("Deploy", &[("Go", "Lambda", 1)])]));
    let id = env.start();
    let action = ActionName::new("Fetch").unwrap();
    let given = RevisionOverride {
        change: Some("c1".into()),
        created: Some(Timestamp(5)),
        ..RevisionOverride::new(action, PUT_REVISION, "7f3")
    };
    env.executions.get_mut(&id).unwrap().overrides = vec![given];
    env.claim(id, "Fetch", 7).unwrap();
    (env, id)
}

#[test]
fn the_reported_revision_is_what_the_source_action_worked_on() {
    let (mut env, id) = reported();
    env.finish(id, "Fetch", good()).unwrap();
    assert_eq!(env.run(id, "Fetch").revision.as_ref().unwrap().id, "7f3");
    let found = &env.executions[&id].revisions[0].revision;
    assert_eq!((found.id.as_str(), found.change.as_deref(), found.created), ("7f3", Some("c1"), Some(Timestamp(5))));
    env.claim(id, "Go", 7).unwrap();
    env.finish(id, "Go", good()).unwrap();
    assert_eq!(env.run(id, "Go").revision, None, "and no other action");
}

#[test]
fn a_job_that_names_another_revision_is_believed() {
    let (mut env, id) = reported();
    let found = Revision { id: "8aa".into(), summary: None, url: None, created: None, change: None };
    env.finish(id, "Fetch", End::Succeeded(Success { revision: Some(found), ..Success::default() })).unwrap();
    assert_eq!(env.run(id, "Fetch").revision.as_ref().unwrap().id, "8aa");
}
