//! Items that earlier releases wrote. Each file of `tests/formats` has what one version of the stored format writes, one item of
//! every kind; the newest is what this code writes. While an installation is upgraded, both releases work on one table, and
//! executions outlive many upgrades.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use store::Entity;

use crate::samples::all;

/// The version of the format that this code writes; CONTRIBUTING says how to raise it.
const FORMAT: u32 = 3;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

/// The items of each version: kind, partition and sort key, body.
fn formats() -> BTreeMap<u32, Vec<Value>> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let items = files.map(|file| {
        let version = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        (version, serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())
    });
    items.collect()
}

fn written() -> Vec<Value> {
    let item = |entity: &Entity| {
        let (pk, sk) = entity.key().pair();
        let body: Value = serde_json::from_str(&entity.to_json().unwrap()).unwrap();
        json!({"kind": entity.kind(), "pk": pk, "sk": sk, "body": body})
    };
    all().iter().map(item).collect()
}

fn read(item: &Value, body: &Value) -> Entity {
    let kind = item["kind"].as_str().unwrap();
    Entity::from_json(kind, &body.to_string())
        .unwrap_or_else(|error| panic!("a {kind} is not read any more: {error}\n{body}"))
}

#[test]
fn what_is_written_is_the_newest_format() {
    if std::env::var_os("WRITE_FORMAT").is_some() {
        let text = serde_json::to_string_pretty(&written()).unwrap();
        fs::write(folder().join(format!("{FORMAT}.json")), text + "\n").unwrap();
    }
    let formats = formats();
    assert_eq!(formats.keys().copied().collect::<Vec<_>>(), (1..=FORMAT).collect::<Vec<_>>());
    for (stored, now) in formats[&FORMAT].iter().zip(written()) {
        assert_eq!(
            *stored, now,
            "items are written otherwise than format {FORMAT} has them: see CONTRIBUTING, \"Stored format\""
        );
    }
    assert_eq!(formats[&FORMAT].len(), written().len());
}

#[test]
fn every_format_is_read_under_its_keys() {
    for (version, items) in formats() {
        assert!(items.len() >= 14, "one of every kind in format {version}");
        for item in items {
            let (pk, sk) = read(&item, &item["body"]).key().pair();
            assert_eq!((&item["pk"], &item["sk"]), (&json!(pk), &json!(sk)), "format {version}");
        }
    }
}

#[test]
fn what_a_later_release_adds_to_an_item_is_passed_over() {
    for item in formats().values().flatten() {
        let mut body = item["body"].clone();
        body.as_object_mut().unwrap().insert("added_by_a_later_release".into(), json!({"any": ["thing"]}));
        assert_eq!(read(item, &body), read(item, &item["body"]));
    }
}
