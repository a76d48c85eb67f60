use serde_json::{Value, json};

use super::*;
use crate::testing::example;
use crate::{Declaration, Kind, MASK, Pipeline};

fn id(owner: &str) -> TypeId {
    TypeId {
        category: "Build".into(),
        owner: Some(owner.into()),
        provider: "Jenkins".into(),
        version: Some("1".into()),
    }
}

fn property(name: &str, required: bool, secret: bool, queryable: bool) -> DefinedProperty {
    DefinedProperty { name: name.into(), required, secret, queryable, ..DefinedProperty::default() }
}

fn jenkins() -> Definition {
    Definition {
        id: id("Custom"),
        urls: Urls {
            entity: Some("https://jenkins.example.com/job/{Config:Project}".into()),
            execution: Some("https://jenkins.example.com/job/{Config:Project}/{ExternalExecutionId}".into()),
            ..Urls::default()
        },
        properties: Some(vec![
            property("Project", true, false, true),
            property("Password", false, true, false),
            property("Goal", true, false, false),
        ]),
        inputs: Counts { least: 1, most: 1 },
        outputs: Counts { least: 0, most: 2 },
        ..Definition::default()
    }
}

/// A pipeline's declaration with a Jenkins action of this configuration.
fn declared(owner: &str, configuration: Value, inputs: usize) -> Declaration {
    let mut declaration = example();
    let artifact = declaration.stages[0].actions[0].output_artifacts.as_ref().unwrap()[0].name.clone();
    let inputs: Vec<Value> = (0..inputs).map(|_| json!({"name": artifact})).collect();
    let action = json!({
        "name": "Jenkins",
        "actionTypeId": {"category": "Build", "owner": owner, "provider": "Jenkins", "version": "1"},
        "configuration": configuration,
        "inputArtifacts": inputs,
    });
    declaration.stages[1].actions.push(serde_json::from_value(action).unwrap());
    declaration
}

fn types() -> Types {
    let third = Definition { id: id("ThirdParty"), urls: Urls::default(), ..jenkins() };
    [jenkins().terms(), third.terms()].into_iter().collect()
}

fn broken(declaration: Declaration) -> Vec<(Kind, String)> {
    let invalid = Pipeline::with_types(declaration, &types()).expect_err("it breaks a rule");
    invalid.violations().map(|it| (it.kind, it.path.rsplit_once(".member.").unwrap().1.to_owned())).collect()
}

