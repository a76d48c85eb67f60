//! The bounds of every value, as a table: what is allowed at both ends, and what is not one step beyond.

use super::*;

/// A declaration with every optional member.
fn rich() -> Declaration {
    let patterns = json!({"includes": ["a"], "excludes": ["b"]});
    let rule = json!({"name": "Rule", "ruleTypeId": id("Rule", "AWS", "LambdaInvoke", "1"),
        "configuration": {"FunctionName": "f", "UserParameters": "p"},
        "roleArn": "arn:aws:iam::111122223333:role/r", "region": "eu-west-1", "timeoutInMinutes": 5});
    let commands = json!({"name": "Commands", "ruleTypeId": id("Rule", "AWS", "Commands", "1"), "commands": ["ls"],
        "inputArtifacts": [{"name": "App"}]});
    changed(&[
        ("/artifactStore/encryptionKey", json!({"id": "k", "type": "KMS"})),
        (
            "/stages/0/actions/-",
            json!({"name": "Git", "actionTypeId": id("Source", "AWS", "CodeStarSourceConnection", "1"),
            "configuration": {"ConnectionArn": "arn", "FullRepositoryId": "a/b", "BranchName": "main"},
            "outputArtifacts": [{"name": "Code"}]}),
        ),
        (
            "/stages/1/actions/-",
            json!({"name": "Run", "actionTypeId": id("Compute", "AWS", "Commands", "1"), "commands": ["ls"],
            "inputArtifacts": [{"name": "App"}], "outputArtifacts": [{"name": "Out", "files": ["*"]}],
            "outputVariables": ["A"], "region": "eu-west-1", "namespace": "Run",
            "environmentVariables": [{"name": "A", "value": "b", "type": "PLAINTEXT"}]}),
        ),
        ("/stages/1/onFailure", json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}})),
        ("/stages/1/onSuccess", json!({"conditions": [{"result": "FAIL", "rules": [rule, commands]}]})),
        (
            "/triggers",
            json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Git",
            "push": [{"tags": patterns, "branches": patterns, "filePaths": patterns}],
            "pullRequest": [{"events": ["OPEN"], "branches": patterns, "filePaths": patterns}]}}]),
        ),
    ])
}

/// `/stages/1/name` as `stages.2.member.name`.
fn path(pointer: &str) -> String {
    let part = |part: &str| part.parse::<usize>().map_or_else(|_| part.to_owned(), |n| format!("{}.member", n + 1));
    pointer[1..].split('/').map(part).collect::<Vec<_>>().join(".")
}

#[track_caller]
fn violations(pointer: &str, value: Value) -> Vec<(Kind, String)> {
    let mut json = serde_json::to_value(rich()).unwrap();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
    match Pipeline::try_from(serde_json::from_value::<Declaration>(json).unwrap()) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.violations().map(|violation| (violation.kind, place(violation))).collect(),
    }
}

/// Those of the API's constraints only.
#[track_caller]
fn shapes(pointer: &str, value: Value) -> Vec<(Kind, String)> {
    violations(pointer, value).into_iter().filter(|(kind, _)| *kind == Validation).collect()
}

#[test]
fn the_rich_declaration_is_valid() {
    Pipeline::try_from(rich()).unwrap_or_else(|invalid| panic!("{invalid}"));
}

