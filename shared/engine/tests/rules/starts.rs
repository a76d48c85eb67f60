//! What a start brings with it: the values of variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{InvalidVariables, start_variables};
use pipeline::Pipeline;
use serde_json::json;

use crate::environment::declared;

/// With the variables `Target`, `prod` by default, and `Note`, which has a default value where that is given.
fn with_variables(note: Option<&str>) -> Arc<Pipeline> {
    declared(&[("Deploy", &[("Go", "Lambda", 1)])], |it| {
        it["variables"] = json!([{"name": "Target", "defaultValue": "prod"}, {"name": "Note"}]);
        if let Some(note) = note {
            it["variables"][1]["defaultValue"] = note.into();
        }
    })
}

fn values(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_variable_has_the_value_that_the_start_gives_or_its_default() {
    let pipeline = with_variables(None);
    let given = values(&[("Note", "hello")]);
    assert_eq!(start_variables(&pipeline, &given), Ok(values(&[("Note", "hello"), ("Target", "prod")])));
    let given = values(&[("Note", ""), ("Target", "test")]);
    assert_eq!(start_variables(&pipeline, &given), Ok(given));
    assert_eq!(
        start_variables(&with_variables(Some("none")), &BTreeMap::new()),
        Ok(values(&[("Note", "none"), ("Target", "prod")]))
    );
}

#[test]
fn a_variable_without_a_value_is_refused() {
    let refused = start_variables(&with_variables(None), &values(&[("Target", "test")])).unwrap_err();
    assert!(matches!(&refused, InvalidVariables::Missing { variable, .. } if variable == "Note"), "{refused:?}");
}

#[test]
fn a_variable_that_is_not_declared_is_refused() {
    let refused = start_variables(&with_variables(Some("none")), &values(&[("target", "test")])).unwrap_err();
    assert!(matches!(&refused, InvalidVariables::Unknown { variable, .. } if variable == "target"), "{refused:?}");
}

#[test]
fn a_pipeline_of_type_v1_takes_no_variables() {
    let v1 = declared(&[("Deploy", &[("Go", "Lambda", 1)])], |it| it["pipelineType"] = json!("V1"));
    assert_eq!(start_variables(&v1, &BTreeMap::new()), Ok(BTreeMap::new()));
    let refused = start_variables(&v1, &values(&[("Target", "test")])).unwrap_err();
    assert!(matches!(refused, InvalidVariables::V1(_)), "{refused:?}");
}