#[test]
fn a_definition_keeps_its_rules() {
    jenkins().check().unwrap();
    let refused = |change: &dyn Fn(&mut Definition), part: &str| {
        let mut changed = jenkins();
        change(&mut changed);
        let error = changed.check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let properties = |it: &mut Definition, properties| it.properties = Some(properties);
    refused(&|it| it.inputs = Counts { least: 2, most: 1 }, "inputArtifactDetails");
    refused(&|it| it.outputs = Counts { least: 5, most: 4 }, "outputArtifactDetails");
    let twice = || vec![property("A", true, false, false), property("A", true, false, false)];
    refused(&|it| properties(it, twice()), "more than one property has the name A");
    let two = || vec![property("A", true, false, true), property("B", true, false, true)];
    refused(&|it| properties(it, two()), "only one property may be queryable");
    refused(&|it| properties(it, vec![property("A", false, false, true)]), "must be required and non-secret");
    refused(&|it| properties(it, vec![property("A", true, true, true)]), "must be required and non-secret");
    refused(&|it| it.urls.revision = Some("javascript:alert(1)".into()), "https://");
    for name in ["Password", "Nothing"] {
        refused(&|it| it.urls.revision = Some(format!("https://example.com/{{Config:{name}}}")), name);
    }
}

#[test]
fn templates_are_filled_with_encoded_values() {
    let value = |name: &str| match name {
        "Config:Project" => Some("team/my app?x".to_owned()),
        "ExternalExecutionId" => Some("17".to_owned()),
        _ => None,
    };
    let filled = fill("https://ci/{Config:Project}/{ExternalExecutionId}#a", value);
    assert_eq!(filled.as_deref(), Some("https://ci/team/my%20app%3Fx/17#a"));
    assert_eq!(fill("https://ci/{Revision}", value), None);
    assert_eq!(fill("https://ci/{open", value).as_deref(), Some("https://ci/{open"));
}

#[test]
fn an_action_of_a_known_type_knows_its_terms() {
    let good = json!({"Project": "shop_1", "Goal": "test", "Password": "hunter2"});
    let pipeline = Pipeline::with_types(declared("Custom", good, 1), &types()).unwrap();
    let action = pipeline.stages()[1].actions.last().unwrap();
    assert!(action.is_polled() && action.is_secret("Password") && !action.is_secret("Goal"));
    assert_eq!(action.query(), Some("shop_1"));
    let (terms, configuration) = (action.custom.as_ref().unwrap(), &action.configuration);
    let page = terms.entity_page(configuration);
    assert_eq!(page.as_deref(), Some("https://jenkins.example.com/job/shop_1"));
    let page = terms.execution_page(configuration, "17");
    assert_eq!(page.as_deref(), Some("https://jenkins.example.com/job/shop_1/17"));
    let unknown = BTreeMap::from([("Project".to_owned(), "#{variables.p}".to_owned())]);
    assert_eq!(terms.entity_page(&unknown), None);
    let approval = &pipeline.stages()[0].actions[0];
    assert!(!approval.is_polled() && approval.query().is_none());
}

#[test]
fn an_action_of_an_unknown_type_is_refused() {
    let other = Pipeline::with_types(declared("Custom", json!({}), 1), &Types::default()).unwrap_err();
    assert_eq!(other.first().kind, Kind::InvalidActionDeclaration);
    assert!(other.first().path.ends_with("actionTypeId") && other.first().message.contains("not available"));
    assert!(Pipeline::try_from(declared("Custom", json!({}), 1)).is_ok(), "nothing is known of the account's types");
}

#[test]
fn configurations_and_artifacts_are_those_of_the_definition() {
    let wrong = Kind::InvalidActionDeclaration;
    let good = json!({"Project": "shop", "Goal": "test"});
    for inputs in [0, 2] {
        let found = broken(declared("Custom", good.clone(), inputs));
        assert_eq!(found, [(wrong, "inputArtifacts".to_owned())]);
    }
    for (configuration, path) in [
        (json!({"Project": "shop"}), "configuration"),
        (json!({"Project": "shop", "Goal": "test", "Color": "blue"}), "configuration.Color"),
        (json!({"Project": "shop", "Goal": "test", "ClientToken": "x"}), "configuration.ClientToken"),
        (json!({"Project": "my shop", "Goal": "test"}), "configuration.Project"),
        (json!({"Project": "x".repeat(21), "Goal": "test"}), "configuration.Project"),
        (json!({"Project": "#{variables.p}", "Goal": "test"}), "configuration.Project"),
        (json!({"Project": "shop", "Goal": "test", "Password": MASK}), "configuration.Password"),
    ] {
        let found = broken(declared("Custom", configuration.clone(), 1));
        assert_eq!(found[0], (wrong, path.to_owned()), "{configuration}");
    }
    let client = json!({"Project": "shop", "Goal": "test", "ClientId": "c", "ClientToken": "t"});
    let pipeline = Pipeline::with_types(declared("ThirdParty", client, 1), &types()).unwrap();
    assert_eq!(pipeline.stages()[1].actions.last().unwrap().query(), None, "third parties poll for all of their jobs");
}

#[test]
fn secrets_are_masked_and_the_mask_means_the_old_value() {
    let old = json!({"Project": "shop", "Goal": "test", "Password": "hunter2"});
    let before = Pipeline::with_types(declared("Custom", old, 1), &types()).unwrap();
    let masked = before.masked();
    let configuration = |it: &Declaration| it.stages[1].actions.last().unwrap().configuration.clone().unwrap();
    assert_eq!(configuration(&masked)["Password"], MASK);
    assert_eq!(configuration(&masked)["Goal"], "test");
    assert_eq!(masked.unmask_from(before.declaration(), &types()), *before.declaration());

    let client = json!({"Project": "shop", "Goal": "test", "ClientId": "c", "ClientToken": "t"});
    let third = Pipeline::with_types(declared("ThirdParty", client, 1), &types()).unwrap().masked();
    assert_eq!(configuration(&third)["ClientToken"], MASK, "whatever the definition says");
    assert_eq!(configuration(&third)["ClientId"], "c");
}
