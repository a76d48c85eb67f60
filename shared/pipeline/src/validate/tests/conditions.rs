//! Conditions and failure results of stages.

use super::*;
use crate::catalogue::{Property, ValueKind, rules};
use crate::pipeline::RetryMode;

const RULE: &str = "conditions.1.member.rules.1.member";

/// A valid rule of a type, with the artifact that it needs.
fn rule(provider: &str) -> Value {
    let known = rules::all().iter().find(|known| known.provider == provider).unwrap();
    let keys = known.configuration.iter().filter(|property| property.required);
    let value = |property: &Property| match property.kind {
        ValueKind::Cron => json!("0 0 9-17 ? * MON-FRI *"),
        ValueKind::OneOf(words) => json!(words[0]),
        _ => json!("1"),
    };
    let configuration: Value =
        keys.map(|property| (property.name.to_owned(), value(property))).collect::<serde_json::Map<_, _>>().into();
    let mut rule = json!({"name": provider, "ruleTypeId": known.id(), "configuration": configuration});
    if known.commands {
        rule["commands"] = json!(["ls"]);
    }
    if *known.inputs.start() > 0 {
        rule["inputArtifacts"] = json!([{"name": "App"}]);
    }
    rule
}

fn conditions(result: &str, rules: &[Value]) -> Value {
    json!({"conditions": [{"result": result, "rules": rules}]})
}

/// A rule with one member changed; null removes.
fn with(mut rule: Value, member: &str, value: Value) -> Value {
    if value.is_null() {
        rule.as_object_mut().unwrap().remove(member);
    } else {
        rule[member] = value;
    }
    rule
}

/// Exactly one violation, at this member of the only rule of the deploy stage's `moment`.
#[track_caller]
fn wrong(moment: &str, rule: Value, member: &str) {
    let place = format!("/stages/1/{moment}");
    let path = format!("stages.2.member.{moment}.{RULE}.{member}");
    refused(InvalidStageDeclaration, &path, &[(&place, conditions("FAIL", &[rule]))]);
}

#[test]
fn conditions_have_their_shape() {
    let entry = "/stages/1/beforeEntry";
    accepted(&[(entry, conditions("FAIL", &[rule("CloudWatchAlarm")]))]);
    let hasty = with(rule("VariableCheck"), "timeoutInMinutes", json!(4));
    let path = format!("stages.2.member.beforeEntry.{RULE}.timeoutInMinutes");
    refused(Validation, &path, &[(entry, conditions("FAIL", &[hasty]))]);
    refused(Validation, "stages.2.member.onSuccess.conditions", &[("/stages/1/onSuccess", json!({"conditions": []}))]);
    refused(Validation, "stages.2.member.onFailure.result", &[("/stages/1/onFailure", json!({"result": "WAIT"}))]);
}

#[test]
fn every_rule_type_goes_into_every_condition() {
    let all: Vec<Value> = rules::all().iter().map(|known| rule(known.provider)).collect();
    assert_eq!(all.len(), 6);
    for moment in ["beforeEntry", "onSuccess", "onFailure"] {
        accepted(&[(&format!("/stages/1/{moment}"), conditions("FAIL", &all[..3]))]);
        accepted(&[(&format!("/stages/1/{moment}"), conditions("FAIL", &all[3..]))]);
    }
    let short = json!({"name": "Check", "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"},
        "configuration": {"FunctionName": "check"}});
    accepted(&[("/stages/0/onSuccess", conditions("FAIL", &[short]))]);
}

