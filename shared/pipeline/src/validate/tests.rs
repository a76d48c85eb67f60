//! One test a rule: the example, one thing changed, exactly that violation.

use serde_json::{Value, json};

use super::*;
use crate::testing::example;
use Kind::{InvalidActionDeclaration, InvalidStageDeclaration, InvalidStructure, Validation};

mod conditions;
mod largest;
mod properties;
mod shapes;

/// The example with the values at these paths (JSON pointers) replaced, or added; null removes.
fn changed(changes: &[(&str, Value)]) -> Declaration {
    let mut json = serde_json::to_value(example()).unwrap();
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Value::Object(object) if value.is_null() => _ = object.remove(last),
            Value::Object(object) => _ = object.insert(last.to_owned(), value.clone()),
            Value::Array(array) if last == "-" => array.push(value.clone()),
            Value::Array(array) => array[last.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{parent} is {other}"),
        }
    }
    serde_json::from_value(json).unwrap()
}

/// Where a violation is, in the pipeline.
fn place(violation: &Violation) -> String {
    violation.path.strip_prefix("pipeline.").unwrap().to_owned()
}

#[track_caller]
fn found(changes: &[(&str, Value)]) -> Vec<(Kind, String)> {
    let invalid = Pipeline::try_from(changed(changes)).expect_err("this breaks a rule");
    let found: Vec<_> = invalid.violations().map(|violation| (violation.kind, place(violation))).collect();
    assert_eq!(found[0], (invalid.first().kind, place(invalid.first())));
    for violation in invalid.violations() {
        assert!(violation.message.len() > 10, "{violation}");
        assert!(
            violation.to_string().contains(&violation.path)
                && violation.to_string().starts_with(violation.kind.exception())
        );
    }
    found
}

/// Exactly one violation, of this kind, at this place of the pipeline.
#[track_caller]
fn refused(kind: Kind, path: &str, changes: &[(&str, Value)]) {
    assert_eq!(found(changes), [(kind, path.to_owned())]);
}

#[track_caller]
fn accepted(changes: &[(&str, Value)]) -> Pipeline {
    let declaration = changed(changes);
    match Pipeline::try_from(declaration.clone()) {
        Ok(pipeline) => {
            assert_eq!(pipeline.declaration(), &declaration, "what was given is what is kept");
            pipeline
        }
        Err(invalid) => panic!("{invalid}"),
    }
}

const SOURCE: &str = "/stages/0/actions/0";
const DEPLOY: &str = "/stages/1/actions/0";

fn at(action: &str, member: &str) -> String {
    format!("{action}/{member}")
}

fn id(category: &str, owner: &str, provider: &str, version: &str) -> Value {
    json!({"category": category, "owner": owner, "provider": provider, "version": version})
}

/// An approval for the second stage.
fn approval() -> Value {
    json!({"name": "Approve", "actionTypeId": id("Approval", "AWS", "Manual", "1")})
}

/// A Lambda action for the second stage that makes an artifact and has a namespace.
fn lambda(name: &str, order: u32) -> Value {
    json!({"name": name, "runOrder": order, "actionTypeId": id("Invoke", "AWS", "Lambda", "1"),
           "configuration": {"FunctionName": "check"}})
}

#[test]
fn a_stored_version_that_a_rule_of_today_refuses_is_still_a_pipeline() {
    // A key that the action's type does not have, and an artifact that nobody makes.
    let changes = [
        ("/stages/1/actions/0/configuration/Colour", json!("red")),
        ("/stages/1/actions/0/inputArtifacts/0/name", json!("Nothing")),
    ];
    assert!(Pipeline::try_from(changed(&changes)).is_err());
    let stored = Pipeline::stored(changed(&changes), Types::default()).unwrap();
    assert_eq!(stored.stages()[1].actions[0].configuration["Colour"], "red");
    let checked = Pipeline::try_from(example()).unwrap();
    assert_eq!(Pipeline::stored(example(), Types::default()).unwrap(), checked, "and any other the same as ever");
    let nameless = Pipeline::stored(changed(&[("/stages/0/name", json!("a b"))]), Types::default());
    assert!(nameless.is_err(), "names are keys: they keep their form");
}

#[test]
fn the_example_is_valid_and_round_trips() {
    let pipeline = accepted(&[]);
    assert_eq!(pipeline.name().as_str(), "release");
    assert_eq!(pipeline.kind(), PipelineType::V2);
    assert_eq!(pipeline.mode(), ExecutionMode::Superseded);
    assert_eq!(pipeline.stages()[1].actions[0].run_order, 1, "the default");
    assert_eq!(pipeline.producer(&ArtifactName::new("App").unwrap()), Some((0, 0)));
    assert_eq!(pipeline.namespace_owner("Source"), Some((0, 0)));
}

#[test]
fn an_empty_declaration_reports_everything() {
    let invalid = Pipeline::try_from(Declaration::default()).unwrap_err();
    let paths: Vec<_> = invalid.violations().map(|violation| violation.path.as_str()).collect();
    assert_eq!(paths, ["pipeline.name", "pipeline.roleArn", "pipeline.stages", "pipeline.artifactStore"]);
}

#[test]
fn several_errors_are_all_reported() {
    let all = found(&[
        ("/name", json!("a b")),
        (&at(SOURCE, "namespace"), json!("codepipeline")),
        (&at(DEPLOY, "runOrder"), json!(0)),
        (&at(DEPLOY, "configuration/Nonsense"), json!("1")),
    ]);
    let paths: Vec<_> = all.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "name",
            "stages.2.member.actions.1.member.runOrder",
            "stages.2.member.actions.1.member.configuration.Nonsense",
            "stages.1.member.actions.1.member.namespace",
            "stages.2.member.actions.1.member.configuration.ObjectKey"
        ]
    );
}

