//! Keys and JSON, without a store.

use std::collections::{BTreeSet, HashSet};

use engine::Timestamp;
use pipeline::WebhookName;
use store::{Entity, Key};

use crate::samples::{action, action_type, all, external_id, id, incarnation, job, name};

#[test]
fn every_kind_survives_json() {
    let mut kinds = BTreeSet::new();
    for entity in all() {
        let body = entity.to_json().unwrap();
        assert_eq!(Entity::from_json(entity.kind(), &body).unwrap(), entity);
        kinds.insert(entity.kind());
    }
    assert_eq!(kinds.len(), 20, "one of every kind: {kinds:?}");
}

#[test]
fn other_kinds_and_bodies_are_refused() {
    assert!(Entity::from_json("HAED", "{}").unwrap_err().to_string().contains("HAED"));
    for entity in all() {
        assert!(Entity::from_json(entity.kind(), "{}").is_err(), "{}", entity.kind());
    }
    let head = all()[0].to_json().unwrap();
    assert!(Entity::from_json("LOCKS", &head).is_err());
}

#[test]
fn different_keys_have_different_places() {
    let mut keys = vec![Key::Outputs(id(1).action(0, 1, 1)), Key::Outputs(id(1).action(1, 0, 1))];
    for pipeline in ["a", "a-1", "a.1", "HEAD", "LOCKS", "A"] {
        keys.push(Key::Head(name(pipeline)));
        for n in [1, 2] {
            keys.push(Key::StageLocks(name(pipeline), incarnation(n)));
            keys.extend([0, 1, u16::MAX].map(|it| Key::Part(name(pipeline), incarnation(n).0, it)));
            keys.extend(["x", "y"].map(|it| Key::Revision(name(pipeline), incarnation(n), action(it))));
            keys.extend([1, 10, 100, u32::MAX].map(|it| Key::Declaration(name(pipeline), incarnation(n), it)));
            keys.extend(["a", "b"].map(|it| Key::RuleOutcome(name(pipeline), incarnation(n), it.into())));
            keys.extend(["a", "b"].map(|it| Key::Notice(name(pipeline), incarnation(n), it.into())));
            keys.extend(["t", "t#1", "", "LOCKS"].map(|it| Key::Token(name(pipeline), incarnation(n), it.into())));
        }
        for watched in ["s3/a/b", "s3/a", "s3/a/b#c", ""] {
            keys.extend(["x", "y"].map(|it| Key::Source(watched.into(), name(pipeline), it.into())));
        }
    }
    keys.extend(["a", "HEAD", "A"].map(|it| Key::Webhook(WebhookName::new(it).unwrap())));
    for (webhook, created) in [("a", 1), ("a", 2), ("b", 1)] {
        keys.push(Key::WebhookCalls(WebhookName::new(webhook).unwrap(), Timestamp(created)));
        keys.extend(["x", "y"].map(|id| Key::Delivery(format!("{webhook}#{created}"), id.into())));
    }
    for (provider, query) in [("a", None), ("a", Some("1")), ("a-1", None), ("A", None)] {
        keys.extend([1, 10].map(|at| Entity::Job(job(provider, query, at, 1)).key()));
        keys.push(Entity::Job(job(provider, query, 1, 2)).key());
    }
    for provider in ["a", "a-1", "A"] {
        keys.push(Key::ActionType(action_type(provider).definition.id));
    }
    for (source, region, external) in
        [("aws.a", "b-1", "x"), ("aws.a", "b-1", "y"), ("aws.a", "b-2", "x"), ("aws.b", "b-1", "x")]
    {
        keys.push(Entity::ExternalId(external_id(source, region, external)).key());
    }
    for n in [1, 2] {
        keys.push(Key::Execution(id(n)));
        for (stage, attempt) in [(1, 1), (11, 1), (1, 11), (49, u16::MAX), (0, 1)] {
            keys.push(Key::Stage(id(n), stage, attempt));
        }
    }
    let pairs: HashSet<_> = keys.iter().map(Key::pair).collect();
    assert_eq!(pairs.len(), keys.len());
    assert!(pairs.iter().all(|(pk, sk)| !pk.is_empty() && !sk.is_empty()), "DynamoDB has no empty keys");
    for (entity, key) in all().iter().map(|entity| (entity, entity.key())) {
        assert_eq!(key, entity.key());
        assert!(key.pair().0.len() <= 2_048 && key.pair().1.len() <= 1_024, "{key:?}");
    }
}

#[test]
fn a_due_key_leads_back() {
    let due =
        [Key::StageLocks(name("a@b.c-d_e"), incarnation(7)), Key::Stage(id(1), 0, 1), Key::Stage(id(2), 49, u16::MAX)];
    for key in due {
        let (pk, sk) = key.pair();
        assert_eq!(Key::due_from(&pk, &sk), Some(key));
    }
}

#[test]
fn what_is_never_due_leads_nowhere() {
    let others = all().into_iter().filter(|entity| !matches!(entity, Entity::StageLocks(_) | Entity::Stage(_)));
    for (pk, sk) in others.map(|entity| entity.key().pair()) {
        assert_eq!(Key::due_from(&pk, &sk), None, "{pk}/{sk}");
    }
    let (pk, sk) = Key::Stage(id(1), 0, 1).pair();
    for (pk, sk) in [
        (pk.as_str(), "STAGE#x#1"),
        (&pk, "STAGE#1"),
        ("E#no-id", &sk),
        ("L#a", &sk),
        ("L# ", "LOCKS#1"),
        ("P#a", "LOCKS#1"),
    ] {
        assert_eq!(Key::due_from(pk, sk), None, "{pk}/{sk}");
    }
}

#[test]
fn sort_keys_keep_the_order_of_their_numbers() {
    let stages = [(0, 1), (0, 2), (0, 10), (1, 1), (2, 1), (10, 1), (49, 999), (49, 1_000)];
    let keys: Vec<_> = stages.map(|(stage, attempt)| Key::Stage(id(1), stage, attempt).pair().1).into();
    assert!(keys.is_sorted(), "{keys:?}");
}
