use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::example;

/// A pipeline of type V2 whose source action `Git` reads `owner/name`, branch `main`, with one trigger of this
/// configuration; none: without triggers.
fn pipeline(git: Option<Value>) -> Pipeline {
    let mut declaration = serde_json::to_value(example()).unwrap();
    declaration["pipelineType"] = json!("V2");
    declaration["stages"][0]["actions"][0]["name"] = json!("Git");
    declaration["stages"][0]["actions"][0]["actionTypeId"]["provider"] = json!("CodeStarSourceConnection");
    declaration["stages"][0]["actions"][0]["configuration"] = json!({
        "ConnectionArn": "arn:aws:codestar-connections:eu-west-1:111122223333:connection/c",
        "FullRepositoryId": "owner/name",
        "BranchName": "main",
    });
    declaration["stages"][1]["actions"][0]["configuration"]["ObjectKey"] = json!("site.zip");
    if let Some(mut git) = git {
        git["sourceActionName"] = json!("Git");
        declaration["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": git}]);
    }
    made(declaration)
}

fn made(declaration: Value) -> Pipeline {
    Pipeline::try_from(serde_json::from_value::<crate::Declaration>(declaration).unwrap()).unwrap()
}

fn changed(pipeline: &Pipeline, change: impl FnOnce(&mut Value)) -> Pipeline {
    let mut declaration = serde_json::to_value(pipeline.declaration()).unwrap();
    change(&mut declaration);
    made(declaration)
}

fn event(change: GitChange, files: Option<&[&str]>) -> GitEvent {
    GitEvent {
        repository: "owner/name".into(),
        change,
        commit: "c0ffee".into(),
        message: String::new(),
        author: String::new(),
        files: files.map(|files| files.iter().map(|it| (*it).to_owned()).collect()),
    }
}

fn branch(name: &str) -> GitChange {
    GitChange::Branch { name: name.into(), before: Some("before".into()) }
}

fn tag(name: &str) -> GitChange {
    GitChange::Tag { name: name.into() }
}

fn request(event: PullRequestEvent, target: &str) -> GitChange {
    GitChange::PullRequest(PullRequest {
        event,
        number: 7,
        title: "Better".into(),
        source: "topic".into(),
        target: target.into(),
    })
}

fn decided(pipeline: &Pipeline, event: &GitEvent) -> GitDecision {
    pipeline.git_decision(&ActionName::new("Git").unwrap(), event)
}

use GitDecision::{Ignore, NeedsFiles, Start};
use MatchedTrigger as By;
use PullRequestEvent::{Closed, Open, Updated};
use WhyIgnored::{Excluded, Filtered, OtherBranch, OtherKind};

