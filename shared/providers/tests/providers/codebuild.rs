use std::collections::BTreeMap;

use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::{Aws, Reply};

use crate::{artifact, failed, input, made, put_off, registry, task};

const ID: &str = "site:11111111-2222-3333-4444-555555555555";

fn arn() -> String {
    format!("arn:aws:codebuild:eu-west-1:111122223333:build/{ID}")
}

fn build(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("ProjectName", "site")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Build", "CodeBuild", &all) }
}

fn described(what: Value) -> Value {
    let mut all = json!({"id": ID, "arn": arn(), "buildStatus": "IN_PROGRESS", "currentPhase": "BUILD"});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    all
}

/// AWS with the artifacts of [`build`].
fn stored() -> Aws {
    let aws = Aws::default();
    for (name, version) in
        [("App", "v1"), ("App", "v7"), ("Lib", "v1"), ("main-src", "v1"), ("my-src", "v1"), ("my_src", "v1")]
    {
        aws.object(&format!("store-eu/shop/{name}/abcdefghijklmnop"), version, b"a zip, for all that is asked of it");
    }
    aws
}

fn starts(aws: &Aws) {
    aws.on("StartBuild", 200, json!({"build": described(json!({"currentPhase": "QUEUED"}))}).to_string());
}

fn gets(aws: &Aws, what: Value) {
    aws.on("BatchGetBuilds", 200, json!({"builds": [described(what)]}).to_string());
}

fn answered(answer: Value) -> Reply {
    (200, BTreeMap::new(), answer.to_string().into_bytes())
}

fn started(task: Task) -> Task {
    Task { external: Some(External { id: ID.into(), url: None }), ..task }
}

async fn external(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(event_source.as_deref(), Some("aws.codebuild"), "its events name builds by CodeBuild's own ids");
            report.external.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_build_reads_the_pinned_input_and_writes_the_output_artifact() {
    let aws = stored();
    starts(&aws);
    let mut task = build(&[
        (
            "EnvironmentVariables",
            r#"[{"name":"STAGE","value":"prod"},{"name":"KEY","value":"/key","type":"PARAMETER_STORE"}]"#,
        ),
        ("BuildspecOverride", "ci/buildspec.yml"),
    ]);
    task.inputs[0].pin.version = Some("v7".into());
    task.outputs = vec![artifact("Site")];
    let external = external(&aws, &task).await;
    assert_eq!(external.id, ID);
    let url = external.url.unwrap();
    assert!(url.contains("/codesuite/codebuild/111122223333/projects/site/build/"), "{url}");
    let call = &aws.calls("StartBuild")[0];
    assert_eq!(call.role, "pipeline");
    let sent = call.json();
    assert_eq!(sent["projectName"], "site");
    assert_eq!(sent["idempotencyToken"], task.id.to_string());
    assert_eq!(sent["sourceTypeOverride"], "S3");
    assert_eq!(sent["sourceLocationOverride"], "store-eu/shop/App/abcdefghijklmnop");
    assert_eq!(sent["sourceVersion"], "v7");
    assert_eq!(sent["buildspecOverride"], "ci/buildspec.yml");
    let artifacts = &sent["artifactsOverride"];
    assert_eq!(
        (&artifacts["type"], &artifacts["location"], &artifacts["path"], &artifacts["name"], &artifacts["packaging"]),
        (&json!("S3"), &json!("store-eu"), &json!("shop/Site"), &json!("abcdefghijklmnop"), &json!("ZIP"))
    );
    assert_eq!(
        sent["environmentVariablesOverride"],
        json!([
            {"name": "STAGE", "value": "prod", "type": "PLAINTEXT"},
            {"name": "KEY", "value": "/key", "type": "PARAMETER_STORE"},
            {"name": "MILLRACE_ACTION_EXECUTION_ID", "value": task.id.to_string()},
        ])
    );
    assert!(sent.get("secondarySourcesOverride").is_none() && sent.get("secondaryArtifactsOverride").is_none());
}

#[tokio::test]
async fn further_inputs_and_several_outputs_have_their_names() {
    let aws = stored();
    starts(&aws);
    let mut task = build(&[("PrimarySource", "Lib")]);
    task.inputs = vec![input("App"), input("Lib")];
    task.inputs[0].pin.version = Some("v1".into());
    task.outputs = vec![artifact("Site"), artifact("Report")];
    external(&aws, &task).await;
    let sent = aws.calls("StartBuild")[0].json();
    assert_eq!(sent["sourceLocationOverride"], "store-eu/shop/Lib/abcdefghijklmnop");
    assert_eq!(
        sent["secondarySourcesOverride"],
        json!([{"type": "S3", "location": "store-eu/shop/App/abcdefghijklmnop", "sourceIdentifier": "App"}])
    );
    assert_eq!(sent["secondarySourcesVersionOverride"], json!([{"sourceIdentifier": "App", "sourceVersion": "v1"}]));
    assert_eq!(sent["artifactsOverride"], json!({"type": "NO_ARTIFACTS"}));
    let secondary = sent["secondaryArtifactsOverride"].as_array().unwrap();
    let names: Vec<_> = secondary.iter().map(|it| (it["artifactIdentifier"].as_str(), it["path"].as_str())).collect();
    assert_eq!(names, [(Some("Site"), Some("shop/Site")), (Some("Report"), Some("shop/Report"))]);
}

#[tokio::test]
async fn a_further_input_is_known_by_letters_digits_and_underscores() {
    let aws = stored();
    starts(&aws);
    let mut task = build(&[("PrimarySource", "main-src")]);
    task.inputs = vec![input("main-src"), input("my-src"), input("Lib")];
    task.inputs[1].pin.version = Some("v1".into());
    task.outputs = vec![artifact("web-site"), artifact("report")];
    external(&aws, &task).await;
    let sent = aws.calls("StartBuild")[0].json();
    let sources = sent["secondarySourcesOverride"].as_array().unwrap();
    let names: Vec<_> = sources.iter().map(|it| it["sourceIdentifier"].as_str().unwrap()).collect();
    assert_eq!(names, ["my_src", "Lib"]);
    assert_eq!(sent["secondarySourcesVersionOverride"], json!([{"sourceIdentifier": "my_src", "sourceVersion": "v1"}]));
    assert_eq!(sent["secondaryArtifactsOverride"][0]["artifactIdentifier"], "web-site", "as the buildspec has it");

    task.inputs.push(input("my_src"));
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("rename my_src"), "{}", error.message);
    assert_eq!(aws.calls("StartBuild").len(), 1);
}

