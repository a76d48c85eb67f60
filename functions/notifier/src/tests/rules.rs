//! What is told, and what is not.

use engine::ExecutionStatus;
use futures::executor::block_on;
use pipeline::notification::{Rule, TAG};
use proptest::prelude::*;
use store::RuleOutcome;
use testkit::TestLog;

use super::world::*;
use crate::outcome::{News, Outcome, news};

fn to_topic(whens: &str) -> String {
    format!("{whens} to {TOPIC}")
}

#[test]
fn it_breaks_once_and_is_fixed_once() {
    let world = World::new(&[("team", &to_topic("breaks fixed"))], false);
    let first = world.first(false);
    assert_eq!(world.deliver(&ended(&first)).unwrap(), 0, "it is as it should be");
    let broken = world.run(true);
    assert_eq!(world.deliver(&ended(&broken)).unwrap(), 1);
    assert_eq!(world.deliver(&ended(&broken)).unwrap(), 0, "the event comes twice");
    assert_eq!(world.deliver(&ended(&world.run(true))).unwrap(), 0, "it is still broken");
    let fixed = world.run(false);
    assert_eq!(world.deliver(&ended(&fixed)).unwrap(), 1);
    assert_eq!(world.deliver(&ended(&world.run(false))).unwrap(), 0);
    let id = |execution: &engine::Execution| {
        format!("https://console.example.com/pipelines/release/executions/{}", execution.id)
    };
    assert_eq!(
        world.lines(),
        [
            format!(
                "release broke: Action Publish in stage Deploy failed: no such bucket: <site> · a1b2c3d4e5f6 Fix *the* price · {}",
                id(&broken)
            ),
            format!("release is fixed · a1b2c3d4e5f6 Fix *the* price · {}", id(&fixed)),
        ]
    );
    let call = &world.aws.calls("Publish")[0];
    assert_eq!((form(&call.text(), "TopicArn"), form(&call.text(), "Subject")), (TOPIC.into(), "release broke".into()));
    assert_eq!(form(&call.text(), "MessageAttributes.entry.1.Name"), "millrace-id");
}

#[test]
fn a_rule_tells_what_it_says_and_knows_the_rest() {
    let world = World::new(&[("bad", &to_topic("breaks")), ("good", &to_topic("fixed"))], false);
    world.deliver(&ended(&world.first(true))).unwrap();
    world.deliver(&ended(&world.run(false))).unwrap();
    world.deliver(&ended(&world.run(true))).unwrap();
    assert_eq!(
        world.told(),
        [
            "release broke: Action Publish in stage Deploy failed: no such bucket: <site>",
            "release is fixed",
            "release broke: Action Publish in stage Deploy failed: no such bucket: <site>",
        ]
    );
}

#[test]
fn an_older_execution_says_nothing_when_it_ends_later() {
    let world = World::new(&[("team", &to_topic("breaks fixed"))], false);
    let (old, new) = (world.first(true), world.run(false));
    assert_eq!(world.deliver(&ended(&new)).unwrap(), 0);
    assert_eq!(world.deliver(&ended(&old)).unwrap(), 0, "what is newer is well");
    assert_eq!(world.deliver(&ended(&world.run(true))).unwrap(), 1);
}

#[test]
fn an_execution_that_is_retried_is_fixed_by_itself() {
    let world = World::new(&[("team", &to_topic("breaks fixed"))], false);
    let failed = world.first(true);
    assert_eq!(world.deliver(&ended(&failed)).unwrap(), 1);
    let again = world.retry(&failed, true);
    assert_eq!(world.deliver(&ended(&again)).unwrap(), 0, "it is as it was");
    let fixed = world.retry(&again, false);
    assert_eq!(fixed.status, ExecutionStatus::Succeeded);
    assert_eq!(world.deliver(&ended(&failed)).unwrap(), 0, "the old event, of what is over");
    assert_eq!(world.deliver(&ended(&fixed)).unwrap(), 1);
    assert_eq!(world.told()[1], "release is fixed");
}

