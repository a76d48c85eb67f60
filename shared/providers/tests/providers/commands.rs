use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use pipeline::Compute;
use pipeline::declaration::EnvironmentVariable;
use serde_json::{Value, json};
use testkit::Aws;

use crate::managed::{ID, aws, described, started};
use crate::{artifact, failed, input, made, put_off, registry, task};

fn variable(name: &str, value: &str, kind: Option<&str>) -> EnvironmentVariable {
    EnvironmentVariable { name: name.into(), value: value.into(), kind: kind.map(Into::into) }
}

fn commands(configuration: &[(&str, &str)]) -> Task {
    let compute = Compute {
        commands: vec!["make \"all\"".into(), "echo 'it''s done' > out/report.txt".into()],
        environment: vec![
            variable("STAGE", "prod; rm -rf /", None),
            variable("TOKEN", "api:token", Some("SECRETS_MANAGER")),
        ],
        output_variables: vec!["VERSION".into(), "CODEBUILD_BUILD_ID".into()],
        files: vec!["out/".into(), "*.txt".into()],
    };
    Task { inputs: vec![input("App"), input("my-lib")], compute, ..task("Compute", "Commands", configuration) }
}

fn rule() -> Task {
    let compute = Compute { commands: vec!["test -f index.html".into()], ..Compute::default() };
    Task { inputs: vec![input("App")], compute, ..task("Rule", "Commands", &[]) }
}

fn stored() -> Aws {
    aws(&["App", "my-lib"])
}

fn buildspec(sent: &Value) -> Value {
    serde_json::from_str(sent["buildspecOverride"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn commands_run_in_the_installation_s_project_with_the_pipeline_s_own_role() {
    let aws = stored();
    let mut task = commands(&[]);
    task.outputs = vec![artifact("Site")];
    let sent = started(&aws, &task).await;
    let call = &aws.calls("StartBuild")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "eu-west-1"));
    for (member, expected) in [
        ("projectName", json!("millrace-compute")),
        ("idempotencyToken", json!(task.id.to_string())),
        ("serviceRoleOverride", json!("arn:aws:iam::111122223333:role/pipeline")),
        ("sourceTypeOverride", json!("S3")),
        ("sourceLocationOverride", json!("store-eu/shop/App/abcdefghijklmnop")),
        ("encryptionKeyOverride", json!("arn:aws:kms:eu-west-1:111122223333:key/k")),
        ("timeoutInMinutesOverride", json!(55)),
        (
            "logsConfigOverride",
            json!({"cloudWatchLogs": {"status": "ENABLED", "groupName": "/aws/codepipeline/shop",
                "streamName": "the-stage/the-action"}}),
        ),
        (
            "secondarySourcesOverride",
            json!([{"type": "S3", "location": "store-eu/shop/my-lib/abcdefghijklmnop", "sourceIdentifier": "my_lib"}]),
        ),
        (
            "environmentVariablesOverride",
            json!([
                {"name": "STAGE", "value": "prod; rm -rf /", "type": "PLAINTEXT"},
                {"name": "TOKEN", "value": "api:token", "type": "SECRETS_MANAGER"},
                {"name": "MILLRACE_ACTION_EXECUTION_ID", "value": task.id.to_string()},
            ]),
        ),
    ] {
        assert_eq!(sent[member], expected, "{member}");
    }
    assert_eq!(sent["artifactsOverride"]["path"], "shop/Site");
    for as_the_project_has_it in
        ["environmentTypeOverride", "computeTypeOverride", "imageOverride", "privilegedModeOverride"]
    {
        assert_eq!(sent[as_the_project_has_it], Value::Null, "{as_the_project_has_it}");
    }
    assert_eq!(
        buildspec(&sent),
        json!({
            "version": "0.2",
            "env": {"exported-variables": ["VERSION", "CODEBUILD_BUILD_ID"]},
            "phases": {"build": {"on-failure": "ABORT",
                "commands": ["make \"all\"", "echo 'it''s done' > out/report.txt"]}},
            "artifacts": {"files": ["out/*", "*.txt"]},
        })
    );
}

#[tokio::test]
async fn an_action_s_own_role_and_region_are_its_build_s() {
    let aws = stored();
    let task = Task { action_role: Some("arn:aws:iam::444455556666:role/deployer".into()), ..commands(&[]) };
    let task = Task { region: "us-west-2".into(), store: Some(("store-eu".into(), None)), ..task };
    let sent = started(&aws, &task).await;
    let call = &aws.calls("StartBuild")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("deployer", "us-west-2"));
    assert_eq!(sent["serviceRoleOverride"], "arn:aws:iam::444455556666:role/deployer");
    assert_eq!(sent["encryptionKeyOverride"], Value::Null);
    assert_eq!(sent["artifactsOverride"], json!({"type": "NO_ARTIFACTS"}));
    assert_eq!(buildspec(&sent).get("artifacts"), None);
}