#[test]
fn texts_have_their_lengths() {
    let rule = "/stages/1/onSuccess/conditions/0/rules/0";
    let run = "/stages/1/actions/1";
    let push = "/triggers/0/gitConfiguration/push/0";
    let table = [
        ("/artifactStore/encryptionKey/id".to_owned(), 1, 400),
        ("/artifactStore/location".to_owned(), 3, 63),
        (format!("{run}/commands/0"), 1, 1000),
        (format!("{run}/outputArtifacts/0/files/0"), 1, 128),
        (format!("{run}/outputVariables/0"), 1, 128),
        (format!("{run}/environmentVariables/0/name"), 1, 128),
        (format!("{run}/environmentVariables/0/value"), 1, 2000),
        (format!("{rule}/name"), 1, 100),
        (format!("{rule}/configuration/UserParameters"), 1, 10_000),
        ("/stages/1/onSuccess/conditions/0/rules/1/commands/0".to_owned(), 1, 1000),
        (format!("{push}/tags/includes/0"), 1, 255),
        (format!("{push}/branches/excludes/0"), 1, 255),
        (format!("{push}/filePaths/includes/0"), 1, 255),
        ("/triggers/0/gitConfiguration/pullRequest/0/branches/includes/0".to_owned(), 1, 255),
        ("/triggers/0/gitConfiguration/pullRequest/0/filePaths/excludes/0".to_owned(), 1, 255),
    ];
    for (pointer, least, most) in table {
        for length in [least, most] {
            assert_eq!(violations(&pointer, json!("x".repeat(length))), [], "{pointer} of {length}");
        }
        for length in [least - 1, most + 1] {
            let expected = [(Validation, path(&pointer))];
            assert_eq!(violations(&pointer, json!("x".repeat(length))), expected, "{pointer} of {length}");
        }
    }
    let reading = "/stages/1/onSuccess/conditions/0/rules/1/inputArtifacts/0/name".to_owned();
    let type_id = |member| format!("{rule}/ruleTypeId/{member}");
    for (pointer, most) in [(reading, 100), (type_id("provider"), 35), (type_id("version"), 9)] {
        let of = |length| shapes(&pointer, json!("x".repeat(length)));
        assert_eq!((of(1), of(most)), (Vec::new(), Vec::new()), "{pointer}");
        let expected = vec![(Validation, path(&pointer))];
        assert_eq!((of(0), of(most + 1)), (expected.clone(), expected), "{pointer}");
    }
}

#[test]
fn lists_have_their_sizes() {
    let git = "/triggers/0/gitConfiguration";
    let pattern = json!("x");
    let table = [
        ("/stages/1/actions/1/commands".to_owned(), json!("ls"), 1, 50),
        ("/stages/1/actions/1/outputArtifacts/0/files".to_owned(), json!("*"), 1, 10),
        ("/stages/1/actions/1/outputVariables".to_owned(), json!("A"), 1, 15),
        ("/stages/1/actions/1/environmentVariables".to_owned(), json!({"name": "A", "value": "b"}), 1, 10),
        ("/stages/1/onSuccess/conditions".to_owned(), json!({"result": "FAIL"}), 1, 1),
        ("/stages/1/onSuccess/conditions/0/rules/1/commands".to_owned(), json!("ls"), 1, 50),
        (format!("{git}/push"), json!({}), 1, 3),
        (format!("{git}/pullRequest"), json!({}), 1, 3),
        (format!("{git}/pullRequest/0/events"), json!("CLOSED"), 1, 3),
        (format!("{git}/push/0/tags/includes"), pattern.clone(), 1, 8),
        (format!("{git}/push/0/filePaths/excludes"), pattern, 1, 8),
    ];
    for (pointer, item, least, most) in table {
        for length in [least, most] {
            assert_eq!(violations(&pointer, json!(vec![&item; length])), [], "{length} in {pointer}");
        }
        for length in [least - 1, most + 1] {
            let expected = [(Validation, path(&pointer))];
            assert_eq!(shapes(&pointer, json!(vec![&item; length])), expected, "{length} in {pointer}");
        }
    }
    let rules = "/stages/1/onSuccess/conditions/0/rules";
    let named = |n: usize| {
        json!({"name": format!("R{n}"), "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"},
        "configuration": {"FunctionName": "f"}})
    };
    for (count, allowed) in [(0, false), (1, true), (5, true), (6, false)] {
        let expected = if allowed { Vec::new() } else { vec![(Validation, path(rules))] };
        assert_eq!(violations(rules, (0..count).map(named).collect()), expected, "{count} rules");
    }
    let trigger = serde_json::to_value(rich()).unwrap()["triggers"][0].clone();
    assert_eq!(shapes("/triggers", json!(vec![&trigger; 50])), []);
    assert_eq!(shapes("/triggers", json!(vec![&trigger; 51])), [(Validation, "triggers".to_owned())]);
}

