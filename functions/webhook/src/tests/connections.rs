//! What hosts deliver to a connection.

use driver::GitDelivery;
use pipeline::git_trigger::GitChange;
use serde_json::{Value, json};

use super::world::{COMMIT, SECRET, Sent, World, push, sha256};

fn unsigned(id: &str, body: &Value) -> Sent {
    let headers = [("content-type", "application/json"), ("x-github-event", "push")];
    Sent {
        path: format!("connections/{id}"),
        key: String::new(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        source: "192.0.2.7".into(),
        body: body.to_string(),
    }
}

fn signed(id: &str, body: &Value) -> Sent {
    let sent = unsigned(id, body);
    let signature = sha256(SECRET, sent.body.as_bytes());
    sent.with("x-hub-signature-256", signature)
}

/// What came into the queue.
fn queued(world: &World) -> Vec<GitDelivery> {
    let git = |request: testkit::Request| {
        let message: Value = serde_json::from_str(&request.body).unwrap();
        let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
        serde_json::from_value(body["git"].clone()).unwrap()
    };
    world.queue.requests().into_iter().map(git).collect()
}

#[tokio::test]
async fn a_push_is_asked_to_start_whoever_watches_its_repository_once() {
    let world = World::new().await;
    let mut body = push("refs/heads/main", COMMIT);
    body["repository"]["full_name"] = json!("Us/App");
    for _ in 0..2 {
        assert_eq!(world.deliver(&signed("c-1", &body)).await, 200);
    }
    let [git] = <[GitDelivery; 1]>::try_from(queued(&world)).unwrap();
    assert_eq!(git.watched, "connection/c-1/us/app");
    assert_eq!((git.event.repository.as_str(), git.event.commit.as_str()), ("Us/App", COMMIT));
    assert!(matches!(git.event.change, GitChange::Branch { ref name, before: Some(_) } if name == "main"));
    assert_eq!(git.event.files.as_deref(), Some(&["src/main.rs".to_owned()][..]));
    assert_eq!((git.by.caller.as_str(), git.by.source.as_deref()), ("connection/c-1", Some("192.0.2.7")));
    assert_eq!(world.secrets.requests().len(), 1, "the secret is remembered for a minute");
}

#[tokio::test]
async fn more_files_than_a_message_holds_are_left_to_be_asked_for() {
    let world = World::new().await;
    let mut body = push("refs/heads/main", COMMIT);
    let files: Vec<String> = (0..4_000).map(|number| format!("{number}/{}", "x".repeat(100))).collect();
    body["commits"][0]["added"] = json!(files);
    assert_eq!(world.deliver(&signed("c-1", &body)).await, 200);
    assert_eq!(queued(&world)[0].event.files, None);
}

#[tokio::test]
async fn what_proves_nothing_or_starts_nothing_asks_for_nothing() {
    let world = World::new().await;
    let body = push("refs/heads/main", COMMIT);
    let gone = json!({"ref": "refs/heads/main", "after": "0".repeat(40), "deleted": true});
    let forged = unsigned("c-1", &body).with("x-hub-signature-256", sha256("another", body.to_string().as_bytes()));
    for (sent, status) in [
        (unsigned("c-1", &body), 403),
        (forged, 403),
        (signed("c-2", &body), 404),
        (signed("", &body), 404),
        (signed("..%2Fc-1", &body), 404),
        (signed("c-1", &json!({"after": COMMIT})), 400),
        (signed("c-1", &gone), 200),
    ] {
        assert_eq!(world.deliver(&sent).await, status, "{sent:?}");
    }
    assert_eq!(queued(&world), []);
}
