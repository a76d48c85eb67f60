use pipeline::PipelineName;
use pipeline::webhook::{Authentication, Secret};
use serde_json::{Value, json};
use testkit::Answer;

use super::world::{COMMIT, SECRET, World, push, sha1, sha256};
use crate::http::LARGEST_BODY;

const MAIN: &str = "refs/heads/main";

#[tokio::test]
async fn a_signed_push_starts_the_pipeline_with_its_commit() {
    let world = World::new().await;
    assert_eq!(world.deliver(&world.signed(&push(MAIN, COMMIT)).await).await, 200);
    let [queued] = world.starts().try_into().unwrap();
    let arn = "arn:aws:codepipeline:eu-west-1:111122223333:webhook:push";
    assert_eq!(queued.start.pipeline.as_str(), "release");
    assert_eq!((queued.start.trigger.kind.as_str(), queued.start.trigger.detail.as_str()), ("Webhook", arn));
    let [revision] = queued.start.overrides.as_slice() else { panic!("{queued:?}") };
    assert_eq!(
        (revision.action.as_str(), revision.kind.as_str(), revision.value.as_str()),
        ("Fetch", "COMMIT_ID", COMMIT)
    );
    let by = (queued.by.caller.as_str(), queued.by.source.as_deref(), queued.by.request.as_str());
    assert_eq!(by, (arn, Some("192.0.2.7"), "r1"));
    let calls = world.calls("push").await.unwrap();
    assert_eq!((calls.triggered, calls.error), (Some(world.driver.now()), None));
    // What trigger makes of it.
    assert!(world.driver.start(queued.start.clone()).await.unwrap().new);
    assert!(!world.driver.start(queued.start).await.unwrap().new);
}

#[tokio::test]
async fn either_signature_counts_and_the_stronger_one_alone_where_both_are_there() {
    let world = World::new().await;
    for (number, (with_256, with_1, status)) in [
        (Some(SECRET), None, 200),
        (None, Some(SECRET), 200),
        (Some(SECRET), Some("wrong"), 200),
        (Some("wrong"), Some(SECRET), 403),
        (Some("wrong"), None, 403),
        (None, Some("wrong"), 403),
        (Some(""), None, 403),
        (None, None, 403),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sent = world.to("push", &push(MAIN, &format!("{number:040}"))).await;
        let body = sent.body.clone();
        if let Some(secret) = with_256 {
            sent = sent.with("X-Hub-Signature-256", sha256(secret, body.as_bytes()));
        }
        if let Some(secret) = with_1 {
            sent = sent.with("X-Hub-Signature", sha1(secret, body.as_bytes()));
        }
        assert_eq!(world.deliver(&sent).await, status, "{sent:?}");
    }
    // The commit 0000...0 is a branch that is gone, which starts nothing.
    assert_eq!(world.starts().len(), 2);
}

#[tokio::test]
async fn what_is_no_signature_of_this_body_proves_nothing() {
    let world = World::new().await;
    let body = push(MAIN, COMMIT);
    let right = sha256(SECRET, body.to_string().as_bytes());
    let digits = right.strip_prefix("sha256=").unwrap();
    for value in [
        String::new(),
        "sha256=".into(),
        digits.into(),
        format!("sha1={digits}"),
        format!("sha256={}", &digits[..62]),
        format!("sha256={}", &digits[..63]),
        format!("sha256={digits}00"),
        format!("sha256={}", "é".repeat(32)),
        format!(" {right}"),
        sha256(SECRET, b"{}"),
    ] {
        let sent = world.to("push", &body).await.with("x-hub-signature-256", value.clone());
        assert_eq!(world.deliver(&sent).await, 403, "{value}");
    }
    let twice = world.signed(&body).await.with("x-hub-signature-256", right.clone());
    assert_eq!(world.deliver(&twice).await, 403, "which of them would count?");
    let mut changed = world.signed(&body).await;
    changed.body.push(' ');
    assert_eq!(world.deliver(&changed).await, 403);
    assert_eq!(world.error("push").await.as_deref(), Some("InvalidSignature"));
    assert!(world.starts().is_empty());
    let capitals =
        world.to("push", &body).await.with("x-hub-signature-256", format!("sha256={}", digits.to_uppercase()));
    assert_eq!(world.deliver(&capitals).await, 200);
}

