//! Messages that earlier releases sent. They lie in queues and on the bus while an installation is upgraded: up to 14 days.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use driver::{GitDelivery, Message, QueuedStart, StartRequest};
use engine::{ExecutionId, RevisionOverride, Trigger};
use pipeline::git_trigger::{GitChange, GitEvent};
use pipeline::{ActionName, ArtifactName, PipelineName};
use store::ChangeOrigin;
use uuid::Uuid;

/// Each message with what each release has sent for it, the newest last.
fn sent() -> Vec<(Message, Vec<&'static str>)> {
    let action = ExecutionId::from_random(Uuid::from_u128(7 << 64 | 7)).action(1, 2, 3);
    let artifact = ArtifactName::new("App").unwrap();
    vec![
        (Message::Run { action }, vec![r#"{"kind":"run","action":"00000000-0000-8007-8000-010200030000"}"#]),
        (
            Message::Poll { action, count: Some(4) },
            vec![r#"{"kind":"poll","action":"00000000-0000-8007-8000-010200030000","count":4}"#],
        ),
        (
            Message::Poll { action, count: None },
            vec![r#"{"kind":"poll","action":"00000000-0000-8007-8000-010200030000","count":null}"#],
        ),
        (
            Message::PollSource {
                pipeline: PipelineName::new("release").unwrap(),
                action: ActionName::new("Fetch").unwrap(),
            },
            vec![r#"{"kind":"pollSource","pipeline":"release","action":"Fetch"}"#],
        ),
        (
            Message::CompareFiles {
                pipeline: PipelineName::new("release").unwrap(),
                action: ActionName::new("Fetch").unwrap(),
                delivery: Box::new(GitDelivery {
                    watched: "connection/c/us/app".into(),
                    token: "t".into(),
                    event: GitEvent {
                        repository: "us/app".into(),
                        change: GitChange::Branch { name: "main".into(), before: Some("1".into()) },
                        commit: "2".into(),
                        message: "m".into(),
                        author: "a".into(),
                        files: None,
                    },
                    by: ChangeOrigin { caller: "c".into(), source: None, request: "r".into() },
                }),
            },
            vec![
                r#"{"kind":"compareFiles","pipeline":"release","action":"Fetch","delivery":{"watched":"connection/c/us/app","token":"t","event":{"repository":"us/app","change":{"branch":{"name":"main","before":"1"}},"commit":"2","message":"m","author":"a","files":null},"by":{"caller":"c","source":null,"request":"r"}}}"#,
            ],
        ),
        (
            Message::Replicate { action, artifact },
            vec![r#"{"kind":"replicate","action":"00000000-0000-8007-8000-010200030000","artifact":"App"}"#],
        ),
    ]
}

#[test]
fn every_release_s_messages_are_understood_and_the_newest_is_what_is_sent() {
    for (message, texts) in sent() {
        for text in &texts {
            assert_eq!(serde_json::from_str::<Message>(text).unwrap(), message, "{text}");
            // What a later release adds is passed over.
            let more = text.replacen('{', r#"{"addedByALaterRelease":[1],"#, 1);
            assert_eq!(serde_json::from_str::<Message>(&more).unwrap(), message, "{more}");
        }
        let newest = texts.last().unwrap();
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            *newest,
            "add what is sent now to the list, behind the others"
        );
    }
}

#[test]
fn every_release_s_queued_starts_are_understood_and_the_newest_is_what_is_sent() {
    let start = QueuedStart {
        start: StartRequest {
            pipeline: PipelineName::new("release").unwrap(),
            trigger: Trigger { kind: "Webhook".into(), detail: "arn".into() },
            variables: BTreeMap::from([("Stage".into(), "beta".into())]),
            overrides: vec![RevisionOverride::new(ActionName::new("Fetch").unwrap(), "COMMIT_ID", "1a")],
            client_token: Some("webhook#1".into()),
        },
        by: ChangeOrigin { caller: "arn".into(), source: Some("192.0.2.7".into()), request: "r1".into() },
    };
    let texts = [
        r#"{"start":{"pipeline":"release","trigger":{"kind":"Webhook","detail":"arn"},"variables":{"Stage":"beta"},"overrides":[{"action":"Fetch","kind":"COMMIT_ID","value":"1a"}],"clientToken":"webhook#1"},"by":{"caller":"arn","source":"192.0.2.7","request":"r1"}}"#,
    ];
    for text in texts {
        assert_eq!(serde_json::from_str::<QueuedStart>(text).unwrap(), start, "{text}");
        let more = text
            .replace('{', r#"{"addedByALaterRelease":[1],"#)
            .replace(r#""variables":{"addedByALaterRelease":[1],"#, r#""variables":{"#);
        assert_eq!(serde_json::from_str::<QueuedStart>(&more).unwrap(), start, "{more}");
    }
    assert_eq!(
        serde_json::to_string(&start).unwrap(),
        texts[texts.len() - 1],
        "add what is sent now behind the others"
    );
}
