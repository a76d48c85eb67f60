use driver::Task;
use serde_json::{Value, json};

use crate::build_shell::{Ran, commands, run};
use crate::managed::{aws, started};
use crate::{artifact, failed, input, registry, task};

const SOURCE: (&str, &str) = ("InspectorRunMode", "SourceCodeScan");
const IMAGE: (&str, &str) = ("InspectorRunMode", "ECRImageScan");

fn scan(configuration: &[(&str, &str)]) -> Task {
    let inputs = if configuration.contains(&IMAGE) { Vec::new() } else { vec![input("App")] };
    Task { inputs, outputs: vec![artifact("Report")], ..task("Invoke", "InspectorScan", configuration) }
}

async fn sent(configuration: &[(&str, &str)]) -> Value {
    started(&aws(&["App"]), &scan(configuration)).await
}

/// Runs it with an Inspector that finds so many critical, high, medium and low vulnerabilities.
fn finds(sent: &Value, counts: [u32; 4]) -> Ran {
    let names = ["critical", "high", "medium", "low"];
    let property = |(name, count): (&str, u32)| json!({"name": format!("amazon:inspector:sbom_scanner:{name}_vulnerabilities"), "value": count.to_string()});
    let properties: Vec<_> = names.into_iter().zip(counts).map(property).collect();
    let found = json!({"sbom": {"bomFormat": "CycloneDX", "metadata": {"properties": properties}}});
    let answer = format!("echo '{found}'");
    run(
        sent,
        &[],
        &[("aws", &answer), ("curl", ""), ("unzip", ""), ("chmod", ""), ("inspector-sbomgen", ""), ("docker", "")],
    )
}

#[tokio::test]
async fn source_code_is_scanned_and_its_report_is_the_artifact() {
    let sent = sent(&[SOURCE]).await;
    assert_eq!((&sent["sourceTypeOverride"], &sent["privilegedModeOverride"]), (&json!("S3"), &Value::Null));
    let spec: Value = serde_json::from_str(sent["buildspecOverride"].as_str().unwrap()).unwrap();
    assert_eq!(spec["artifacts"], json!({"files": ["sbom.json"]}));
    let ran = finds(&sent, [0, 2, 5, 9]);
    assert_eq!(ran.failed, None, "{}", ran.printed);
    for (beginning, end) in [
        ("inspector-sbomgen [directory] [--path=.] [--outfile=/", "/sbom.json]"),
        ("aws [inspector-scan] [scan-sbom] [--sbom=file:///", "] [--output-format=CYCLONE_DX_1_5] [--output=json]"),
    ] {
        let found = ran.calls.iter().any(|it| it.starts_with(beginning) && it.ends_with(end));
        assert!(found, "{:?}", ran.calls);
    }
    assert_eq!(ran.exported["HighestScannedSeverity"], "high");
    let report = std::fs::read_to_string(ran.source.path().join("sbom.json")).unwrap();
    assert!(report.contains("CycloneDX"), "{report}");
}

#[tokio::test]
async fn an_image_is_scanned_without_an_input() {
    let sent = sent(&[IMAGE, ("ECRRepositoryName", "shop"), ("ImageTag", "v1")]).await;
    assert_eq!((&sent["sourceTypeOverride"], &sent["privilegedModeOverride"]), (&json!("NO_SOURCE"), &json!(true)));
    let ran = finds(&sent, [0; 4]);
    let image = "inspector-sbomgen [container] [--image=111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop:v1] ";
    assert!(ran.calls.iter().any(|it| it.starts_with(image)), "{:?}", ran.calls);
}

#[tokio::test]
async fn the_highest_severity_is_the_output_variable() {
    let sent = sent(&[SOURCE]).await;
    for (counts, expected) in [
        ([1, 0, 0, 0], "critical"),
        ([0, 1, 1, 0], "high"),
        ([0, 0, 1, 3], "medium"),
        ([0, 0, 0, 1], "low"),
        ([0; 4], "none"),
    ] {
        assert_eq!(finds(&sent, counts).exported["HighestScannedSeverity"], expected);
    }
}

#[tokio::test]
async fn more_than_a_threshold_fails_the_action_and_says_so() {
    let thresholds =
        [("CriticalThreshold", "0"), ("HighThreshold", "2"), ("MediumThreshold", "5"), ("LowThreshold", "9")];
    let sent = sent(&[&[SOURCE][..], &thresholds].concat()).await;
    assert_eq!(finds(&sent, [0, 2, 5, 9]).failed, None, "as many as the threshold are no more than it");
    for (counts, says) in [
        ([1, 0, 0, 0], "1 critical vulnerabilities are more than the threshold, 0"),
        ([0, 3, 0, 0], "3 high vulnerabilities are more than the threshold, 2"),
        ([0, 0, 6, 0], "6 medium vulnerabilities are more than the threshold, 5"),
        ([0, 0, 0, 10], "10 low vulnerabilities are more than the threshold, 9"),
    ] {
        let ran = finds(&sent, counts);
        assert!(ran.failed.is_some() && ran.printed.contains(says), "{}", ran.printed);
    }
}

#[tokio::test]
async fn no_value_can_be_a_command() {
    let evil = "x'; touch hacked; echo '$(touch hacked)`touch hacked`";
    let ran = finds(&sent(&[IMAGE, ("ECRRepositoryName", evil)]).await, [0; 4]);
    assert_eq!(ran.failed, None, "{}", ran.printed);
    assert!(!ran.source.path().join("hacked").exists(), "{:?}", ran.calls);
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_names_the_key() {
    let aws = aws(&["App"]);
    let mut without_input = scan(&[SOURCE]);
    without_input.inputs.clear();
    for (task, part) in [
        (scan(&[]), "needs a value for InspectorRunMode"),
        (scan(&[("InspectorRunMode", "Both")]), "it can be SourceCodeScan or ECRImageScan"),
        (scan(&[IMAGE]), "needs a value for ECRRepositoryName"),
        (scan(&[IMAGE, ("ECRRepositoryName", "shop"), ("ImageTag", "a b")]), "ImageTag is \"a b\""),
        (scan(&[SOURCE, ("HighThreshold", "some")]), "it must be a whole number"),
        (without_input, "has no input artifact, which the value SourceCodeScan"),
    ] {
        let error = failed(&registry(&aws), &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(aws.calls("StartBuild").is_empty());
}

#[tokio::test]
async fn what_fails_before_the_scan_fails_the_action() {
    let sent = sent(&[SOURCE]).await;
    let ran = run(&sent, &[], &[("curl", "exit 22"), ("unzip", "")]);
    assert_eq!(ran.failed.as_deref(), Some(commands(&sent)[1].as_str()));
}
