use super::*;
use crate::testing::{example, github_example};
use serde_json::json;

fn webhook(filters: &[(&str, Option<&str>)], action: &str) -> Webhook {
    Webhook {
        name: WebhookName::new("push").unwrap(),
        target_pipeline: PipelineName::new("release").unwrap(),
        target_action: ActionName::new(action).unwrap(),
        filters: filters
            .iter()
            .map(|(path, text)| Filter {
                json_path: JsonPath::new(*path).unwrap(),
                match_equals: text.map(ToOwned::to_owned),
            })
            .collect(),
        authentication: Authentication::Unauthenticated,
    }
}

fn secret() -> Option<Secret> {
    Some(Secret::new("hunter2"))
}

fn pipeline() -> Pipeline {
    Pipeline::try_from(example()).unwrap()
}

fn github() -> Pipeline {
    Pipeline::try_from(github_example()).unwrap()
}

#[test]
fn each_authentication_takes_its_own_value_and_no_other() {
    let range = Some("192.0.2.0/24");
    for (kind, given, allowed) in [
        ("GITHUB_HMAC", (secret(), None), true),
        ("GITHUB_HMAC", (None, None), false),
        ("GITHUB_HMAC", (None, range), false),
        ("GITHUB_HMAC", (secret(), range), false),
        ("IP", (None, range), true),
        ("IP", (None, None), false),
        ("IP", (secret(), None), false),
        ("IP", (secret(), range), false),
        ("UNAUTHENTICATED", (None, None), true),
        ("UNAUTHENTICATED", (secret(), None), false),
        ("UNAUTHENTICATED", (None, range), false),
        ("BASIC", (None, None), false),
    ] {
        let made = Authentication::new(kind, given.0, given.1);
        assert_eq!(made.is_ok(), allowed, "{kind}: {made:?}");
        match made {
            Ok(made) => assert_eq!(made.kind(), kind),
            Err(error) => assert!(!error.to_string().contains("hunter2"), "{error}"),
        }
    }
}

#[test]
fn a_range_is_an_address_and_a_prefix_that_its_family_has() {
    for text in ["0.0.0.0/0", "192.0.2.7/32", "::/0", "2001:db8::/128"] {
        assert_eq!(IpRange::new(text).unwrap().to_string(), text);
    }
    for text in ["", "192.0.2.0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+8", "192.0.2/24", "::/129", "a/8", "/8"] {
        assert!(IpRange::new(text).is_err(), "{text}");
    }
}

#[test]
fn a_secret_is_not_shown() {
    let hmac = Authentication::new("GITHUB_HMAC", secret(), None).unwrap();
    assert_eq!(format!("{hmac:?}"), "GithubHmac { secret: **** }");
    let stored = serde_json::to_string(&hmac).unwrap();
    assert_eq!(serde_json::from_str::<Authentication>(&stored).unwrap(), hmac, "but it is kept");
}

#[test]
fn a_mask_stands_for_the_secret_that_was() {
    let hmac = |text: &str| Authentication::new("GITHUB_HMAC", Some(Secret::new(text)), None).unwrap();
    assert_eq!(hmac(MASK).unmask_from(Some(&hmac("old"))), Ok(hmac("old")));
    assert_eq!(hmac("new").unmask_from(Some(&hmac("old"))), Ok(hmac("new")));
    assert!(hmac(MASK).unmask_from(None).is_err());
    assert!(hmac(MASK).unmask_from(Some(&Authentication::Unauthenticated)).is_err());
}

#[test]
fn the_target_is_an_action_of_the_first_stage() {
    assert_eq!(webhook(&[], "Fetch").check(&pipeline()), Ok(()));
    for action in ["Publish", "Nothing"] {
        let error = webhook(&[], action).check(&pipeline()).unwrap_err();
        assert!(matches!(error, InvalidTarget::Action { .. }), "{error}");
        assert!(error.to_string().contains(action) && error.to_string().contains("targetAction"), "{error}");
    }
}

#[test]
fn placeholders_are_keys_of_the_action_that_are_no_secrets() {
    let check = |text| webhook(&[("$.ref", None), ("$.ref", Some(text))], "Fetch").check(&github());
    for text in ["refs/heads/{Branch}", "{Owner}/{Repo}", "main", "{", "}{", "{}", "{a b}", "{{Branch}}"] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, word) in [("{branch}", "no configuration key"), ("{Owner}{X}", "{X}"), ("{OAuthToken}", "secret")] {
        let error = check(text).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("filters.2.member"), "{error}");
    }
}

#[test]
fn only_github_can_be_told_to_call() {
    assert!(webhook(&[], "Fetch").third_party(&github()));
    assert!(!webhook(&[], "Fetch").third_party(&pipeline()));
    assert!(!webhook(&[], "Gone").third_party(&github()));
}

#[test]
fn a_range_has_the_addresses_of_its_prefix() {
    for (range, within, beyond) in [
        ("192.0.2.0/24", vec!["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"], vec!["192.0.3.0", "::c000:207", "::1"]),
        ("192.0.2.7/32", vec!["192.0.2.7"], vec!["192.0.2.6"]),
        ("10.1.2.3/8", vec!["10.255.0.0"], vec!["11.0.0.0"]),
        ("0.0.0.0/0", vec!["255.255.255.255"], vec!["2001:db8::1"]),
        ("2001:db8::/32", vec!["2001:db8:ffff::1"], vec!["2001:db9::", "192.0.2.7"]),
        ("::/0", vec!["2001:db8::1"], vec!["192.0.2.7"]),
    ] {
        let range = IpRange::new(range).unwrap();
        assert!(within.iter().all(|it| range.contains(it.parse().unwrap())), "{range}");
        assert!(!beyond.iter().any(|it| range.contains(it.parse().unwrap())), "{range}");
    }
}

#[test]
fn filters_let_pass_what_all_of_them_find() {
    let body = json!({"ref": "refs/heads/main", "n": 1, "deleted": false, "none": null, "list": ["a", "main"], "odd": "{Branch"});
    let passes = |filters: &[(&str, Option<&str>)]| webhook(filters, "Fetch").passes(&github(), &body).unwrap();
    for (path, text) in [
        ("$.ref", None),
        ("$.ref", Some("refs/heads/{Branch}")),
        ("$.ref", Some("refs/heads/main")),
        ("$.n", Some("1")),
        ("$.deleted", Some("false")),
        ("$.none", Some("null")),
        ("$.list[*]", Some("{Branch}")),
        ("$.odd", Some("{Branch")),
    ] {
        assert!(passes(&[(path, text)]), "{path} {text:?}");
    }
    for (path, text) in [
        ("$.gone", None),
        ("$.ref", Some("refs/heads/dev")),
        ("$.ref", Some("refs/heads/{Repo}")),
        ("$.ref", Some("")),
        ("$.n", Some("1.0")),
        ("$.list", Some("main")),
        ("$", Some("{}")),
    ] {
        assert!(!passes(&[(path, text)]), "{path} {text:?}");
        assert!(!passes(&[("$.ref", None), (path, text)]), "{path} {text:?}");
    }
    assert!(passes(&[]));
}

#[test]
fn what_the_pipeline_has_no_more_lets_nothing_pass() {
    let gone = webhook(&[], "Gone").passes(&github(), &json!({}));
    assert!(matches!(gone, Err(InvalidTarget::Action { .. })));
    let key = webhook(&[("$.ref", Some("{Folder}"))], "Fetch").passes(&github(), &json!({"ref": ""}));
    assert!(matches!(key, Err(InvalidTarget::Filter(_))));
}