#[test]
fn the_version_is_ignored() {
    accepted(&[("/version", json!(7))]);
}

// Shapes.

#[test]
fn names_have_their_patterns() {
    refused(Validation, "name", &[("/name", json!("with space"))]);
    refused(Validation, "name", &[("/name", json!("x".repeat(101)))]);
    refused(Validation, "stages.2.member.name", &[("/stages/1/name", json!("a/b"))]);
    refused(Validation, "stages.2.member.actions.1.member.name", &[(&at(DEPLOY, "name"), json!(""))]);
    let unnamed = json!([{"name": "a.b"}]);
    let mut action = lambda("Check", 1);
    action["outputArtifacts"] = unnamed;
    refused(
        Validation,
        "stages.2.member.actions.2.member.outputArtifacts.1.member.name",
        &[("/stages/1/actions/-", action)],
    );
}

#[test]
fn an_input_artifact_has_its_pattern() {
    let all = found(&[(&at(DEPLOY, "inputArtifacts/0/name"), json!("a b"))]);
    assert_eq!(all[0], (Validation, "stages.2.member.actions.1.member.inputArtifacts.1.member.name".to_owned()));
}

#[test]
fn role_arns_have_their_form() {
    refused(Validation, "roleArn", &[("/roleArn", json!("arn:aws:iam::1:role/x"))]);
    refused(Validation, "stages.2.member.actions.1.member.roleArn", &[(&at(DEPLOY, "roleArn"), json!("role"))]);
    accepted(&[(&at(DEPLOY, "roleArn"), json!("arn:aws-cn:iam::111122223333:role/a/b"))]);
}

#[test]
fn run_order_is_1_to_999() {
    refused(Validation, "stages.1.member.actions.1.member.runOrder", &[(&at(SOURCE, "runOrder"), json!(0))]);
    refused(Validation, "stages.1.member.actions.1.member.runOrder", &[(&at(SOURCE, "runOrder"), json!(1000))]);
    accepted(&[(&at(SOURCE, "runOrder"), json!(999)), (&at(DEPLOY, "runOrder"), json!(1))]);
}

#[test]
fn modes_and_types_are_known_ones() {
    refused(Validation, "executionMode", &[("/executionMode", json!("FAST"))]);
    let all = found(&[("/pipelineType", json!("V3"))]);
    assert_eq!(all[0], (Validation, "pipelineType".to_owned()));
}

#[test]
fn an_action_type_has_four_parts() {
    let mut without = id("Deploy", "AWS", "S3", "1");
    without.as_object_mut().unwrap().remove("owner");
    let all = found(&[(&at(DEPLOY, "actionTypeId"), without)]);
    assert_eq!(all[0], (Validation, "stages.2.member.actions.1.member.actionTypeId.owner".to_owned()));
    let all = found(&[(&at(DEPLOY, "actionTypeId"), id("Deploy", "Me", "S 3", "1.0"))]);
    let paths: Vec<_> = all.iter().map(|(_, path)| path.rsplit('.').next().unwrap()).collect();
    assert_eq!(paths[..3], ["provider", "owner", "version"]);
}

// Structure.

#[test]
fn a_pipeline_has_two_stages_at_least() {
    refused(InvalidStructure, "stages", &[("/stages", json!([serde_json::to_value(example()).unwrap()["stages"][0]]))]);
}

#[test]
fn a_pipeline_has_50_stages_at_most() {
    let stage = |n: usize| json!({"name": format!("S{n}"), "actions": [approval()]});
    let mut changes: Vec<(&str, Value)> = (0..48).map(|n| ("/stages/-", stage(n))).collect();
    accepted(&changes);
    changes.push(("/stages/-", stage(48)));
    refused(InvalidStructure, "stages", &changes);
}

#[test]
fn a_stage_has_1_to_50_actions() {
    refused(InvalidStageDeclaration, "stages.2.member.actions", &[("/stages/1/actions", json!([]))]);
    let action = |n: usize| json!({"name": format!("A{n}"), "actionTypeId": id("Approval", "AWS", "Manual", "1")});
    let mut changes: Vec<(&str, Value)> = (0..49).map(|n| ("/stages/1/actions/-", action(n))).collect();
    accepted(&changes);
    changes.push(("/stages/1/actions/-", action(49)));
    refused(InvalidStageDeclaration, "stages.2.member.actions", &changes);
}

#[test]
fn the_first_stage_holds_sources_only() {
    refused(
        InvalidStructure,
        "stages.1.member.actions.2.member.actionTypeId.category",
        &[("/stages/0/actions/-", approval())],
    );
}

#[test]
fn other_stages_hold_no_sources() {
    let mut source = serde_json::to_value(example()).unwrap()["stages"][0]["actions"][0].clone();
    source["outputArtifacts"][0]["name"] = json!("Other");
    source["namespace"] = json!("Other2");
    refused(
        InvalidStructure,
        "stages.2.member.actions.2.member.actionTypeId.category",
        &[("/stages/1/actions/-", source)],
    );
}

#[test]
fn stage_names_are_unique() {
    refused(InvalidStageDeclaration, "stages.2.member.name", &[("/stages/1/name", json!("Source"))]);
}

