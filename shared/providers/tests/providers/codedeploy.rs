use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use providers::Registry;
use runtime::Clients;
use serde_json::{Value, json};
use testkit::{Aws, Reply};

use crate::{failed, input, put_off, registry, settings, task};

const ID: &str = "d-75I7MBT7C";
/// When the task was requested, in seconds.
const REQUESTED: i64 = 1_795_475_109 - 3_600;

fn deploy(aws: &Aws) -> Task {
    aws.object("store-eu/shop/App/abcdefghijklmnop", "v7", b"zip");
    let configuration = [("ApplicationName", "shop"), ("DeploymentGroupName", "prod")];
    let mut task = Task { inputs: vec![input("App")], ..task("Deploy", "CodeDeploy", &configuration) };
    task.inputs[0].pin.version = Some("v7".into());
    task
}

fn description(task: &Task) -> String {
    format!("Millrace action execution {}", task.id)
}

fn creates(aws: &Aws) {
    aws.on("CreateDeployment", 200, json!({"deploymentId": ID}).to_string());
}

fn answered(answer: &Value) -> Reply {
    (200, BTreeMap::new(), answer.to_string().into_bytes())
}

fn described(what: &Value) -> Value {
    let mut all = json!({"deploymentId": ID, "status": "InProgress", "computePlatform": "Server", "creator": "user"});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    all
}

fn gets(aws: &Aws, what: &Value) {
    aws.on("GetDeployment", 200, json!({"deploymentInfo": described(what)}).to_string());
}

fn started(task: Task) -> Task {
    Task { external: Some(External { id: ID.into(), url: None }), ..task }
}

