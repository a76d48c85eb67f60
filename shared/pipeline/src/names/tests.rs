use proptest::prelude::*;
use regex::Regex;

use super::*;

/// Text near the edge of what names allow: mostly legal characters, sometimes none.
fn nearly_a_name() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9.@_-]{0,3}", "[A-Za-z0-9-]{98,102}", "[ -~]{0,6}", any::<String>(), "[a-z0-9-]{0,32}"]
}

fn nearly_a_role() -> impl Strategy<Value = String> {
    let near = |right: &'static str, other: &'static str| prop_oneof![4 => Just(right.to_owned()), 1 => other.prop_map(String::from)];
    (
        near("arn", "[a-z]{0,4}"),
        near("aws", "aws(-[a-z_]{0,3}){0,2}|a[a-z]{0,3}"),
        near("iam", "[a-z]{0,3}"),
        near("", "[a-z]{0,1}"),
        near("111122223333", "[0-9a]{11,13}"),
        near("role/release", "(role/)?[a-z:/\n]{0,5}|role/a{990,1010}"),
    )
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f].join(":"))
}

macro_rules! agrees {
    ($($name:ident, $values:expr, $most:expr;)*) => {
        /// The patterns are documentation, and the checks are code: each pattern compiles, and says the same.
        #[test]
        #[allow(non_snake_case)]
        fn every_pattern_compiles() {
            $(Regex::new($name::PATTERN).unwrap();)*
        }
        $(proptest! {
            #[test]
            #[allow(non_snake_case)]
            fn $name(value in $values) {
                thread_local!(static FORM: Regex = Regex::new($name::PATTERN).unwrap());
                let expected = FORM.with(|form| form.is_match(&value)) && value.chars().count() <= $most;
                prop_assert_eq!($name::new(value.as_str()).is_ok(), expected, "{:?}", value);
            }
        })*
    };
}

mod agrees_with_its_pattern {
    use super::*;
    agrees! {
        PipelineName, nearly_a_name(), 100;
        StageName, nearly_a_name(), 100;
        ActionName, nearly_a_name(), 100;
    WebhookName, nearly_a_name(), 100;
        ArtifactName, nearly_a_name(), 100;
        Namespace, nearly_a_name(), 100;
        Region, nearly_a_name(), 30;
        RoleArn, nearly_a_role(), 1024;
    }
}

#[test]
fn names_at_their_edges() {
    assert!(PipelineName::new("a").is_ok());
    assert!(PipelineName::new("x".repeat(100)).is_ok());
    assert!(PipelineName::new("x".repeat(101)).is_err());
    assert!(PipelineName::new("").is_err());
    assert!(PipelineName::new("a.b@c-d_e").is_ok());
    for wrong in ["a b", "a/b", "ä", "a\n", "a\0"] {
        assert!(PipelineName::new(wrong).is_err(), "{wrong:?}");
        assert!(StageName::new(wrong).is_err() && ActionName::new(wrong).is_err(), "{wrong:?}");
    }
    assert!(
        ArtifactName::new("a.b").is_err() && ArtifactName::new("a@b").is_err() && ArtifactName::new("a-b_c").is_ok()
    );
    assert!(Namespace::new("a.b").is_err(), "a period ends the namespace in a reference");
    assert!(Namespace::new("a@b").is_ok());
    assert!(Region::new("eu-west-1").is_ok() && Region::new("EU-WEST-1").is_err() && Region::new("eu").is_err());
}

#[test]
fn roles_at_their_edges() {
    let of_length = |length: usize| format!("{:x<length$}", "arn:aws:iam::111122223333:role/");
    assert!(RoleArn::new(of_length(1024)).is_ok());
    assert!(RoleArn::new(of_length(1025)).is_err());
    assert!(RoleArn::new("arn:aws:iam::111122223333:role/").is_err());
    assert!(RoleArn::new("arn:aws-us-gov:iam::111122223333:role/service/x").is_ok());
    assert!(RoleArn::new("arn:aws-:iam::111122223333:role/x").is_err());
    assert!(RoleArn::new("arn:awsx:iam::111122223333:role/x").is_err());
    assert!(RoleArn::new("arn:aws:iam::111122223333:user/x").is_err());
}

#[test]
fn an_error_says_what_and_shows_100_characters() {
    let error = StageName::new("é".repeat(500)).unwrap_err();
    assert_eq!(error.value.chars().count(), 100);
    assert!(error.to_string().contains("stage name") && error.to_string().contains(StageName::PATTERN));
}

#[test]
fn json_cannot_make_a_wrong_name() {
    assert!(serde_json::from_str::<ActionName>("\"a b\"").is_err());
    let name: ActionName = serde_json::from_str("\"a\"").unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"a\"");
}