#[tokio::test]
async fn a_batch_is_started_as_one() {
    let aws = stored();
    let id = "site:99999999-2222-3333-4444-555555555555";
    let arn = format!("arn:aws:codebuild:eu-west-1:111122223333:build-batch/{id}");
    let batch = json!({"id": id, "arn": arn, "buildBatchStatus": "IN_PROGRESS"});
    aws.on("StartBuildBatch", 200, json!({"buildBatch": batch}).to_string());
    let task = build(&[("BatchEnabled", "true"), ("CombineArtifacts", "true")]);
    let external = external(&aws, &task).await;
    assert_eq!(external.id, id);
    assert!(external.url.unwrap().contains("/projects/site/batch/"));
    let sent = aws.calls("StartBuildBatch")[0].json();
    assert_eq!(sent["buildBatchConfigOverride"], json!({"combineArtifacts": true}));
    let failure = json!({"id": id, "arn": arn, "buildBatchStatus": "FAILED", "buildGroups": [
        {"identifier": "linux", "currentBuildSummary": {"buildStatus": "SUCCEEDED"}},
        {"identifier": "arm", "currentBuildSummary": {"buildStatus": "FAILED"}},
    ]});
    aws.on("BatchGetBuildBatches", 200, json!({"buildBatches": [failure]}).to_string());
    let Outcome::Failed { error, .. } =
        registry(&aws).poll(&Task { external: Some(External { id: id.into(), url: None }), ..task }).await.unwrap()
    else {
        panic!()
    };
    assert!(error.message.contains("build arm: FAILED") && !error.message.contains("linux"), "{}", error.message);
}

