use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::{Aws, Call, Reply};

use crate::{failed, input, put_off, refusals, registry, task};

const DEPLOYMENT: &str = "application/shop/environment/prod/deployment/12";

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![
        ("Application", "shop"),
        ("Environment", "prod"),
        ("ConfigurationProfile", "flags"),
        ("InputArtifactConfigurationPath", "conf/flags.json"),
    ];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "AppConfig", &all) }
}

fn started() -> Task {
    Task { external: Some(External { id: DEPLOYMENT.into(), url: None }), ..deploy(&[]) }
}

fn refuses(aws: &Aws, operation: &str, status: u16, code: &str) {
    let code = code.to_owned();
    aws.reply(operation, move |_| {
        let headers = [("x-amzn-errortype".to_owned(), code.clone())].into();
        (status, headers, br#"{"Message": "The words of AppConfig."}"#.to_vec())
    });
}

fn created(_: &Call) -> Reply {
    (201, [("version-number".to_owned(), "4".to_owned())].into(), Vec::new())
}

/// An AWS with a profile that AppConfig hosts, and the input artifact.
fn aws() -> Aws {
    let aws = Aws::default();
    let zip = write_zip([("conf/flags.json", r#"{"fast": true}"#), ("conf/app.yml", "fast: true"), ("app.txt", "x")]);
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &zip.unwrap());
    aws.on("GetConfigurationProfile", 200, json!({"Id": "flags", "LocationUri": "hosted"}).to_string());
    aws.reply("CreateHostedConfigurationVersion", created);
    aws.on("StartDeployment", 201, json!({"DeploymentNumber": 12, "State": "DEPLOYING"}).to_string());
    aws
}

fn lists(aws: &Aws, operation: &str, items: Value) {
    aws.on(operation, 200, json!({"Items": items}).to_string());
}

fn describes(aws: &Aws, what: Value) {
    let mut all = json!({"DeploymentNumber": 12});
    all.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    aws.on("GetDeployment", 200, all.to_string());
}

async fn runs(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, event_source: None } => report.external.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_file_becomes_a_version_with_the_attempts_label_and_is_deployed() {
    let aws = aws();
    let mut task = deploy(&[("DeploymentStrategy", "AppConfig.Canary10Percent20Minutes")]);
    task.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    let external = runs(&aws, &task).await;
    assert_eq!(external.id, DEPLOYMENT);
    let url = external.url.unwrap();
    assert!(url.ends_with("/systems-manager/appconfig/applications/shop/environments/prod?region=eu-west-1"), "{url}");
    let version = &aws.calls("CreateHostedConfigurationVersion")[0];
    assert_eq!(version.text(), r#"{"fast": true}"#);
    assert_eq!(version.header("content-type"), "application/json");
    assert_eq!(version.header("versionlabel"), task.id.to_string());
    assert_eq!((version.role.as_str(), version.region.as_str()), ("deployer", "eu-west-1"));
    let start = &aws.calls("StartDeployment")[0];
    assert_eq!(start.path, "applications/shop/environments/prod/deployments");
    assert_eq!(
        start.json(),
        json!({"ConfigurationProfileId": "flags", "ConfigurationVersion": "4",
            "DeploymentStrategyId": "AppConfig.Canary10Percent20Minutes",
            "Description": format!("Millrace action execution {}", task.id)})
    );
    assert_eq!(start.role, "deployer");
}

#[tokio::test]
async fn without_a_strategy_it_is_all_at_once_and_the_file_s_name_tells_its_type() {
    for (path, expected) in [("conf/app.yml", "application/x-yaml"), ("app.txt", "text/plain")] {
        let aws = aws();
        runs(&aws, &deploy(&[("InputArtifactConfigurationPath", path)])).await;
        assert_eq!(aws.calls("CreateHostedConfigurationVersion")[0].header("content-type"), expected);
        assert_eq!(aws.calls("StartDeployment")[0].json()["DeploymentStrategyId"], "AppConfig.AllAtOnce");
    }
}

#[tokio::test]
async fn the_action_ends_with_its_deployment() {
    let aws = aws();
    let summary = async |state: &str, percent: f64| {
        describes(&aws, json!({"State": state, "PercentageComplete": percent}));
        match registry(&aws).poll(&started()).await.unwrap() {
            Outcome::Running { report, poll: true, .. } => (report.summary.unwrap(), report.percent.unwrap()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(summary("DEPLOYING", 20.0).await, ("Deployment 12 is DEPLOYING, 20 percent".to_owned(), 20));
    assert_eq!(summary("BAKING", 100.0).await, ("Deployment 12 is BAKING, 100 percent".to_owned(), 100));
    assert_eq!(summary("ROLLING_BACK", 40.0).await.1, 40);
    describes(&aws, json!({"State": "COMPLETE", "PercentageComplete": 100.0}));
    let Outcome::Succeeded(done) = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(done.report.external.unwrap().id, DEPLOYMENT);
    assert_eq!(aws.calls("GetDeployment")[0].path, "applications/shop/environments/prod/deployments/12");
}

#[tokio::test]
async fn a_deployment_that_was_taken_back_says_what_happened_last() {
    for state in ["ROLLED_BACK", "REVERTED"] {
        let aws = aws();
        let events: Vec<_> =
            ["Rollback completed", "Rollback initiated by alarm errors", "Sent to 20%", "Deployment started"]
                .map(|words| json!({"Description": words}))
                .into();
        describes(&aws, json!({"State": state, "EventLog": events}));
        let Outcome::Failed { error, report } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
        assert_eq!(error.code, "JobFailed");
        assert_eq!(
            error.message,
            format!(
                "Deployment 12 to the environment prod of the application shop ended as {state}\nRollback completed\n\
                 Rollback initiated by alarm errors\nSent to 20%"
            )
        );
        assert_eq!(report.external.unwrap().id, DEPLOYMENT);
    }
}

#[tokio::test]
async fn what_a_lost_worker_left_is_found_by_its_label() {
    let (aws, task) = (aws(), Task { reclaimed: true, ..deploy(&[]) });
    let label = task.id.to_string();
    let versions = json!([{"VersionNumber": 5, "VersionLabel": "other"}, {"VersionNumber": 4, "VersionLabel": label}]);
    lists(&aws, "ListHostedConfigurationVersions", versions);
    // Its deployment: nothing is left to do.
    let deployments = |label: &str| json!([{"DeploymentNumber": 13, "VersionLabel": "other"}, {"DeploymentNumber": 12, "VersionLabel": label}]);
    lists(&aws, "ListDeployments", deployments(&label));
    assert_eq!(runs(&aws, &task).await.id, DEPLOYMENT);
    assert!(aws.calls("CreateHostedConfigurationVersion").is_empty() && aws.calls("StartDeployment").is_empty());
    assert!(aws.calls("ListHostedConfigurationVersions")[0].query.contains(&label));
    // A version without a deployment: that is deployed.
    lists(&aws, "ListDeployments", deployments("another"));
    runs(&aws, &task).await;
    assert!(aws.calls("CreateHostedConfigurationVersion").is_empty());
    assert_eq!(aws.calls("StartDeployment")[0].json()["ConfigurationVersion"], "4");
    // Neither: it begins anew.
    lists(&aws, "ListHostedConfigurationVersions", json!([]));
    runs(&aws, &task).await;
    assert_eq!(aws.calls("CreateHostedConfigurationVersion").len(), 1);
}

#[tokio::test]
async fn a_conflict_with_itself_is_no_failure_and_one_with_another_deployment_is() {
    let (aws, task) = (aws(), deploy(&[]));
    let label = task.id.to_string();
    // An answer got lost: there is a version with this label, and a deployment of it.
    refuses(&aws, "CreateHostedConfigurationVersion", 409, "ConflictException");
    refuses(&aws, "StartDeployment", 409, "ConflictException");
    lists(&aws, "ListHostedConfigurationVersions", json!([{"VersionNumber": 4, "VersionLabel": label}]));
    lists(&aws, "ListDeployments", json!([{"DeploymentNumber": 12, "VersionLabel": label}]));
    assert_eq!(runs(&aws, &task).await.id, DEPLOYMENT);
    assert_eq!(aws.calls("StartDeployment")[0].json()["ConfigurationVersion"], "4");
    // Another one's deployment has the environment.
    let old = json!([{"DeploymentNumber": 11, "VersionLabel": "other", "StartedAt": "2026-11-20T00:00:00Z"}]);
    lists(&aws, "ListDeployments", old);
    let error = failed(&registry(&aws), &task).await;
    let expected = "StartDeployment of the environment prod of the application shop failed: ConflictException: The words of AppConfig.";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("JobFailed", expected));
    // Another one's version is made at the same time.
    lists(&aws, "ListHostedConfigurationVersions", json!([]));
    assert!(put_off(&registry(&aws), &task).await.contains("ConflictException"));
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_not_repeated_but_looked_for() {
    let (aws, task) = (aws(), deploy(&[]));
    refuses(&aws, "StartDeployment", 500, "InternalServerException");
    put_off(&registry(&aws), &task).await;
    assert_eq!(aws.calls("StartDeployment").len(), 1);
    let mut unknown = started();
    unknown.external = None;
    lists(&aws, "ListDeployments", json!([]));
    let Outcome::Failed { error, .. } = registry(&aws).poll(&unknown).await.unwrap() else { panic!() };
    assert!(error.message.ends_with("has no deployment of this action"), "{}", error.message);
}

#[tokio::test]
async fn a_profile_that_appconfig_does_not_host_is_refused_with_what_to_do() {
    let aws = aws();
    aws.on("GetConfigurationProfile", 200, json!({"LocationUri": "codepipeline://shop"}).to_string());
    let error = failed(&registry(&aws), &deploy(&[])).await;
    let expected = "the configuration profile flags of the application shop has its content at codepipeline://shop: Millrace \
                    deploys to profiles that AppConfig hosts (location hosted)";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
    assert!(aws.calls("CreateHostedConfigurationVersion").is_empty());
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_changes() {
    for key in ["Application", "Environment", "ConfigurationProfile", "InputArtifactConfigurationPath"] {
        let aws = aws();
        let error = failed(&registry(&aws), &deploy(&[(key, "")])).await;
        let expected = format!("Deploy/AppConfig action the-action needs a value for {key}");
        assert_eq!((error.code.as_str(), error.message), ("ConfigurationError", expected));
        assert!(aws.operations().is_empty());
    }
    let aws = aws();
    let error = failed(&registry(&aws), &deploy(&[("InputArtifactConfigurationPath", "none.json")])).await;
    assert!(error.message.contains("none.json"), "{}", error.message);
    let error = failed(&registry(&aws), &Task { inputs: Vec::new(), ..deploy(&[]) }).await;
    assert!(error.message.ends_with("needs an input artifact with the file conf/flags.json"), "{}", error.message);
    assert!(aws.calls("CreateHostedConfigurationVersion").is_empty());
    let long = write_zip([("conf/flags.json", &*" ".repeat((4 << 20) + 1))]).unwrap();
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &long);
    failed(&registry(&aws), &deploy(&[])).await;
    assert!(aws.calls("CreateHostedConfigurationVersion").is_empty());
}

#[tokio::test]
async fn what_appconfig_refuses_is_told_in_its_words_and_what_passes_is_tried_again() {
    refusals(
        aws,
        refuses,
        &deploy(&[]),
        "The words of AppConfig.",
        &[
            ("GetConfigurationProfile", 404, "ResourceNotFoundException", Some("ConfigurationError")),
            ("GetConfigurationProfile", 403, "AccessDeniedException", Some("PermissionError")),
            ("CreateHostedConfigurationVersion", 413, "PayloadTooLargeException", Some("ConfigurationError")),
            ("CreateHostedConfigurationVersion", 429, "ThrottlingException", None),
            ("StartDeployment", 400, "BadRequestException", Some("ConfigurationError")),
            ("StartDeployment", 404, "ResourceNotFoundException", Some("ConfigurationError")),
            ("StartDeployment", 403, "AccessDeniedException", Some("PermissionError")),
            ("StartDeployment", 500, "InternalServerException", None),
            ("StartDeployment", 429, "TooManyRequestsException", None),
        ],
    )
    .await;
}

#[tokio::test]
async fn in_another_region_it_deploys_there() {
    let (aws, task) = (aws(), Task { region: "us-west-2".into(), ..deploy(&[]) });
    runs(&aws, &task).await;
    assert_eq!(aws.calls("StartDeployment")[0].region, "us-west-2");
}
