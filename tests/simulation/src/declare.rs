//! Random declarations: stages, groups by run order, regions, artifacts that cross them, namespaces and references.

use pipeline::Declaration;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::job_workers;

/// The region in which pipelines live.
pub const HOME: &str = "eu-west-1";
/// The other region in which actions run.
pub const AWAY: &str = "us-west-2";

/// The bucket of what sources read.
const SOURCES: &str = "sources";

/// What a source action watches.
pub fn watched(action: &pipeline::Action) -> String {
    let value = |key| action.configuration.get(key).map(String::as_str).unwrap_or_default();
    format!("{}/{}", value("S3Bucket"), value("S3ObjectKey"))
}

/// What of it is polled.
pub fn polled(action: &pipeline::Action) -> Option<String> {
    let value = action.configuration.get("PollForSourceChanges").map(String::as_str);
    (value == Some("true")).then(|| watched(action))
}

/// The objects that sources read, as [`watched`] names them.
pub fn sources_read() -> [String; 2] {
    [0, 1].map(|index| format!("{SOURCES}/{index}.zip"))
}

/// The bucket of a region's artifact store.
pub fn bucket(region: &str) -> String {
    format!("artifacts-{region}")
}

/// What was declared so far.
#[derive(Default)]
struct Made {
    artifacts: Vec<String>,
    namespaces: Vec<String>,
    count: usize,
}

/// A random valid declaration. Stages have the same names in all versions, so that executions of different versions
/// meet in them; now and then a version leaves one out.
pub fn declaration(rng: &mut StdRng, name: &str) -> Result<Declaration, serde_json::Error> {
    let mut made = Made::default();
    let mut stages = vec![json!({"name": "S0", "actions": sources(rng, &mut made)})];
    let last = rng.random_range(1..4);
    let left_out = (last > 1 && rng.random_bool(0.1)).then(|| rng.random_range(1..last));
    let mode = ["SUPERSEDED", "SUPERSEDED", "SUPERSEDED", "QUEUED", "QUEUED", "PARALLEL"][rng.random_range(0..6)];
    for index in (1..=last).filter(|index| Some(*index) != left_out) {
        let before = (made.artifacts.len(), made.namespaces.len());
        let mut stage = json!({"name": format!("S{index}"), "actions": actions(rng, &mut made)});
        if conditions(rng, &mut stage, mode) {
            // What a stage makes that may be skipped is not there for certain.
            made.artifacts.truncate(before.0);
            made.namespaces.truncate(before.1);
        }
        stages.push(stage);
    }
    serde_json::from_value(json!({
        "name": name,
        "roleArn": "arn:aws:iam::111122223333:role/release",
        "pipelineType": "V2",
        "executionMode": mode,
        "variables": [{"name": "Flavour", "defaultValue": "plain"}],
        "artifactStores": {
            HOME: {"type": "S3", "location": bucket(HOME)},
            AWAY: {"type": "S3", "location": bucket(AWAY)},
        },
        "stages": stages,
    }))
}

/// Conditions of a stage, now and then. Answers whether the stage may be skipped.
fn conditions(rng: &mut StdRng, stage: &mut Value, mode: &str) -> bool {
    let mut skips = false;
    if rng.random_bool(0.25) {
        let result = ["FAIL", "SKIP"][rng.random_range(0..2)];
        skips = result == "SKIP";
        stage["beforeEntry"] = json!({"conditions": [{"result": result, "rules": rules(rng, skips)}]});
    }
    let back = if mode == "PARALLEL" { "FAIL" } else { "ROLLBACK" };
    if rng.random_bool(0.2) {
        let result = ["FAIL", back][rng.random_range(0..2)];
        stage["onSuccess"] = json!({"conditions": [{"result": result, "rules": rules(rng, false)}]});
    }
    match rng.random_range(0..8) {
        0 => stage["onFailure"] = json!({"result": back}),
        1 => {
            let scope = ["FAILED_ACTIONS", "ALL_ACTIONS"][rng.random_range(0..2)];
            stage["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": scope}});
        }
        2 => stage["onFailure"] = json!({"conditions": [{"result": back, "rules": rules(rng, false)}]}),
        _ => {}
    }
    skips
}

/// Rules of a condition: some are decided at once, some by polls, some by jobs. Only those that look once and decide may
/// stand in a condition that skips.
fn rules(rng: &mut StdRng, skips: bool) -> Vec<Value> {
    (0..rng.random_range(1..4))
        .map(|index| {
            let (provider, configuration) = match rng.random_range(0..if skips { 2 } else { 3 }) {
                0 => ("VariableCheck", json!({"Variable": "#{variables.Flavour}", "Value": "plain", "Operator": "EQ"})),
                1 => ("LambdaInvoke", json!({"FunctionName": "check"})),
                _ => ("CloudWatchAlarm", json!({"AlarmName": "errors"})),
            };
            let mut rule = json!({
                "name": format!("Rule{index}"),
                "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
                "configuration": configuration,
            });
            if rng.random_bool(0.5) {
                rule["timeoutInMinutes"] = json!(rng.random_range(5..30));
            }
            rule
        })
        .collect()
}