#[test]
fn each_condition_has_its_results() {
    for (moment, allowed) in
        [("beforeEntry", ["FAIL", "SKIP"]), ("onSuccess", ["FAIL", "ROLLBACK"]), ("onFailure", ["FAIL", "ROLLBACK"])]
    {
        let place = format!("/stages/1/{moment}");
        for result in ["ROLLBACK", "FAIL", "RETRY", "SKIP"] {
            let change = [(place.as_str(), conditions(result, &[rule("LambdaInvoke")]))];
            if allowed.contains(&result) {
                accepted(&change);
            } else {
                refused(
                    InvalidStageDeclaration,
                    &format!("stages.2.member.{moment}.conditions.1.member.result"),
                    &change,
                );
            }
        }
        accepted(&[(&place, json!({"conditions": [{"rules": [rule("LambdaInvoke")]}]}))]);
    }
    let failure = "/stages/1/onFailure";
    for result in ["ROLLBACK", "RETRY", "FAIL"] {
        accepted(&[(failure, json!({"result": result}))]);
    }
    refused(InvalidStageDeclaration, "stages.2.member.onFailure.result", &[(failure, json!({"result": "SKIP"}))]);
}

#[test]
fn only_what_decides_at_once_can_skip_a_stage() {
    for known in rules::all() {
        let change = [("/stages/1/beforeEntry", conditions("SKIP", &[rule(known.provider)]))];
        if ["LambdaInvoke", "VariableCheck"].contains(&known.provider) {
            accepted(&change);
        } else {
            let path = format!("stages.2.member.beforeEntry.{RULE}.ruleTypeId.provider");
            refused(InvalidStageDeclaration, &path, &change);
        }
    }
}

#[test]
fn a_failure_has_a_result_or_conditions() {
    let failure = "/stages/1/onFailure";
    refused(
        InvalidStageDeclaration,
        "stages.2.member.onFailure",
        &[(failure, json!({"result": "FAIL", "conditions": [{"result": "FAIL"}]}))],
    );
    accepted(&[(failure, json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}))]);
    refused(
        InvalidStageDeclaration,
        "stages.2.member.onFailure.retryConfiguration",
        &[(failure, json!({"result": "ROLLBACK", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}))],
    );
}

#[test]
fn a_retry_that_does_not_say_of_what_is_of_all_actions() {
    let mode = |configuration: Value| {
        let mut failure = json!({"result": "RETRY", "retryConfiguration": configuration});
        if failure["retryConfiguration"].is_null() {
            failure = json!({"result": "RETRY"});
        }
        let pipeline = accepted(&[("/stages/1/onFailure", failure)]);
        pipeline.stages()[1].on_failure.as_ref().unwrap().retry
    };
    assert_eq!(mode(Value::Null), RetryMode::AllActions);
    assert_eq!(mode(json!({})), RetryMode::AllActions);
    assert_eq!(mode(json!({"retryMode": "ALL_ACTIONS"})), RetryMode::AllActions);
    assert_eq!(mode(json!({"retryMode": "FAILED_ACTIONS"})), RetryMode::FailedActions);
}

#[test]
fn a_parallel_pipeline_does_not_roll_back() {
    let parallel = ("/executionMode", json!("PARALLEL"));
    let rollback = conditions("ROLLBACK", &[rule("CloudWatchAlarm")]);
    for (moment, value) in
        [("onFailure", json!({"result": "ROLLBACK"})), ("onFailure", rollback.clone()), ("onSuccess", rollback)]
    {
        let change = (format!("/stages/1/{moment}"), value);
        let change = (change.0.as_str(), change.1);
        refused(InvalidStageDeclaration, &format!("stages.2.member.{moment}"), &[parallel.clone(), change.clone()]);
        accepted(&[("/executionMode", json!("QUEUED")), change]);
    }
    accepted(&[parallel, ("/stages/1/onFailure", json!({"result": "RETRY"}))]);
}

#[test]
fn a_rule_is_of_a_known_type() {
    let of = |type_id| with(rule("VariableCheck"), "ruleTypeId", type_id);
    wrong("beforeEntry", of(id("Rule", "AWS", "Weather", "1")), "ruleTypeId");
    wrong("onSuccess", of(id("Rule", "AWS", "VariableCheck", "2")), "ruleTypeId");
    let category = of(id("Invoke", "AWS", "Lambda", "1"));
    let path = format!("stages.2.member.onFailure.{RULE}.ruleTypeId.category");
    refused(Validation, &path, &[("/stages/1/onFailure", conditions("FAIL", &[category]))]);
}