async fn external(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(event_source.as_deref(), Some("aws.codedeploy"), "its events name deployments by its own ids");
            report.external.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

async fn poll_failure(aws: &Aws, task: &Task) -> engine::ActionError {
    match registry(aws).poll(task).await.unwrap() {
        Outcome::Failed { error, report } => {
            assert_eq!(report.external.unwrap().id, ID);
            error
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_very_object_that_was_recorded_is_deployed() {
    let aws = Aws::default();
    creates(&aws);
    let mut task = deploy(&aws);
    aws.object("store-eu/shop/App/abcdefghijklmnop", "v8", b"written over it");
    task.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    let external = external(&aws, &task).await;
    assert_eq!(external.id, ID);
    assert_eq!(
        external.url.as_deref(),
        Some("https://eu-west-1.console.aws.amazon.com/codesuite/codedeploy/deployments/d-75I7MBT7C?region=eu-west-1")
    );
    let call = &aws.calls("CreateDeployment")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("deployer", "eu-west-1"));
    assert_eq!(
        call.json(),
        json!({
            "applicationName": "shop",
            "deploymentGroupName": "prod",
            "description": description(&task),
            "revision": {
                "revisionType": "S3",
                "s3Location": {
                    "bucket": "store-eu", "key": "shop/App/abcdefghijklmnop", "bundleType": "zip", "version": "v7",
                    "eTag": "etag-v7",
                },
            },
        })
    );
    assert!(description(&task).len() <= 100, "CodeDeploy takes no longer one");
    assert!(aws.calls("ListDeployments").is_empty(), "a first start has nothing to look for");
}

#[tokio::test]
async fn without_versions_the_etag_alone_names_the_object() {
    let aws = Aws::default();
    creates(&aws);
    let mut task = deploy(&aws);
    task.inputs = vec![input("Plain")];
    aws.plain_object("store-eu/shop/Plain/abcdefghijklmnop", b"zip");
    external(&aws, &task).await;
    let location = aws.calls("CreateDeployment")[0].json()["revision"]["s3Location"].take();
    assert_eq!(
        location,
        json!({"bucket": "store-eu", "key": "shop/Plain/abcdefghijklmnop", "bundleType": "zip", "eTag": "etag"})
    );
}

#[tokio::test]
async fn an_artifact_that_is_another_by_now_is_not_deployed() {
    let aws = Aws::default();
    creates(&aws);
    let mut task = deploy(&aws);
    task.inputs = vec![crate::recorded("Plain", b"zip")];
    aws.plain_object("store-eu/shop/Plain/abcdefghijklmnop", b"another");
    aws.checksummed("store-eu/shop/Plain/abcdefghijklmnop");
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("store-eu"), "{error:?}");
    assert!(aws.calls("CreateDeployment").is_empty());
}

#[tokio::test]
async fn instances_are_counted_while_it_runs_and_its_id_is_the_variable_of_its_success() {
    let aws = Aws::default();
    let task = started(deploy(&aws));
    for (what, summary, percent) in [
        (json!({"status": "Created"}), "Created", None),
        (json!({"deploymentOverview": {"Pending": 0, "InProgress": 0, "Succeeded": 0}}), "InProgress", None),
        (
            json!({"deploymentOverview": {"Pending": 1, "InProgress": 1, "Succeeded": 2, "Failed": 1, "Skipped": 0}}),
            "2 of 5 instances succeeded, 1 failed",
            Some(40),
        ),
        (
            json!({"status": "Ready", "deploymentOverview": {"Succeeded": 1, "Ready": 1, "Skipped": 1}}),
            "1 of 3 instances succeeded, 1 skipped",
            Some(33),
        ),
        (json!({"computePlatform": "ECS", "deploymentOverview": {"InProgress": 1}}), "InProgress", None),
        (json!({"status": "Paused"}), "Paused", None),
    ] {
        gets(&aws, &what);
        let Outcome::Running { report, poll: true, .. } = registry(&aws).poll(&task).await.unwrap() else {
            panic!("{what}")
        };
        assert_eq!((report.summary.as_deref(), report.percent), (Some(summary), percent), "{what}");
    }
    assert_eq!(aws.calls("GetDeployment")[0].json(), json!({"deploymentId": ID}));
    gets(&aws, &json!({"status": "Succeeded", "deploymentOverview": {"Succeeded": 5}}));
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(done.variables, [("DeploymentId".to_owned(), ID.to_owned())].into());
    assert_eq!(done.report.summary.as_deref(), Some("5 of 5 instances succeeded"));
}

fn target(id: &str, ended: i64, name: &str, diagnostics: &Value) -> Value {
    let event = json!({"lifecycleEventName": name, "status": "Failed", "endTime": ended, "diagnostics": diagnostics});
    let before = json!({"lifecycleEventName": "BeforeInstall", "status": "Succeeded", "endTime": ended - 9,
        "diagnostics": {"errorCode": "Success", "message": "Succeeded", "logTail": "not this"}});
    json!({"deploymentTargetType": "InstanceTarget",
        "instanceTarget": {"targetId": id, "status": "Failed", "lifecycleEvents": [before, event]}})
}

#[tokio::test]
async fn a_failure_says_which_lifecycle_event_failed_first_and_the_end_of_its_log() {
    let aws = Aws::default();
    let task = started(deploy(&aws));
    gets(
        &aws,
        &json!({"status": "Failed", "errorInformation": {"code": "HEALTH_CONSTRAINTS", "message": "Too many failed"},
            "rollbackInfo": {"rollbackDeploymentId": "d-ROLLBACK1"}}),
    );
    let ids: Vec<String> = (0..30).map(|n| format!("i-{n}")).collect();
    aws.on("ListDeploymentTargets", 200, json!({"targetIds": ids}).to_string());
    let log: String = (1..=12).map(|n| format!("[stderr]line {n}\n")).collect();
    let script = json!({"errorCode": "ScriptFailed", "scriptName": "scripts/start.sh",
        "message": "failed with exit code 1", "logTail": log});
    let targets = [
        target("i-2", 900, "ValidateService", &json!({"errorCode": "ScriptTimedOut"})),
        target("i-1", 300, "ApplicationStart", &script),
    ];
    aws.on("BatchGetDeploymentTargets", 200, json!({"deploymentTargets": targets}).to_string());
    let error = poll_failure(&aws, &task).await;
    assert_eq!(error.code, "JobFailed");
    let lines: Vec<String> = (3..=12).map(|n| format!("[stderr]line {n}")).collect();
    assert_eq!(
        error.message,
        format!(
            "Deployment d-75I7MBT7C of shop/prod ended as Failed: HEALTH_CONSTRAINTS: Too many failed; on i-1, \
             ApplicationStart failed: ScriptFailed: script scripts/start.sh: failed with exit code 1; CodeDeploy rolls it \
             back by deployment d-ROLLBACK1. The last lines of the script's log:\n{}",
            lines.join("\n")
        )
    );
    assert_eq!(
        aws.calls("ListDeploymentTargets")[0].json(),
        json!({"deploymentId": ID, "targetFilters": {"TargetStatus": ["Failed"]}})
    );
    assert_eq!(
        aws.calls("BatchGetDeploymentTargets")[0].json(),
        json!({"deploymentId": ID, "targetIds": ids[..25]}),
        "no more than CodeDeploy describes at once"
    );
}

#[tokio::test]
async fn a_failure_without_targets_or_without_the_right_to_see_them_still_says_why() {
    let aws = Aws::default();
    let task = started(deploy(&aws));
    gets(
        &aws,
        &json!({"status": "Stopped", "errorInformation": {"code": "MANUAL_STOP", "message": "Stopped by a user"}}),
    );
    aws.on("ListDeploymentTargets", 200, json!({}).to_string());
    let expected = "Deployment d-75I7MBT7C of shop/prod ended as Stopped: MANUAL_STOP: Stopped by a user";
    assert_eq!(poll_failure(&aws, &task).await.message, expected);
    assert!(aws.calls("BatchGetDeploymentTargets").is_empty());
    aws.fail("ListDeploymentTargets", 400, "AccessDeniedException", "no");
    assert_eq!(poll_failure(&aws, &task).await.message, expected);
    gets(&aws, &json!({"status": "Failed"}));
    aws.on("ListDeploymentTargets", 200, json!({"targetIds": ["i-1"]}).to_string());
    let odd = json!({"deploymentTargets": [{"deploymentTargetType": "InstanceTarget"},
        {"instanceTarget": {"targetId": "i-1", "lifecycleEvents": [{"status": "Failed"}]}}]});
    aws.on("BatchGetDeploymentTargets", 200, odd.to_string());
    assert_eq!(
        poll_failure(&aws, &task).await.message,
        "Deployment d-75I7MBT7C of shop/prod ended as Failed; on i-1, - failed"
    );
}

/// Deployments on two pages of the list; the attempt's is among the last ones.
fn lists(aws: &Aws, own: &Value) {
    aws.reply("ListDeployments", |call| {
        answered(&match call.json()["nextToken"].as_str() {
            None => json!({"deployments": (0..26).map(|n| format!("d-{n}")).collect::<Vec<_>>(), "nextToken": "two"}),
            Some(_) => json!({"deployments": [ID]}),
        })
    });
    let own = described(own);
    aws.reply("BatchGetDeployments", move |call| {
        let ids = call.json()["deploymentIds"].as_array().unwrap().clone();
        let describe =
            |id: &Value| if id == ID { own.clone() } else { json!({"deploymentId": id, "status": "Failed"}) };
        answered(&json!({"deploymentsInfo": ids.iter().map(describe).collect::<Vec<_>>()}))
    });
}

#[tokio::test]
async fn what_a_lost_worker_created_is_found_by_its_description_and_not_created_again() {
    let aws = Aws::default();
    creates(&aws);
    let task = Task { reclaimed: true, ..deploy(&aws) };
    lists(&aws, &json!({"description": description(&task), "status": "Queued"}));
    assert_eq!(external(&aws, &task).await.id, ID);
    assert!(aws.calls("CreateDeployment").is_empty());
    let list = aws.calls("ListDeployments");
    let asked = json!({"applicationName": "shop", "deploymentGroupName": "prod",
        "createTimeRange": {"start": REQUESTED - 300}});
    assert_eq!(list[0].json(), asked, "since the attempt was requested, by clocks that differ");
    assert_eq!(list[1].json()["nextToken"], "two");
    let sizes: Vec<usize> = aws
        .calls("BatchGetDeployments")
        .iter()
        .map(|call| call.json()["deploymentIds"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [25, 1, 1], "CodeDeploy describes 25 at once");
    let poll = Task { external: None, ..task.clone() };
    lists(&aws, &json!({"description": description(&task), "status": "Succeeded"}));
    assert!(matches!(registry(&aws).poll(&poll).await.unwrap(), Outcome::Succeeded(_)), "its id was never committed");
}

#[tokio::test]
async fn others_deployments_and_rollbacks_are_not_taken_for_the_attempt_s_own() {
    let aws = Aws::default();
    creates(&aws);
    let task = Task { reclaimed: true, ..deploy(&aws) };
    for (n, other) in [
        json!({}),
        json!({"description": format!("{} of another", description(&task))}),
        json!({"description": description(&task), "creator": "codeDeployRollback"}),
    ]
    .into_iter()
    .enumerate()
    {
        lists(&aws, &other);
        external(&aws, &task).await;
        assert_eq!(aws.calls("CreateDeployment").len(), n + 1, "{other}");
    }
}

#[tokio::test]
async fn a_group_that_is_busy_with_the_attempt_s_own_deployment_is_no_failure() {
    let aws = Aws::default();
    let task = deploy(&aws);
    let words = "The Deployment Group 'prod' already has an active Deployment 'd-75I7MBT7C'";
    aws.fail("CreateDeployment", 400, "DeploymentLimitExceededException", words);
    lists(&aws, &json!({"description": description(&task)}));
    assert_eq!(external(&aws, &task).await.id, ID);
    lists(&aws, &json!({}));
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "JobFailed");
    assert!(error.message.ends_with(words), "{error:?}");
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_words_of_codedeploy_and_what_passes_is_tried_again() {
    let aws = Aws::default();
    let task = deploy(&aws);
    for code in ["ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException", "InvalidRoleException"] {
        aws.fail("CreateDeployment", 400, code, "the words of CodeDeploy");
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError", "{code}");
        assert_eq!(error.message, format!("CreateDeployment of shop/prod failed: {code}: the words of CodeDeploy"));
    }
    let words = "not authorized to perform: codedeploy:CreateDeployment";
    aws.fail("CreateDeployment", 400, "AccessDeniedException", words);
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.ends_with(words), "{error:?}");
    aws.fail("CreateDeployment", 400, "ThrottlingException", "Rate exceeded");
    assert!(put_off(&registry(&aws), &task).await.contains("Rate exceeded"));
    aws.on("CreateDeployment", 200, "{}");
    assert!(put_off(&registry(&aws), &task).await.contains("did not say what it created for shop/prod"));
}

#[tokio::test]
async fn a_deployment_that_vanished_fails_and_an_answer_that_says_nothing_is_asked_for_again() {
    let aws = Aws::default();
    let task = started(deploy(&aws));
    let words = "No deployment found for deploymentId: d-75I7MBT7C";
    aws.fail("GetDeployment", 400, "DeploymentDoesNotExistException", words);
    let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!((error.code.as_str(), error.message.ends_with(words)), ("JobFailed", true), "{error:?}");
    for odd in [
        json!({}),
        json!({"deploymentInfo": {"deploymentId": ID}}),
        json!({"deploymentInfo": {"deploymentId": "d-OTHER", "status": "Succeeded"}}),
    ] {
        aws.on("GetDeployment", 200, odd.to_string());
        let put_off = registry(&aws).poll(&task).await.unwrap_err().to_string();
        assert!(put_off.contains("did not say how the deployment d-75I7MBT7C stands"), "{odd}: {put_off}");
    }
    aws.on("ListDeployments", 200, json!({"deployments": []}).to_string());
    let unknown = Task { external: None, ..task };
    let Outcome::Failed { error, .. } = registry(&aws).poll(&unknown).await.unwrap() else { panic!() };
    assert_eq!(error.message, "shop/prod has no deployment of this action");
}

#[tokio::test]
async fn a_creation_whose_answer_got_lost_is_not_repeated_by_the_sdk() {
    let aws = Aws::default();
    let task = deploy(&aws);
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let config: SdkConfig = aws.config().into_builder().retry_config(retries).build();
    let registry = Registry::new(&settings(), &Clients::from_config(config)).unwrap();
    for operation in ["CreateDeployment", "GetDeployment"] {
        aws.fail(operation, 503, "ServiceUnavailable", "later");
    }
    registry.start(&task).await.unwrap_err();
    assert_eq!(aws.calls("CreateDeployment").len(), 1);
    registry.poll(&started(task)).await.unwrap_err();
    assert_eq!(aws.calls("GetDeployment").len(), 3, "what only asks is repeated");
}

#[tokio::test]
async fn what_is_missing_in_the_configuration_is_named_before_anything_is_asked() {
    let aws = Aws::default();
    let mut task = deploy(&aws);
    task.configuration.insert("DeploymentGroupName".into(), String::new());
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.ends_with("needs a value for DeploymentGroupName"), "{error:?}");
    assert!(aws.operations().is_empty());
    let without = Task { inputs: Vec::new(), ..deploy(&aws) };
    let error = failed(&registry(&aws), &without).await;
    assert_eq!(error.message, "Deploy/CodeDeploy action the-action needs one input artifact");
}