#[test]
fn action_names_are_unique_in_their_stage_only() {
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.3.member.name",
        &[("/stages/1/actions/-", approval()), ("/stages/1/actions/-", approval())],
    );
    accepted(&[(&at(DEPLOY, "name"), json!("Fetch"))]);
}

// V2.

#[test]
fn modes_variables_and_conditions_need_v2() {
    let v1 = ("/pipelineType", json!("V1"));
    accepted(std::slice::from_ref(&v1));
    accepted(&[("/pipelineType", Value::Null)]);
    refused(InvalidStructure, "executionMode", &[v1.clone(), ("/executionMode", json!("QUEUED"))]);
    refused(InvalidStructure, "variables", &[v1.clone(), ("/variables", json!([{"name": "a"}]))]);
    for condition in ["onFailure", "onSuccess", "beforeEntry"] {
        let rules = json!({"conditions": [{"result": "FAIL", "rules": []}]});
        let value = if condition == "onFailure" { json!({"result": "ROLLBACK"}) } else { rules };
        let all = found(&[v1.clone(), (&format!("/stages/1/{condition}"), value)]);
        assert!(all.contains(&(InvalidStageDeclaration, format!("stages.2.member.{condition}"))), "{all:?}");
    }
    let all = found(&[
        v1,
        (
            "/triggers",
            json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Fetch"}}]),
        ),
    ]);
    assert_eq!(all[0], (InvalidStructure, "triggers".to_owned()));
}

#[test]
fn a_declaration_without_a_type_is_of_v2_by_its_parts() {
    let untyped = ("/pipelineType", Value::Null);
    assert_eq!(accepted(std::slice::from_ref(&untyped)).kind(), PipelineType::V1);
    let invoke = json!({"name": "Next", "actionTypeId": id("Invoke", "AWS", "CodePipeline", "1"),
        "configuration": {"PipelineName": "next"}});
    for part in [
        ("/executionMode", json!("QUEUED")),
        ("/executionMode", json!("PARALLEL")),
        ("/variables", json!([{"name": "a"}])),
        ("/stages/1/onFailure", json!({"result": "ROLLBACK"})),
        ("/stages/1/actions/-", invoke),
    ] {
        assert_eq!(accepted(&[untyped.clone(), part.clone()]).kind(), PipelineType::V2, "{part:?}");
    }
    accepted(&[untyped.clone(), ("/executionMode", json!("SUPERSEDED")), ("/variables", json!([]))]);
    let (source, trigger) = (connection(), push(json!({"tags": {"includes": ["v*"]}})));
    let pipeline = accepted(&[untyped, ("/stages/0/actions/-", source), ("/triggers", json!([trigger]))]);
    assert_eq!(pipeline.kind(), PipelineType::V2);
}

#[test]
fn some_action_types_need_v2() {
    let invoke = json!({"name": "Next", "actionTypeId": id("Invoke", "AWS", "CodePipeline", "1"), "configuration": {"PipelineName": "next"}});
    accepted(&[("/stages/1/actions/-", invoke.clone())]);
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.actionTypeId",
        &[("/pipelineType", json!("V1")), ("/stages/1/actions/-", invoke)],
    );
}

#[test]
fn modes_are_read() {
    assert_eq!(accepted(&[("/executionMode", json!("QUEUED"))]).mode(), ExecutionMode::Queued);
    assert_eq!(accepted(&[("/executionMode", json!("PARALLEL"))]).mode(), ExecutionMode::Parallel);
}

#[test]
fn a_trigger_names_a_connection() {
    let trigger = |action: &str| {
        json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": action,
            "push": [{"branches": {"includes": ["main"]}}]}}])
    };
    refused(
        InvalidStructure,
        "triggers.1.member.gitConfiguration.sourceActionName",
        &[("/triggers", trigger("Fetch"))],
    );
    let source = json!({"name": "Git", "actionTypeId": id("Source", "AWS", "CodeStarSourceConnection", "1"),
        "configuration": {"ConnectionArn": "arn", "FullRepositoryId": "a/b", "BranchName": "main"},
        "outputArtifacts": [{"name": "Code"}]});
    accepted(&[("/stages/0/actions/-", source.clone()), ("/triggers", trigger("Git"))]);
    let mut wide = trigger("Git");
    wide[0]["gitConfiguration"]["push"][0]["branches"]["includes"] = json!(vec!["x"; 9]);
    refused(
        Validation,
        "triggers.1.member.gitConfiguration.push.1.member.branches.includes",
        &[("/stages/0/actions/-", source), ("/triggers", wide)],
    );
}

/// A source action that reads a repository through a connection.
fn connection() -> Value {
    json!({"name": "Git", "actionTypeId": id("Source", "AWS", "CodeStarSourceConnection", "1"),
        "configuration": {"ConnectionArn": "arn", "FullRepositoryId": "a/b", "BranchName": "main"},
        "outputArtifacts": [{"name": "Code"}]})
}

/// A trigger of it with one filter on pushes.
fn push(filter: Value) -> Value {
    json!({"providerType": "CodeStarSourceConnection",
        "gitConfiguration": {"sourceActionName": "Git", "push": [filter]}})
}