#[test]
fn enumerations_and_forms_hold() {
    let rule = "/stages/1/onSuccess/conditions/0/rules/0";
    let run = "/stages/1/actions/1";
    let table = [
        (format!("{run}/environmentVariables/0/type"), json!("TEXT")),
        (format!("{run}/environmentVariables/0/name"), json!("A-B")),
        (format!("{rule}/ruleTypeId/category"), json!("Deploy")),
        (format!("{rule}/ruleTypeId/owner"), json!("Custom")),
        (format!("{rule}/roleArn"), json!("role")),
        (format!("{rule}/region"), json!("EU")),
        (format!("{rule}/timeoutInMinutes"), json!(86_401)),
        ("/stages/1/onSuccess/conditions/0/result".to_owned(), json!("WAIT")),
        ("/stages/1/onFailure/retryConfiguration/retryMode".to_owned(), json!("SOME")),
        ("/triggers/0/providerType".to_owned(), json!("S3")),
        ("/triggers/0/gitConfiguration/pullRequest/0/events/0".to_owned(), json!("MERGED")),
        (format!("{run}/region"), json!("EU")),
        (format!("{run}/namespace"), json!("a.b")),
    ];
    for (pointer, wrong) in table {
        let expected = [(Validation, path(&pointer))];
        assert_eq!(violations(&pointer, wrong), expected, "{pointer}");
    }
    let unknown = violations("/stages/1/actions/1/actionTypeId/category", json!("Cook"));
    assert_eq!(unknown[0], (Validation, "stages.2.member.actions.2.member.actionTypeId.category".to_owned()));
    let nameless = violations("/triggers/0/gitConfiguration/sourceActionName", json!("a b"));
    assert_eq!(nameless[0], (Validation, "triggers.1.member.gitConfiguration.sourceActionName".to_owned()));
    let long = "k".repeat(51);
    let key = shapes(&format!("{rule}/configuration"), json!({long.as_str(): "v"}));
    assert_eq!(key, [(Validation, format!("{}.configuration.{long}", path(rule)))]);
    let keys = |n: usize| Value::Object((0..n).map(|n| (format!("K{n}"), json!("v"))).collect());
    assert_eq!(shapes(&format!("{rule}/configuration"), keys(200)), []);
    assert_eq!(shapes(&format!("{rule}/configuration"), keys(201)).len(), 1);
}

#[test]
fn a_pipeline_answers_about_stages_stores_and_copies() {
    let pipeline = accepted(&[
        ("/artifactStore", Value::Null),
        ("/artifactStores", json!({"eu-west-1": store(), "us-west-2": {"type": "S3", "location": "away"}})),
        (&at(DEPLOY, "region"), json!("us-west-2")),
    ]);
    assert_eq!(pipeline.stage_index("Deploy"), Some(1));
    assert_eq!(pipeline.stage_index("deploy"), None);
    assert_eq!(pipeline.store("us-west-2", "eu-west-1").unwrap().location, "away");
    assert!(pipeline.store("us-east-1", "eu-west-1").is_none());
    let app = ArtifactName::new("App").unwrap();
    assert_eq!(pipeline.copy_regions(&app, "eu-west-1"), ["us-west-2"]);
    assert!(pipeline.copy_regions(&app, "us-west-2").is_empty());
    assert!(pipeline.copy_regions(&ArtifactName::new("None").unwrap(), "eu-west-1").is_empty());
    let one = accepted(&[]);
    assert_eq!(one.store("eu-west-1", "eu-west-1").unwrap().location, "artifacts-bucket");
    assert!(one.store("us-west-2", "eu-west-1").is_none());
}
