//! The editor of a definition: what is said of a text while it is typed, and what a version changed.

use lambda_http::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::pages::assert_harmless;
use crate::world::{EVIL, World, release};

/// The definition as the editor's page has it.
fn typed(page: &str) -> String {
    let text = page.split("<textarea").nth(1).and_then(|it| it.split_once('>')).unwrap().1;
    let text = text.split("</textarea>").next().unwrap();
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The faults of an answer, each as its line and its words.
fn faults(html: &str) -> Vec<(usize, String)> {
    let items = html.split("<ol class=\"faults\">").nth(1).and_then(|it| it.split("</ol>").next()).unwrap_or_default();
    items
        .split("<li>")
        .skip(1)
        .map(|item| {
            let line = item.split("Line ").nth(1).and_then(|it| it.split(',').next()).unwrap();
            let words = item.split("<span>").nth(1).and_then(|it| it.split("</span>").next()).unwrap();
            (line.parse().unwrap(), words.replace("&quot;", "\""))
        })
        .collect()
}

/// The line on which a text has this, from 1.
fn line(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}")) + 1
}

#[tokio::test]
async fn the_editor_begins_with_what_is_stored_and_nothing_is_wrong_with_that() {
    let world = World::new();
    world.create(release("shop", "QUEUED")).await;
    let to = world.ask("/console/pipelines/shop/edit", None, false).await;
    assert_eq!(to.status, StatusCode::FOUND);
    assert!(to.headers.iter().any(|(_, value)| value == "/console/pipelines/shop/edit?version=1"), "{:?}", to.headers);
    let page = world.page("/console/pipelines/shop/edit?version=1", "edit").await;
    assert_harmless(&page);
    for shown in ["Nothing is wrong with it", "3 side by side", "Deploy-away", "readonly", "UpdatePipeline"] {
        assert!(page.contains(shown), "{shown}");
    }
    let text = typed(&page);
    let mut stored = release("shop", "QUEUED");
    stored["version"] = json!(1);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["stages"][2]["actions"][0]["configuration"]["CustomData"], EVIL, "it means what was stored");
    assert!(!text.contains('\u{202e}') && text.contains("\\u202e"), "and hides nothing");
    let answer = world.check("shop", 1, &text).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("Nothing differs from version 1") && !answer.body.contains("<html"));
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_each_at_its_line() {
    let world = World::new();
    world.create(release("shop", "QUEUED")).await;
    let mut text = typed(&world.page("/console/pipelines/shop/edit?version=1", "edit").await);
    for (good, bad) in [
        ("\"executionMode\": \"QUEUED\"", "\"executionMode\": \"ALWAYS\""),
        ("\"provider\": \"CodeBuild\"", "\"provider\": \"CodeBuilt\""),
        ("\"name\": \"Contract\",", "\"name\": \"Contract\",\n\"runorder\": 2,"),
        ("\"name\": \"Smoke-test\",", "\"name\": \"Smoke-test\",\n\"runOrder\": \"two\",\n\"region\": \"us-west-2\","),
        ("\"S3Bucket\": \"sources\",", "\"S3Bucket\": \"sources\",\n\"S3Bucket\": \"other\","),
    ] {
        assert!(text.contains(good), "{good}");
        text = text.replacen(good, bad, 1);
    }
    // What stood there for the run order and is now there twice.
    let second = text.rfind("\"runOrder\": 2").unwrap();
    text.replace_range(second..second + 14, "");
    let html = world.check("shop", 1, &text).await.body;
    let found = faults(&html);
    for (part, words) in [
        ("ALWAYS", "executionMode"),
        ("CodeBuilt", "is not available"),
        ("\"runorder\"", "There is no such key"),
        ("\"runOrder\": \"two\"", "This is string \"two\", and must be a whole number from 0."),
        ("\"S3Bucket\": \"other\"", "here a second time"),
    ] {
        let at = if part == "CodeBuilt" { line(&text, part) - 3 } else { line(&text, part) };
        let there =
            found.iter().any(|(line, said)| line.abs_diff(at) < 2 && (said.contains(words) || part == "ALWAYS"));
        assert!(there, "{part} at line {at}: {found:#?}");
    }
    assert!(found.len() >= 5 && found.is_sorted_by_key(|(line, _)| *line), "{found:#?}");
    assert!(html.contains("Deploy-away") && html.contains("shown when nothing is wrong"), "it is drawn all the same");
    assert_harmless(&format!("<script{html}"));
}