#[test]
fn a_rule_has_the_keys_of_its_type() {
    let configured = |configuration| with(rule("VariableCheck"), "configuration", configuration);
    let complete = json!({"Variable": "#{Source.ETag}", "Value": "x", "Operator": "EQ"});
    accepted(&[("/stages/1/beforeEntry", conditions("FAIL", &[configured(complete)]))]);
    wrong("beforeEntry", configured(json!({"Variable": "a", "Value": "x"})), "configuration");
    wrong(
        "beforeEntry",
        configured(json!({"Variable": "a", "Value": "x", "Operator": "EQ", "Weight": "1"})),
        "configuration.Weight",
    );
    let none = with(rule("CloudWatchAlarm"), "configuration", Value::Null);
    wrong("onSuccess", none, "configuration");
    let parameters = json!({"FunctionName": "f", "UserParameters": "p".repeat(10_000)});
    let long = with(rule("LambdaInvoke"), "configuration", parameters);
    accepted(&[("/stages/1/beforeEntry", conditions("FAIL", &[long]))]);
}

#[test]
fn commands_are_for_commands() {
    wrong("onSuccess", with(rule("VariableCheck"), "commands", json!(["ls"])), "commands");
    wrong("onSuccess", with(rule("Commands"), "commands", Value::Null), "commands");
    wrong("onSuccess", with(rule("Commands"), "configuration", json!({"Image": "x"})), "configuration.Image");
}

#[test]
fn a_condition_s_rules_have_names_of_their_own() {
    let change = [("/stages/1/beforeEntry", conditions("FAIL", &[rule("LambdaInvoke"), rule("LambdaInvoke")]))];
    refused(InvalidStageDeclaration, "stages.2.member.beforeEntry.conditions.1.member.rules.2.member.name", &change);
    accepted(&[
        ("/stages/1/beforeEntry", conditions("FAIL", &[rule("LambdaInvoke")])),
        ("/stages/1/onSuccess", conditions("FAIL", &[rule("LambdaInvoke")])),
        ("/stages/0/onSuccess", conditions("FAIL", &[rule("LambdaInvoke")])),
    ]);
}

#[test]
fn a_rule_reads_as_many_artifacts_as_its_type_takes() {
    let reads = |provider: &str, count: usize| {
        with(rule(provider), "inputArtifacts", (0..count).map(|_| json!({"name": "App"})).collect())
    };
    for (provider, least, most) in [("LambdaInvoke", 0, 5), ("CodeBuild", 1, 5), ("Commands", 1, 10)] {
        for count in [least, most] {
            accepted(&[("/stages/1/onFailure", conditions("FAIL", &[reads(provider, count)]))]);
        }
        wrong("onFailure", reads(provider, most + 1), "inputArtifacts");
    }
    for (provider, count) in
        [("CodeBuild", 0), ("Commands", 0), ("VariableCheck", 1), ("DeploymentWindow", 1), ("CloudWatchAlarm", 1)]
    {
        wrong("onFailure", reads(provider, count), "inputArtifacts");
    }
}

#[test]
fn what_a_rule_reads_is_made_before_it_runs() {
    let made = ("/stages/1/actions/-", with(lambda("Make", 1), "outputArtifacts", json!([{"name": "Late"}])));
    let made = (made.0, with(made.1, "namespace", json!("Later")));
    let artifact = |name: &str| with(rule("LambdaInvoke"), "inputArtifacts", json!([{"name": name}]));
    let variable = |text: &str| with(rule("LambdaInvoke"), "configuration", json!({"FunctionName": text}));
    let place = |stage: usize, moment: &str| format!("/stages/{stage}/{moment}");
    for (stage, moment, late, early) in [
        (0, "beforeEntry", false, false),
        (0, "onSuccess", false, true),
        (0, "onFailure", false, true),
        (1, "beforeEntry", false, true),
        (1, "onSuccess", true, true),
        (1, "onFailure", true, true),
    ] {
        for (name, namespace, there) in [("Late", "Later", late), ("App", "Source", early), ("None", "None", false)] {
            for (rule, member) in [
                (artifact(name), "inputArtifacts.1.member.name"),
                (variable(&format!("#{{{namespace}.Key}}")), "configuration.FunctionName"),
            ] {
                let at = place(stage, moment);
                let change = [made.clone(), (at.as_str(), conditions("FAIL", &[rule]))];
                if there {
                    accepted(&change);
                } else {
                    let path = format!("stages.{}.member.{moment}.{RULE}.{member}", stage + 1);
                    refused(InvalidStageDeclaration, &path, &change);
                }
            }
        }
    }
}