#[test]
fn a_push_filter_on_tags_stands_alone() {
    let patterns = json!({"includes": ["main"]});
    let with = |filter: Value| [("/stages/0/actions/-", connection()), ("/triggers", json!([push(filter)]))];
    for mixed in [
        json!({"tags": patterns, "branches": patterns}),
        json!({"tags": patterns, "filePaths": patterns}),
        json!({"tags": patterns, "branches": patterns, "filePaths": patterns}),
    ] {
        let invalid = Pipeline::try_from(changed(&with(mixed.clone()))).unwrap_err();
        assert_eq!(invalid.first().kind, InvalidStructure);
        assert_eq!(invalid.first().path, "pipeline.triggers.1.member.gitConfiguration.push.1.member");
        assert!(invalid.first().message.ends_with("Make sure to choose valid filter combinations."));
        let mut requests = push(mixed);
        requests["gitConfiguration"]["pullRequest"] = json!([{"branches": patterns}]);
        accepted(&[("/stages/0/actions/-", connection()), ("/triggers", json!([requests]))]);
    }
    for alone in [json!({"tags": patterns}), json!({"branches": patterns, "filePaths": patterns})] {
        accepted(&with(alone));
    }
}

#[test]
fn a_source_action_has_one_trigger() {
    let filter = json!({"branches": {"includes": ["main"]}});
    refused(
        InvalidStructure,
        "triggers.2.member.gitConfiguration.sourceActionName",
        &[("/stages/0/actions/-", connection()), ("/triggers", json!([push(filter.clone()), push(filter)]))],
    );
}

#[test]
fn a_connection_that_detects_changes_has_a_trigger_by_default() {
    let source = |detect: Option<&str>| {
        let mut source = connection();
        if let Some(detect) = detect {
            source["configuration"]["DetectChanges"] = json!(detect);
        }
        ("/stages/0/actions/-", source)
    };
    for detect in [None, Some("true")] {
        let triggers = accepted(&[source(detect)]).triggers();
        let shown =
            json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Git"}}]);
        assert_eq!(serde_json::to_value(triggers).unwrap(), shown);
        let v1 = accepted(&[("/pipelineType", json!("V1")), source(detect)]);
        assert_eq!(v1.triggers(), []);
    }
    assert_eq!(accepted(&[source(Some("false"))]).triggers(), []);
    assert_eq!(accepted(&[]).triggers(), [], "an S3 source has none");
    let declared = json!([push(json!({"branches": {"includes": ["main"]}}))]);
    let own = accepted(&[source(None), ("/triggers", declared.clone())]);
    assert_eq!(serde_json::to_value(own.triggers()).unwrap(), declared);
}

// Actions and the catalogue.

#[test]
fn what_a_declaration_shows_to_be_wrong_is_refused_with_it() {
    let configuration = |action: &str, key: &str| at(action, &format!("configuration/{key}"));
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.configuration.Extract",
        &[(&configuration(DEPLOY, "Extract"), json!("maybe"))],
    );
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.configuration.CannedACL",
        &[(&configuration(DEPLOY, "CannedACL"), json!("everybody"))],
    );
    refused(
        InvalidActionDeclaration,
        "stages.1.member.actions.1.member.configuration.PollForSourceChanges",
        &[(&configuration(SOURCE, "PollForSourceChanges"), json!("never"))],
    );
    accepted(&[(&configuration(DEPLOY, "Extract"), json!("False"))]);
    accepted(&[(&configuration(DEPLOY, "Extract"), json!("#{Source.ETag}"))]);
}

#[test]
fn an_object_that_is_not_extracted_needs_a_key() {
    let key = at(DEPLOY, "configuration/ObjectKey");
    let extract = at(DEPLOY, "configuration/Extract");
    refused(InvalidActionDeclaration, "stages.2.member.actions.1.member.configuration", &[(&key, Value::Null)]);
    accepted(&[(&key, Value::Null), (&extract, json!("true"))]);
    accepted(&[(&key, Value::Null), (&extract, json!("#{Source.ETag}"))]);
}

#[test]
fn an_input_from_a_file_needs_its_path_and_an_artifact() {
    let step = |configuration: Value, inputs: Value| {
        json!({"name": "Load", "actionTypeId": id("Invoke", "AWS", "StepFunctions", "1"),
            "configuration": configuration, "inputArtifacts": inputs})
    };
    let app = json!([{"name": "App"}]);
    let file = json!({"StateMachineArn": "arn", "InputType": "FilePath", "Input": "a.json"});
    accepted(&[("/stages/1/actions/-", step(file.clone(), app.clone()))]);
    let place = "stages.2.member.actions.2.member";
    refused(
        InvalidActionDeclaration,
        &format!("{place}.inputArtifacts"),
        &[("/stages/1/actions/-", step(file, json!([])))],
    );
    let pathless = json!({"StateMachineArn": "arn", "InputType": "FilePath"});
    refused(
        InvalidActionDeclaration,
        &format!("{place}.configuration"),
        &[("/stages/1/actions/-", step(pathless, app))],
    );
    let other = json!({"StateMachineArn": "arn", "InputType": "Url"});
    refused(
        InvalidActionDeclaration,
        &format!("{place}.configuration.InputType"),
        &[("/stages/1/actions/-", step(other, json!([])))],
    );
}

