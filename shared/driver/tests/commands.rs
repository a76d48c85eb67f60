//! Variables in the commands and environments of actions and rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use driver::{Driver, Outcome, Task};
use engine::{Success, Timestamp};
use futures::executor::block_on;
use pipeline::{Compute, Declaration, PipelineName};
use serde_json::{Value, json};
use store::{Entity, MemoryStore};
use testkit::{Outbox, TestClock, TestExecutor, create, setup};

/// A source whose namespace is `Source`, a Commands action, and a Commands rule before a stage behind it.
fn declaration(command: &str, value: &str) -> Declaration {
    let kind = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    let inputs = json!([{"name": "App"}]);
    let rule = json!({"name": "Check", "ruleTypeId": kind("Rule", "Commands"), "commands": [command],
        "inputArtifacts": inputs});
    serde_json::from_value(json!({
        "name": "release", "roleArn": "arn:aws:iam::111122223333:role/release", "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [{"name": "Fetch", "outputArtifacts": [{"name": "App"}], "namespace": "Source",
                "actionTypeId": kind("Source", "S3"), "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}}]},
            {"name": "Build", "actions": [{"name": "Make", "actionTypeId": kind("Compute", "Commands"),
                "inputArtifacts": inputs, "commands": ["ls", command],
                "environmentVariables": [{"name": "A", "value": value, "type": "SECRETS_MANAGER"}],
                "outputArtifacts": [{"name": "Site", "files": ["out/*"]}], "outputVariables": ["V"]}]},
            {"name": "Deploy", "actions": [{"name": "Ask", "actionTypeId": kind("Approval", "Manual")}],
                "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [rule]}]}},
        ],
    }))
    .unwrap()
}

/// Runs a pipeline whose source has these variables. Returns what its other actions and rules were given, or why one failed.
fn run(declaration: Declaration, variables: &Value) -> Result<Vec<Compute>, String> {
    let (store, outbox) = (Arc::new(MemoryStore::default()), Arc::new(Outbox::default()));
    let clock = Arc::new(TestClock::standing(Timestamp(0)));
    let driver = Driver::new(setup(&store, &outbox, &clock));
    block_on(create(&driver, declaration));
    let variables: BTreeMap<String, String> = serde_json::from_value(variables.clone()).unwrap();
    let given = Arc::new(Mutex::new(Vec::new()));
    let seen = given.clone();
    let executor = TestExecutor::new(move |task: &Task| {
        if task.action.type_id.provider == "Commands" {
            seen.lock().unwrap().push(task.compute.clone());
        }
        Outcome::Succeeded(Success {
            outputs: task.outputs.clone(),
            variables: variables.clone(),
            ..Success::default()
        })
    });
    block_on(outbox.work(&driver, &executor));
    let page = block_on(driver.executions(&PipelineName::new("release").unwrap(), None, 10)).unwrap();
    let Entity::Execution(execution) = &page.entities[0] else { panic!("its creation starts it") };
    let runs = block_on(driver.stage_runs(execution.id)).unwrap();
    let error = runs.iter().flat_map(|run| &run.actions).find_map(|action| action.error.clone());
    match error {
        Some(error) => Err(error.message),
        None => Ok(given.lock().unwrap().clone()),
    }
}

#[test]
fn commands_and_environments_have_the_values_of_variables() {
    let given =
        run(declaration("echo #{Source.Id} ${#A} #{Source.Id}", "api:#{Source.Key}"), &json!({"Id": "7", "Key": "k"}));
    let [make, check] = &given.unwrap()[..] else { panic!("two ran") };
    assert_eq!(make.commands, ["ls", "echo 7 ${#A} 7"]);
    let variable = &make.environment[0];
    assert_eq!((variable.value.as_str(), variable.kind.as_deref()), ("api:k", Some("SECRETS_MANAGER")));
    assert_eq!(
        (make.output_variables.as_slice(), make.files.as_slice()),
        (&["V".to_owned()][..], &["out/*".to_owned()][..])
    );
    assert_eq!(check.commands, ["echo 7 ${#A} 7"]);
}

#[test]
fn a_variable_without_a_value_names_the_place() {
    let why = |command: &str, value: &str| run(declaration(command, value), &json!({"Id": "7"})).unwrap_err();
    assert_eq!(why("echo #{Source.No}", "a"), "Command 2: the variable #{Source.No} has no value");
    let of_environment = why("ls", "#{Source.No}");
    assert_eq!(of_environment, "Environment variable 'A': the variable #{Source.No} has no value");
}

#[test]
fn commands_that_variables_make_too_long_are_refused() {
    let long = "x".repeat(60_000);
    let why = run(declaration("echo #{Source.Id} #{Source.Id}", "a"), &json!({"Id": long})).unwrap_err();
    assert!(why.starts_with("the commands and environment variables with their variables resolved have 120"), "{why}");
}