#[tokio::test]
async fn an_output_without_files_has_all_files() {
    let aws = stored();
    let mut task = Task { outputs: vec![artifact("Site")], ..commands(&[]) };
    task.compute.files.clear();
    assert_eq!(buildspec(&started(&aws, &task).await)["artifacts"], json!({"files": ["**/*"]}));
}

#[tokio::test]
async fn the_machine_is_the_one_that_was_asked_for() {
    let aws = stored();
    let linux = commands(&[("EnvironmentType", "LINUX_CONTAINER"), ("ComputeType", "BUILD_GENERAL1_LARGE")]);
    let sent = started(&aws, &linux).await;
    assert_eq!(sent["environmentTypeOverride"], "LINUX_CONTAINER");
    assert_eq!((&sent["computeTypeOverride"], &sent["imageOverride"]), (&json!("BUILD_GENERAL1_LARGE"), &Value::Null));
    let sent = started(&aws, &commands(&[("EnvironmentType", "WINDOWS_SERVER_2022_CONTAINER")])).await;
    assert_eq!(sent["environmentTypeOverride"], "WINDOWS_SERVER_2022_CONTAINER");
    assert_eq!(sent["imageOverride"], "aws/codebuild/windows-base:2022-1.0");
}

const VPC: &[(&str, &str)] = &[("VpcId", "vpc-1"), ("Subnets", "subnet-b, subnet-a"), ("SecurityGroupIds", "sg-1")];

fn project(vpc: Value) -> String {
    let environment = json!({"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"});
    json!({"projects": [{"name": "millrace-compute-vpc-1", "environment": environment, "vpcConfig": vpc}]}).to_string()
}

#[tokio::test]
async fn a_vpc_has_a_project_of_its_own() {
    let aws = stored();
    let config = json!({"vpcId": "vpc-1", "subnets": ["subnet-a", "subnet-b"], "securityGroupIds": ["sg-1"]});
    aws.on("BatchGetProjects", 200, project(config));
    let sent = started(&aws, &commands(VPC)).await;
    assert_eq!(sent["projectName"], "millrace-compute-vpc-1");
    assert_eq!(aws.calls("BatchGetProjects")[0].json()["names"], json!(["millrace-compute-vpc-1"]));
}

