//! Ten thousand deliveries by chance, the same in each run: none starts what it should not, and none makes the door fall over.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::world::{SECRET, Sent, World, push, sha1, sha256};

const DELIVERIES: usize = 10_000;

/// What is chosen by chance.
#[derive(Clone, Debug)]
struct Chosen {
    path: String,
    key: u8,
    key_text: String,
    body: String,
    /// Whether the body is as its type does not say.
    odd: bool,
    kind: Option<String>,
    signature: u8,
    signature_text: String,
    event: Option<String>,
    delivery: Option<u8>,
    source: String,
    header: (String, String),
}

fn bodies() -> impl Strategy<Value = String> {
    let reference = select(vec!["refs/heads/main", "refs/heads/main", "refs/heads/main", "refs/heads/dev", "main", ""]);
    let after = prop_oneof!["[0-9a-f]{40}", Just("0".repeat(40)), "[0-9a-f]{0,70}", "\\PC{0,12}"];
    let pushes = (reference, after, any::<bool>(), any::<u8>()).prop_map(|(reference, after, deleted, other)| {
        let mut body = push(reference, &after);
        body["deleted"] = Value::from(deleted && other > 127);
        match other % 16 {
            0 => body["ref"] = json!([reference]),
            1 => body["repository"] = Value::Null,
            2 => body["after"] = json!({"id": after}),
            3 => body = json!({"ref": reference}),
            4 => body = json!([body]),
            _ => {}
        }
        body.to_string()
    });
    let any = any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let deep = (1_usize..300, select(vec!["[", "{\"ref\":"])).prop_map(|(depth, open)| open.repeat(depth));
    prop_oneof![8 => pushes, 1 => any, 1 => "\\PC{0,40}", 1 => deep]
}

fn chosen() -> impl Strategy<Value = Chosen> {
    let path = prop_oneof![
        16 => select(vec!["push", "open", "ranged"]).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
        1 => select(vec!["", "push/", "/push", "push/push", "push%00", "..", "WEBHOOKS", "push#1"]).prop_map(str::to_owned),
    ];
    let kind = prop_oneof![
        4 => Just(Some("application/json".to_owned())),
        2 => Just(Some("application/x-www-form-urlencoded".to_owned())),
        1 => Just(None),
        1 => "[a-z/;= -]{0,40}".prop_map(Some),
    ];
    let event = prop_oneof![4 => Just(Some("push".to_owned())), 1 => Just(Some("ping".to_owned())), 1 => Just(None)];
    let source = prop_oneof![
        2 => (0_u8..=255).prop_map(|last| format!("192.0.2.{last}")),
        1 => (0_u8..=255).prop_map(|last| format!("203.0.113.{last}")),
        1 => "[0-9a-f:.]{0,20}",
    ];
    let names =
        select(vec!["x-forwarded-for", "x-hub-signature", "x-hub-signature-256", "x-github-event", "host", "key"]);
    let header = (names.prop_map(str::to_owned), "[ -~]{0,80}");
    let first = (path, 0_u8..10, "[0-9a-f]{0,64}", bodies(), proptest::bool::weighted(0.1), kind);
    let second = (0_u8..12, "[ -~]{0,80}", event, proptest::option::of(0_u8..20), source, header);
    (first, second).prop_map(|(first, second)| {
        let (path, key, key_text, body, odd, kind) = first;
        let (signature, signature_text, event, delivery, source, header) = second;
        Chosen { path, key, key_text, body, odd, kind, signature, signature_text, event, delivery, source, header }
    })
}

fn sent(chosen: Chosen, keys: &BTreeMap<&str, String>) -> Sent {
    let right = keys.get(chosen.path.as_str()).cloned().unwrap_or_else(|| keys["push"].clone());
    let key = match chosen.key {
        0 => chosen.key_text,
        1 => keys["open"].clone(),
        2 => right[..32].to_owned(),
        _ => right,
    };
    let form = chosen.kind.as_deref() == Some("application/x-www-form-urlencoded");
    let body = if form != chosen.odd {
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &chosen.body).finish()
    } else {
        chosen.body
    };
    let mut sent = Sent { path: chosen.path, key, headers: Vec::new(), source: chosen.source, body: body.clone() };
    let (strong, weak) = ("x-hub-signature-256", "x-hub-signature");
    let bytes = body.as_bytes();
    match chosen.signature {
        0 => {}
        1 => sent = sent.with(strong, chosen.signature_text),
        2 => sent = sent.with(weak, chosen.signature_text),
        3 => sent = sent.with(strong, sha256("other", bytes)),
        4 => sent = sent.with(strong, sha256("other", bytes)).with(weak, sha1(SECRET, bytes)),
        5 => sent = sent.with(strong, sha256(SECRET, &bytes[..bytes.len() / 2])),
        6 => sent = sent.with(weak, sha1(SECRET, bytes)),
        _ => sent = sent.with(strong, sha256(SECRET, bytes)),
    }
    for (name, value) in [("content-type", chosen.kind), ("x-github-event", chosen.event)] {
        if let Some(value) = value {
            sent = sent.with(name, value);
        }
    }
    if let Some(id) = chosen.delivery {
        sent = sent.with("x-github-delivery", id.to_string());
    }
    // One of four has a header more.
    if chosen.key % 4 == 3 { sent.with(&chosen.header.0, chosen.header.1) } else { sent }
}

