//! Whatever is thrown at it, the check answers, and a pipeline that it lets through keeps the rules. The rules are
//! stated here a second time, from the pipeline's side. CONTRIBUTING.md says how to try more inputs.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::catalogue;
use crate::variables::references;

fn check_invariants(pipeline: &Pipeline) {
    let stages = pipeline.stages();
    assert!((2..=50).contains(&stages.len()));
    let names: HashSet<_> = stages.iter().map(|stage| &stage.name).collect();
    assert_eq!(names.len(), stages.len(), "stage names are unique");
    let mut made = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    for (s, stage) in stages.iter().enumerate() {
        assert!((1..=50).contains(&stage.actions.len()));
        let names: HashSet<_> = stage.actions.iter().map(|action| &action.name).collect();
        assert_eq!(names.len(), stage.actions.len(), "action names are unique in their stage");
        for order in stage.run_orders() {
            assert!((1..=999).contains(&order));
            let group: Vec<_> = stage.actions.iter().filter(|action| action.run_order == order).collect();
            for action in &group {
                assert_eq!(action.type_id.category == "Source", s == 0);
                assert!(action.inputs.iter().all(|input| made.contains(input)), "{} reads what is there", action.name);
                for reference in action.texts().flat_map(|text| references(text)) {
                    let known = match reference.namespace.as_str() {
                        "codepipeline" => true,
                        "variables" => s > 0,
                        other => namespaces.contains(other),
                    };
                    assert!(known, "{} uses {reference}", action.name);
                }
                let known = catalogue::find(&action.type_id);
                assert!(known.is_some() || action.type_id.owner.as_deref() != Some("AWS"));
                if let Some(known) = known {
                    assert!(
                        known.inputs.contains(&action.inputs.len()) && known.outputs.contains(&action.outputs.len())
                    );
                }
            }
            for action in group {
                assert!(action.outputs.iter().all(|output| made.insert(output.clone())), "made once");
                let namespace = action.namespace.as_ref().map(|namespace| namespace.as_str().to_owned());
                assert!(namespace.is_none_or(|namespace| namespaces.insert(namespace)), "namespaces are unique");
            }
        }
    }
    let regions: BTreeSet<_> =
        stages.iter().flat_map(|stage| &stage.actions).filter_map(|action| action.region.as_ref()).collect();
    if let Some(stores) = &pipeline.declaration().artifact_stores {
        assert!(regions.iter().all(|region| stores.contains_key(region.as_str())));
    } else {
        assert!(regions.len() <= 1 && pipeline.declaration().artifact_store.is_some());
    }
}

/// The rules of a stage's conditions, each with the result of its condition.
fn check_rules(conditions: &[crate::declaration::Condition], results: &[&str]) {
    assert_eq!(conditions.len(), 1);
    for condition in conditions {
        let result = condition.result.as_deref();
        assert!(result.is_none_or(|result| results.contains(&result)));
        assert!(condition.rules.as_ref().is_none_or(|rules| (1..=5).contains(&rules.len())));
        for rule in condition.rules.iter().flatten() {
            let known = catalogue::rules::find(&rule.rule_type_id).expect("a known type");
            assert!(result != Some("SKIP") || ["LambdaInvoke", "VariableCheck"].contains(&known.provider));
            assert!(known.inputs.contains(&rule.input_artifacts.as_ref().map_or(0, Vec::len)));
            let keys: BTreeSet<_> = rule.configuration.iter().flatten().map(|(key, _)| key.as_str()).collect();
            assert!(known.configuration.iter().all(|property| !property.required || keys.contains(property.name)));
            assert!(keys.iter().all(|key| known.property(key).is_some()));
            assert_eq!(rule.commands.is_some(), known.provider == "Commands");
        }
    }
}

fn check_conditions(pipeline: &Pipeline) {
    for stage in &pipeline.declaration().stages {
        if let Some(before) = &stage.before_entry {
            check_rules(&before.conditions, &["FAIL", "SKIP"]);
        }
        if let Some(after) = &stage.on_success {
            check_rules(&after.conditions, &["FAIL", "ROLLBACK"]);
        }
        let failure = stage.on_failure.as_ref();
        if let Some(conditions) = failure.and_then(|failure| failure.conditions.as_ref()) {
            check_rules(conditions, &["FAIL", "ROLLBACK"]);
        }
        let any = stage.before_entry.is_some() || stage.on_success.is_some() || failure.is_some();
        assert!(!any || pipeline.kind() == PipelineType::V2);
    }
}

/// The example with conditions of every kind.
fn example_with_conditions() -> Value {
    let mut json = serde_json::to_value(example()).unwrap();
    let check = json!({"name": "Check", "ruleTypeId": id("Rule", "AWS", "VariableCheck", "1"),
        "configuration": {"Variable": "#{Source.ETag}", "Value": "x", "Operator": "NE"}});
    let call = json!({"name": "Call", "ruleTypeId": id("Rule", "AWS", "LambdaInvoke", "1"),
        "configuration": {"FunctionName": "f"}, "inputArtifacts": [{"name": "App"}]});
    json["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "SKIP", "rules": [check, call]}]});
    json["stages"][1]["onFailure"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [call]}]});
    json["stages"][0]["onSuccess"] = json!({"conditions": [{"result": "FAIL", "rules": [check]}]});
    json
}