#[test]
fn messages_that_tools_match_are_aws_s() {
    let message = |changes: &[(&str, Value)]| Pipeline::try_from(changed(changes)).unwrap_err().first().message.clone();
    let key = at(DEPLOY, "configuration/BucketName");
    assert_eq!(
        message(&[(&key, Value::Null)]),
        "Action configuration for action 'Publish' is missing required configuration 'BucketName'"
    );
    let unknown = at(DEPLOY, "configuration/Nonsense");
    assert_eq!(
        message(&[(&unknown, json!("1"))]),
        "Action configuration for action 'Publish' contains unknown configuration 'Nonsense'"
    );
    assert!(message(&[(&at(DEPLOY, "actionTypeId"), id("Deploy", "AWS", "Nonsense", "1"))]).starts_with(
        "ActionType (Category: 'Deploy', Provider: 'Nonsense', Owner: 'AWS', Version: '1') in action 'Publish' is not \
             available"
    ));
    let v1 = ("/pipelineType", json!("V1"));
    let variables = ("/variables", json!([{"name": "a"}]));
    assert_eq!(message(&[v1, variables]), "Pipeline variable can only be used with V2 pipelines");
    assert_eq!(message(&[("/stages/1/name", json!("Source"))]), "Stage name 'Source' is used more than once");
    assert_eq!(
        message(&[(&at(DEPLOY, "configuration/ObjectKey"), json!("#{Later.Key}"))]),
        "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The \
         following pipeline execution variables are referencing a namespace that does not exist. StageName=[Deploy], \
         ActionName=[Publish], ActionConfigurationKey=[ObjectKey], VariableReferenceText=[Later.Key]"
    );
}

#[test]
fn an_unknown_aws_provider_is_refused() {
    let kind = |category: &str, provider: &str, version: &str| json!({"name": "X", "actionTypeId": id(category, "AWS", provider, version)});
    for wrong in [kind("Deploy", "Nonsense", "1"), kind("Build", "S3", "1"), kind("Approval", "Manual", "2")] {
        refused(
            InvalidActionDeclaration,
            "stages.2.member.actions.2.member.actionTypeId",
            &[("/stages/1/actions/-", wrong)],
        );
    }
}

#[test]
fn a_provider_that_is_not_built_is_accepted() {
    let build = json!({"name": "Build", "actionTypeId": id("Build", "AWS", "CodeBuild", "1"),
        "configuration": {"ProjectName": "p"}, "inputArtifacts": [{"name": "App"}], "outputArtifacts": [{"name": "Out"}]});
    let pipeline = accepted(&[("/stages/1/actions/-", build)]);
    assert_eq!(pipeline.stages()[1].actions[1].action_type().unwrap().provider, "CodeBuild");
}

#[test]
fn custom_types_are_accepted_with_0_to_5_artifacts() {
    let custom = |inputs: usize| {
        json!({"name": "Own", "actionTypeId": id("Test", "Custom", "Mine", "7"), "configuration": {"Anything": "goes"},
            "inputArtifacts": vec![json!({"name": "App"}); inputs]})
    };
    let pipeline = accepted(&[("/stages/1/actions/-", custom(5))]);
    assert_eq!(pipeline.stages()[1].actions[1].timeout_minutes(), 24 * 60);
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.inputArtifacts",
        &[("/stages/1/actions/-", custom(6))],
    );
}

#[test]
fn a_partner_does_not_own_an_aws_provider() {
    let partner = |provider: &str| json!({"name": "P", "actionTypeId": id("Test", "ThirdParty", provider, "1")});
    accepted(&[("/stages/1/actions/-", partner("Somebody"))]);
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.actionTypeId",
        &[("/stages/1/actions/-", partner("S3"))],
    );
}

#[test]
fn artifact_counts_are_the_providers() {
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.inputArtifacts",
        &[(&at(DEPLOY, "inputArtifacts"), json!([]))],
    );
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.outputArtifacts",
        &[(&at(DEPLOY, "outputArtifacts"), json!([{"name": "Out"}]))],
    );
    let all = found(&[(&at(SOURCE, "outputArtifacts"), Value::Null)]);
    assert_eq!(all[0], (InvalidActionDeclaration, "stages.1.member.actions.1.member.outputArtifacts".to_owned()));
}

#[test]
fn an_unknown_configuration_key_is_refused() {
    refused(
        InvalidActionDeclaration,
        "stages.1.member.actions.1.member.configuration.Bucket",
        &[(&at(SOURCE, "configuration/Bucket"), json!("x"))],
    );
}

#[test]
fn a_required_configuration_key_must_be_there() {
    let all = [(SOURCE, "S3Bucket"), (SOURCE, "S3ObjectKey"), (DEPLOY, "BucketName"), (DEPLOY, "Extract")];
    for (action, key) in all {
        let stage = 1 + usize::from(action == DEPLOY);
        refused(
            InvalidActionDeclaration,
            &format!("stages.{stage}.member.actions.1.member.configuration"),
            &[(&at(action, &format!("configuration/{key}")), Value::Null)],
        );
    }
    let invalid = Pipeline::try_from(changed(&[(&at(DEPLOY, "configuration"), Value::Null)])).unwrap_err();
    assert_eq!(invalid.violations().count(), 2);
}

#[test]
fn configuration_values_have_1_to_1000_characters() {
    let path = "stages.2.member.actions.1.member.configuration.CacheControl";
    let key = at(DEPLOY, "configuration/CacheControl");
    refused(Validation, path, &[(&key, json!(""))]);
    refused(Validation, path, &[(&key, json!("x".repeat(1001)))]);
    accepted(&[(&key, json!("ü".repeat(1000)))]);
}

#[test]
fn configuration_has_50_keys_of_50_characters_at_most() {
    let custom = |configuration: &Value| json!({"name": "Own", "actionTypeId": id("Test", "Custom", "Mine", "1"), "configuration": configuration});
    let keys = |n: usize| Value::Object((0..n).map(|n| (format!("K{n}"), json!("v"))).collect());
    accepted(&[("/stages/1/actions/-", custom(&keys(50)))]);
    refused(
        Validation,
        "stages.2.member.actions.2.member.configuration",
        &[("/stages/1/actions/-", custom(&keys(51)))],
    );
    let long = "k".repeat(51);
    let path = format!("stages.2.member.actions.2.member.configuration.{long}");
    refused(Validation, &path, &[("/stages/1/actions/-", custom(&json!({long.as_str(): "v"})))]);
}