#[tokio::test]
async fn a_vpc_without_its_project_says_what_to_deploy() {
    let aws = stored();
    aws.on("BatchGetProjects", 200, json!({"projects": [], "projectsNotFound": ["x"]}).to_string());
    let other = json!({"vpcId": "vpc-1", "subnets": ["subnet-a"], "securityGroupIds": ["sg-1"]});
    for (answer, part) in [
        (json!({"projects": []}).to_string(), "eu-west-1 has no project millrace-compute-vpc-1: deploy"),
        (project(other), "run in VpcId vpc-1, Subnets subnet-a, SecurityGroupIds sg-1, and the action"),
        (project(Value::Null), "run in no VPC, and the action is to run in VpcId vpc-1, Subnets subnet-a,subnet-b"),
    ] {
        aws.on("BatchGetProjects", 200, answer);
        let error = failed(&registry(&aws), &commands(VPC)).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part) && error.message.contains("compute-vpc.yaml"), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_names_the_key() {
    let aws = stored();
    for (configuration, part) in [
        (&[("EnvironmentType", "MAC")][..], "it can be LINUX_CONTAINER or WINDOWS_SERVER_2022_CONTAINER"),
        (&[("ComputeType", "HUGE")], "BUILD_GENERAL1_SMALL, BUILD_GENERAL1_MEDIUM or BUILD_GENERAL1_LARGE"),
        (&[("VpcId", "vpc-1"), ("Subnets", "subnet-a")], "needs a value for SecurityGroupIds"),
        (&[("Subnets", "subnet-a")], "needs a value for VpcId"),
    ] {
        let error = failed(&registry(&aws), &commands(configuration)).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}

#[tokio::test]
async fn exported_variables_and_the_artifact_are_those_of_the_build() {
    let aws = stored();
    let mut task = commands(&[]);
    task.external = Some(External { id: ID.into(), url: None });
    task.outputs = vec![artifact("Site")];
    aws.plain_object("store-eu/shop/Site/abcdefghijklmnop", b"zip");
    let exported = json!([{"name": "VERSION", "value": "1.2"}]);
    let build = described(&json!({"buildStatus": "SUCCEEDED", "exportedEnvironmentVariables": exported}));
    aws.on("BatchGetBuilds", 200, json!({"builds": [build]}).to_string());
    let Outcome::Succeeded(done) = registry(&aws).poll(&task).await.unwrap() else { panic!() };
    assert_eq!(done.variables, [("VERSION".to_owned(), "1.2".to_owned())].into());
    assert_eq!(done.outputs, [made("Site", b"zip")]);
}

#[tokio::test]
async fn a_failure_names_the_command_and_shows_the_end_of_its_log() {
    let aws = stored();
    for mut task in [commands(&[]), rule()] {
        task.external = Some(External { id: ID.into(), url: None });
        let words = "Error while executing command: test -f index.html. Reason: exit status 1";
        let build = described(&json!({"buildStatus": "FAILED",
            "phases": [{"phaseType": "BUILD", "phaseStatus": "FAILED",
                "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": words}]}],
            "logs": {"groupName": "/aws/codepipeline/shop", "streamName": "the-stage/the-action/1"}}));
        aws.on("BatchGetBuilds", 200, json!({"builds": [build]}).to_string());
        aws.on("GetLogEvents", 200, json!({"events": [{"message": "no such file\n", "timestamp": 1}]}).to_string());
        let Outcome::Failed { error, .. } = registry(&aws).poll(&task).await.unwrap() else { panic!() };
        assert_eq!(error.code, "JobFailed");
        for part in [words, "no such file"] {
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
    assert_eq!(aws.calls("GetLogEvents")[0].json()["logGroupName"], "/aws/codepipeline/shop");
}

#[tokio::test]
async fn what_a_lost_worker_started_is_found_and_not_started_again() {
    let aws = stored();
    let task = Task { reclaimed: true, ..commands(&[]) };
    aws.on("ListBuildsForProject", 200, json!({"ids": [ID]}).to_string());
    let variable = json!({"name": "MILLRACE_ACTION_EXECUTION_ID", "value": task.id.to_string()});
    let environment = json!({"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [variable]});
    let build = described(&json!({"environment": environment}));
    aws.on("BatchGetBuilds", 200, json!({"builds": [build]}).to_string());
    assert!(matches!(registry(&aws).start(&task).await.unwrap(), Outcome::Running { .. }));
    assert!(aws.calls("StartBuild").is_empty());
    assert_eq!(aws.calls("ListBuildsForProject")[0].json()["projectName"], "millrace-compute");
}

#[tokio::test]
async fn a_rule_runs_its_commands_for_as_long_as_it_may() {
    let aws = stored();
    let mut task = rule();
    for (minutes, expected) in [(60, 55), (7, 7), (2, 5)] {
        task.action.timeout_in_minutes = Some(minutes);
        let sent = started(&aws, &task).await;
        assert_eq!(sent["timeoutInMinutesOverride"], expected);
        let phases = json!({"build": {"on-failure": "ABORT", "commands": ["test -f index.html"]}});
        assert_eq!(buildspec(&sent), json!({"version": "0.2", "phases": phases}));
    }
}

#[tokio::test]
async fn a_throttled_start_is_tried_again_and_a_refused_one_is_not() {
    let aws = stored();
    aws.fail("StartBuild", 400, "AccountLimitExceededException", "Cannot have more than 60 builds in queue");
    put_off(&registry(&aws), &commands(&[])).await;
    aws.fail("StartBuild", 400, "ResourceNotFoundException", "Project cannot be found: millrace-compute");
    let error = failed(&registry(&aws), &commands(&[])).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.contains("StartBuild of millrace-compute failed"), "{}", error.message);
    let words = "User: role/pipeline is not authorized to perform: iam:PassRole";
    aws.fail("StartBuild", 400, "AccessDeniedException", words);
    let error = failed(&registry(&aws), &commands(&[])).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains(words), "{}", error.message);
}
