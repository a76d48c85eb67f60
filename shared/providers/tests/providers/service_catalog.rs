use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{failed, input, put_off, registry, succeeded, task};

const PRODUCT: &str = "prod-example123456";
const ARTIFACT: &str = "store-eu/shop/App/abcdefghijklmnop";

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("ProductId", PRODUCT)];
    all.extend(configuration);
    Task { inputs: vec![input("App")], ..task("Deploy", "ServiceCatalog", &all) }
}

fn from_console() -> Task {
    deploy(&[
        ("TemplateFilePath", "S3_template.json"),
        ("ProductVersionName", "devops S3 v2"),
        ("ProductType", "CLOUD_FORMATION_TEMPLATE"),
        ("ProductVersionDescription", "the second"),
    ])
}

fn has_files(aws: &Aws, settings: &Value) {
    let settings = settings.to_string();
    let files = [("S3_template.json", r#"{"Resources": {}}"#), ("ci/sample_config.json", settings.as_str())];
    aws.plain_object(ARTIFACT, &write_zip(files).unwrap());
}

fn sample() -> Value {
    json!({
        "SchemaVersion": "1.0",
        "ProductVersionName": "from a file",
        "ProductType": "CLOUD_FORMATION_TEMPLATE",
        "Properties": {"TemplateFilePath": "/S3_template.json"},
    })
}

fn answers(aws: &Aws, operation: &str, status: &str) {
    let detail = json!({"Id": "pa-7", "Name": "devops S3 v2", "Type": "CLOUD_FORMATION_TEMPLATE"});
    let answer = json!({"ProvisioningArtifactDetail": detail, "Status": status, "Info": {}});
    aws.on(operation, 200, answer.to_string());
}

fn started() -> Task {
    Task { external: Some(External { id: "pa-7".to_owned(), url: None }), ..from_console() }
}

#[tokio::test]
async fn the_template_becomes_a_version_of_the_product() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    answers(&aws, "CreateProvisioningArtifact", "AVAILABLE");
    let task = from_console();
    let done = succeeded(&registry(&aws), &task).await;
    let external = done.report.external.unwrap();
    assert_eq!(external.id, "pa-7");
    assert!(
        external.url.unwrap().ends_with(&format!("/servicecatalog/home?region=eu-west-1#admin-products/{PRODUCT}"))
    );
    assert!(done.report.summary.unwrap().starts_with("Version devops S3 v2 (pa-7)"));
    let call = &aws.calls("CreateProvisioningArtifact")[0];
    let key = format!("shop/App/abcdefghijklmnop.{}.template", task.id);
    assert_eq!(aws.stored(&format!("store-eu/{key}")).data, br#"{"Resources": {}}"#);
    let put = &aws.calls("PutObject")[0];
    assert_eq!(put.header("x-amz-server-side-encryption-aws-kms-key-id"), "arn:aws:kms:eu-west-1:111122223333:key/k");
    assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "eu-west-1"));
    let expected = json!({
        "ProductId": PRODUCT,
        "IdempotencyToken": task.id.to_string(),
        "Parameters": {
            "Name": "devops S3 v2",
            "Description": "the second",
            "Type": "CLOUD_FORMATION_TEMPLATE",
            "Info": {"LoadTemplateFromURL": format!("https://store-eu.s3.eu-west-1.amazonaws.com/{key}")},
        },
    });
    assert_eq!(call.json(), expected);
    // Who takes the attempt over says the same under the same token.
    succeeded(&registry(&aws), &Task { reclaimed: true, ..task }).await;
    assert_eq!(aws.calls("CreateProvisioningArtifact")[1].json(), expected);
}

#[tokio::test]
async fn a_file_of_the_artifact_can_say_all_of_it() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    answers(&aws, "CreateProvisioningArtifact", "AVAILABLE");
    let task = deploy(&[("ConfigurationFilePath", "ci/sample_config.json")]);
    succeeded(&registry(&aws), &task).await;
    let parameters = aws.calls("CreateProvisioningArtifact")[0].json()["Parameters"].clone();
    assert_eq!((&parameters["Name"], parameters.get("Description")), (&json!("from a file"), None));
    has_files(&aws, &json!({"ProductVersionName": "x", "ProductType": "y"}));
    let error = failed(&registry(&aws), &task).await;
    assert_eq!(error.code, "ConfigurationError");
    for words in ["ci/sample_config.json", "missing field `Properties`"] {
        assert!(error.message.contains(words), "{}", error.message);
    }
}