/// A trigger's configuration, what happened, the files, and what comes of it.
type Case<'a> = (Value, GitChange, Option<&'a [&'a str]>, GitDecision);

#[test]
fn the_documented_filters_decide_as_documented() {
    let documented = || {
        json!({
            "push": [
                {
                    "filePaths": {
                        "includes": ["projectA/**", "common/**/*.js"],
                        "excludes": ["**/README.md", "**/LICENSE", "**/CONTRIBUTING.md"],
                    },
                    "branches": {"includes": ["feature/**", "release/**"], "excludes": ["mainline"]},
                },
                {"tags": {"includes": ["release-v0", "release-v1"], "excludes": ["release-v2"]}},
            ],
            "pullRequest": [{
                "events": ["CLOSED"],
                "branches": {"includes": ["feature/**", "release/**"], "excludes": ["mainline"]},
                "filePaths": {"includes": ["projectA/**", "common/**/*.js"], "excludes": ["**/README.md"]},
            }],
        })
    };
    let only = |branches: Value| json!({"push": [{"branches": branches}]});
    let files = |paths: Value| json!({"push": [{"filePaths": paths}]});
    let cases: Vec<Case<'_>> = vec![
        (documented(), branch("feature/a"), Some(&["projectA/a/b"]), Start(By::Push(0))),
        (documented(), branch("feature/a"), Some(&["common/app.js"]), Start(By::Push(0))),
        (documented(), branch("feature/a"), Some(&["src/Main.java"]), Ignore(Filtered)),
        (documented(), branch("feature/a"), Some(&["projectA/README.md"]), Ignore(Filtered)),
        (documented(), branch("feature/a"), Some(&["projectA/README.md", "projectA/x"]), Start(By::Push(0))),
        (documented(), branch("feature/a"), Some(&[]), Ignore(Filtered)),
        (documented(), branch("feature/a"), None, NeedsFiles),
        (documented(), branch("mainline"), Some(&["projectA/a"]), Ignore(Excluded { filter: 0 })),
        (documented(), branch("main"), Some(&["projectA/a"]), Ignore(Filtered)),
        (documented(), branch("main"), None, Ignore(Filtered)),
        (documented(), tag("release-v1"), None, Start(By::Push(1))),
        (documented(), tag("release-v2"), None, Ignore(Excluded { filter: 1 })),
        (documented(), tag("release-v3"), None, Ignore(Filtered)),
        (documented(), request(Closed, "release/1"), Some(&["projectA/a"]), Start(By::PullRequest(0))),
        (documented(), request(Closed, "release/1"), None, NeedsFiles),
        (documented(), request(Open, "release/1"), Some(&["projectA/a"]), Ignore(Filtered)),
        (documented(), request(Closed, "main"), Some(&["projectA/a"]), Ignore(Filtered)),
        (only(json!({"includes": ["main*"]})), branch("main-2"), None, Start(By::Push(0))),
        (only(json!({"includes": ["main*"]})), branch("main/2"), None, Ignore(Filtered)),
        (only(json!({"excludes": ["test-*"]})), branch("anything"), None, Start(By::Push(0))),
        (only(json!({"includes": ["a"], "excludes": ["a"]})), branch("a"), None, Ignore(Excluded { filter: 0 })),
        (only(json!({"includes": ["main"]})), tag("main"), None, Ignore(OtherKind("pushes of tags"))),
        (only(json!({"includes": ["main"]})), request(Open, "main"), None, Ignore(OtherKind("pull requests"))),
        (files(json!({"excludes": ["docs/**"]})), branch("x"), Some(&["docs/a", "docs/b/c"]), Ignore(Filtered)),
        (files(json!({"excludes": ["docs/**"]})), branch("x"), Some(&["docs/a", "src/b"]), Start(By::Push(0))),
        (
            json!({"push": [{"tags": {"includes": ["v*"]}}]}),
            branch("v1"),
            None,
            Ignore(OtherKind("pushes to branches")),
        ),
        (json!({"pullRequest": [{}]}), request(Updated, "any"), None, Start(By::PullRequest(0))),
        (json!({"pullRequest": [{}]}), branch("main"), None, Ignore(OtherKind("pushes to branches"))),
        (
            // Either filter may let it in ...
            json!({"push": [{"branches": {"includes": ["a"]}}, {"branches": {"includes": ["b"]}}]}),
            branch("b"),
            None,
            Start(By::Push(1)),
        ),
        (
            // ... unless one of them says that it is to stay out.
            json!({"push": [{"branches": {"includes": ["main"]}}, {"branches": {"excludes": ["main"]}}]}),
            branch("main"),
            None,
            Ignore(Excluded { filter: 1 }),
        ),
        (
            // That holds for pushes only: of pull requests, the filters may be about other events.
            json!({"pullRequest": [
                {"events": ["OPEN"], "branches": {"excludes": ["main"]}},
                {"events": ["CLOSED"], "branches": {"includes": ["main"]}}]}),
            request(Closed, "main"),
            None,
            Start(By::PullRequest(1)),
        ),
        (
            // Files that are not known do not matter where another filter does not ask for them.
            json!({"push": [{"filePaths": {"includes": ["a"]}}, {"branches": {"includes": ["main"]}}]}),
            branch("main"),
            None,
            Start(By::Push(1)),
        ),
    ];
    for (git, change, files, expected) in cases {
        let event = event(change, files);
        assert_eq!(decided(&pipeline(Some(git.clone())), &event), expected, "{git}: {event:?}");
    }
}

#[test]
fn without_filters_pushes_to_the_actions_branch_count() {
    let v1 = changed(&pipeline(None), |it| it["pipelineType"] = json!("V1"));
    for (what, pipeline) in [("no trigger", pipeline(None)), ("no filter", pipeline(Some(json!({})))), ("V1", v1)] {
        let decision = |change| decided(&pipeline, &event(change, None));
        assert_eq!(decision(branch("main")), Start(By::BranchOfAction), "{what}");
        for other in [branch("other"), tag("main"), request(Closed, "main")] {
            assert_eq!(decision(other), Ignore(OtherBranch("main".into())), "{what}");
        }
        let off = changed(&pipeline, |it| {
            it["stages"][0]["actions"][0]["configuration"]["DetectChanges"] = json!("false");
        });
        assert_eq!(decided(&off, &event(branch("main"), None)), Ignore(WhyIgnored::NoTrigger), "{what}");
    }
}