#[test]
fn a_rule_may_use_pipeline_level_variables_and_the_execution_s_id() {
    let check = |text: &str| {
        let configuration = json!({"Variable": text, "Value": "x", "Operator": "EQ"});
        conditions("SKIP", &[with(rule("VariableCheck"), "configuration", configuration)])
    };
    let declared = ("/variables", json!([{"name": "Target"}]));
    accepted(&[declared.clone(), ("/stages/1/beforeEntry", check("#{variables.Target}"))]);
    accepted(&[("/stages/0/beforeEntry", check("#{codepipeline.PipelineExecutionId}"))]);
    let path = format!("stages.2.member.beforeEntry.{RULE}.configuration.Variable");
    for text in ["#{variables.Other}", "#{Target}"] {
        refused(InvalidStageDeclaration, &path, &[declared.clone(), ("/stages/1/beforeEntry", check(text))]);
    }
}

#[test]
fn a_rule_that_reads_artifacts_elsewhere_needs_a_store_there() {
    let stores = |regions: &[&str]| {
        let stores: serde_json::Map<_, _> = regions.iter().map(|region| ((*region).to_owned(), store())).collect();
        vec![("/artifactStore", Value::Null), ("/artifactStores", Value::Object(stores))]
    };
    let elsewhere = |rule| ("/stages/1/beforeEntry", conditions("FAIL", &[with(rule, "region", json!("us-west-2"))]));
    let with_store = |regions: &[&str], rule| {
        let mut changes = stores(regions);
        changes.push(elsewhere(rule));
        changes
    };
    accepted(&with_store(&["eu-west-1"], rule("CloudWatchAlarm")));
    accepted(&with_store(&["eu-west-1", "us-west-2"], rule("CodeBuild")));
    refused(Validation, "artifactStores", &with_store(&["eu-west-1"], rule("CodeBuild")));
    let one_store = accepted(&[elsewhere(rule("CodeBuild"))]);
    assert!(one_store.check_home("eu-west-1").is_err());
    assert!(one_store.check_home("us-west-2").is_ok());
    assert!(accepted(&[elsewhere(rule("CloudWatchAlarm"))]).check_home("eu-west-1").is_ok());
}

#[test]
fn what_a_rule_s_declaration_shows_to_be_wrong_is_refused_with_it() {
    let window = |key: &str, value: &str| {
        let mut rule = rule("DeploymentWindow");
        rule["configuration"][key] = json!(value);
        rule
    };
    wrong("beforeEntry", window("Cron", "every day"), "configuration.Cron");
    wrong("beforeEntry", window("TimeZone", "Mars/Base"), "configuration.TimeZone");
    let alarm = |key: &str, value: &str| {
        let mut rule = rule("CloudWatchAlarm");
        rule["configuration"][key] = json!(value);
        rule
    };
    wrong("onSuccess", alarm("WaitTime", "soon"), "configuration.WaitTime");
    wrong("onSuccess", alarm("AlarmStates", "ok"), "configuration.AlarmStates");
    let mut check = rule("VariableCheck");
    check["configuration"]["Operator"] = json!("GT");
    wrong("beforeEntry", check, "configuration.Operator");
    let later = window("TimeZone", "#{codepipeline.PipelineExecutionId}");
    accepted(&[("/stages/1/beforeEntry", conditions("FAIL", &[later]))]);
}