#[tokio::test]
async fn a_delivery_that_is_repeated_starts_nothing_again() {
    let world = World::new().await;
    let sent = world.signed(&push(MAIN, COMMIT)).await;
    for id in ["1", "1", "2"] {
        // Whoever repeats it can give it any id: the signature is not over headers.
        assert_eq!(world.deliver(&sent.clone().with("x-github-delivery", id)).await, 200);
    }
    world.clock.pass(29 * 24 * 3_600_000);
    assert_eq!(world.deliver(&sent).await, 200);
    assert_eq!(world.starts().len(), 1);
    assert_eq!(world.deliver(&world.signed(&push(MAIN, &"1".repeat(40))).await).await, 200);
    assert_eq!(world.starts().len(), 2);

    let open = world.to("open", &json!({"ref": MAIN})).await;
    for id in ["1", "1", "2", "1"] {
        assert_eq!(world.deliver(&open.clone().with("x-github-delivery", id)).await, 200);
    }
    assert_eq!(world.starts().len(), 4);
    // A script that always sends the same.
    for minutes in [0, 1, 3, 2, 1, 6] {
        world.clock.pass(minutes * 60_000);
        assert_eq!(world.deliver(&open).await, 200);
    }
    let tokens: Vec<_> = world.starts().into_iter().map(|queued| queued.start.client_token.unwrap()).collect();
    assert_eq!(tokens.len(), 7, "at once, after six minutes, and after seven more");
    assert!((1..tokens.len()).all(|at| !tokens[..at].contains(&tokens[at])), "{tokens:?}");
}

#[tokio::test]
async fn who_dies_before_the_note_is_made_is_delivered_to_again_under_the_same_token() {
    let world = World::new().await;
    let sent = world.signed(&push(MAIN, COMMIT)).await;
    assert_eq!(world.deliver(&sent).await, 200);
    let other = World::new().await;
    assert_eq!(other.deliver(&other.signed(&push(MAIN, COMMIT)).await).await, 200);
    // Both are the first delivery to a webhook that was put at the same time, as if no note had been made in between.
    assert_eq!(world.starts()[0].start.client_token, other.starts()[0].start.client_token);
}

#[tokio::test]
async fn a_queue_that_takes_nothing_makes_the_sender_deliver_again() {
    let world = World::with(|_| Answer { status: 500, body: "{}".into() }).await;
    let sent = world.signed(&push(MAIN, COMMIT)).await;
    assert!(crate::open(&world.receivers, &sent.request()).await.is_err());
    assert!(world.calls("push").await.is_none(), "nothing was triggered, and the delivery is not remembered");
}

