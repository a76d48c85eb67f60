use proptest::prelude::*;

use super::*;

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:millrace-team";

fn topics() -> Topics {
    Topics { start: "arn:aws:sns:eu-west-1:123456789012:millrace-".into() }
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (format!("{TAG}{key}"), (*value).to_owned())).collect()
}

#[test]
fn a_rule_says_what_of_which_stage_and_to_whom() {
    let rule: Rule = format!("breaks fixed waits in Prod to {TOPIC}").parse().unwrap();
    assert_eq!(rule.whens, [When::Breaks, When::Fixed, When::Waits].into());
    assert_eq!((rule.stage.clone().unwrap().as_str(), rule.target.clone()), ("Prod", Target::Topic(TOPIC.into())));
    assert!(rule.is_about("Prod") && !rule.is_about("Test"));
    let rule: Rule = "every slow to teams/shop.web-1".parse().unwrap();
    assert_eq!((rule.stage.clone(), rule.target.clone()), (None, Target::Chat(Chat::Teams, "shop.web-1".into())));
    assert!(rule.is_about("Prod") && rule.tells(When::Slow) && !rule.tells(When::Breaks));
    // A stage may be called as the rule's own words are.
    for stage in ["in", "to", "every", "a.b@c-d_e"] {
        let rule: Rule = format!("waits in {stage} to slack/a").parse().unwrap();
        assert_eq!(rule.stage.unwrap().as_str(), stage);
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_said() {
    for (rule, said) in [
        ("", "must end with 'to'"),
        ("nothing to", "must end with 'to'"),
        ("breaks", "must end with 'to'"),
        ("to slack/a", "must say first what it tells of"),
        ("breaks brakes to slack/a", "has as its word 2 'brakes'"),
        ("Breaks to slack/a", "has as its word 1 'Breaks'"),
        ("breaks breaks to slack/a", "says 'breaks' twice"),
        ("every waits to slack/a", "says 'every' and 'waits': that would be told twice"),
        ("breaks in to slack/a", "must name one stage after 'in'"),
        ("breaks in Test Prod to slack/a", "must name one stage after 'in'"),
        ("breaks in a/b to slack/a", "names no stage"),
        ("breaks to slack/", "a chat's name has 1 to 64"),
        ("breaks to teams/a/b", "a chat's name has 1 to 64"),
        ("breaks to hook", "neither the ARN of an SNS topic"),
        ("breaks to https://hooks.slack.com/services/T/B/X", "neither the ARN of an SNS topic"),
        ("breaks to arn:aws:sqs:eu-west-1:123456789012:queue", "neither the ARN of an SNS topic"),
        ("breaks to arn:aws:sns:eu-west-1:12345:topic", "which is not the ARN of an SNS topic"),
        ("breaks to arn:aws:sns:eu-west-1:123456789012:a.fifo", "FIFO"),
    ] {
        let error = rule.parse::<Rule>().unwrap_err().to_string();
        assert!(error.contains(said), "{rule}: {error}");
    }
}

#[test]
fn a_tag_that_was_meant_to_be_a_rule_is_one_or_is_refused() {
    let refused = |key: &str, value: &str| check_tag(key, value, Some(&topics())).unwrap_err().to_string();
    for key in ["team", "millrace:owner", "notify", "ä"] {
        assert_eq!(check_tag(key, "brakes", Some(&topics())), Ok(()), "{key}");
        assert_eq!(check_tag(key, "brakes", None), Ok(()));
    }
    assert_eq!(check_tag("millrace:notify:team", &format!("breaks to {TOPIC}"), Some(&topics())), Ok(()));
    assert_eq!(check_tag("millrace:notify:default", "nothing", Some(&topics())), Ok(()));
    let said = "The notification rule in the tag 'millrace:notify:team' has as its word 1 'brakes': there are breaks, fixed, \
                waits, slow and every.";
    assert_eq!(refused("millrace:notify:team", "brakes to slack/a"), said);
    for key in ["millrace:notify", "millrace:notify:", "Millrace:Notify:team", "millrace:notification:team"] {
        assert!(
            refused(key, "breaks to slack/a").contains("is not under a key of the form millrace:notify:NAME"),
            "{key}"
        );
    }
    assert!(refused("millrace:notify:a:b", "breaks to slack/a").contains("is not under a key"));
    for other in [
        "arn:aws:sns:eu-west-2:123456789012:millrace-team",
        "arn:aws:sns:eu-west-1:210987654321:millrace-team",
        "arn:aws:sns:eu-west-1:123456789012:team",
    ] {
        let error = refused("millrace:notify:team", &format!("breaks to {other}"));
        assert!(error.contains("sends only to topics arn:aws:sns:eu-west-1:123456789012:millrace-*"), "{error}");
    }
    let error = check_tag("millrace:notify:team", "breaks to slack/a", None).unwrap_err().to_string();
    assert!(error.contains("by a pipeline only"), "{error}");
}

#[test]
fn the_installation_s_rule_holds_unless_a_pipeline_has_its_own() {
    let own: Rule = "breaks to slack/all".parse().unwrap();
    let team: Rule = "waits to slack/team".parse().unwrap();
    let named = |tags: &BTreeMap<String, String>, own| rules(tags, own).into_iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(rules(&tags(&[]), Some(&own)), [("default".to_owned(), own.clone())]);
    let both = tags(&[("team", "waits to slack/team")]);
    assert_eq!(rules(&both, Some(&own)), [("default".to_owned(), own.clone()), ("team".to_owned(), team.clone())]);
    assert_eq!(rules(&tags(&[("default", "waits to slack/team")]), Some(&own)), [("default".to_owned(), team)]);
    assert!(named(&tags(&[("default", "nothing")]), Some(&own)).is_empty());
    assert!(named(&tags(&[("old", "whatever this was")]), None).is_empty());
    assert!(!are_too_many(&tags(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"].map(|name| (name, "")))));
    assert!(are_too_many(&tags(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"].map(|name| (name, "")))));
}

#[test]
fn which_rules_have_changed() {
    let before = tags(&[("gone", "a"), ("other", "b"), ("same", "c")]);
    let after = tags(&[("new", "a"), ("other", "c"), ("same", "c")]);
    assert_eq!(changed(&before, &after), ["gone", "new", "other"]);
    assert!(changed(&before, &before).is_empty());
}

fn rule() -> impl Strategy<Value = Rule> {
    let whens = proptest::collection::btree_set(proptest::sample::select(&When::ALL[..]), 1..4);
    let stage = proptest::option::of("[A-Za-z0-9.@_-]{1,100}");
    let target = prop_oneof!["slack/[A-Za-z0-9_.-]{1,64}", "teams/[A-Za-z0-9_.-]{1,64}", Just(TOPIC.to_owned())];
    (whens, stage, target)
        .prop_map(|(whens, stage, target)| Rule {
            whens,
            stage: stage.map(|name| StageName::new(name).unwrap()),
            target: super::target(&target).unwrap(),
        })
        .prop_filter("a rule that may be", |rule| rule.check().is_ok())
}

proptest! {
    #[test]
    fn properties_a_rule_is_its_sentence(rule in rule()) {
        prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
    }

    #[test]
    fn properties_whatever_is_a_rule_is_one_again(
        words in proptest::collection::vec("breaks|fixed|slow|every|in|to|Prod|slack/a|teams/b|[ -~]{0,12}|\\PC{0,8}", 0..8)
    ) {
        if let Ok(rule) = words.join(" ").parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }
}