#[tokio::test]
async fn what_is_no_json_says_where_and_leaves_the_drawing() {
    let world = World::new();
    world.create(release("shop", "QUEUED")).await;
    let html = world.check("shop", 1, "{\n  \"name\": \"shop\",\n  \"stages\": [,]\n}").await.body;
    assert!(html.contains("Line 3, column 14") && html.contains("This is not JSON"), "{html}");
    assert!(html.contains("id=\"plan\" data-keep") && html.contains("This text cannot be drawn"));
    for text in ["", "7", "[]", "null", "{}", "\u{feff}{}", &"[".repeat(100_000)] {
        let answer = world.check("shop", 1, text).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.body.contains("data-faults=\"0\""), "{}", answer.body);
    }
    assert_eq!(world.check("shop", 1, &" ".repeat(1_000_001)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.check("shop", 7, "{}").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.check("nobody", 1, "{}").await.status, StatusCode::NOT_FOUND);
    let many = format!("{{\"stages\": [{}]}}", vec!["{\"name\": 7, \"x\": 1, \"x\": 2}"; 20_000].join(","));
    assert!(world.check("shop", 1, &many).await.body.len() < 100_000, "of many faults not all are listed");
}

#[tokio::test]
async fn what_differs_is_shown_before_it_is_saved_and_between_any_two_versions() {
    let world = World::new();
    let declared = release("shop", "QUEUED");
    world.create(declared.clone()).await;
    let edit = "/console/pipelines/shop/edit?version=1";
    let text = typed(&world.page(edit, "edit").await).replace("Smoke-test", "Smoke-tests");
    let html = world.check("shop", 1, &text).await.body;
    assert!(html.contains("1 line removed, 1 line added.") && html.contains("added: </span>"), "{html}");
    let renamed = world.check("shop", 1, &text.replace("\"name\": \"shop\"", "\"name\": \"other\"")).await.body;
    assert!(faults(&renamed)[0].1.contains("cannot be renamed"), "{renamed}");
    let version = world.version(edit).await;
    for name in ["Smoke-tests", "Smoke"] {
        let mut next = declared.clone();
        next["stages"][3]["actions"][2]["name"] = json!(name);
        world.driver.update_pipeline(serde_json::from_value(next).unwrap()).await.unwrap();
    }
    assert_ne!(world.version(edit).await, version);
    let stale = world.page(edit, "edit-stale").await;
    assert!(stale.contains("Version 3 has been stored since") && !stale.contains("UpdatePipeline"));
    assert_harmless(&stale);
    let all = world.page("/console/pipelines/shop/definition?version=3&against=1", "difference").await;
    assert_harmless(&all);
    for shown in ["From version 1 to version 3", "Smoke-test&quot;", "Smoke&quot;", "1 line removed, 1 line added"] {
        assert!(all.contains(shown), "{shown}");
    }
    assert!(!all.contains("Smoke-tests"));
    let older = world.page("/console/pipelines/shop/definition?version=2", "definition-2").await;
    assert!(older.contains("Smoke-tests") && older.contains("What it changed"));
    for missing in ["version=9", "version=x", "version=1&against=0"] {
        let answer = world.ask(&format!("/console/pipelines/shop/definition?{missing}"), None, false).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn secrets_stay_masked_and_new_ones_are_counted() {
    let world = World::new();
    let declared = serde_json::to_value(pipeline::testing::github_example()).unwrap();
    let name = declared["name"].as_str().unwrap().to_owned();
    let mut declared = declared;
    declared["artifactStore"]["location"] = json!("artifacts");
    world.create(declared).await;
    let page = world.page(&format!("/console/pipelines/{name}/edit?version=1"), "edit-secret").await;
    assert!(page.contains("****") && !page.contains("hunter2"));
    let text = typed(&page);
    let same = world.check(&name, 1, &text).await.body;
    assert!(same.contains("data-faults=\"0\"") && same.contains("Nothing differs"), "{same}");
    let other = world.check(&name, 1, &text.replace("****", "correct horse")).await.body;
    assert!(other.contains("1 secret gets another value") && !other.contains("correct horse"), "{other}");
}

#[tokio::test]
async fn only_the_check_takes_what_is_posted() {
    let world = World::new();
    world.create(release("shop", "QUEUED")).await;
    for (method, path, status) in [
        (Method::POST, "/console/pipelines/shop", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/console/check", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/console/check/shop", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/console/check/shop", StatusCode::NOT_FOUND),
    ] {
        let query = [("version".to_owned(), "1".to_owned())].into();
        let asked = console::Asked { method: &method, path, query, known: None, live: false, body: "{}" };
        assert_eq!(world.console.answer(&asked).await.status, status, "{method} {path}");
    }
}