/// Whether a delivery is to start the pipeline, said a second time: by what it has to have, not by how it is checked.
fn starts(sent: &Sent, keys: &BTreeMap<&str, String>) -> bool {
    let all = |name: &str| sent.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect();
    let one = |name: &str| -> Option<&str> {
        let all: Vec<&str> = all(name);
        if let [value] = all[..] { Some(value) } else { None }
    };
    let proven = match sent.path.as_str() {
        "push" => {
            let strong: Vec<&str> = all("x-hub-signature-256");
            match strong[..] {
                [] => one("x-hub-signature") == Some(&sha1(SECRET, sent.body.as_bytes())),
                [value] => value == sha256(SECRET, sent.body.as_bytes()),
                // Which of them would count?
                _ => false,
            }
        }
        "ranged" => sent.source.strip_prefix("192.0.2.").is_some_and(|last| last.parse::<u8>().is_ok()),
        "open" => true,
        _ => false,
    };
    let form = one("content-type") == Some("application/x-www-form-urlencoded");
    let text = match form {
        true => url::form_urlencoded::parse(sent.body.as_bytes())
            .find(|(name, _)| name == "payload")
            .map(|it| it.1.into_owned()),
        false => Some(sent.body.clone()),
    };
    let body: Value = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let no_commit = body["deleted"] == true || body["after"] == "0".repeat(40) || body["after"] == "0".repeat(64);
    let gone = no_commit && body["repository"]["full_name"] == "us/app";
    proven
        && keys.get(sent.path.as_str()) == Some(&sent.key)
        && one("x-github-event") != Some("ping")
        && body["ref"] == "refs/heads/main"
        && !gone
}

#[tokio::test]
async fn ten_thousand_deliveries_start_what_they_should_and_nothing_else() {
    let world = World::new().await;
    let mut keys = BTreeMap::new();
    for name in ["push", "open", "ranged"] {
        keys.insert(name, world.stored(name).await.key.reveal().to_owned());
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut seen, mut started, mut answered) = (HashSet::new(), 0, BTreeMap::<u16, usize>::new());
    for _ in 0..DELIVERIES {
        let sent = sent(chosen().new_tree(&mut runner).unwrap().current(), &keys);
        let request = sent.request();
        let answer = crate::open(&world.receivers, &request).await.unwrap();
        let status = answer.status().as_u16();
        *answered.entry(status).or_default() += 1;
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"message":""#) && text.len() < 120, "{text}");
        let before = started;
        if starts(&sent, &keys) {
            assert_eq!(status, 200, "{sent:?} {text}");
            let id = sent.headers.iter().find(|(name, _)| name == "x-github-delivery" && sent.path != "push");
            started += usize::from(seen.insert((sent.path.clone(), id.map_or(sent.body.clone(), |it| it.1.clone()))));
        }
        assert_eq!(world.queue.requests().len(), started, "{before} before {sent:?}: {text}");
    }
    // Each kind of answer was given often enough to mean something.
    let least = [(200, 1_000), (400, 300), (403, 300), (404, 1_000)];
    assert!(least.iter().all(|(status, count)| answered[status] >= *count), "{answered:?}");
    assert!(
        started > 300 && answered.keys().all(|status| [200, 400, 403, 404].contains(status)),
        "{started} {answered:?}"
    );
    for queued in world.starts() {
        assert_eq!((queued.start.pipeline.as_str(), queued.start.trigger.kind.as_str()), ("release", "Webhook"));
        for revision in &queued.start.overrides {
            assert!(revision.value.bytes().all(|digit| digit.is_ascii_hexdigit()), "{revision:?}");
        }
    }
}