#[test]
fn a_trigger_with_filters_counts_whatever_detect_changes_says() {
    let filtered = pipeline(Some(json!({"push": [{"branches": {"includes": ["release"]}}]})));
    let off = changed(&filtered, |it| {
        it["stages"][0]["actions"][0]["configuration"]["DetectChanges"] = json!("false");
    });
    for pipeline in [filtered, off] {
        assert_eq!(decided(&pipeline, &event(branch("release"), None)), Start(By::Push(0)));
        assert_eq!(decided(&pipeline, &event(branch("main"), None)), Ignore(Filtered), "not the action's branch");
    }
}

#[test]
fn a_trigger_of_one_action_turns_the_others_off() {
    let two = changed(&pipeline(Some(json!({}))), |it| {
        let mut other = it["stages"][0]["actions"][0].clone();
        other["name"] = json!("Other");
        other["namespace"] = json!("Other");
        other["outputArtifacts"] = json!([{"name": "OtherOutput"}]);
        it["stages"][0]["actions"].as_array_mut().unwrap().push(other);
    });
    let decision = |action: &str| two.git_decision(&ActionName::new(action).unwrap(), &event(branch("main"), None));
    assert_eq!(decision("Git"), Start(By::BranchOfAction));
    assert_eq!(decision("Other"), Ignore(WhyIgnored::NoTrigger));
    assert_eq!(decision("Gone"), Ignore(WhyIgnored::NoConnection));
}

/// Patterns and names over few letters, so that they meet.
fn name() -> impl Strategy<Value = String> {
    "[ab/]{1,4}"
}

fn patterns() -> impl Strategy<Value = Option<Patterns>> {
    let list = || proptest::option::of(proptest::collection::vec("[ab/*]{1,3}", 1..3));
    proptest::option::of((list(), list()).prop_map(|(includes, excludes)| Patterns { includes, excludes }))
}

fn filter() -> impl Strategy<Value = GitPushFilter> {
    (patterns(), patterns()).prop_map(|(branches, file_paths)| GitPushFilter { branches, file_paths, tags: None })
}

fn filtered_by(push: Vec<GitPushFilter>, name: &str, files: Option<Vec<String>>) -> GitDecision {
    let git = GitConfiguration { push: Some(push), ..GitConfiguration::default() };
    filtered(&git, &GitEvent { files, ..event(branch(name), None) })
}

proptest! {
    #[test]
    fn an_exclude_of_the_branch_keeps_it_out(
        filters in proptest::collection::vec(filter(), 1..4), at in 0..4_usize, name in name(), file in name()
    ) {
        let mut filters = filters;
        let at = at % filters.len();
        filters[at].branches.get_or_insert_default().excludes.get_or_insert_default().push(name.clone());
        let decision = filtered_by(filters, &name, Some(vec![file]));
        prop_assert!(matches!(decision, Ignore(Excluded { .. })), "{:?}", decision);
    }

    #[test]
    fn what_starts_without_the_files_starts_with_any(
        filters in proptest::collection::vec(filter(), 1..4), name in name(),
        files in proptest::collection::vec(name(), 0..4)
    ) {
        let (without, with) = (filtered_by(filters.clone(), &name, None), filtered_by(filters, &name, Some(files)));
        prop_assert_ne!(&with, &NeedsFiles);
        match without {
            Start(_) => prop_assert!(matches!(with, Start(_))),
            Ignore(why) => prop_assert_eq!(with, Ignore(why)),
            NeedsFiles => {}
        }
    }

    #[test]
    fn one_more_file_never_stops_a_start(
        filters in proptest::collection::vec(filter(), 1..4), name in name(), file in name(),
        files in proptest::collection::vec(name(), 0..4)
    ) {
        let before = filtered_by(filters.clone(), &name, Some(files.clone()));
        let more = files.into_iter().chain([file]).collect();
        if matches!(before, Start(_)) {
            prop_assert!(matches!(filtered_by(filters, &name, Some(more)), Start(_)));
        }
    }
}
