//! Revisions that are reported for source actions.

use engine::{End, PUT_REVISION, Revision, RevisionOverride, Success};
use pipeline::ActionName;

use crate::rig::{Rig, good, pipeline};

fn reported() -> (Rig, engine::ExecutionId) {
    let mut rig = Rig::new(pipeline(&[("Deploy", &[("Go", "Lambda", 1)])]));
    let id = rig.start();
    let action = ActionName::new("Fetch").unwrap();
    let given = RevisionOverride { action, kind: PUT_REVISION.into(), value: "7f3".into() };
    rig.executions.get_mut(&id).unwrap().overrides = vec![given];
    rig.claim(id, "Fetch", 7).unwrap();
    (rig, id)
}

#[test]
fn the_reported_revision_is_what_the_source_action_worked_on() {
    let (mut rig, id) = reported();
    rig.finish(id, "Fetch", good()).unwrap();
    assert_eq!(rig.run(id, "Fetch").revision.as_ref().unwrap().id, "7f3");
    assert_eq!(rig.executions[&id].revisions[0].revision.id, "7f3");
    rig.claim(id, "Go", 7).unwrap();
    rig.finish(id, "Go", good()).unwrap();
    assert_eq!(rig.run(id, "Go").revision, None, "and no other action");
}

#[test]
fn a_job_that_names_another_revision_is_believed() {
    let (mut rig, id) = reported();
    let found = Revision { id: "8aa".into(), summary: None, url: None, created: None };
    rig.finish(id, "Fetch", End::Succeeded(Success { revision: Some(found), ..Success::default() })).unwrap();
    assert_eq!(rig.run(id, "Fetch").revision.as_ref().unwrap().id, "8aa");
}