#[tokio::test]
async fn strangers_learn_nothing() {
    let world = World::new().await;
    let sent = world.signed(&push(MAIN, COMMIT)).await;
    let mut answers = Vec::new();
    for (path, key) in [
        ("push", ""),
        ("push", "0"),
        ("push", &sent.key[..63]),
        ("gone", sent.key.as_str()),
        ("open", sent.key.as_str()),
        ("", sent.key.as_str()),
        ("push/", sent.key.as_str()),
        ("push/x", sent.key.as_str()),
        ("a b", sent.key.as_str()),
        ("%ff", sent.key.as_str()),
        ("PUSH", sent.key.as_str()),
    ] {
        let stranger = super::world::Sent { path: path.into(), key: key.into(), ..sent.clone() };
        let answer = crate::open(&world.receivers, &stranger.request()).await.unwrap();
        assert_eq!(answer.status(), 404, "{path} {key}");
        answers.push(format!("{:?} {:?}", answer.headers(), answer.body()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(world.starts().is_empty() && world.calls("push").await.is_none(), "and cause no write");
}

#[tokio::test]
async fn the_address_is_what_api_gateway_saw() {
    let world = World::new().await;
    for (number, (source, header, status)) in [
        ("192.0.2.7", "203.0.113.7", 200),
        ("::ffff:192.0.2.8", "", 200),
        ("203.0.113.7", "192.0.2.7", 403),
        ("", "192.0.2.7", 403),
        ("192.0.2.7, 203.0.113.7", "192.0.2.7", 403),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sent = world.to("ranged", &push(MAIN, &format!("{number:040x}").replace('0', "a"))).await;
        sent.source = source.into();
        let sent = sent.with("x-forwarded-for", header).with("x-real-ip", header).with("forwarded", header);
        assert_eq!(world.deliver(&sent).await, status, "{source}");
    }
    assert_eq!(world.starts().len(), 2);
    let error = world.calls("ranged").await.unwrap().error.unwrap();
    assert_eq!(error.code, "SourceIpNotAllowed");
    assert!(error.message.contains("192.0.2.0/24"), "{}", error.message);
}

#[tokio::test]
async fn what_starts_nothing() {
    let world = World::new().await;
    let mut gone = push(MAIN, &"0".repeat(40));
    gone["deleted"] = true.into();
    for body in
        [push("refs/heads/dev", COMMIT), push("refs/tags/main", COMMIT), gone, json!({}), json!([1]), Value::Null]
    {
        assert_eq!(world.deliver(&world.signed(&body).await).await, 200, "{body}");
    }
    let ping = world.signed(&push(MAIN, COMMIT)).await.with("x-github-event", "ping");
    assert_eq!(world.deliver(&ping).await, 200);
    assert!(world.starts().is_empty() && world.calls("push").await.is_none());
}

#[tokio::test]
async fn a_form_has_its_json_in_the_field_payload() {
    let world = World::new().await;
    let form = |name: &str, body: &Value| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair(name, &body.to_string()).finish()
    };
    for (name, kind, status) in [
        ("payload", "application/x-www-form-urlencoded", 200),
        ("payload", "Application/X-WWW-Form-Urlencoded; charset=utf-8", 200),
        ("other", "application/x-www-form-urlencoded", 400),
        ("payload", "application/json", 400),
    ] {
        let after = format!("{:x<40}", kind.len()).replace('x', "a");
        let mut sent = world.to("push", &Value::Null).await;
        sent.body = form(name, &push(MAIN, &after));
        sent.headers = vec![("Content-Type".into(), kind.into())];
        let signature = sha256(SECRET, sent.body.as_bytes());
        assert_eq!(world.deliver(&sent.with("x-hub-signature-256", signature)).await, status, "{name} {kind}");
    }
    assert_eq!(world.starts().len(), 2);
    assert_eq!(world.error("push").await.as_deref(), Some("InvalidPayload"));
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused() {
    let world = World::new().await;
    let mut sent = world.to("open", &Value::Null).await;
    sent.body = "[".repeat(LARGEST_BODY);
    assert_eq!(world.deliver(&sent).await, 400);
    sent.body.push('[');
    assert_eq!(world.deliver(&sent).await, 413);
    sent.body = "{}".into();
    sent.path = "a".repeat(1_000);
    assert_eq!(world.deliver(&sent).await, 404);
}

#[tokio::test]
async fn an_error_is_noted_once_a_minute_and_is_gone_with_the_next_start() {
    let world = World::new().await;
    let wrong = world.to("push", &push(MAIN, COMMIT)).await;
    let began = world.driver.now();
    for _ in 0..3 {
        world.deliver(&wrong).await;
        world.clock.pass(20_000);
    }
    assert_eq!(world.calls("push").await.unwrap().error.unwrap().at, began);
    world.deliver(&wrong).await;
    assert_eq!(world.calls("push").await.unwrap().error.unwrap().at, world.driver.now());
    world.deliver(&world.signed(&push(MAIN, COMMIT)).await).await;
    assert_eq!(world.error("push").await, None);
    world.deliver(&wrong).await;
    let calls = world.calls("push").await.unwrap();
    assert!(calls.triggered.is_some() && calls.error.is_some());
    // Another webhook of that name begins anew.
    world.driver.delete_webhook(&pipeline::WebhookName::new("push").unwrap()).await.unwrap();
    world.clock.pass(1);
    world.put("push", Authentication::GithubHmac { secret: Secret::new(SECRET) }).await;
    assert!(world.calls("push").await.is_none());
    assert_eq!(world.deliver(&world.signed(&push(MAIN, COMMIT)).await).await, 200);
    assert_eq!(world.starts().len(), 2);
}

#[tokio::test]
async fn a_webhook_whose_pipeline_is_gone_or_changed_says_so() {
    let world = World::new().await;
    let mut changed = pipeline::testing::github_example();
    changed.stages[0].actions[0].name = "Get".into();
    world.driver.update_pipeline(changed).await.unwrap();
    assert_eq!(world.deliver(&world.signed(&push(MAIN, COMMIT)).await).await, 409);
    assert_eq!(world.error("push").await.as_deref(), Some("InvalidTarget"));
    world.driver.delete_pipeline(&PipelineName::new("release").unwrap()).await.unwrap();
    assert_eq!(world.deliver(&world.signed(&push(MAIN, COMMIT)).await).await, 409);
    assert_eq!(world.error("push").await.as_deref(), Some("PipelineNotFound"));
    assert!(world.starts().is_empty());
}