fn sources(rng: &mut StdRng, made: &mut Made) -> Vec<Value> {
    let count = if rng.random_bool(0.3) { 2 } else { 1 };
    (0..count)
        .map(|index| {
            let mut action = json!({
                "name": format!("Fetch{index}"),
                "actionTypeId": kind("Source", "S3"),
                "configuration": {"S3Bucket": SOURCES, "S3ObjectKey": format!("{index}.zip")},
                "outputArtifacts": [{"name": format!("Source{index}")}],
            });
            if rng.random_bool(0.3) {
                action["configuration"]["PollForSourceChanges"] = json!("true");
            }
            made.artifacts.push(format!("Source{index}"));
            name_variables(rng, made, &mut action);
            action
        })
        .collect()
}

fn actions(rng: &mut StdRng, made: &mut Made) -> Vec<Value> {
    let mut actions = Vec::new();
    for order in 1..=rng.random_range(1..4_u32) {
        // What a group makes can be used by the next group, not by its neighbours.
        let mut new = Made { count: made.count, ..Made::default() };
        for _ in 0..rng.random_range(1..4) {
            // Gaps between run orders are legal.
            actions.push(action(rng, made, &mut new, order * 10));
        }
        made.count = new.count;
        made.artifacts.append(&mut new.artifacts);
        made.namespaces.append(&mut new.namespaces);
    }
    if rng.random_bool(0.3) {
        // The declaration's order is not the run order.
        actions.reverse();
    }
    actions
}

fn action(rng: &mut StdRng, made: &Made, new: &mut Made, order: u32) -> Value {
    new.count += 1;
    let reference = match made.namespaces.get(rng.random_range(0..made.namespaces.len() + 1)) {
        Some(namespace) => format!("#{{{namespace}.Id}}"),
        None => "#{codepipeline.PipelineExecutionId}".to_owned(),
    };
    let text = format!("{reference} is #{{variables.Flavour}}");
    let (id, configuration, inputs, outputs) = match rng.random_range(0..16) {
        0..2 => (kind("Deploy", "S3"), json!({"BucketName": "site", "Extract": "false", "ObjectKey": text}), 1, 0),
        2..5 => (
            kind("Invoke", "StepFunctions"),
            json!({"StateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:test", "Input": text}),
            rng.random_range(0..2),
            rng.random_range(0..2),
        ),
        5..7 => (
            kind(["Build", "Test"][rng.random_range(0..2)], "CodeBuild"),
            json!({"ProjectName": text}),
            1,
            rng.random_range(0..3),
        ),
        7..9 => (
            kind("Invoke", "Lambda"),
            json!({"FunctionName": "test", "UserParameters": text}),
            rng.random_range(0..2),
            rng.random_range(0..2),
        ),
        9..11 => (kind("Deploy", "CodeDeploy"), json!({"ApplicationName": text, "DeploymentGroupName": "all"}), 1, 0),
        11..14 => {
            let (id, configuration) = job_workers::declared(rng.random_bool(0.5), &text);
            (id, configuration, rng.random_range(0..2), rng.random_range(0..2))
        }
        14 => {
            let (id, configuration) = job_workers::declared_executor(&text);
            (id, configuration, rng.random_range(0..2), rng.random_range(0..2))
        }
        _ => (kind("Approval", "Manual"), json!({"CustomData": text}), 0, 0),
    };
    let count = new.count;
    let inputs: Vec<Value> =
        (0..inputs).map(|_| json!({"name": made.artifacts[rng.random_range(0..made.artifacts.len())]})).collect();
    let outputs: Vec<String> = (0..outputs).map(|index| format!("Made{count}x{index}")).collect();
    let approval = id["category"] == "Approval";
    let mut action = json!({
        "name": format!("Act{count}"),
        "actionTypeId": id,
        "runOrder": order,
        "configuration": configuration,
        "inputArtifacts": inputs,
        "outputArtifacts": outputs.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
    });
    if approval && rng.random_bool(0.4) {
        action["configuration"]["ApproveUnchanged"] = json!("true");
    }
    if approval && rng.random_bool(0.6) {
        action["timeoutInMinutes"] = json!(rng.random_range(5..30));
    }
    if !approval && action["actionTypeId"]["owner"] == "AWS" && rng.random_bool(0.3) {
        action["region"] = json!(AWAY);
    }
    new.artifacts.extend(outputs);
    if !approval {
        name_variables(rng, new, &mut action);
    }
    action
}

fn name_variables(rng: &mut StdRng, made: &mut Made, action: &mut Value) {
    if rng.random_bool(0.5) {
        let namespace = format!("{}Variables", action["name"].as_str().unwrap_or_default());
        action["namespace"] = json!(namespace);
        made.namespaces.push(namespace);
    }
}

fn kind(category: &str, provider: &str) -> Value {
    json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"})
}