#[test]
fn a_rule_about_a_stage_tells_of_that_stage() {
    let world = World::new(&[("a", &to_topic("breaks fixed in Deploy")), ("b", &to_topic("breaks in Source"))], false);
    let failed = world.first(true);
    let run = world.stage(failed.id, 1, 1);
    assert_eq!(world.deliver(&stage_ended(&world.stage(failed.id, 0, 1))).unwrap(), 0);
    assert_eq!(world.deliver(&stage_ended(&run)).unwrap(), 1);
    assert_eq!(world.deliver(&ended(&failed)).unwrap(), 0, "that is the pipeline");
    world.retry(&failed, false);
    assert_eq!(world.deliver(&stage_ended(&run)).unwrap(), 0, "it was tried again since");
    assert_eq!(world.deliver(&stage_ended(&world.stage(failed.id, 1, 2))).unwrap(), 1);
    let broke = "release: stage Deploy broke: Action Publish in stage Deploy failed: no such bucket: <site>";
    assert_eq!(world.told(), [broke, "release: stage Deploy is fixed"]);
}

#[test]
fn a_person_is_waited_for_once() {
    let world = World::new(&[("team", &to_topic("waits")), ("deploy", &to_topic("waits in Deploy"))], true);
    let execution = world.first(false);
    let event = asked(&world.stage(execution.id, 1, 1));
    assert_eq!(world.deliver(&event).unwrap(), 1);
    assert_eq!(world.deliver(&event).unwrap(), 0);
    let page = format!("https://console.example.com/pipelines/release?execution={}", execution.id);
    let line = format!(
        "release waits for a person: Ask in stage Gate: Is <this> & that good? · a1b2c3d4e5f6 Fix *the* price · {page}"
    );
    assert_eq!(world.lines(), [line]);
    let second = World::new(&[("team", &to_topic("waits"))], true);
    let execution = second.first(false);
    let event = asked(&second.stage(execution.id, 1, 1));
    second.approve(execution.id);
    assert_eq!(second.deliver(&event).unwrap(), 0, "somebody has answered");
}

#[test]
fn every_change_is_told_once() {
    let world = World::new(&[("all", &to_topic("every"))], true);
    let execution = world.first(true);
    let (source, gate) = (world.stage(execution.id, 0, 1), world.stage(execution.id, 1, 1));
    for event in [
        of_execution(&execution, "STARTED"),
        of_stage(&source, "STARTED"),
        of_stage(&source, "SUCCEEDED"),
        of_stage(&gate, "STARTED"),
        asked(&gate),
    ] {
        assert_eq!(world.deliver(&event).unwrap(), 1, "{event}");
        assert_eq!(world.deliver(&event).unwrap(), 0, "{event}");
    }
    world.approve(execution.id);
    let (failed, deploy) = (world.execution(execution.id), world.stage(execution.id, 2, 1));
    for event in [of_stage(&deploy, "FAILED"), of_execution(&failed, "FAILED")] {
        assert_eq!(world.deliver(&event).unwrap(), 1);
        assert_eq!(world.deliver(&event).unwrap(), 0);
    }
    let cause = "Action Publish in stage Deploy failed: no such bucket: <site>";
    let expected = [
        "release started".to_owned(),
        "release: stage Source started".to_owned(),
        "release: stage Source succeeded".to_owned(),
        "release: stage Gate started".to_owned(),
        "release waits for a person: Ask in stage Gate: Is <this> & that good?".to_owned(),
        format!("release: stage Deploy failed: {cause}"),
        format!("release failed: {cause}"),
    ];
    assert_eq!(world.told(), expected);
}

#[test]
fn nothing_is_believed_that_the_table_does_not_say() {
    let rules = [
        ("all", &*to_topic("every")),
        ("team", &*to_topic("breaks fixed waits")),
        ("b", &*to_topic("breaks in Deploy")),
    ];
    let world = World::new(&rules, true);
    let execution = world.first(false);
    let gate = world.stage(execution.id, 1, 1);
    let mut elsewhere = execution.clone();
    elsewhere.pipeline = pipeline::PipelineName::new("other").unwrap();
    let log = TestLog::begin();
    for forged in [
        of_execution(&execution, "FAILED"),
        of_execution(&execution, "SUCCEEDED"),
        of_execution(&execution, "RESUMED"),
        of_execution(&execution, "EXPLODED"),
        of_execution(&elsewhere, "STARTED"),
        of_stage(&gate, "FAILED"),
        of_stage(&gate, "RESUMED"),
        of_stage(&engine::StageRun { attempt: 7, ..gate.clone() }, "STARTED"),
        asked(&world.stage(execution.id, 0, 1)),
        "{".to_owned(),
        "{}".to_owned(),
        r#"{"look": 1}"#.to_owned(),
    ] {
        assert_eq!(world.deliver(&forged).unwrap(), 0, "{forged}");
    }
    assert_eq!(world.lines(), [""; 0]);
    assert_eq!(log.text().matches("not a change of a pipeline").count(), 3, "{}", log.text());
}

