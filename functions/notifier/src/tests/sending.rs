//! What chats get over the wire, and what becomes of a message that is not taken.

use serde_json::json;
use testkit::TestLog;

use super::world::*;
use crate::line::Line;
use crate::receivers::{slack, teams};

#[test]
fn a_chat_of_slack_gets_text_in_which_nothing_is_markup() {
    let world = World::new(&[("team", "breaks to slack/team")], false);
    let log = TestLog::begin();
    let failed = world.first(true);
    assert_eq!(world.deliver(&ended(&failed)).unwrap(), 1);
    let [call] = &world.aws.calls(&format!("POST {CHAT}"))[..] else { panic!("one request") };
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("authorization"), "", "nobody is signed for");
    let text = format!(
        "release broke: Action Publish in stage Deploy failed: no such bucket: &lt;site&gt; · a1b2c3d4e5f6 Fix *the* price · \
         https://console.example.com/pipelines/release/executions/{}",
        failed.id
    );
    assert_eq!(call.json(), json!({"text": text, "mrkdwn": false, "unfurl_links": false, "unfurl_media": false}));
    assert!(!log.text().contains("/T/"), "the address is in the log: {}", log.text());
}

#[test]
fn a_chat_of_teams_gets_a_card() {
    let world = World::new(&[("team", "breaks to teams/team")], false);
    let failed = world.first(true);
    assert_eq!(world.deliver(&ended(&failed)).unwrap(), 1);
    let sent = world.aws.calls(&format!("POST {CHAT}"))[0].json();
    assert_eq!(sent["type"], "message");
    assert_eq!(sent["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &sent["attachments"][0]["content"];
    let text =
        "release broke: Action Publish in stage Deploy failed: no such bucket: <site> · a1b2c3d4e5f6 Fix *the* price";
    assert_eq!(card["body"], json!([{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}]));
    let page = format!("https://console.example.com/pipelines/release/executions/{}", failed.id);
    assert_eq!(card["actions"], json!([{"type": "Action.OpenUrl", "title": "Open", "url": page}]));
}

#[test]
fn without_a_console_there_is_no_link() {
    let line = Line { subject: "a".into(), text: "<!channel> & b".into(), link: None };
    assert_eq!(slack(&line)["text"], "&lt;!channel&gt; &amp; b");
    assert_eq!(teams(&line)["attachments"][0]["content"]["actions"], json!(null));
}

#[test]
fn what_a_chat_does_not_take_comes_again_and_its_address_is_in_no_error() {
    for (status, said) in
        [(500, "status 500: broken"), (429, "status 429: broken"), (404, "status 404"), (302, "status 302")]
    {
        let world = World::new(&[("team", "breaks to slack/team"), ("other", &format!("breaks to {TOPIC}"))], false);
        world.aws.on(&format!("POST {CHAT}"), status, "broken\u{202e}");
        let event = ended(&world.first(true));
        let error = format!("{:#}", world.deliver(&event).unwrap_err());
        assert!(error.contains("rule team of pipeline release could not tell slack/team"), "{error}");
        assert!(error.contains(said) && !error.contains("/T/") && !error.contains('\u{202e}'), "{error}");
        assert_eq!(world.told().len(), 1, "the other rule is none the worse");
        world.aws.on(&format!("POST {CHAT}"), 200, "ok");
        assert_eq!(world.deliver(&event).unwrap(), 1, "at once: nobody holds a claim");
        assert_eq!(world.deliver(&event).unwrap(), 0);
        assert_eq!(world.told().len(), 1, "and it is not told again");
    }
}

#[test]
fn what_could_not_be_sent_is_told_later_as_long_as_it_is_true() {
    let world = World::new(&[("team", "breaks fixed to slack/team")], false);
    world.aws.on(&format!("POST {CHAT}"), 503, "");
    let broken = ended(&world.first(true));
    world.deliver(&broken).unwrap_err();
    world.aws.on(&format!("POST {CHAT}"), 200, "ok");
    assert_eq!(world.deliver(&ended(&world.run(true))).unwrap(), 0, "that is known");
    assert_eq!(world.deliver(&broken).unwrap(), 1, "it still is");

    let world = World::new(&[("team", "breaks fixed to slack/team")], false);
    world.aws.on(&format!("POST {CHAT}"), 503, "");
    let broken = ended(&world.first(true));
    world.deliver(&broken).unwrap_err();
    world.aws.on(&format!("POST {CHAT}"), 200, "ok");
    assert_eq!(world.deliver(&ended(&world.run(false))).unwrap(), 1, "it is fixed");
    assert_eq!(world.deliver(&broken).unwrap(), 0, "a false alarm by now");
}

#[test]
fn what_is_no_address_is_refused_without_being_told() {
    for (name, said) in [
        ("plain", "the secret millrace/chats/plain is not the URL of a webhook that is reached by HTTPS"),
        ("nonsense", "the secret millrace/chats/nonsense is not the URL of a webhook"),
        ("missing", "the secret millrace/chats/missing cannot be read"),
    ] {
        let world = World::new(&[("team", &format!("breaks to slack/{name}"))], false);
        let error = format!("{:#}", world.deliver(&ended(&world.first(true))).unwrap_err());
        assert!(error.contains(said) && !error.contains("T/secret"), "{error}");
    }
}

#[test]
fn what_sns_refuses_comes_again() {
    let world = World::new(&[("team", &format!("breaks to {TOPIC}"))], false);
    let refusal = "<ErrorResponse><Error><Code>NotFound</Code><Message>no such topic</Message></Error></ErrorResponse>";
    world.aws.on("Publish", 404, refusal);
    let error = format!("{:#}", world.deliver(&ended(&world.first(true))).unwrap_err());
    assert!(error.contains("no such topic") && error.contains(TOPIC), "{error}");
}