#[test]
fn only_approvals_have_a_time_out_of_5_to_86400_minutes() {
    let with = |minutes: u32| {
        let mut action = approval();
        action["timeoutInMinutes"] = json!(minutes);
        action
    };
    for minutes in [5, 86_400] {
        let pipeline = accepted(&[("/stages/1/actions/-", with(minutes))]);
        assert_eq!(pipeline.stages()[1].actions[1].timeout_minutes(), minutes);
    }
    for minutes in [4, 86_401] {
        refused(
            Validation,
            "stages.2.member.actions.2.member.timeoutInMinutes",
            &[("/stages/1/actions/-", with(minutes))],
        );
    }
    assert_eq!(accepted(&[("/stages/1/actions/-", approval())]).stages()[1].actions[1].timeout_minutes(), 7 * 24 * 60);
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.timeoutInMinutes",
        &[(&at(DEPLOY, "timeoutInMinutes"), json!(10))],
    );
}

#[test]
fn an_approval_notifies_an_sns_topic() {
    let with = |topic: &str| {
        let mut action = approval();
        action["configuration"] = json!({"NotificationArn": topic});
        [("/stages/1/actions/-", action)]
    };
    accepted(&with("arn:aws:sns:eu-west-1:111122223333:approvals"));
    accepted(&with("#{Source.VersionId}"));
    for wrong in ["approvals", "arn:aws:sqs:eu-west-1:111122223333:approvals", "arn:aws:sns:eu-west-1::approvals"] {
        refused(
            InvalidActionDeclaration,
            "stages.2.member.actions.2.member.configuration.NotificationArn",
            &with(wrong),
        );
    }
}

#[test]
fn commands_are_for_commands_actions() {
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.1.member.commands",
        &[(&at(DEPLOY, "commands"), json!(["ls"]))],
    );
    refused(
        InvalidActionDeclaration,
        "stages.1.member.actions.1.member.outputArtifacts.1.member.files",
        &[(&at(SOURCE, "outputArtifacts/0/files"), json!(["a"]))],
    );
    let commands = |list: Value| {
        json!({"name": "Run", "actionTypeId": id("Compute", "AWS", "Commands", "1"), "commands": list,
            "inputArtifacts": [{"name": "App"}], "outputArtifacts": [{"name": "Out", "files": ["*"]}], "outputVariables": ["A"]})
    };
    accepted(&[("/stages/1/actions/-", commands(json!(["ls"])))]);
    let named_like_it = json!({"name": "Run", "actionTypeId": id("Build", "Custom", "Commands", "1")});
    accepted(&[("/stages/1/actions/-", named_like_it)]);
    for category in ["Build", "Test"] {
        let mut other = commands(json!(["ls"]));
        other["actionTypeId"]["category"] = json!(category);
        refused(
            InvalidActionDeclaration,
            "stages.2.member.actions.2.member.actionTypeId",
            &[("/stages/1/actions/-", other)],
        );
    }
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.commands",
        &[("/stages/1/actions/-", commands(Value::Null))],
    );
    refused(
        Validation,
        "stages.2.member.actions.2.member.commands",
        &[("/stages/1/actions/-", commands(json!(vec!["ls"; 51])))],
    );
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.commands.2.member",
        &[("/stages/1/actions/-", commands(json!(["ls", "if true\nthen ls\nfi"])))],
    );
    let mut unknown_key = commands(json!(["ls"]));
    unknown_key["configuration"] = json!({"Image": "alpine"});
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.configuration.Image",
        &[("/stages/1/actions/-", unknown_key)],
    );
}

#[test]
fn commands_and_environments_refer_to_variables() {
    let commands = |command: &str, value: &str| {
        json!({"name": "Run", "actionTypeId": id("Compute", "AWS", "Commands", "1"), "commands": ["ls", command],
            "inputArtifacts": [{"name": "App"}], "environmentVariables": [{"name": "A", "value": value}]})
    };
    accepted(&[(
        "/stages/1/actions/-",
        commands("echo #{codepipeline.PipelineExecutionId}", "#{codepipeline.PipelineExecutionId}"),
    )]);
    for (command, value, place) in [
        ("echo #{nobody.X}", "a", "commands.2.member"),
        ("echo #{x}", "a", "commands.2.member"),
        ("ls", "#{nobody.X}", "environmentVariables.1.member.value"),
    ] {
        let path = format!("stages.2.member.actions.2.member.{place}");
        refused(InvalidActionDeclaration, &path, &[("/stages/1/actions/-", commands(command, value))]);
    }
    let path = "stages.2.member.actions.2.member.commands.2.member";
    refused(InvalidStructure, path, &[("/stages/1/actions/-", commands("echo #{variables.nobody}", "a"))]);
}

#[test]
fn secrets_in_an_environment_are_for_commands_actions() {
    let secret = json!([{"name": "TOKEN", "value": "api:token", "type": "SECRETS_MANAGER"}]);
    let path = "stages.2.member.actions.1.member.environmentVariables.1.member.type";
    refused(InvalidActionDeclaration, path, &[(&at(DEPLOY, "environmentVariables"), secret.clone())]);
    let commands = json!({"name": "Run", "actionTypeId": id("Compute", "AWS", "Commands", "1"), "commands": ["ls"],
        "inputArtifacts": [{"name": "App"}], "environmentVariables": secret});
    accepted(&[("/stages/1/actions/-", commands)]);
}