#[tokio::test]
async fn exported_variables_and_the_artifact_come_of_a_build_that_succeeded() {
    let aws = stored();
    let mut task = started(build(&[]));
    gets(&aws, json!({}));
    let Outcome::Running { report, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(report.summary.as_deref(), Some("Phase BUILD"));
    task.outputs = vec![artifact("Site")];
    aws.plain_object("store-eu/shop/Site/abcdefghijklmnop", b"zip");
    gets(&aws, json!({"buildStatus": "SUCCEEDED", "exportedEnvironmentVariables": [{"name": "TAG", "value": "1.2"}]}));
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(done.variables, [("TAG".to_owned(), "1.2".to_owned())].into());
    assert_eq!(done.outputs, [made("Site", b"zip")], "pinned: what is written there later is not the build's");
}

#[tokio::test]
async fn a_failure_says_phase_command_and_the_end_of_the_log() {
    let aws = stored();
    let task = started(build(&[]));
    let words = "Error while executing command: make test. Reason: exit status 2";
    gets(
        &aws,
        json!({"buildStatus": "FAILED", "phases": [
            {"phaseType": "INSTALL", "phaseStatus": "SUCCEEDED", "contexts": [{"statusCode": "", "message": ""}]},
            {"phaseType": "BUILD", "phaseStatus": "FAILED",
             "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": words}]},
        ], "logs": {"groupName": "/aws/codebuild/site", "streamName": "1"}}),
    );
    let own = (0..40).map(|number| format!("[Container] 2026/11/25 23:51:00 Entering phase {number}\n"));
    let printed = (0..11).map(|number| format!("line {number}\n"));
    let lines: Vec<_> = printed.chain(["1 of 7 failed\n".to_owned()]).chain(own).collect();
    let events: Vec<_> = lines.iter().map(|line| json!({"message": line, "timestamp": 1})).collect();
    aws.on("GetLogEvents", 200, json!({"events": events}).to_string());
    let Outcome::Failed { error, report } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(error.code, "JobFailed");
    for part in [
        ID,
        "FAILED",
        "phase BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: make test",
        "1 of 7 failed",
    ] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(!error.message.contains("INSTALL"), "{}", error.message);
    let (_, log) = error.message.split_once("commands printed:\n").unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>().len(), 10, "{log}");
    assert!(log.starts_with("line 2\n") && log.ends_with("\n1 of 7 failed"), "{log}");
    assert_eq!(report.external.unwrap().id, ID);
    aws.fail("GetLogEvents", 400, "AccessDeniedException", "no");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert!(error.message.ends_with("exit status 2"), "the log may be closed: {}", error.message);
}