#[tokio::test]
async fn a_version_that_is_being_made_is_waited_for() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    answers(&aws, "CreateProvisioningArtifact", "CREATING");
    let Outcome::Running { report, poll: true, .. } = registry(&aws).start(&from_console()).await.unwrap() else {
        panic!()
    };
    assert_eq!(report.external.unwrap().id, "pa-7");
    answers(&aws, "DescribeProvisioningArtifact", "CREATING");
    assert!(matches!(registry(&aws).poll(&started()).await.unwrap(), Outcome::Running { poll: true, .. }));
    let asked = aws.calls("DescribeProvisioningArtifact")[0].json();
    assert_eq!(asked, json!({"ProductId": PRODUCT, "ProvisioningArtifactId": "pa-7"}));
    answers(&aws, "DescribeProvisioningArtifact", "AVAILABLE");
    assert!(matches!(registry(&aws).poll(&started()).await.unwrap(), Outcome::Succeeded(_)));
    answers(&aws, "DescribeProvisioningArtifact", "FAILED");
    let Outcome::Failed { error, report } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(error.code, "JobFailed");
    assert!(error.message.contains("the version devops S3 v2 (pa-7) of the product"), "{}", error.message);
    assert_eq!(report.external.unwrap().id, "pa-7");
    aws.fail("DescribeProvisioningArtifact", 400, "ResourceNotFoundException", "It is gone.");
    let Outcome::Failed { error, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert!(error.code == "JobFailed" && error.message.contains("It is gone."), "{error:?}");
}

#[tokio::test]
async fn what_is_missing_is_named_before_anything_is_made() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    for key in ["TemplateFilePath", "ProductVersionName", "ProductType"] {
        let mut task = from_console();
        task.configuration.remove(key);
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.ends_with(&format!("needs a value for {key} or ConfigurationFilePath")), "{error:?}");
    }
    let mut task = from_console();
    task.configuration.insert("TemplateFilePath".into(), "gone.json".into());
    let error = failed(&registry(&aws), &task).await;
    assert!(error.message.contains("gone.json") && error.message.contains("App"), "{}", error.message);
    let error = failed(&registry(&aws), &Task { inputs: Vec::new(), ..from_console() }).await;
    assert!(error.message.contains("needs one input artifact"), "{}", error.message);
    assert!(aws.calls("CreateProvisioningArtifact").is_empty());
}

#[tokio::test]
async fn refusals_are_told_and_throttling_is_put_off() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    for (exception, code) in [
        ("ResourceNotFoundException", "ConfigurationError"),
        ("InvalidParametersException", "ConfigurationError"),
        ("LimitExceededException", "ConfigurationError"),
        ("AccessDeniedException", "PermissionError"),
    ] {
        aws.fail("CreateProvisioningArtifact", 400, exception, "The words of Service Catalog.");
        let error = failed(&registry(&aws), &from_console()).await;
        assert_eq!(error.code, code, "{exception}");
        for words in ["The words of Service Catalog.", "devops S3 v2", PRODUCT] {
            assert!(error.message.contains(words), "{}", error.message);
        }
    }
    aws.fail("CreateProvisioningArtifact", 400, "ThrottlingException", "Slowly.");
    assert!(put_off(&registry(&aws), &from_console()).await.contains("Slowly."));
}

#[tokio::test]
async fn it_acts_in_the_action_s_region_as_the_action_s_role() {
    let aws = Aws::default();
    has_files(&aws, &sample());
    answers(&aws, "CreateProvisioningArtifact", "AVAILABLE");
    let action_role = Some("arn:aws:iam::444455556666:role/publisher".to_owned());
    let task = Task { action_role, region: "us-west-2".into(), ..from_console() };
    succeeded(&registry(&aws), &task).await;
    let call = &aws.calls("CreateProvisioningArtifact")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("publisher", "us-west-2"));
}