#[test]
fn a_rule_about_a_stage_that_is_not_there_says_so_once() {
    let world = World::new(&[("prod", &to_topic("breaks in Prod"))], false);
    let first = world.first(false);
    assert_eq!(world.deliver(&of_execution(&first, "STARTED")).unwrap(), 1);
    assert_eq!(world.deliver(&of_execution(&world.run(false), "STARTED")).unwrap(), 0);
    let said = "release: notification rule prod is about no stage: version 1 of the pipeline has none of the name Prod, so that \
                nothing will be told";
    assert_eq!(world.told(), [said]);
}

#[test]
fn a_rule_that_is_changed_begins_anew() {
    let world = World::new(&[("team", &to_topic("breaks"))], false);
    world.deliver(&ended(&world.first(true))).unwrap();
    let change = |value: &str| {
        let set = |tags: &mut std::collections::BTreeMap<String, String>| {
            tags.insert(format!("{TAG}team"), value.to_owned());
            true
        };
        block_on(world.driver.change_tags(&world.name, set)).unwrap();
    };
    change(&to_topic("breaks"));
    assert_eq!(world.deliver(&ended(&world.run(true))).unwrap(), 0, "it is the same rule");
    change(&to_topic("breaks fixed"));
    assert_eq!(world.deliver(&ended(&world.run(true))).unwrap(), 1, "it has told nobody yet");
}

/// An execution that waits for somebody, after three that took a second of work and an hour of somebody's time.
fn after_three(world: &World) -> engine::Execution {
    let mut late = world.first(false);
    for _ in 0..3 {
        world.clock.pass(3_600_000);
        world.approve(late.id);
        late = world.run(false);
    }
    late
}

#[test]
fn what_takes_longer_than_usual_is_told_once_and_people_do_not_count() {
    let world = World::new(&[("team", &to_topic("slow"))], true);
    let late = after_three(&world);
    assert_eq!(world.deliver(&of_execution(&late, "STARTED")).unwrap(), 0);
    let (seconds, look) = world.reminders().pop().unwrap();
    assert!((60..=63).contains(&seconds), "a minute more than usual: {seconds}");
    // It waits for a person: time stands still.
    world.clock.pass(7 * 24 * 3_600_000);
    assert_eq!(world.deliver(&look).unwrap(), 0);
    assert_eq!(world.reminders().pop().unwrap(), (900, look.clone()));
    // Nobody works on it any more.
    world.answer(late.id);
    assert_eq!(world.deliver(&look).unwrap(), 0);
    assert!((1..=62).contains(&world.reminders().pop().unwrap().0), "{:?}", world.reminders());
    world.clock.pass(5 * 60_000);
    assert_eq!(world.deliver(&look).unwrap(), 1);
    assert_eq!(world.deliver(&look).unwrap(), 0);
    let told = world.told();
    assert!(told[0].starts_with("release takes longer than usual: 5 m so far, usually "), "{told:?}");
    assert!(told[0].ends_with(", in stage Deploy"), "{told:?}");
    world.work();
    let sent = world.reminders().len();
    assert_eq!(world.deliver(&look).unwrap(), 0);
    assert_eq!(world.reminders().len(), sent, "it has ended");
}