// Artifacts.

#[test]
fn an_artifact_is_made_once() {
    let mut again = lambda("Again", 1);
    again["outputArtifacts"] = json!([{"name": "App"}]);
    refused(
        InvalidActionDeclaration,
        "stages.2.member.actions.2.member.outputArtifacts.1.member.name",
        &[("/stages/1/actions/-", again)],
    );
}

#[test]
fn an_artifact_is_made_before_it_is_read() {
    let path = "stages.2.member.actions.1.member.inputArtifacts.1.member.name";
    refused(InvalidActionDeclaration, path, &[(&at(DEPLOY, "inputArtifacts/0/name"), json!("Nobodys"))]);
    let mut maker = lambda("Make", 2);
    maker["outputArtifacts"] = json!([{"name": "Made"}]);
    let read = |order: u32| {
        [
            ("/stages/1/actions/-".to_owned(), maker.clone()),
            (at(DEPLOY, "inputArtifacts/0/name"), json!("Made")),
            (at(DEPLOY, "runOrder"), json!(order)),
        ]
    };
    for order in [1, 2] {
        let changes = read(order);
        let changes: Vec<_> = changes.iter().map(|(at, value)| (at.as_str(), value.clone())).collect();
        refused(InvalidActionDeclaration, path, &changes);
    }
    let changes = read(3);
    let changes: Vec<_> = changes.iter().map(|(at, value)| (at.as_str(), value.clone())).collect();
    accepted(&changes);
}

// Stores.

fn store() -> Value {
    json!({"type": "S3", "location": "a-bucket"})
}

#[test]
fn there_is_exactly_one_kind_of_store() {
    refused(Validation, "artifactStore", &[("/artifactStore", Value::Null)]);
    refused(Validation, "artifactStores", &[("/artifactStores", json!({"eu-west-1": store()}))]);
    accepted(&[("/artifactStore", Value::Null), ("/artifactStores", json!({"eu-west-1": store()}))]);
    refused(Validation, "artifactStores", &[("/artifactStore", Value::Null), ("/artifactStores", json!({}))]);
}

#[test]
fn a_store_is_an_s3_bucket_with_a_kms_key() {
    refused(Validation, "artifactStore.type", &[("/artifactStore/type", json!("EFS"))]);
    refused(Validation, "artifactStore.location", &[("/artifactStore/location", json!("x"))]);
    accepted(&[("/artifactStore/encryptionKey", json!({"id": "alias/mine", "type": "KMS"}))]);
    refused(
        Validation,
        "artifactStore.encryptionKey.type",
        &[("/artifactStore/encryptionKey", json!({"id": "alias/mine", "type": "AES"}))],
    );
}

#[test]
fn every_region_of_an_action_has_a_store() {
    let in_region = |region: &str| (at(DEPLOY, "region"), json!(region));
    let stores = ("/artifactStores", json!({"eu-west-1": store(), "us-west-2": store()}));
    let none = ("/artifactStore", Value::Null);
    let (path, region) = in_region("us-west-2");
    accepted(&[none.clone(), stores.clone(), (&path, region)]);
    let (path, region) = in_region("us-east-1");
    refused(Validation, "artifactStores", &[none, stores, (&path, region)]);
    let source = at(SOURCE, "region");
    let (path, region) = in_region("us-west-2");
    refused(Validation, "artifactStore", &[(&source, json!("eu-west-1")), (&path, region)]);
}

#[test]
fn the_home_region_has_a_store() {
    let one = accepted(&[]);
    one.check_home("eu-west-1").unwrap();
    let away = accepted(&[(&at(DEPLOY, "region"), json!("us-west-2"))]);
    away.check_home("us-west-2").unwrap();
    assert_eq!(away.check_home("eu-west-1").unwrap_err().first().path, "pipeline.artifactStore");
    let named = Declaration { name: "a b".to_owned(), ..away.declaration().clone() };
    let invalid = Pipeline::in_home(named, &crate::custom::Types::default(), "eu-west-1").unwrap_err();
    let paths: Vec<_> = invalid.violations().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["pipeline.name", "pipeline.artifactStore"], "with what is wrong besides");
    let several = accepted(&[("/artifactStore", Value::Null), ("/artifactStores", json!({"us-west-2": store()}))]);
    several.check_home("us-west-2").unwrap();
    assert_eq!(several.check_home("eu-west-1").unwrap_err().first().path, "pipeline.artifactStores");
}

#[test]
fn custom_and_partner_actions_run_at_home() {
    let away = |owner: &str| {
        let action = json!({"name": "Own", "actionTypeId": id("Test", owner, "Mine", "1"), "region": "us-west-2"});
        let stores = json!({"eu-west-1": store(), "us-west-2": store()});
        accepted(&[("/artifactStore", Value::Null), ("/artifactStores", stores), ("/stages/1/actions/-", action)])
    };
    for owner in ["Custom", "ThirdParty"] {
        assert_eq!(
            away(owner).check_home("eu-west-1").unwrap_err().first().path,
            "pipeline.stages.2.member.actions.2.member.region"
        );
        away(owner).check_home("us-west-2").unwrap();
    }
    let deploy = accepted(&[
        ("/artifactStore", Value::Null),
        ("/artifactStores", json!({"eu-west-1": store(), "us-west-2": store()})),
        (&at(DEPLOY, "region"), json!("us-west-2")),
    ]);
    deploy.check_home("eu-west-1").unwrap();
}

