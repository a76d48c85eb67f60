//! What an approval decides.

use std::collections::BTreeMap;

use engine::{
    ActionId, ApprovalToken, Approver, Command, End, Execution, ExecutionId, Policy, Progress, Proposal, ProposalFacts,
    Revision, StageRun, Success,
};
use pipeline::StageName;
use serde_json::{Value, json};

use crate::environment::{Actions, TestEnvironment, declared};

/// An approval in front of two actions, and a stage behind it.
const STAGES: &[(&str, Actions<'static>)] = &[
    ("Build", &[("B", "StepFunctions", 1)]),
    ("Prod", &[("Ask", "Manual", 1), ("P", "StepFunctions", 2)]),
    ("Tidy", &[("T", "StepFunctions", 1)]),
];

fn env_with(change: impl FnOnce(&mut Value)) -> TestEnvironment {
    TestEnvironment::new(declared(STAGES, change))
}

fn env() -> TestEnvironment {
    env_with(|_| ())
}

/// An execution whose source finds this, as far as the approval's stage.
fn begin(env: &mut TestEnvironment, found: &str) -> ExecutionId {
    let id = env.start();
    find(env, id, found);
    env.succeed(id, "B");
    id
}

fn find(env: &mut TestEnvironment, id: ExecutionId, found: &str) {
    env.claim(id, "Fetch", 7).unwrap();
    let summary = Some(format!("Change {found}"));
    let revision = Revision { id: found.into(), summary, url: None, created: None, change: None };
    let variables = BTreeMap::from([("AuthorDisplayName".to_owned(), format!("Author of {found}"))]);
    let success = Success { revision: Some(revision), variables, ..Success::default() };
    env.finish(id, "Fetch", End::Succeeded(success)).unwrap();
}

fn approve(env: &mut TestEnvironment, id: ExecutionId) {
    let action = env.action(id, "Ask");
    let token: ApprovalToken = env.run(id, "Ask").token.unwrap();
    let by = Approver::Caller("ada".into());
    env.apply(id, Command::Approve { action, token, approved: true, summary: String::new(), by }).unwrap();
}

/// An execution that comes through everything.
fn release(env: &mut TestEnvironment, found: &str) -> ExecutionId {
    let id = begin(env, found);
    approve(env, id);
    env.succeed(id, "P");
    env.succeed(id, "T");
    id
}

/// What the driver reads, of what the environment has.
fn proposal(env: &TestEnvironment, id: ExecutionId) -> Proposal {
    let (execution, approval): (&Execution, ActionId) = (&env.executions[&id], env.action(id, "Ask"));
    let mut newest: Vec<Execution> = env.executions.values().cloned().collect();
    newest.sort_by_key(|it| std::cmp::Reverse(it.number));
    let behind = engine::stages_behind(&env.pipeline, execution, approval);
    let live = behind.iter().filter_map(|index| {
        let lock = env.locks.stages.get(&env.pipeline.stages()[*index].name)?;
        Some((*index, &env.executions[&lock.live()?]))
    });
    let found_in: Vec<StageRun> = env.stages.values().filter(|run| run.stage == 0).cloned().collect();
    let waiting = env.locks.newer_than(execution, &env.pipeline.stages()[usize::from(approval.stage)].name);
    let own = env.stages.iter().filter(|((owner, ..), _)| *owner == id).map(|((_, index, _), run)| (*index, run));
    engine::proposal(&ProposalFacts {
        pipeline: &env.pipeline,
        execution,
        approval,
        stages: own.collect(),
        live: live.collect(),
        executions: &newest,
        found_in: &found_in,
        waiting: waiting.iter().map(|id| &env.executions[id]).collect(),
    })
}

/// What runs in the stages behind: the stages and the revision.
fn live(proposal: &Proposal) -> Vec<(Vec<&str>, Option<&str>)> {
    let [source] = &proposal.sources[..] else { panic!("one source: {proposal:?}") };
    let told = source.live.iter().map(|it| {
        let stages = it.stages.iter().map(StageName::as_str).collect();
        (stages, it.revision.as_ref().map(|revision| revision.id.as_str()))
    });
    told.collect()
}

#[test]
fn the_first_release_has_nothing_to_be_compared_with() {
    let mut env = env();
    let id = begin(&mut env, "r1");
    let first = proposal(&env, id);
    assert_eq!(live(&first), [(vec!["Prod", "Tidy"], None)]);
    assert!(first.newer.is_none() && first.sources[0].between.is_empty() && !first.changes_nothing());
    assert_eq!(first.sources[0].proposed.author.as_deref(), Some("Author of r1"));
}

#[test]
fn what_came_between_is_told_and_what_runs_where() {
    let mut env = env();
    release(&mut env, "r1");
    // This one stops halfway: Prod has it, Tidy has not.
    let second = begin(&mut env, "r2");
    approve(&mut env, second);
    env.succeed(second, "P");
    env.fail(second, "T");
    for found in ["r3", "r4"] {
        let id = begin(&mut env, found);
        env.stop(id, true).unwrap();
    }
    let id = begin(&mut env, "r5");
    let told = proposal(&env, id);
    assert_eq!(live(&told), [(vec!["Prod"], Some("r2")), (vec!["Tidy"], Some("r1"))]);
    let between: Vec<_> =
        told.sources[0].between.iter().map(|it| (it.revision.id.as_str(), it.author.as_deref().unwrap())).collect();
    assert_eq!(between, [("r4", "Author of r4"), ("r3", "Author of r3")]);
}

#[test]
fn after_a_rollback_what_it_brought_back_is_live() {
    let mut env = env();
    let good = release(&mut env, "r1");
    release(&mut env, "r2");
    let back = env.rollback("Prod", good).unwrap();
    approve(&mut env, back);
    env.succeed(back, "P");
    let id = begin(&mut env, "r3");
    assert_eq!(live(&proposal(&env, id)), [(vec!["Prod"], Some("r1")), (vec!["Tidy"], Some("r2"))]);
}

#[test]
fn what_a_rollback_brought_back_stays_live_whatever_fails_or_is_stopped_after_it() {
    let mut env = env();
    let good = release(&mut env, "r1");
    release(&mut env, "r2");
    let back = env.rollback("Prod", good).unwrap();
    approve(&mut env, back);
    env.succeed(back, "P");
    let failed = begin(&mut env, "r3");
    approve(&mut env, failed);
    env.fail(failed, "P");
    let stopped = begin(&mut env, "r4");
    env.stop(stopped, true).unwrap();
    let id = begin(&mut env, "r5");
    assert_eq!(live(&proposal(&env, id)), [(vec!["Prod"], Some("r1")), (vec!["Tidy"], Some("r2"))]);
    approve(&mut env, id);
    env.succeed(id, "P");
    env.fail(id, "T");
    let next = begin(&mut env, "r6");
    assert_eq!(live(&proposal(&env, next)), [(vec!["Prod"], Some("r5")), (vec!["Tidy"], Some("r2"))]);
}

#[test]
fn a_rollback_decides_about_its_own_stage_alone() {
    let mut env = env();
    let good = release(&mut env, "r1");
    release(&mut env, "r2");
    let back = env.rollback("Prod", good).unwrap();
    let told = proposal(&env, back);
    assert_eq!(live(&told), [(vec!["Prod"], Some("r2"))]);
    assert_eq!(told.sources[0].proposed.revision.id, "r1");
}

#[test]
fn nothing_would_change_where_the_same_runs_everywhere() {
    let mut env = env();
    release(&mut env, "r1");
    let id = begin(&mut env, "r1");
    assert!(proposal(&env, id).changes_nothing());
    env.executions.get_mut(&id).unwrap().variables.insert("Colour".into(), "blue".into());
    let told = proposal(&env, id);
    assert!(told.other_variables && !told.changes_nothing());
    env.executions.get_mut(&id).unwrap().variables.clear();
    env.executions.get_mut(&id).unwrap().version = 2;
    let told = proposal(&env, id);
    assert!(told.other_version && !told.changes_nothing());
}

#[test]
fn an_approval_needs_nobody_only_where_it_says_so_nothing_changes_and_nobody_else_must_approve() {
    let mut env = env();
    let first = begin(&mut env, "r1");
    let on = BTreeMap::from([("ApproveUnchanged".to_owned(), "true".to_owned())]);
    let off = BTreeMap::from([("ApproveUnchanged".to_owned(), "false".to_owned())]);
    let policy = Policy::default();
    assert!(!engine::approves_itself(&on, &proposal(&env, first), &policy), "nothing is live");
    approve(&mut env, first);
    env.succeed(first, "P");
    env.succeed(first, "T");
    let id = begin(&mut env, "r1");
    let same = proposal(&env, id);
    assert!(engine::approves_itself(&on, &same, &policy));
    assert!(
        !engine::approves_itself(&off, &same, &policy) && !engine::approves_itself(&BTreeMap::new(), &same, &policy)
    );
    let separate = Policy { separate_approver: true, ..policy };
    assert!(!engine::approves_itself(&on, &same, &separate), "somebody else must approve");
    env.stop(id, true).unwrap();
    let id = begin(&mut env, "r2");
    assert!(!engine::approves_itself(&on, &proposal(&env, id), &policy));
}

#[test]
fn a_newer_execution_that_waits_is_told_and_how_many_wait_before_it() {
    for (mode, before_it) in [("SUPERSEDED", 0), ("QUEUED", 1)] {
        let mut env = env_with(|it| it["executionMode"] = json!(mode));
        let id = begin(&mut env, "r1");
        assert!(proposal(&env, id).newer.is_none());
        for found in ["r2", "r3"] {
            begin(&mut env, found);
            env.outbox();
        }
        let newer = proposal(&env, id).newer.unwrap();
        assert_eq!((newer.revisions[0].revision.id.as_str(), newer.before_it), ("r3", before_it), "{mode}");
    }
}

#[test]
fn change_sets_that_wait_are_told_and_others_are_not() {
    let deploy = |name: &str, mode: &str, stack: &str, order: u32| {
        json!({"name": name, "runOrder": order,
            "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "CloudFormation", "version": "1"},
            "inputArtifacts": if mode == "CHANGE_SET_REPLACE" { json!([{"name": "App"}]) } else { json!([]) },
            "configuration": {"ActionMode": mode, "StackName": stack, "ChangeSetName": "release",
                "RoleArn": "arn:aws:iam::111122223333:role/cloudformation", "TemplatePath": "App::t.yaml"}})
    };
    let mut env = env_with(|it| {
        let build = it["stages"][1]["actions"].as_array_mut().unwrap();
        build.push(deploy("Prepare", "CHANGE_SET_REPLACE", "shop", 2));
        build.push(deploy("Other", "CHANGE_SET_REPLACE", "elsewhere", 2));
        it["stages"][2]["actions"].as_array_mut().unwrap().push(deploy("Execute", "CHANGE_SET_EXECUTE", "shop", 2));
    });
    let id = begin(&mut env, "r1");
    env.claim(id, "Prepare", 7).unwrap();
    let report = Progress { summary: Some("1 added".into()), ..Progress::default() };
    env.finish(id, "Prepare", End::Succeeded(Success { report, ..Success::default() })).unwrap();
    env.succeed(id, "Other");
    let sets = proposal(&env, id).change_sets;
    let [set] = &sets[..] else { panic!("{sets:?}") };
    assert_eq!((set.action.as_str(), set.stack.as_str(), set.summary.as_deref()), ("Prepare", "shop", Some("1 added")));
}
