use proptest::prelude::*;

use super::*;

fn reference(namespace: &str, key: &str) -> Reference {
    Reference { namespace: namespace.to_owned(), key: key.to_owned() }
}

/// Resolves every reference to `<namespace/key>`.
fn marked(text: &str) -> String {
    resolve(text, &mut |reference| Some(format!("<{}/{}>", reference.namespace, reference.key))).unwrap()
}

#[test]
fn references_are_found_in_order() {
    assert_eq!(
        references("a #{Source.VersionId}#{variables.x-1} #{codepipeline.PipelineExecutionId} #{Source.VersionId}"),
        [
            reference("Source", "VersionId"),
            reference("variables", "x-1"),
            reference("codepipeline", "PipelineExecutionId"),
            reference("Source", "VersionId")
        ]
    );
}

#[test]
fn what_has_not_the_form_stays_literal() {
    for text in [
        "", "#", "#{", "#{}", "#{.}", "#{a}", "#{a.}", "#{.b}", "#{a.b", "#{a.b.c}", "#{a b.c}", "#{ a.b}", "# {a.b}",
        "${a.b}", "{a.b}", "#{a.b }", "#{ä.b}", "a#b", "##", "ü#{", "#{a.b\n}",
    ] {
        assert!(references(text).is_empty(), "{text:?}");
        assert_eq!(marked(text), text);
    }
}

#[test]
fn a_name_without_a_namespace_is_no_reference() {
    assert_eq!(without_namespace("#{x} #{a.b} #{}#{y-1@_}, #{a.b.c}, #{x y}, #{x, {x}, ##{z}"), ["x", "y-1@_", "z"]);
    assert_eq!(without_namespace("#{a.b} #{ü}"), [] as [&str; 0]);
}

#[test]
fn references_between_other_text() {
    assert_eq!(marked("#{a.b}"), "<a/b>");
    assert_eq!(marked("##{a.b}#"), "#<a/b>#");
    assert_eq!(marked("#{#{a.b}"), "#{<a/b>");
    assert_eq!(marked("#{x #{a.b}}"), "#{x <a/b>}");
    assert_eq!(marked("ü#{a.b}ü#{c@1.d_2-e}"), "ü<a/b>ü<c@1/d_2-e>");
    assert_eq!(marked(r##"{"a": "#{a.b}"}"##), r#"{"a": "<a/b>"}"#);
}

#[test]
fn names_have_their_lengths() {
    let text = |namespace: usize, key: usize| format!("#{{{}.{}}}", "n".repeat(namespace), "k".repeat(key));
    assert_eq!(references(&text(100, 128)).len(), 1);
    assert!(references(&text(101, 128)).is_empty());
    assert!(references(&text(100, 129)).is_empty());
}

#[test]
fn values_are_not_resolved_again() {
    let resolved = resolve("#{a.b}#{c.d}", &mut |reference| {
        Some(if reference.namespace == "a" { "#{c.d}".to_owned() } else { "D".to_owned() })
    });
    assert_eq!(resolved.unwrap(), "#{c.d}D");
    // Two values that make a reference together do not either.
    assert_eq!(resolve("#{a.b}c.d}", &mut |_| Some("#{".to_owned())).unwrap(), "#{c.d}");
}

#[test]
fn a_missing_value_is_an_error_that_names_it() {
    let error = resolve("#{a.b} #{c.d}", &mut |reference| (reference.namespace == "a").then(String::new)).unwrap_err();
    assert_eq!(error.reference, reference("c", "d"));
    assert_eq!(error.to_string(), "the variable #{c.d} has no value");
}

#[test]
fn output_variables_have_a_total_size() {
    let variables = |bytes: usize| BTreeMap::from([("key".to_owned(), "v".repeat(bytes))]);
    assert_eq!(check_output_variables(&BTreeMap::new()), Ok(()));
    assert_eq!(check_output_variables(&variables(MAX_OUTPUT_BYTES - 3)), Ok(()));
    assert_eq!(
        check_output_variables(&variables(MAX_OUTPUT_BYTES - 2)),
        Err(InvalidOutputVariables::TooLarge(MAX_OUTPUT_BYTES + 1))
    );
}

#[test]
fn a_resolved_configuration_has_a_total_size() {
    let configuration = |bytes: usize| BTreeMap::from([("key".to_owned(), "v".repeat(bytes))]);
    assert_eq!(check_configuration(&configuration(102_400 - 3)), Ok(()));
    assert_eq!(check_configuration(&configuration(102_400 - 2)), Err(ConfigurationTooLarge(102_401)));
}

#[test]
fn output_variables_have_names() {
    let named = |key: &str| check_output_variables(&BTreeMap::from([(key.to_owned(), String::new())]));
    assert_eq!(named("A-z@0_9"), Ok(()));
    assert_eq!(named(&"k".repeat(128)), Ok(()));
    for wrong in ["", "a.b", "a b", "ä", "{", &"k".repeat(129)] {
        assert!(matches!(named(wrong), Err(InvalidOutputVariables::Key(_))), "{wrong:?}");
    }
}

#[test]
fn hostile_text_takes_linear_time() {
    let text = "#{a.".repeat(100_000);
    assert!(references(&text).is_empty());
    assert_eq!(marked(&text), text);
}

proptest! {
    #[test]
    fn resolving_to_itself_changes_nothing(text in "([#{}.a-c ü]|#\\{[a-c]\\.[a-c]\\}){0,30}") {
        let resolved = resolve(&text, &mut |reference| Some(reference.to_string())).unwrap();
        prop_assert_eq!(resolved, text);
    }

    #[test]
    fn what_is_displayed_is_a_reference(namespace in "[A-Za-z0-9@_-]{1,100}", key in "[A-Za-z0-9@_-]{1,128}") {
        let one = reference(&namespace, &key);
        prop_assert_eq!(references(&one.to_string()), [one]);
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let all = references(&text).len();
        let mut asked = 0;
        resolve(&text, &mut |_| { asked += 1; Some(String::new()) }).unwrap();
        prop_assert_eq!(asked, all);
    }
}
