use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{failed, input, put_off, registry, task};

const DEPLOYMENT: &str = "ecs-svc/2";

fn revision(number: u32) -> String {
    format!("arn:aws:ecs:eu-west-1:111122223333:task-definition/shop:{number}")
}

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("ClusterName", "prod"), ("ServiceName", "shop")];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "ECS", &all) }
}

/// Whose deployment has begun just now.
fn started(task: Task) -> Task {
    Task { external: Some(External { id: DEPLOYMENT.into(), url: None }), deadline: None, ..task }
}

/// An AWS whose input artifact has this image definitions file, and on which nothing can be changed.
fn aws_with(definitions: &str) -> Aws {
    let aws = Aws::default();
    let zip = write_zip([("imagedefinitions.json", definitions), ("prod/images.json", definitions)]);
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &zip.unwrap());
    describes(&aws, json!([deployment(json!({"id": "ecs-svc/1", "taskDefinition": revision(7)}))]));
    defines(&aws, 7, json!([{"key": "team", "value": "x"}]));
    aws
}

fn aws() -> Aws {
    aws_with(r#"[{"name": "web", "imageUri": "repo@sha256:1"}]"#)
}

fn deployment(what: Value) -> Value {
    let mut all = json!({"id": DEPLOYMENT, "status": "PRIMARY", "taskDefinition": revision(8), "desiredCount": 2,
        "runningCount": 1, "createdAt": 1_795_471_600, "rolloutState": "IN_PROGRESS"});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    all
}

fn service(deployments: Value) -> Value {
    json!({"serviceName": "shop", "taskDefinition": revision(7), "deployments": deployments, "events": [
        {"message": "(service shop) is unable to place a task", "createdAt": 1_795_471_700},
        {"message": "(service shop) has reached a steady state", "createdAt": 1_795_000_000},
    ]})
}

fn describes(aws: &Aws, deployments: Value) {
    aws.on("DescribeServices", 200, json!({"services": [service(deployments)]}).to_string());
}

fn defines(aws: &Aws, number: u32, tags: Value) {
    let definition = json!({"taskDefinitionArn": revision(number), "family": "shop", "revision": number, "cpu": "256",
    "networkMode": "awsvpc", "executionRoleArn": "arn:aws:iam::111122223333:role/pull", "status": "ACTIVE",
    "containerDefinitions": [
        {"name": "web", "image": "repo@sha256:0", "essential": true, "environment": [{"name": "A", "value": "b"}]},
        {"name": "proxy", "image": "envoy:1"},
    ]});
    aws.on("DescribeTaskDefinition", 200, json!({"taskDefinition": definition, "tags": tags}).to_string());
}

fn takes_changes(aws: &Aws) {
    let registered = json!({"taskDefinition": {"taskDefinitionArn": revision(8)}});
    aws.on("RegisterTaskDefinition", 200, registered.to_string());
    let old = deployment(json!({"id": "ecs-svc/1", "taskDefinition": revision(7), "status": "ACTIVE"}));
    aws.on("UpdateService", 200, json!({"service": service(json!([old, deployment(json!({}))]))}).to_string());
}

async fn runs(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source } => {
            assert_eq!(event_source.as_deref(), Some("aws.ecs"), "its events name deployments by ECS's own ids");
            report.external.unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// The message with which a poll finds that the action has failed.
async fn failure(aws: &Aws, task: &Task) -> String {
    match registry(aws).poll(task).await.unwrap() {
        Outcome::Failed { error, report } => {
            assert_eq!(error.code, "JobFailed");
            assert!(report.external.is_none_or(|external| external.id == DEPLOYMENT));
            error.message
        }
        other => panic!("{other:?}"),
    }
}

fn tag(task: &Task) -> Value {
    json!({"key": "millrace:action-execution-id", "value": task.id.to_string()})
}

#[tokio::test]
async fn the_service_runs_a_revision_with_the_images_of_the_file_and_nothing_else_changed() {
    for (configuration, _) in [(vec![], 1), (vec![("FileName", "prod/images.json")], 2)] {
        let aws = aws();
        takes_changes(&aws);
        let task = deploy(&configuration);
        let external = runs(&aws, &task).await;
        assert_eq!(external.id, DEPLOYMENT);
        let url = external.url.unwrap();
        assert!(url.contains("/ecs/v2/clusters/prod/services/shop/deployments?region=eu-west-1"), "{url}");
        let registered = aws.calls("RegisterTaskDefinition")[0].json();
        assert_eq!(
            registered,
            json!({"family": "shop", "cpu": "256", "networkMode": "awsvpc",
                "executionRoleArn": "arn:aws:iam::111122223333:role/pull",
                "containerDefinitions": [
                    {"name": "web", "image": "repo@sha256:1", "essential": true, "cpu": 0,
                        "environment": [{"name": "A", "value": "b"}]},
                    {"name": "proxy", "image": "envoy:1", "cpu": 0},
                ],
                "tags": [{"key": "team", "value": "x"}, tag(&task)]})
        );
        let update = &aws.calls("UpdateService")[0];
        assert_eq!(update.role, "pipeline");
        assert_eq!(update.json(), json!({"cluster": "prod", "service": "shop", "taskDefinition": revision(8)}));
    }
}

#[tokio::test]
async fn the_action_ends_with_its_deployment() {
    let (aws, task) = (aws(), started(deploy(&[])));
    let old = deployment(json!({"id": "ecs-svc/1", "status": "ACTIVE"}));
    describes(&aws, json!([deployment(json!({})), old]));
    let Outcome::Running { report, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(report.summary.as_deref(), Some("1 of 2 tasks run"));
    describes(&aws, json!([deployment(json!({"rolloutState": "COMPLETED", "runningCount": 2})), old]));
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(done.report.summary.as_deref(), Some("2 of 2 tasks run"));
    // A service may have no states of roll-outs.
    let without_state = deployment(json!({"rolloutState": null, "runningCount": 2}));
    describes(&aws, json!([without_state, old]));
    assert!(matches!(registry(&aws).poll(&task).await.unwrap(), Outcome::Running { .. }), "the old one still runs");
    describes(&aws, json!([without_state]));
    assert!(matches!(registry(&aws).poll(&task).await.unwrap(), Outcome::Succeeded(_)));
}

#[tokio::test]
async fn a_failure_says_what_ecs_says_what_stopped_a_task_and_what_the_service_reported_since() {
    let (aws, task) = (aws(), started(deploy(&[])));
    let reason = "ECS deployment circuit breaker: tasks failed to start.";
    let broken = deployment(json!({"rolloutState": "FAILED", "rolloutStateReason": reason, "status": "ACTIVE"}));
    describes(&aws, json!([deployment(json!({"id": "ecs-svc/3"})), broken]));
    aws.on("ListTasks", 200, json!({"taskArns": ["arn:task/prod/a", "arn:task/prod/b"]}).to_string());
    let stopped = |id: &str, by: &str, at: i64, exit: i32| {
        json!({"taskArn": format!("arn:task/prod/{id}"), "startedBy": by, "stoppedAt": at,
            "stoppedReason": "Essential container in task exited",
            "containers": [{"name": "web", "exitCode": exit, "reason": "OutOfMemoryError"}, {"name": "proxy", "exitCode": 0}]})
    };
    let tasks = [stopped("a", "ecs-svc/1", 9, 3), stopped("b", DEPLOYMENT, 7, 1), stopped("c", DEPLOYMENT, 8, 137)];
    aws.on("DescribeTasks", 200, json!({"tasks": tasks}).to_string());
    let message = failure(&aws, &task).await;
    assert_eq!(
        message,
        format!(
            "The deployment {DEPLOYMENT} failed: {reason} (1 of 2 tasks run)\nTask c stopped: Essential container in task \
             exited; container web: exit code 137, OutOfMemoryError\n(service shop) is unable to place a task"
        )
    );
    assert_eq!(aws.calls("ListTasks")[0].json()["desiredStatus"], "STOPPED");
    aws.fail("ListTasks", 400, "AccessDeniedException", "no");
    assert!(failure(&aws, &task).await.contains(reason), "the role need not be allowed to look at tasks");
}

#[tokio::test]
async fn a_deployment_that_another_one_replaced_or_that_takes_too_long_fails() {
    let aws = aws();
    aws.on("ListTasks", 200, "{}");
    let other = deployment(json!({"id": "ecs-svc/3"}));
    describes(&aws, json!([other, deployment(json!({"status": "ACTIVE"}))]));
    let message = failure(&aws, &started(deploy(&[]))).await;
    assert!(message.starts_with("The deployment ecs-svc/2 was replaced by ecs-svc/3 (1 of 2"), "{message}");
    describes(&aws, json!([other]));
    let message = failure(&aws, &started(deploy(&[]))).await;
    assert_eq!(message, "The deployment ecs-svc/2 was replaced by ecs-svc/3");
    describes(&aws, json!([deployment(json!({}))]));
    let mut slow = started(deploy(&[("DeploymentTimeout", "20")]));
    slow.deadline = Some(engine::Timestamp(0));
    let message = failure(&aws, &slow).await;
    assert!(message.contains("has not ended within 20 minutes (1 of 2 tasks run)"), "{message}");
}

#[tokio::test]
async fn what_a_lost_worker_left_is_found_by_its_tag() {
    let (aws, task) = (aws(), Task { reclaimed: true, ..deploy(&[]) });
    takes_changes(&aws);
    // A deployment of its revision: nothing is left to do.
    describes(&aws, json!([deployment(json!({}))]));
    defines(&aws, 8, json!([tag(&task)]));
    assert_eq!(runs(&aws, &task).await.id, DEPLOYMENT);
    assert!(aws.calls("RegisterTaskDefinition").is_empty() && aws.calls("UpdateService").is_empty());
    // A revision without a deployment: the service is updated to that one.
    describes(&aws, json!([deployment(json!({"taskDefinition": revision(7)}))]));
    let ours = tag(&task);
    aws.reply("DescribeTaskDefinition", move |call| {
        let newest = call.json()["taskDefinition"] == "shop";
        let (number, tags) = if newest { (8, json!([ours])) } else { (7, json!([])) };
        let definition = json!({"taskDefinitionArn": revision(number), "family": "shop"});
        (200, [].into(), json!({"taskDefinition": definition, "tags": tags}).to_string().into_bytes())
    });
    assert_eq!(runs(&aws, &task).await.id, DEPLOYMENT);
    assert!(aws.calls("RegisterTaskDefinition").is_empty());
    assert_eq!(aws.calls("UpdateService")[0].json()["taskDefinition"], revision(8));
    // Neither: it begins anew.
    defines(&aws, 7, json!([]));
    runs(&aws, &task).await;
    assert_eq!(aws.calls("RegisterTaskDefinition").len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_the_file_or_the_configuration_is_said_before_anything_changes() {
    let task = deploy(&[]);
    for (file, expected) in [
        ("{}", "is not a JSON list of containers with name and imageUri"),
        (r#"[{"name": "web"}]"#, "missing field `imageUri`"),
        ("[]", "names no container"),
        (r#"[{"name": "web", "imageUri": "a"}, {"name": "web", "imageUri": "b"}]"#, "names the container web twice"),
        (r#"[{"name": "app", "imageUri": "a"}]"#, "names the container app, but those of the task definition"),
    ] {
        let aws = aws_with(file);
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(expected), "{}", error.message);
        assert!(aws.calls("RegisterTaskDefinition").is_empty());
    }
    let long = aws_with(&format!("[{}]", " ".repeat(100 << 10)));
    assert_ne!(failed(&registry(&long), &task).await.message, "");
    for minutes in ["0", "61"] {
        let error = failed(&registry(&aws()), &deploy(&[("DeploymentTimeout", minutes)])).await;
        assert_eq!(
            error.message,
            format!("DeploymentTimeout is {minutes}: it must be a number of minutes from 1 to 60")
        );
    }
    let error = failed(&registry(&aws()), &deploy(&[("FileName", "other.json")])).await;
    assert!(error.message.contains("other.json"), "{}", error.message);
}

#[tokio::test]
async fn what_ecs_refuses_is_told_in_its_words_and_what_passes_is_tried_again() {
    let (aws, task) = (aws(), deploy(&[]));
    takes_changes(&aws);
    aws.on("DescribeServices", 200, json!({"failures": [{"arn": "a", "reason": "MISSING"}]}).to_string());
    let error = failed(&registry(&aws), &task).await;
    let expected = "DescribeServices of the service shop in the cluster prod failed: MISSING";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
    aws.fail("DescribeServices", 400, "ClusterNotFoundException", "Cluster not found.");
    assert_eq!(failed(&registry(&aws), &task).await.code, "ConfigurationError");
    describes(&aws, json!([deployment(json!({"taskDefinition": revision(7)}))]));
    aws.fail("RegisterTaskDefinition", 400, "AccessDeniedException", "not authorized to perform: iam:PassRole");
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.ends_with("not authorized to perform: iam:PassRole"), "{}", error.message);
    takes_changes(&aws);
    let words = "Unable to update task definition on services with a CODE_DEPLOY deployment controller";
    aws.fail("UpdateService", 400, "InvalidParameterException", words);
    assert!(failed(&registry(&aws), &task).await.message.ends_with(words));
    for (status, code) in [(400, "ThrottlingException"), (500, "ServerException")] {
        aws.fail("UpdateService", status, code, "later");
        put_off(&registry(&aws), &task).await;
    }
}
