//! Revisions that are reported for source actions.

use engine::{End, PUT_REVISION, Revision, RevisionOverride, Success, Timestamp};
use pipeline::ActionName;

use crate::environment::{TestEnvironment, good, pipeline};

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