#[test]
fn sources_run_at_home() {
    let pipeline = accepted(&[
        ("/artifactStore", Value::Null),
        ("/artifactStores", json!({"eu-west-1": store(), "us-west-2": store()})),
        (&at(SOURCE, "region"), json!("us-west-2")),
    ]);
    let invalid = pipeline.check_home("eu-west-1").unwrap_err();
    assert_eq!(invalid.first().path, "pipeline.stages.1.member.actions.1.member.region");
    assert_eq!(invalid.first().kind, InvalidActionDeclaration);
}

// Variables.

#[test]
fn namespaces_are_unique_and_not_reserved() {
    let mut second = lambda("Check", 1);
    for namespace in ["Source", "codepipeline", "variables", "App"] {
        second["namespace"] = json!(namespace);
        refused(
            InvalidActionDeclaration,
            "stages.2.member.actions.2.member.namespace",
            &[("/stages/1/actions/-", second.clone())],
        );
    }
    second["namespace"] = json!("source");
    accepted(&[("/stages/1/actions/-", second)]);
}

#[test]
fn a_variable_is_of_an_action_before() {
    let key = at(DEPLOY, "configuration/ObjectKey");
    let path = "stages.2.member.actions.1.member.configuration.ObjectKey";
    refused(InvalidActionDeclaration, path, &[(&key, json!("#{Nobody.x}"))]);
    let mut check = lambda("Check", 1);
    check["namespace"] = json!("Check");
    let uses = (key.as_str(), json!("#{Check.result}"));
    refused(InvalidActionDeclaration, path, &[("/stages/1/actions/-", check.clone()), uses.clone()]);
    accepted(&[("/stages/1/actions/-", check), uses, (&at(DEPLOY, "runOrder"), json!(2))]);
    accepted(&[(&key, json!("#{codepipeline.PipelineExecutionId}-#{not a reference}"))]);
}

#[test]
fn a_reference_without_a_namespace_is_refused_as_aws_says_its_form() {
    let key = at(DEPLOY, "configuration/ObjectKey");
    let path = "stages.2.member.actions.1.member.configuration.ObjectKey";
    refused(InvalidActionDeclaration, path, &[(&key, json!("site/#{VersionId}"))]);
    assert_eq!(
        Pipeline::try_from(changed(&[(&key, json!("site/#{VersionId}"))])).unwrap_err().first().message,
        "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The \
         following pipeline execution variables are not in this format. StageName=[Deploy], ActionName=[Publish], \
         ActionConfigurationKey=[ObjectKey], VariableReferenceText=[VersionId]"
    );
}

#[test]
fn a_pipeline_variable_is_declared_and_not_for_sources() {
    let key = at(DEPLOY, "configuration/ObjectKey");
    let variables = ("/variables", json!([{"name": "target", "defaultValue": "x"}]));
    refused(
        InvalidStructure,
        "stages.2.member.actions.1.member.configuration.ObjectKey",
        &[(&key, json!("#{variables.target}"))],
    );
    accepted(&[variables.clone(), (&key, json!("#{variables.target}"))]);
    refused(
        InvalidStructure,
        "stages.1.member.actions.1.member.configuration.S3ObjectKey",
        &[variables, (&at(SOURCE, "configuration/S3ObjectKey"), json!("#{variables.target}"))],
    );
}

#[test]
fn pipeline_variables_are_unique_50_and_have_their_form() {
    let variables = |n: usize| json!((0..n).map(|n| json!({"name": format!("v{n}")})).collect::<Vec<_>>());
    accepted(&[("/variables", variables(50))]);
    refused(Validation, "variables", &[("/variables", variables(51))]);
    refused(InvalidStructure, "variables.2.member.name", &[("/variables", json!([{"name": "a"}, {"name": "a"}]))]);
    refused(Validation, "variables.1.member.name", &[("/variables", json!([{"name": "a.b"}]))]);
    refused(
        Validation,
        "variables.1.member.defaultValue",
        &[("/variables", json!([{"name": "a", "defaultValue": ""}]))],
    );
    refused(
        Validation,
        "variables.1.member.defaultValue",
        &[("/variables", json!([{"name": "a", "defaultValue": "x".repeat(1001)}]))],
    );
    refused(
        Validation,
        "variables.1.member.description",
        &[("/variables", json!([{"name": "a", "description": "x".repeat(201)}]))],
    );
}

// Secrets.

#[test]
fn a_mask_without_a_known_secret_is_refused_and_no_secret_is_in_a_message() {
    let github = |token: &str| {
        json!({"name": "Git", "actionTypeId": id("Source", "ThirdParty", "GitHub", "1"), "outputArtifacts": [{"name": "Code"}],
            "configuration": {"Owner": "o", "Repo": "r", "Branch": "b", "OAuthToken": token}})
    };
    accepted(&[("/stages/0/actions/-", github("token"))]);
    let path = "stages.1.member.actions.2.member.configuration.OAuthToken";
    refused(InvalidActionDeclaration, path, &[("/stages/0/actions/-", github("****"))]);
    let long = "s3cr3t".repeat(200);
    let invalid = Pipeline::try_from(changed(&[("/stages/0/actions/-", github(&long))])).unwrap_err();
    assert_eq!(place(invalid.first()), path);
    assert!(!invalid.to_string().contains("s3cr3t"));
}
