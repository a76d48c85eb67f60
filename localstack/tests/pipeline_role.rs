//! The role of the emulators' pipelines allows what the providers' descriptors say, on everything, and nothing else.
//!
//! `WRITE_ROLE=1 cargo test --workspace --test pipeline_role` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pipeline::Pipeline;
use providers::permission::{Conditions, Installed, scope};

/// What stands before and after the statements in the template.
const BEGIN: &str = "            Statement:\n";
const END: &str = "\nOutputs:";

/// The IAM actions of all providers, by the conditions under which they are allowed: no emulator's pipeline is known here, so only
/// conditions that are the same for all pipelines count.
fn statements() -> String {
    let pipeline = Pipeline::try_from(pipeline::testing::example()).unwrap();
    let role = || "arn:aws:iam::111122223333:role/any".to_owned();
    let installed = Installed {
        home: "eu-west-1".into(),
        account: "111122223333".into(),
        api: None,
        connection_secrets: String::new(),
        compute_project: String::new(),
        worker_role: role(),
        replicator_role: role(),
        api_role: role(),
    };
    let scope = scope(&pipeline, &installed, &pipeline.stages()[0].actions[0], "arn:aws:iam::111122223333:role/any");
    // The pipeline's role assumes those that actions have of their own.
    let mut actions = BTreeSet::from(["sts:AssumeRole"]);
    let mut services = BTreeSet::new();
    for permission in providers::all_permissions() {
        if permission.actions == ["iam:PassRole"] {
            services.extend(passed_to((permission.when)(&scope)));
        } else {
            actions.extend(permission.actions);
        }
    }
    let list = |of: &BTreeSet<&str>| of.iter().map(|it| format!("                  - {it}\n")).collect::<String>();
    let services: Vec<_> = services.into_iter().collect();
    format!(
        "              - Effect: Allow\n                Action:\n{}                Resource: \"*\"\n              - Effect: \
         Allow\n                Action: iam:PassRole\n                Resource: \"*\"\n                Condition: \
         {{StringEquals: {{\"iam:PassedToService\": [{}]}}}}\n",
        list(&actions),
        services.join(", ")
    )
}

/// To which services a role may be passed; it must be said.
fn passed_to(conditions: Conditions) -> BTreeSet<String> {
    let mut found: BTreeMap<_, _> = conditions.into_values().flatten().collect();
    let services = found.remove("iam:PassedToService").unwrap_or_default();
    assert!(!services.is_empty(), "a role may be passed to anybody");
    services
}

#[test]
fn the_role_of_emulators_pipelines_allows_what_the_descriptors_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/pipeline-role.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let begin = text.rfind(BEGIN).unwrap() + BEGIN.len();
    let end = text.find(END).unwrap();
    let wanted = statements();
    if std::env::var_os("WRITE_ROLE").is_some() {
        fs::write(&file, format!("{}{wanted}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    assert_eq!(text[begin..end], wanted, "WRITE_ROLE=1 writes it anew: see CONTRIBUTING.md");
}