#[tokio::test]
async fn what_a_lost_worker_started_is_found_by_its_variable_and_not_started_again() {
    let aws = stored();
    let task = Task { reclaimed: true, ..build(&[]) };
    aws.on("ListBuildsForProject", 200, json!({"ids": [ID]}).to_string());
    let variable = json!({"name": "MILLRACE_ACTION_EXECUTION_ID", "value": task.id.to_string()});
    let environment = json!({"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [variable]});
    gets(&aws, json!({"environment": environment}));
    assert_eq!(external(&aws, &task).await.id, ID);
    assert!(aws.calls("StartBuild").is_empty());
    gets(&aws, json!({}));
    starts(&aws);
    external(&aws, &task).await;
    assert_eq!(aws.calls("StartBuild").len(), 1, "builds of others are not its own");
}

#[tokio::test]
async fn a_batch_that_a_lost_worker_started_is_found_too() {
    let aws = stored();
    let task = Task { reclaimed: true, ..build(&[("BatchEnabled", "true")]) };
    let id = "site:22222222-3333-4444-5555-666666666666";
    let arn = format!("arn:aws:codebuild:eu-west-1:111122223333:build-batch/{id}");
    let variable = json!({"name": "MILLRACE_ACTION_EXECUTION_ID", "value": task.id.to_string()});
    let environment = json!({"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [variable]});
    let batch = json!({"id": id, "arn": arn, "buildBatchStatus": "IN_PROGRESS", "environment": environment});
    aws.on("ListBuildBatchesForProject", 200, json!({"ids": [id]}).to_string());
    aws.on("BatchGetBuildBatches", 200, json!({"buildBatches": [batch]}).to_string());
    assert_eq!(external(&aws, &task).await.id, id);
    assert!(aws.calls("StartBuildBatch").is_empty());
}

#[tokio::test]
async fn a_lost_build_is_looked_for_in_all_pages_that_are_not_older_than_the_attempt() {
    let aws = stored();
    let task = Task { reclaimed: true, ..build(&[]) };
    let requested = 1_795_475_109 - 3_600;
    // Each page is older than the one before it.
    aws.reply("ListBuildsForProject", |call| {
        let (ids, next) = match call.json()["nextToken"].as_str() {
            None => ("site:newest", "two"),
            Some("two") => ("site:newer", "three"),
            _ => ("site:older", "four"),
        };
        answered(json!({"ids": [ids], "nextToken": next}))
    });
    aws.reply("BatchGetBuilds", move |call| {
        let started = match call.json()["ids"][0].as_str() {
            Some("site:newest") => requested + 900,
            Some("site:newer") => requested + 600,
            _ => requested - 900,
        };
        answered(json!({"builds": [described(json!({"startTime": started}))]}))
    });
    starts(&aws);
    external(&aws, &task).await;
    let pages: Vec<Value> =
        aws.calls("ListBuildsForProject").iter().map(|call| call.json()["nextToken"].take()).collect();
    assert_eq!(pages, [Value::Null, json!("two"), json!("three")]);
    assert_eq!(aws.calls("StartBuild").len(), 1, "nobody had started it");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_words_of_codebuild_and_what_passes_is_tried_again() {
    let aws = stored();
    aws.fail("StartBuild", 400, "ResourceNotFoundException", "Project cannot be found: site");
    let error = failed(&registry(&aws), &build(&[])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("StartBuild of site failed: ResourceNotFoundException: Project cannot be found"));
    aws.fail("StartBuild", 400, "AccessDeniedException", "not authorized to perform: codebuild:StartBuild");
    assert_eq!(failed(&registry(&aws), &build(&[])).await.code, "PermissionError");
    for code in ["ThrottlingException", "AccountLimitExceededException"] {
        aws.fail("StartBuild", 400, code, "Cannot have more than 60 builds in queue for the account");
        put_off(&registry(&aws), &build(&[])).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said_before_anything_is_asked() {
    let aws = stored();
    let mut two = build(&[]);
    two.inputs.push(input("Lib"));
    let mut other = build(&[("PrimarySource", "Other")]);
    other.inputs.push(input("Lib"));
    for (task, expected) in [
        (two, "PrimarySource must name"),
        (other, "which is no input artifact"),
        (build(&[("EnvironmentVariables", "{")]), "is not a JSON array"),
        (
            build(&[("EnvironmentVariables", r#"[{"name": "A", "value": "b", "type": "FILE"}]"#)]),
            "unknown variant `FILE`",
        ),
        (build(&[("BatchEnabled", "yes")]), "it must be true or false"),
    ] {
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(expected), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}

#[tokio::test]
async fn a_build_clones_by_itself_what_a_source_made_a_reference_of() {
    let aws = stored();
    starts(&aws);
    let location = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/shop";
    let reference = json!({"sourceType": "CODECOMMIT", "sourceLocation": location, "sourceVersion": "c0ffee"});
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", reference.to_string().as_bytes());
    external(&aws, &build(&[])).await;
    let asked = aws.calls("StartBuild")[0].json();
    assert_eq!((&asked["sourceTypeOverride"], &asked["sourceAuthOverride"]), (&json!("CODECOMMIT"), &Value::Null));
    assert_eq!((&asked["sourceLocationOverride"], &asked["sourceVersion"]), (&json!(location), &json!("c0ffee")));

    let mut task = build(&[("PrimarySource", "Lib")]);
    task.inputs.push(input("Lib"));
    external(&aws, &task).await;
    let asked = aws.calls("StartBuild")[1].json();
    assert_eq!(asked["sourceTypeOverride"], "S3");
    let source = json!([{"type": "CODECOMMIT", "location": location, "sourceIdentifier": "App"}]);
    assert_eq!(asked["secondarySourcesOverride"], source);
    let version = json!([{"sourceIdentifier": "App", "sourceVersion": "c0ffee"}]);
    assert_eq!(asked["secondarySourcesVersionOverride"], version);

    let connection = "arn:aws:codestar-connections:eu-west-1:111122223333:connection/0a1b";
    let mut reference = reference;
    reference["connectionArn"] = json!(connection);
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", reference.to_string().as_bytes());
    external(&aws, &build(&[])).await;
    external(&aws, &task).await;
    let auth = json!({"type": "CODECONNECTIONS", "resource": connection});
    assert_eq!(aws.calls("StartBuild")[2].json()["sourceAuthOverride"], auth);
    assert_eq!(aws.calls("StartBuild")[3].json()["secondarySourcesOverride"][0]["auth"], auth);
}

#[tokio::test]
async fn an_input_that_is_gone_or_another_starts_no_build() {
    let aws = stored();
    starts(&aws);
    let mut task = build(&[]);
    task.inputs = vec![input("Gone")];
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("shop/Gone/abcdefghijklmnop"), "{}", error.message);
    task.inputs = vec![crate::recorded("App", b"what was recorded")];
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("is not the artifact that was recorded"), "{}", error.message);
    assert!(aws.calls("StartBuild").is_empty());
}
