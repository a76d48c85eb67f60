//! Messages that earlier releases sent. They lie in queues and on the bus while an installation is upgraded: up to 14 days.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use driver::Message;
use engine::ExecutionId;
use pipeline::{ActionName, ArtifactName, PipelineName};
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
