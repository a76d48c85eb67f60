use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use testkit::Aws;

use crate::{failed, put_off, recorded, registry, task};

fn deploy() -> Task {
    let configuration = [("ApplicationName", "shop"), ("EnvironmentName", "shop-prod")];
    Task { inputs: vec![recorded("App", b"zip")], ..task("Deploy", "ElasticBeanstalk", &configuration) }
}

fn started() -> Task {
    Task { external: Some(External { id: "shop/shop-prod".into(), url: None }), ..deploy() }
}

fn answers(aws: &Aws, operation: &str, body: &str) {
    let answer = format!("<{operation}Response><{operation}Result>{body}</{operation}Result></{operation}Response>");
    aws.on(operation, 200, answer);
}

fn refuses(aws: &Aws, operation: &str, status: u16, code: &str, message: &str) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    aws.on(operation, status, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"));
}

fn describes(aws: &Aws, status: &str, label: &str) {
    let environment = format!(
        "<Environments><member><EnvironmentName>shop-prod</EnvironmentName><VersionLabel>{label}</VersionLabel>\
         <Status>{status}</Status><Health>Green</Health></member></Environments>"
    );
    answers(aws, "DescribeEnvironments", &environment);
}

fn reports(aws: &Aws, messages: &[&str]) {
    let event = |message: &&str| format!("<member><Message>{message}</Message><Severity>ERROR</Severity></member>");
    let events: String = messages.iter().map(event).collect();
    answers(aws, "DescribeEvents", &format!("<Events>{events}</Events>"));
}

/// An AWS with the input artifact and an environment that runs another version.
fn aws() -> Aws {
    let aws = Aws::default();
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", b"zip");
    aws.checksummed("store-eu/shop/App/abcdefghijklmnop");
    describes(&aws, "Ready", "before");
    answers(&aws, "CreateStorageLocation", "<S3Bucket>elasticbeanstalk-eu-west-1-111122223333</S3Bucket>");
    answers(&aws, "CreateApplicationVersion", "");
    answers(&aws, "UpdateEnvironment", "<Status>Updating</Status>");
    aws
}

/// The values of a request by their names, as the query protocol has them.
fn sent(aws: &Aws, operation: &str) -> Vec<String> {
    let body = aws.calls(operation)[0].text();
    body.split('&').map(|pair| pair.replace("%3A", ":").replace("%2F", "/").replace("%20", " ")).collect()
}