/// Decodes, checks, and reports whether it is a pipeline. Whatever is refused is refused with a reason.
fn try_it(json: Value) -> bool {
    let Ok(declaration) = serde_json::from_value::<Declaration>(json) else { return false };
    match Pipeline::try_from(declaration.clone()) {
        Ok(pipeline) => {
            check_invariants(&pipeline);
            check_conditions(&pipeline);
            assert_eq!(pipeline.declaration(), &declaration);
            let again: Declaration = serde_json::from_value(serde_json::to_value(&declaration).unwrap()).unwrap();
            assert_eq!(again, declaration, "a declaration survives JSON");
            true
        }
        Err(invalid) => {
            assert!(invalid.violations().count() >= 1 && !invalid.first().message.is_empty());
            false
        }
    }
}

/// Everything that a member of the example can be replaced by: near misses and other members' values.
fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<u32>().prop_map(|n| json!(n)),
        (0_u32..5).prop_map(|n| json!(n)),
        "[A-Za-z#{}.]{0,20}".prop_map(|text| json!(text)),
        any::<String>().prop_map(|text| json!(text)),
        prop::sample::select(vec![
            json!("App"),
            json!("Source"),
            json!("Deploy"),
            json!("Fetch"),
            json!("AWS"),
            json!("Custom"),
            json!("S3"),
            json!("Lambda"),
            json!("Invoke"),
            json!("#{Source.ETag}"),
            json!("#{variables.x}"),
            json!("eu-west-1"),
            json!("PARALLEL"),
            json!("V1"),
            json!("Rule"),
            json!("FAIL"),
            json!("SKIP"),
            json!("VariableCheck"),
            json!("Commands"),
            json!([]),
            json!({}),
        ]),
    ]
}

/// The members of a JSON value, by pointer, depth first.
fn pointers(json: &Value, here: &str, all: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match json {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(array) => array.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        let pointer = format!("{here}/{key}");
        pointers(value, &pointer, all);
        all.push(pointer);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    let member = prop::sample::select(vec![
        "name",
        "roleArn",
        "stages",
        "actions",
        "actionTypeId",
        "configuration",
        "inputArtifacts",
        "outputArtifacts",
        "artifactStore",
        "artifactStores",
        "variables",
        "triggers",
        "runOrder",
        "region",
        "namespace",
        "onFailure",
        "onSuccess",
        "beforeEntry",
        "conditions",
        "result",
        "rules",
        "ruleTypeId",
        "category",
        "owner",
        "provider",
        "version",
        "type",
        "location",
        "blockers",
        "commands",
    ]);
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((member.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

/// Small pipelines out of few names, so that many are valid and many collide.
fn any_pipeline() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["A", "B", "C", "D", "E", "F"]);
    let action = (
        name(),
        1_u32..4,
        prop::option::of(name()),
        prop::collection::vec(name(), 0..2),
        prop::collection::vec(name(), 0..2),
        prop::option::of((name(), name())),
    );
    let action = action.prop_map(|(name, order, namespace, inputs, outputs, uses)| {
        let mut action = lambda(name, order);
        let list = |names: Vec<&str>, prefix: &str| {
            json!(names.iter().map(|name| json!({"name": format!("{prefix}{name}")})).collect::<Vec<_>>())
        };
        action["inputArtifacts"] = list(inputs, "x");
        action["outputArtifacts"] = list(outputs, "x");
        if let Some(namespace) = namespace {
            action["namespace"] = json!(namespace);
        }
        if let Some((namespace, key)) = uses {
            action["configuration"]["UserParameters"] = json!(format!("#{{{namespace}.{key}}}"));
        }
        action
    });
    let stage = (name(), prop::collection::vec(action, 1..3));
    prop::collection::vec(stage, 1..4).prop_map(|stages| {
        let mut json = serde_json::to_value(example()).unwrap();
        let list = json["stages"].as_array_mut().unwrap();
        list.truncate(1);
        list.extend(stages.into_iter().map(|(name, actions)| json!({"name": name, "actions": actions})));
        json
    })
}

proptest! {
    #[test]
    fn any_json_is_answered(json in any_json()) {
        try_it(json);
    }

    #[test]
    fn a_changed_example_is_refused_or_valid(changes in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..4)) {
        let mut json = example_with_conditions();
        for (index, value) in changes {
            let mut all = Vec::new();
            pointers(&json, "", &mut all);
            *json.pointer_mut(index.get(all.as_slice()).as_str()).unwrap() = value;
        }
        try_it(json);
    }

    #[test]
    fn a_small_pipeline_is_refused_or_valid(json in any_pipeline()) {
        try_it(json);
    }
}

#[test]
fn the_example_with_conditions_is_valid() {
    assert!(try_it(example_with_conditions()));
}

#[test]
fn the_small_pipelines_are_valid_often_enough_to_mean_something() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let valid = (0..300).filter(|_| try_it(any_pipeline().new_tree(&mut runner).unwrap().current())).count();
    assert!((10..290).contains(&valid), "{valid} of 300 are valid");
}
