//! What each page shows, and that nothing gets out of its place.

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, action, release, with};

/// What no page may have: markup of somebody else's, or anything that the policy would refuse.
pub fn assert_harmless(html: &str) {
    for evil in
        ["<script>alert", "<img", "\u{202e}", "\u{0}", "javascript:", " style=", " onclick", " onerror=y>\u{202e}"]
    {
        assert!(!html.contains(evil), "{evil:?}");
    }
    assert_eq!(html.matches("<script").count(), 1, "the page's own");
}

/// What a page of ordinary size may have, in bytes.
const ORDINARY: usize = 100_000;

#[tokio::test]
async fn a_pipeline_shows_what_runs_and_what_waits() {
    let world = World::new();
    let mut declared = release("shop-frontend", "QUEUED");
    declared["stages"][2]["actions"][0]["configuration"]["CustomData"] = json!("Do the dashboards look right?");
    let name = world.create(declared).await;
    world.clock.pass(600_000);
    world.start(&name).await;
    world.clock.pass(60_000);
    world.start(&name).await;
    let reason = "Freeze until Monday: <b>see</b> the calendar".to_owned();
    let by = "arn:aws:sts::111122223333:assumed-role/Dev/ada".to_owned();
    world.driver.set_transition(&name, "Production", Some(reason), by).await.unwrap();
    world.clock.pass(125_000);
    let html = world.page("/console/pipelines/shop-frontend", "pipeline").await;
    assert_harmless(&html);
    assert!(html.len() < ORDINARY, "{} bytes", html.len());
    for shown in [
        "waiting for a person",
        "3 side by side",
        "us-west-2",
        "3f2a9c1",
        "Lift the gate",
        "Freeze until Monday",
        "transition closed",
        "It asks: Do the dashboards look right?",
        "waits for somebody to approve or reject it; it fails at 2026-12-03 19:",
        "data-op=\"PutApprovalResult\"",
        "creation of the pipeline",
        "StopPipelineExecution",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    let panel = world.page("/console/pipelines/shop-frontend?stage=Source&action=Checkout", "panel").await;
    assert_harmless(&panel);
    for shown in ["n4bQgYhMfWWaL", "S3ObjectKey", "VersionId"] {
        assert!(panel.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn what_failed_says_why_in_full() {
    let world = World::new();
    let mut declared = release("payments", "SUPERSEDED");
    declared["stages"][0]["actions"][0]["name"] = json!("Fetch");
    declared["stages"][1]["actions"][2]["name"] = json!("Fail-contract");
    world.create(declared).await;
    let html = world.page("/console/pipelines/payments?stage=Build&action=Fail-contract", "failed").await;
    assert_harmless(&html);
    for shown in [
        "the tests did not pass: 3 of 412 failed\nexpected 4, found 5",
        "JobFailed",
        "RetryStageExecution",
        "ALL_ACTIONS",
        "[U+202E]",
        "[U+0000]",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn nothing_is_sent_when_nothing_has_changed() {
    let world = World::new();
    let name = world.create(release("shop", "SUPERSEDED")).await;
    for address in ["/console/pipelines/shop", "/console/pipelines"] {
        let version = world.version(address).await;
        let again = world.ask(address, Some(&version), true).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{address}");
        assert_eq!(world.ask(address, Some("\"other\""), true).await.status, StatusCode::OK);
    }
    let (one, all) = (world.version("/console/pipelines/shop").await, world.version("/console/pipelines").await);
    world.start(&name).await;
    assert_ne!(world.version("/console/pipelines/shop").await, one);
    assert_ne!(world.version("/console/pipelines").await, all);
    let live = world.ask("/console/pipelines/shop", None, true).await.body;
    assert!(!live.contains("<html") && live.contains("id=\"flow\""), "the part that is updated");
}

/// What the page of any pipeline may have that has one execution in it, in bytes and uncompressed.
const LARGEST: usize = 100_000;

/// A name of 100 characters, as long as names may be.
fn long(name: &str) -> String {
    format!("{name:-<100}")
}

/// A pipeline whose first stage fetches something, and whose others have so many actions.
fn of_size(name: &str, stages: impl IntoIterator<Item = (String, Vec<String>)>) -> Value {
    let source = with(action("Fetch", "Source", "S3", 1, json!({"S3Bucket": "b", "S3ObjectKey": "k"})), &[], &["App"]);
    let call = |name: &String| action(name, "Invoke", "Lambda", 1, json!({"FunctionName": "f"}));
    let stages = stages
        .into_iter()
        .map(|(name, actions)| json!({"name": name, "actions": actions.iter().map(call).collect::<Vec<_>>()}));
    let mut declared = release(name, "SUPERSEDED");
    declared["stages"] = [json!({"name": "Source", "actions": [source]})].into_iter().chain(stages).collect();
    declared["artifactStores"] = json!({"eu-west-1": {"type": "S3", "location": "artifacts-eu"}});
    declared
}

#[tokio::test]
async fn the_page_of_the_largest_pipeline_is_small_and_leads_to_all_of_it() {
    let world = World::new();
    // Fifty side by side, nearly five hundred in all; the last stage runs on.
    let actions = |stage: usize| {
        (0..if stage < 10 { 50 } else { 49 }).map(move |n| match stage {
            10 => format!("Slow-{n}"),
            _ => format!("Quick-{stage}-{n}"),
        })
    };
    let wide = (1..11).map(|stage| (format!("Stage-{stage}"), actions(stage).collect()));
    world.create(of_size("wide", wide)).await;
    // Fifty stages of ten, with the longest names; one action fails.
    let deep = (1..50).map(|stage| {
        let call = |n| long(&format!("{}-{stage}-{n}-", if (stage, n) == (40, 3) { "Fail" } else { "Quick" }));
        (long(&format!("Stage-{stage}-")), (0..10).map(call).collect())
    });
    let name = long("deep-");
    world.create(of_size(&name, deep)).await;

    for (file, address, seen) in [
        ("wide", "/console/pipelines/wide".to_owned(), vec!["50 succeeded", "49 in progress", "Slow-2"]),
        ("wide-open", "/console/pipelines/wide?open=4".to_owned(), vec!["Quick-4-49", "50 side by side"]),
        (
            "deep",
            format!("/console/pipelines/{name}"),
            vec!["1 failed, 9 succeeded", "Fail-40-3", "the tests did not pass"],
        ),
        (
            "deep-open",
            format!("/console/pipelines/{name}?stage={}&action={}", long("Stage-7-"), long("Quick-7-9-")),
            vec!["Quick-7-0-", "id=\"panel\"", "DisableStageTransition"],
        ),
    ] {
        let html = world.page(&address, file).await;
        assert_harmless(&html);
        for words in seen {
            assert!(html.contains(words), "{words} on {file}");
        }
        assert!(html.len() < LARGEST, "{file}: {} bytes", html.len());
    }
    let folded = world.page(&format!("/console/pipelines/{name}"), "deep").await;
    assert!(!folded.contains("Quick-7-0-") && folded.contains(">Show all<"));
}

#[tokio::test]
async fn of_many_executions_at_once_some_are_told_and_all_are_counted() {
    for (mode, more) in [("PARALLEL", "And 29 more"), ("QUEUED", "And 29 more")] {
        let world = World::new();
        let name = world.create(release("busy", mode)).await;
        for _ in 0..40 {
            world.clock.pass(1_000);
            world.start(&name).await;
        }
        let html = world.page("/console/pipelines/busy", &format!("busy-{mode}")).await;
        assert_harmless(&html);
        assert!(html.contains(more) && html.contains("waiting for a person"), "{mode}");
        assert!(html.len() < ORDINARY, "{mode}: {} bytes", html.len());
    }
}

#[tokio::test]
async fn an_execution_that_waits_says_for_what_and_one_that_has_ended_who_made_the_change() {
    let world = World::new();
    let name = world.create(release("shop", "SUPERSEDED")).await;
    let by = "arn:aws:sts::111122223333:assumed-role/Dev/ada".to_owned();
    world.driver.set_transition(&name, "Release-gate", Some("Freeze".to_owned()), by).await.unwrap();
    let second = world.start(&name).await;
    let page = world.page(&format!("/console/pipelines/shop/executions/{second}"), "execution-waits").await;
    assert_harmless(&page);
    for shown in ["waiting at a closed transition", "its transition was closed by", "Freeze", "by <bdi>Ada Lovelace"] {
        assert!(page.contains(shown), "{shown}");
    }
    let list = world.page("/console/pipelines", "pipelines-waiting").await;
    assert!(list.contains("1 transition closed"), "{list}");
}

#[tokio::test]
async fn pipelines_are_listed_searched_and_paged() {
    let world = World::new();
    let empty = world.page("/console/pipelines", "empty").await;
    assert!(empty.contains("There is no pipeline yet"));
    for number in 0..30 {
        let mut declared = release(&format!("service-{number:02}"), ["SUPERSEDED", "QUEUED", "PARALLEL"][number % 3]);
        if number % 7 == 3 {
            declared["stages"][1]["actions"][1]["name"] = json!("Fail-unit");
        }
        if number % 5 == 1 {
            declared["stages"][1]["actions"][0]["name"] = json!("Slow-build");
        }
        if number % 4 == 0 {
            declared["stages"].as_array_mut().unwrap().remove(2);
        }
        let name = world.create(declared).await;
        for _ in 0..number % 6 {
            world.clock.pass(3_600_000 + number as i64 * 60_000);
            world.start(&name).await;
        }
    }
    let first = world.page("/console/pipelines", "pipelines").await;
    assert_harmless(&first);
    assert!(first.len() < ORDINARY, "{} bytes", first.len());
    assert!(first.contains("service-00") && first.contains("service-24") && !first.contains("service-25"));
    assert!(first.contains("/console/pipelines?after=service-24"));
    let second = world.page("/console/pipelines?after=service-24", "pipelines-2").await;
    assert!(second.contains("service-25") && !second.contains("service-24<"));
    let found = world.page("/console/pipelines?search=E-1", "pipelines-search").await;
    assert!(found.contains("service-19") && !found.contains("service-20"));
    let failed = world.page("/console/pipelines?state=failed", "pipelines-failed").await;
    assert!(failed.contains("service-03") && failed.contains("service-24") && !failed.contains("service-00"));
    let none = world.page("/console/pipelines?search=%3Cscript%3E", "pipelines-none").await;
    assert!(none.contains("No pipeline is like that"));
    assert_harmless(&none);
}

#[tokio::test]
async fn what_is_not_there_has_a_page_that_says_so() {
    let world = World::new();
    world.create(release("shop", "PARALLEL")).await;
    for (address, status) in [
        ("/console", StatusCode::FOUND),
        ("/console/nowhere", StatusCode::NOT_FOUND),
        ("/console/pipelines/nobody", StatusCode::NOT_FOUND),
        ("/console/pipelines/%3Cscript%3E", StatusCode::NOT_FOUND),
        ("/console/pipelines/shop?execution=zzz", StatusCode::NOT_FOUND),
        ("/console/pipelines?after=%00", StatusCode::BAD_REQUEST),
    ] {
        let answer = world.ask(address, None, false).await;
        assert_eq!(answer.status, status, "{address}");
        assert!(status == StatusCode::FOUND || answer.body.contains("<h1>"), "{address}");
    }
}

#[tokio::test]
async fn the_wall_says_what_is_red_what_waits_and_what_is_where() {
    let world = World::new();
    let mut red = release("payments", "SUPERSEDED");
    red["stages"][1]["actions"][1]["name"] = json!("Fail-unit");
    let mut runs = release("search", "QUEUED");
    runs["stages"][1]["actions"][0]["name"] = json!("Slow-build");
    let mut calm = release("mailer", "SUPERSEDED");
    calm["stages"].as_array_mut().unwrap().remove(2);
    for declared in [red, runs, calm, release("shop", "SUPERSEDED"), release("ledger", "PARALLEL")] {
        world.create(declared).await;
    }
    let html = world.page("/console/wall", "wall").await;
    assert_harmless(&html);
    assert!(html.len() < ORDINARY, "{} bytes", html.len());
    let first = |words: &str| html.find(words).unwrap_or_else(|| panic!("{words}"));
    assert!(first("tile-payments") < first("tile-shop") && first("tile-shop") < first("tile-search"));
    assert!(!html.contains("tile-mailer") && html.contains("row-mailer"), "what is well is in the matrix alone");
    let version = world.version("/console/wall").await;
    assert_eq!(world.ask("/console/wall", Some(&version), true).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn an_execution_has_a_timeline_and_is_compared() {
    let world = World::new();
    let mut declared = release("shop", "SUPERSEDED");
    declared["stages"].as_array_mut().unwrap().remove(2);
    let name = world.create(declared).await;
    let mut last = None;
    for _ in 0..40 {
        world.clock.pass(7_200_000);
        last = Some(world.start(&name).await);
    }
    let html = world.page(&format!("/console/pipelines/shop/executions/{}", last.unwrap()), "execution").await;
    assert_harmless(&html);
    assert!(html.len() < ORDINARY, "{} bytes", html.len());
    for shown in ["Timeline of execution 41", "Deploy-away", "#40", "median of the last 10", "Variable "] {
        assert!(html.contains(shown), "{shown}");
    }
    let history = world.page("/console/pipelines/shop/history", "history").await;
    assert_harmless(&history);
    assert!(history.contains("#41<") && history.contains("#12<") && !history.contains("#11<"));
    let next = history.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let older = world.page(&next, "history-2").await;
    assert!(older.contains("#11<") && older.contains("#1<") && !older.contains("#12<"));
    let none = world.page("/console/pipelines/shop/history?state=failed", "history-none").await;
    assert!(none.contains("No execution here is like that"));
    let spent = world.page("/console/pipelines/shop/time", "time").await;
    assert!(spent.contains("Deploy-away") && spent.contains("0 of 20"));
    let definition = world.page("/console/pipelines/shop/definition", "definition").await;
    assert_harmless(&definition);
    assert!(definition.contains("/shop/edit?version=1\"") && definition.contains("&quot;executionMode&quot;"));
    let back = world.page("/console/pipelines/shop/rollback?stage=Production", "rollback").await;
    assert_harmless(&back);
    assert!(back.contains("RollbackStage") && back.contains("is in the stage now"));
    assert_eq!(
        world.ask("/console/pipelines/shop/rollback?stage=None", None, false).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_condition_that_is_not_met_says_why_and_can_be_overridden() {
    let world = World::new();
    let mut declared = release("guarded", "SUPERSEDED");
    declared["stages"].as_array_mut().unwrap().remove(2);
    let rule = json!({
        "name": "Fail-window", "configuration": {"FunctionName": "window"},
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
    });
    declared["stages"][2]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
    world.create(declared).await;
    let html = world.page("/console/pipelines/guarded", "condition").await;
    assert_harmless(&html);
    for shown in [
        "Entry condition",
        "not met",
        "Fail-window",
        "the tests did not pass",
        "OverrideStageCondition",
        "BEFORE_ENTRY",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
}

#[tokio::test]
async fn executions_side_by_side_are_each_shown() {
    let world = World::new();
    let name = world.create(release("ledger", "PARALLEL")).await;
    world.clock.pass(60_000);
    let second = world.start(&name).await;
    world.clock.pass(60_000);
    world.start(&name).await;
    let html = world.page("/console/pipelines/ledger", "parallel").await;
    assert_harmless(&html);
    assert!(html.contains("The stages show execution") && html.contains("Show its stages"));
    assert_eq!(html.matches("waits for somebody to approve or reject it").count(), 3, "of each");
    // Transitions are nothing to those that share no stages, and none rolls back.
    assert!(!html.contains("DisableStageTransition") && !html.contains("/rollback"));
    let version = world.version("/console/pipelines/ledger").await;
    assert_eq!(world.ask("/console/pipelines/ledger", Some(&version), true).await.status, StatusCode::NOT_MODIFIED);
    let one = world.page(&format!("/console/pipelines/ledger?execution={second}"), "parallel-one").await;
    assert!(one.contains("#2</a>") && one.contains("waits for somebody to approve or reject it"));
}

#[tokio::test]
async fn an_action_that_has_a_log_has_a_place_for_its_last_lines() {
    let world = World::new();
    let mut declared = release("shop", "SUPERSEDED");
    declared["stages"][1]["actions"][0]["name"] = json!("Slow-build");
    world.create(declared).await;
    let running = world.page("/console/pipelines/shop?stage=Build&action=Slow-build", "log").await;
    assert_harmless(&running);
    let place = running.split("data-log=\"").nth(1).unwrap();
    let (address, rest) = place.split_once('"').unwrap();
    let action = running.split("<dt>Action execution</dt><dd><code>").nth(1).unwrap().split('<').next().unwrap();
    assert!(address.starts_with("/console/log/shop/") && address.ends_with(&format!("/{action}")), "{address}");
    assert!(rest.split('>').next().unwrap().contains("data-runs"), "it is followed");
    for other in ["stage=Source&action=Checkout", "stage=Build&action=Unit", "stage=Production&action=Smoke-test"] {
        let page = world.page(&format!("/console/pipelines/shop?{other}"), "no-log").await;
        assert!(!page.contains("data-log="), "{other}: another kind, or it has not run");
    }
}

#[tokio::test]
async fn the_history_says_what_is_waited_for() {
    let world = World::new();
    let name = world.create(release("shop", "QUEUED")).await;
    let first = world.start(&name).await;
    let badges = async |address: &str| {
        let page = world.page(address, "history-waiting").await;
        let rows: Vec<String> = page.split("<tr class=").skip(1).map(str::to_owned).collect();
        let words = ["waiting for a person", "waiting for the stage", "waiting at a closed transition", "in progress"];
        let word =
            |row: &String| words.into_iter().find(|word| row.contains(&format!("{word}</span>"))).map(str::to_owned);
        rows.iter().map(word).collect::<Vec<_>>()
    };
    let told = |words: &[&str]| words.iter().map(|word| Some((*word).to_owned())).collect::<Vec<_>>();
    let waiting = told(&["waiting for the stage", "waiting for a person"]);
    assert_eq!(badges("/console/pipelines/shop/history").await, waiting);
    assert_eq!(badges("/console/pipelines/shop").await, waiting, "and below the stages");
    let one = world.page(&format!("/console/pipelines/shop/executions/{first}"), "execution-waiting").await;
    assert!(one.contains("waiting for the stage"));
    assert_eq!(badges("/console/pipelines/shop/history?state=waiting").await, waiting, "the filter knows it too");
    assert!(badges("/console/pipelines/shop/history?state=running").await.is_empty());

    let version = world.version("/console/pipelines/shop/history").await;
    let by = "arn:aws:sts::111122223333:assumed-role/Dev/ada".to_owned();
    world.driver.set_transition(&name, "Release-gate", Some("Freeze".into()), by).await.unwrap();
    assert_ne!(world.version("/console/pipelines/shop/history").await, version, "the page is told");
    let closed = told(&["waiting at a closed transition", "waiting for a person"]);
    assert_eq!(badges("/console/pipelines/shop/history").await, closed);
    let again = world.version("/console/pipelines/shop/history").await;
    assert_eq!(world.ask("/console/pipelines/shop/history", Some(&again), true).await.status, StatusCode::NOT_MODIFIED);
}