#[test]
fn a_stage_that_takes_longer_than_usual_is_told_once_for_each_attempt() {
    let rules = [("deploy", &*to_topic("slow in Deploy")), ("source", &*to_topic("slow in Source"))];
    let world = World::new(&rules, true);
    let late = after_three(&world);
    assert_eq!(world.deliver(&of_execution(&late, "STARTED")).unwrap(), 0);
    assert!(world.reminders().is_empty(), "no rule is about the whole");
    world.answer(late.id);
    let deploy = world.stage(late.id, 2, 1);
    assert_eq!(world.deliver(&of_stage(&deploy, "STARTED")).unwrap(), 0);
    let (seconds, look) = world.reminders().pop().unwrap();
    assert!((60..=63).contains(&seconds), "a minute more than usual: {seconds}");
    world.clock.pass(30_000);
    assert_eq!(world.deliver(&look).unwrap(), 0, "not yet");
    assert_eq!(world.reminders().len(), 2);
    world.clock.pass(2 * 60_000);
    assert_eq!(world.deliver(&look).unwrap(), 1);
    assert_eq!(world.deliver(&look).unwrap(), 0, "once");
    let told = world.told();
    assert!(told[0].starts_with("release: stage Deploy takes longer than usual: 2 m so far, usually "), "{told:?}");
    world.work();
    let sent = world.reminders().len();
    assert_eq!(world.deliver(&look).unwrap(), 0);
    assert_eq!(world.reminders().len(), sent, "it has ended");
}

#[test]
fn nothing_is_usual_before_some_have_succeeded() {
    let world = World::new(&[("team", &to_topic("slow"))], false);
    world.first(false);
    world.run(true);
    let third = world.run(false);
    world.deliver(&of_execution(&third, "STARTED")).unwrap();
    assert!(world.reminders().is_empty());
}

#[test]
fn pipelines_without_rules_cost_one_read() {
    let world = World::new(&[("default", "nothing"), ("old", "whatever a release without rules has stored")], false);
    world.deliver(&ended(&world.first(true))).unwrap();
    assert!(world.aws.all_calls().is_empty());
}

/// What a rule that hears of all outcomes in their order tells.
fn in_order(outcomes: &[Outcome]) -> Vec<bool> {
    let (mut broken, mut told) = (false, Vec::new());
    for outcome in outcomes.iter().filter(|it| it.failed != std::mem::replace(&mut broken, it.failed)) {
        told.push(outcome.failed);
    }
    told
}

fn hear(outcomes: &[Outcome]) -> Vec<bool> {
    let head = testkit::samples::execution();
    let mut last: Option<RuleOutcome> = None;
    let mut told = Vec::new();
    for &seen in outcomes {
        let Some(news) = news(last.as_ref(), seen) else { continue };
        told.extend((news != News::Same).then_some(news == News::Broken));
        let (pipeline, incarnation) = (head.pipeline.clone(), head.incarnation);
        let Outcome { number, run, failed } = seen;
        last = Some(RuleOutcome { pipeline, incarnation, rule: "a".into(), number, run, failed, at: head.started });
    }
    told
}

proptest! {
    #[test]
    fn properties_in_their_order_all_that_changes_is_told(failed in proptest::collection::vec(any::<bool>(), 0..20)) {
        let all = failed.iter().zip(1..).map(|(failed, number)| Outcome { number, run: 1, failed: *failed });
        let all: Vec<Outcome> = all.collect();
        prop_assert_eq!(hear(&all), in_order(&all));
    }

    /// Whatever comes late or twice: it breaks, is fixed, breaks ..., and what is known in the end is the latest outcome.
    #[test]
    fn properties_in_any_order_it_is_never_told_twice(
        heard in proptest::collection::vec((1_u64..8, 1_u32..3), 0..40),
        failed in proptest::collection::vec(any::<bool>(), 16),
    ) {
        let of = |(number, run): (u64, u32)| Outcome { number, run, failed: failed[(number * 2 + u64::from(run) - 2) as usize % 16] };
        let all: Vec<Outcome> = heard.into_iter().map(of).collect();
        let told = hear(&all);
        prop_assert!(told.iter().zip((0..).map(|place| place % 2 == 0)).all(|(told, expected)| *told == expected));
        if let Some(newest) = all.iter().max_by_key(|it| (it.number, it.run)) {
            prop_assert_eq!(told.last().copied().unwrap_or(false), newest.failed);
        }
    }
}

#[test]
fn the_installation_s_rule_holds_for_all() {
    let rule: Rule = to_topic("breaks").parse().unwrap();
    let mut world = World::new(&[], false);
    world.own(rule.clone());
    world.deliver(&ended(&world.first(true))).unwrap();
    assert_eq!(world.told().len(), 1);
    let mut silent = World::new(&[("default", "nothing")], false);
    silent.own(rule);
    silent.deliver(&ended(&silent.first(true))).unwrap();
    assert_eq!(silent.told().len(), 0);
}
