use base64::Engine;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const SECRET: &str = "a secret that only the host has";
const NOW: i64 = 1_800_000_000;
const BEFORE: &str = "1111111111111111111111111111111111111111";
const AFTER: &str = "2222222222222222222222222222222222222222";
const TAG: &str = "3333333333333333333333333333333333333333";
const NONE: &str = "0000000000000000000000000000000000000000";

type Headers = Vec<(&'static str, String)>;

fn read(headers: &Headers, body: &[u8], secret: &str) -> Result<Delivered, Undelivered> {
    let header = |name: &str| headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
    delivered(header, body, secret, NOW)
}

fn hex(parts: &[&[u8]]) -> String {
    let mac = hmac(SECRET.as_bytes(), parts).unwrap().finalize().into_bytes();
    hex::encode(mac)
}

fn github(kind: &str, body: &[u8]) -> Headers {
    let signature = format!("sha256={}", hex(&[body]));
    vec![("x-github-event", kind.into()), ("x-github-delivery", "guid".into()), ("x-hub-signature-256", signature)]
}

fn gitlab(kind: &str) -> Headers {
    vec![("x-gitlab-event", kind.into()), ("x-gitlab-token", SECRET.into()), ("idempotency-key", "key".into())]
}

fn bitbucket(kind: &str, body: &[u8]) -> Headers {
    let signature = format!("sha256={}", hex(&[body]));
    vec![("x-event-key", kind.into()), ("x-request-uuid", "uuid".into()), ("x-hub-signature", signature)]
}

fn events(host: &str, kind: &str, body: &Value) -> Result<Vec<GitEvent>, Undelivered> {
    let body = body.to_string();
    let headers = match host {
        "GitHub" => github(kind, body.as_bytes()),
        "GitLab" => gitlab(kind),
        _ => bitbucket(kind, body.as_bytes()),
    };
    Ok(read(&headers, body.as_bytes(), SECRET)?.events)
}

fn event(change: GitChange, message: &str, author: &str, files: Option<&[&str]>) -> GitEvent {
    GitEvent {
        repository: "us/app".into(),
        change,
        commit: AFTER.into(),
        message: message.into(),
        author: author.into(),
        files: files.map(|files| files.iter().map(|it| (*it).to_owned()).collect()),
    }
}

fn branch(before: Option<&str>) -> GitChange {
    GitChange::Branch { name: "feature/x".into(), before: before.map(str::to_owned) }
}

fn tag() -> GitChange {
    GitChange::Tag { name: "v1".into() }
}

fn request(event: PullRequestEvent) -> GitChange {
    let (source, target) = ("feature/x".into(), "main".into());
    GitChange::PullRequest(PullRequest { event, number: 7, title: "Better".into(), source, target })
}

fn changed(body: &Value, changes: &[(&str, Value)]) -> Value {
    let mut body = body.clone();
    for (at, value) in changes {
        *body.pointer_mut(at).unwrap() = value.clone();
    }
    body
}

fn github_push() -> Value {
    json!({
        "ref": "refs/heads/feature/x", "before": BEFORE, "after": AFTER,
        "created": false, "deleted": false, "forced": false,
        "repository": {"id": 1, "full_name": "us/app"}, "pusher": {"name": "kim"},
        "head_commit": {"id": AFTER, "message": "Faster\n\nand more", "author": {"name": "Kim", "username": "kim"}},
        "commits": [
            {"id": TAG, "added": ["b"], "removed": [], "modified": ["a/b"]},
            {"id": AFTER, "added": [], "removed": ["c"], "modified": ["b"]},
        ],
    })
}

#[test]
fn what_github_tells_of_pushes() {
    let whole = event(branch(Some(BEFORE)), "Faster", "Kim", Some(&["a/b", "b", "c"]));
    let unknown = |before| Ok(vec![GitEvent { files: None, change: branch(before), ..whole.clone() }]);
    let many = json!(vec![json!({"added": ["x"]}); 2048]);
    for (what, changes, expected) in [
        ("a push", vec![], Ok(vec![whole.clone()])),
        ("of a new branch", vec![("/before", json!(NONE))], unknown(None)),
        ("by force", vec![("/forced", json!(true))], unknown(Some(BEFORE))),
        ("of too many commits", vec![("/commits", many)], unknown(Some(BEFORE))),
        ("of a removal", vec![("/after", json!(NONE)), ("/deleted", json!(true))], Ok(vec![])),
        (
            "of an annotated tag",
            vec![("/ref", json!("refs/tags/v1")), ("/after", json!(TAG)), ("/commits", json!([]))],
            Ok(vec![event(tag(), "Faster", "Kim", None)]),
        ),
        ("of a note", vec![("/ref", json!("refs/notes/commits"))], Ok(vec![])),
        ("no commit", vec![("/after", json!("--upload-pack=x"))], lacks("what it names as a commit is none")),
        ("no reference", vec![("/ref", json!(5))], lacks("it names no reference")),
        ("no repository", vec![("/repository", json!(null))], lacks("it names no repository")),
    ] {
        assert_eq!(events("GitHub", "push", &changed(&github_push(), &changes)), expected, "{what}");
    }
    assert_eq!(events("GitHub", "ping", &json!({"zen": "Keep it logically awesome."})), Ok(vec![]));
}

#[test]
fn what_github_tells_of_pull_requests() {
    let body = |action: &str| {
        json!({"action": action, "number": 7, "repository": {"full_name": "us/app"}, "pull_request": {
            "title": "Better", "user": {"login": "kim"}, "merged": false,
            "head": {"ref": "feature/x", "sha": AFTER}, "base": {"ref": "main", "sha": BEFORE}}})
    };
    for (action, told) in [
        ("opened", Some(PullRequestEvent::Open)),
        ("reopened", Some(PullRequestEvent::Open)),
        ("synchronize", Some(PullRequestEvent::Updated)),
        ("closed", Some(PullRequestEvent::Closed)),
        ("labeled", None),
        ("edited", None),
    ] {
        let expected = told.map(|told| event(request(told), "", "kim", None));
        assert_eq!(events("GitHub", "pull_request", &body(action)), Ok(Vec::from_iter(expected)), "{action}");
    }
}

fn gitlab_push() -> Value {
    json!({
        "object_kind": "push", "before": BEFORE, "after": AFTER, "checkout_sha": AFTER,
        "ref": "refs/heads/feature/x", "user_name": "Kim", "total_commits_count": 2,
        "project": {"id": 1, "path_with_namespace": "us/app"},
        "commits": [
            {"id": TAG, "message": "First", "added": ["b"], "removed": [], "modified": ["a/b"], "author": {"name": "Lou"}},
            {"id": AFTER, "message": "Faster\n", "added": [], "removed": ["c"], "modified": [], "author": {"name": "Kim"}},
        ],
    })
}

#[test]
fn what_gitlab_tells_of_pushes() {
    let whole = event(branch(Some(BEFORE)), "Faster", "Kim", Some(&["a/b", "b", "c"]));
    for (what, changes, expected) in [
        ("a push", vec![], Ok(vec![whole.clone()])),
        (
            "of more commits than it lists",
            vec![("/total_commits_count", json!(21))],
            Ok(vec![GitEvent { files: None, ..whole.clone() }]),
        ),
        (
            "of a new branch without commits",
            vec![("/before", json!(NONE)), ("/commits", json!([])), ("/total_commits_count", json!(0))],
            Ok(vec![event(branch(None), "", "Kim", None)]),
        ),
        ("of a removal", vec![("/after", json!(NONE)), ("/checkout_sha", json!(null))], Ok(vec![])),
        ("no project", vec![("/project", json!({}))], lacks("it names no project")),
    ] {
        assert_eq!(events("GitLab", "Push Hook", &changed(&gitlab_push(), &changes)), expected, "{what}");
    }
    let tagged = changed(&gitlab_push(), &[("/ref", json!("refs/tags/v1")), ("/after", json!(TAG))]);
    assert_eq!(events("GitLab", "Tag Push Hook", &tagged), Ok(vec![event(tag(), "Faster", "Kim", None)]));
    assert_eq!(events("GitLab", "Issue Hook", &json!({})), Ok(vec![]));
}

#[test]
fn what_gitlab_tells_of_merge_requests() {
    let body = |action: &str, pushed: bool| {
        let mut body = json!({"object_kind": "merge_request", "project": {"path_with_namespace": "us/app"},
            "object_attributes": {"iid": 7, "title": "Better", "source_branch": "feature/x", "target_branch": "main",
                "action": action, "last_commit": {"id": AFTER, "message": "Faster", "author": {"name": "Kim"}}}});
        if pushed {
            body["object_attributes"]["oldrev"] = json!(BEFORE);
        }
        body
    };
    for (action, pushed, told) in [
        ("open", false, Some(PullRequestEvent::Open)),
        ("reopen", false, Some(PullRequestEvent::Open)),
        ("update", true, Some(PullRequestEvent::Updated)),
        ("update", false, None),
        ("close", false, Some(PullRequestEvent::Closed)),
        ("merge", false, Some(PullRequestEvent::Closed)),
        ("approved", false, None),
    ] {
        let expected = told.map(|told| event(request(told), "Faster", "Kim", None));
        let told = events("GitLab", "Merge Request Hook", &body(action, pushed));
        assert_eq!(told, Ok(Vec::from_iter(expected)), "{action}");
    }
}

#[test]
fn what_bitbucket_tells_of_pushes() {
    let target = |id: &str| json!({"hash": id, "message": "Faster\n", "author": {"raw": "Kim <kim@example.com>"}});
    let named = |kind: &str, name: &str, id: &str| json!({"type": kind, "name": name, "target": target(id)});
    let body = json!({"repository": {"full_name": "us/app"}, "push": {"changes": [
        {"new": named("branch", "feature/x", AFTER), "old": named("branch", "feature/x", BEFORE), "forced": false},
        {"new": named("branch", "feature/x", AFTER), "old": null, "created": true},
        {"new": null, "old": named("branch", "gone", BEFORE), "closed": true},
        {"new": named("tag", "v1", AFTER), "old": null},
    ]}});
    let expected =
        [branch(Some(BEFORE)), branch(None), tag()].map(|change| event(change, "Faster", "Kim", None)).to_vec();
    assert_eq!(events("Bitbucket", "repo:push", &body), Ok(expected));
    assert_eq!(events("Bitbucket", "repo:push", &json!({"push": {}})), lacks("it has no changes"));
    assert_eq!(events("Bitbucket", "repo:fork", &json!({})), Ok(vec![]));
}

#[test]
fn what_bitbucket_tells_of_pull_requests() {
    let body = json!({"repository": {"full_name": "us/app"}, "pullrequest": {"id": 7, "title": "Better",
        "author": {"display_name": "Kim"}, "source": {"branch": {"name": "feature/x"}, "commit": {"hash": AFTER}},
        "destination": {"branch": {"name": "main"}, "commit": {"hash": BEFORE}}}});
    for (key, told) in [
        ("pullrequest:created", Some(PullRequestEvent::Open)),
        ("pullrequest:updated", Some(PullRequestEvent::Updated)),
        ("pullrequest:fulfilled", Some(PullRequestEvent::Closed)),
        ("pullrequest:rejected", Some(PullRequestEvent::Closed)),
        ("pullrequest:approved", None),
    ] {
        let expected = told.map(|told| event(request(told), "", "Kim", None));
        assert_eq!(events("Bitbucket", key, &body), Ok(Vec::from_iter(expected)), "{key}");
    }
}

#[test]
fn who_does_not_prove_himself_is_not_read() {
    let body = b"not even JSON";
    let other = |mut headers: Headers, name: &str, value: Option<&str>| {
        headers.retain(|(given, _)| *given != name);
        headers.extend(value.map(|value| {
            (if name == "x-gitlab-token" { "x-gitlab-token" } else { "x-hub-signature-256" }, value.to_owned())
        }));
        headers
    };
    let zeros = format!("sha256={}", "0".repeat(64));
    for (what, headers, secret) in [
        ("no signature", other(github("push", body), "x-hub-signature-256", None), SECRET),
        ("another signature", other(github("push", body), "x-hub-signature-256", Some(&zeros)), SECRET),
        ("a short one", other(github("push", body), "x-hub-signature-256", Some("sha256=")), SECRET),
        ("no digits", other(github("push", body), "x-hub-signature-256", Some("sha256=é")), SECRET),
        ("another secret", github("push", body), "another"),
        ("no secret", github("push", body), ""),
        ("no token", other(gitlab("Push Hook"), "x-gitlab-token", None), SECRET),
        ("another token", other(gitlab("Push Hook"), "x-gitlab-token", Some("another")), SECRET),
        ("an empty token", other(gitlab("Push Hook"), "x-gitlab-token", Some("")), ""),
        (
            "GitHub's signature at Bitbucket",
            vec![("x-event-key", "repo:push".into()), ("x-hub-signature-256", format!("sha256={}", hex(&[body])))],
            SECRET,
        ),
    ] {
        assert_eq!(read(&headers, body, secret), Err(Undelivered::Unproven), "{what}");
    }
    for (what, headers) in
        [("GitHub", github("push", body)), ("GitLab", gitlab("Push Hook")), ("Bitbucket", bitbucket("repo:push", body))]
    {
        assert_eq!(read(&headers, body, SECRET), lacks("it is not JSON"), "{what}");
    }
    assert_eq!(read(&vec![], body, SECRET), Err(Undelivered::UnknownHost));
}

#[test]
fn gitlabs_signing_token_signs_id_time_and_body() {
    let key = b"thirty-two bytes that GitLab made";
    let secret = format!("whsec_{}", STANDARD.encode(key));
    let body = gitlab_push().to_string();
    let signed = |time: i64, body: &str, versions: &str| {
        let time = time.to_string();
        let mac = hmac(key, &[b"id", b".", time.as_bytes(), b".", body.as_bytes()]).unwrap();
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        vec![
            ("x-gitlab-event", "Push Hook".into()),
            ("webhook-id", "id".into()),
            ("webhook-timestamp", time),
            ("webhook-signature", versions.replace('*', &signature)),
        ]
    };
    for (headers, proved) in [
        (signed(NOW, &body, "v1,*"), true),
        (signed(NOW - 299, &body, "v1,AAAA v1,*"), true),
        (signed(NOW - 301, &body, "v1,*"), false),
        (signed(NOW + 301, &body, "v1,*"), false),
        (signed(NOW, "{}", "v1,*"), false),
        (signed(NOW, &body, "v2,*"), false),
        (signed(NOW, &body, "*"), false),
        (gitlab("Push Hook"), false),
    ] {
        let read = read(&headers, body.as_bytes(), &secret);
        assert_eq!(read.is_ok(), proved, "{headers:?}");
    }
    // The token itself is no proof where it signs.
    let token = vec![("x-gitlab-event", "Push Hook".to_owned()), ("x-gitlab-token", secret.clone())];
    assert_eq!(read(&token, body.as_bytes(), &secret), Err(Undelivered::Unproven));
    let empty = signed(NOW, &body, "v1,*");
    assert_eq!(read(&empty, body.as_bytes(), "whsec_"), Err(Undelivered::Unproven));
}

#[test]
fn a_delivery_that_comes_again_has_the_same_id() {
    let (body, other) = (github_push().to_string(), changed(&github_push(), &[("/after", json!(TAG))]).to_string());
    let id = |headers: Headers, body: &str| read(&headers, body.as_bytes(), SECRET).unwrap().id;
    let first = id(github("push", body.as_bytes()), &body);
    let mut again = github("push", body.as_bytes());
    again[1].1 = "another guid, which nothing proves".into();
    assert_eq!(id(again, &body), first);
    assert_ne!(id(github("push", other.as_bytes()), &other), first);
    let body = gitlab_push().to_string();
    let mut moved_back_and_forth = gitlab("Push Hook");
    moved_back_and_forth[2].1 = "another key".into();
    assert_eq!(id(gitlab("Push Hook"), &body), id(gitlab("Push Hook"), &body));
    assert_ne!(id(gitlab("Push Hook"), &body), id(moved_back_and_forth, &body));
}

proptest! {
    #[test]
    fn no_member_that_is_of_another_kind_is_more_than_unreadable(
        member in 0..40_usize, value in prop_oneof![Just(json!(null)), Just(json!(-1)), Just(json!([[]])), Just(json!("x")), Just(json!({}))]
    ) {
        fn nth(json: &mut Value, left: &mut usize, value: &Value) {
            if *left == 0 {
                *json = value.clone();
                *left = usize::MAX;
                return;
            }
            *left -= 1;
            match json {
                Value::Array(list) => list.iter_mut().for_each(|it| if *left != usize::MAX { nth(it, left, value) }),
                Value::Object(map) => map.values_mut().for_each(|it| if *left != usize::MAX { nth(it, left, value) }),
                _ => {}
            }
        }
        for (host, kind, mut body) in
            [("GitHub", "push", github_push()), ("GitLab", "Push Hook", gitlab_push()), ("GitHub", "pull_request", github_push())]
        {
            nth(&mut body, &mut member.clone(), &value);
            let _ = events(host, kind, &body);
        }
    }
}