async fn failure(aws: &Aws) -> String {
    match registry(aws).poll(&started()).await.unwrap() {
        Outcome::Failed { error, report } => {
            assert_eq!((error.code.as_str(), report.external.unwrap().id.as_str()), ("JobFailed", "shop/shop-prod"));
            error.message
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_recorded_artifact_becomes_a_version_to_which_the_environment_is_updated() {
    let (aws, task) = (aws(), deploy());
    let label = task.id.to_string();
    let Outcome::Running { report, poll: true, event_source } = registry(&aws).start(&task).await.unwrap() else {
        panic!()
    };
    assert_eq!(event_source.as_deref(), Some("aws.elasticbeanstalk"));
    assert_eq!(report.summary.unwrap(), format!("Version {label}: Updating"));
    let external = report.external.unwrap();
    assert_eq!(external.id, "shop/shop-prod", "what events name");
    assert!(external.url.unwrap().ends_with("/dashboard?applicationName=shop&environmentName=shop-prod"));
    assert_eq!(aws.stored(&format!("elasticbeanstalk-eu-west-1-111122223333/shop/{label}.zip")).data, b"zip");
    let version = sent(&aws, "CreateApplicationVersion");
    for expected in [
        "ApplicationName=shop".to_owned(),
        format!("VersionLabel={label}"),
        "SourceBundle.S3Bucket=elasticbeanstalk-eu-west-1-111122223333".to_owned(),
        format!("SourceBundle.S3Key=shop/{label}.zip"),
        format!("Description=Pipeline shop, execution {}", task.id.execution).replace(',', "%2C"),
    ] {
        assert!(version.contains(&expected), "{expected}: {version:?}");
    }
    let update = sent(&aws, "UpdateEnvironment");
    for expected in ["EnvironmentName=shop-prod".to_owned(), format!("VersionLabel={label}")] {
        assert!(update.contains(&expected), "{expected}: {update:?}");
    }
    assert_eq!(aws.calls("UpdateEnvironment")[0].role, "pipeline");
}

#[tokio::test]
async fn an_artifact_that_was_overwritten_is_not_deployed() {
    let aws = aws();
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", b"other");
    let error = failed(&registry(&aws), &deploy()).await;
    assert!(error.message.contains("App"), "{}", error.message);
    assert!(aws.calls("CreateApplicationVersion").is_empty());
}

#[tokio::test]
async fn it_succeeds_when_the_environment_is_ready_with_the_version_and_reports_no_error() {
    let (aws, label) = (aws(), deploy().id.to_string());
    describes(&aws, "Updating", "before");
    let Outcome::Running { report, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(report.summary.unwrap(), format!("Version {label}: Updating, health Green"));
    describes(&aws, "Ready", &label);
    reports(&aws, &[]);
    let Outcome::Succeeded(done) = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(done.report.summary.unwrap(), format!("Version {label}: Ready, health Green"));
    let asked = sent(&aws, "DescribeEvents");
    for expected in ["Severity=ERROR", "EnvironmentName=shop-prod", "StartTime=2026-11-23T22:05:09Z"] {
        assert!(asked.iter().any(|pair| pair == expected), "{expected}: {asked:?}");
    }
}

#[tokio::test]
async fn a_failure_repeats_what_the_environment_reports() {
    let (aws, label) = (aws(), deploy().id.to_string());
    reports(&aws, &["Failed to deploy application.", "Command failed on instance i-1"]);
    describes(&aws, "Ready", "before");
    assert_eq!(
        failure(&aws).await,
        format!(
            "The environment shop-prod did not take the version {label}: it runs before\nFailed to deploy application.\n\
             Command failed on instance i-1"
        )
    );
    describes(&aws, "Ready", &label);
    let message = failure(&aws).await;
    assert!(message.starts_with(&format!("The environment shop-prod reports errors with the version {label}\nFailed")));
    describes(&aws, "Terminating", "before");
    assert_eq!(failure(&aws).await, "The environment shop-prod is Terminating");
}

#[tokio::test]
async fn what_a_lost_worker_left_is_found_by_its_label() {
    let (aws, task) = (aws(), Task { reclaimed: true, ..deploy() });
    let label = task.id.to_string();
    let versions = |aws: &Aws, versions: &str| {
        let versions = format!("<ApplicationVersions>{versions}</ApplicationVersions>");
        answers(aws, "DescribeApplicationVersions", &versions);
    };
    let start = async |aws: &Aws| assert!(matches!(registry(aws).start(&task).await, Ok(Outcome::Running { .. })));
    let calls = |operation| aws.calls(operation).len();
    versions(&aws, "<member><VersionLabel>it</VersionLabel></member>");
    for (status, shown) in [("Updating", "before"), ("Updating", label.as_str()), ("Ready", label.as_str())] {
        describes(&aws, status, shown);
        start(&aws).await;
    }
    assert_eq!((calls("CreateApplicationVersion"), calls("UpdateEnvironment")), (0, 0), "all is done");
    describes(&aws, "Ready", "before");
    start(&aws).await;
    assert_eq!((calls("CreateApplicationVersion"), calls("UpdateEnvironment")), (0, 1), "the version is there");
    versions(&aws, "");
    start(&aws).await;
    assert_eq!((calls("CreateApplicationVersion"), calls("UpdateEnvironment")), (1, 2), "nothing is there");
}

#[tokio::test]
async fn what_is_refused_is_told_in_elastic_beanstalk_s_words_and_what_passes_is_tried_again() {
    let (aws, task) = (aws(), deploy());
    let words = "Environment named shop-prod is in an invalid state for this operation. Must be Ready.";
    refuses(&aws, "UpdateEnvironment", 400, "InvalidParameterValue", words);
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "ConfigurationError");
    assert!(error.message.ends_with(words), "{}", error.message);
    refuses(&aws, "UpdateEnvironment", 403, "InsufficientPrivilegesException", "no");
    assert_eq!(failed(&registry(&aws), &task).await.code, "PermissionError");
    refuses(&aws, "UpdateEnvironment", 400, "Throttling", "Rate exceeded");
    put_off(&registry(&aws), &task).await;
    answers(&aws, "DescribeEnvironments", "<Environments></Environments>");
    let error = failed(&registry(&aws), &task).await;
    let expected = "DescribeEnvironments of the environment shop-prod of the application shop failed: there is none";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
}
