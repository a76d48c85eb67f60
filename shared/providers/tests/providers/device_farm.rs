use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::External;
use serde_json::{Value, json};
use testkit::Aws;

use crate::{failed, input, put_off, registry, task};

const PROJECT: &str = "arn:aws:devicefarm:us-west-2:111122223333:project:eec4905f";
const POOL: &str = "arn:aws:devicefarm:us-west-2::devicepool:0e5c1bd1";
const RUN: &str = "arn:aws:devicefarm:us-west-2:111122223333:run:eec4905f/7aa1";
const PLACE: &str = "https://uploads.example/put?signature=secret";

fn test(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![
        ("AppType", "Android"),
        ("ProjectId", "eec4905f"),
        ("App", "out/app.apk"),
        ("DevicePoolArn", POOL),
        ("TestType", "BUILTIN_FUZZ"),
    ];
    all.extend(configuration);
    Task { inputs: vec![input("App")], region: "us-west-2".into(), ..task("Test", "DeviceFarm", &all) }
}

fn with_appium(more: &[(&str, &str)]) -> Task {
    let mut all = vec![("TestType", "APPIUM_PYTHON"), ("Test", "tests.zip"), ("TestSpec", "spec.yml")];
    all.extend(more);
    test(&all)
}

/// An artifact with all files, and Device Farm that takes them.
fn takes_files(aws: &Aws) {
    let files = [("out/app.apk", "the app"), ("tests.zip", "the tests"), ("spec.yml", "version: 0.1")];
    aws.plain_object("store-eu/shop/App/abcdefghijklmnop", &write_zip(files).unwrap());
    aws.reply("CreateUpload", |call| {
        let arn = format!("arn:aws:devicefarm:us-west-2:111122223333:upload:{}", call.json()["name"].as_str().unwrap());
        let answer = json!({"upload": {"arn": arn, "url": PLACE, "status": "INITIALIZED"}});
        (200, Default::default(), answer.to_string().into())
    });
    aws.on(&format!("PUT {PLACE}"), 200, "");
    checks(aws, "SUCCEEDED", json!({}));
}

fn checks(aws: &Aws, status: &str, more: Value) {
    let mut upload = json!({"status": status});
    upload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    aws.on("GetUpload", 200, json!({"upload": upload}).to_string());
}

fn run(status: &str, result: &str, more: Value) -> Value {
    let mut run = json!({"arn": RUN, "name": "x", "status": status, "result": result});
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"run": run})
}

fn schedules(aws: &Aws) {
    aws.on("ScheduleRun", 200, run("SCHEDULING", "PENDING", json!({"totalJobs": 0})).to_string());
}

fn stands(aws: &Aws, status: &str, result: &str, more: Value) {
    aws.on("GetRun", 200, run(status, result, more).to_string());
}

fn started() -> Task {
    Task { external: Some(External { id: RUN.to_owned(), url: None }), ..test(&[]) }
}

async fn running(aws: &Aws, task: &Task) -> External {
    match registry(aws).start(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => report.external.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn files_are_uploaded_and_a_run_is_scheduled_under_the_attempt_s_id() {
    let aws = Aws::default();
    takes_files(&aws);
    schedules(&aws);
    let task = with_appium(&[
        ("RadioWifiEnabled", "false"),
        ("RadioGpsEnabled", "true"),
        ("RecordVideo", "false"),
        ("RecordAppPerformanceData", "true"),
        ("CustomHostMachineArtifacts", "$WORKING_DIRECTORY"),
        ("CustomDeviceArtifacts", "/sdcard/"),
        ("UnmeteredDevicesOnly", "true"),
        ("JobTimeoutMinutes", "25"),
        ("Latitude", "47.6"),
        ("Longitude", "-122.3"),
        ("AppiumVersion", "1.7.2"),
    ]);
    let external = running(&aws, &task).await;
    assert_eq!(external.id, RUN);
    assert!(external.url.unwrap().ends_with("/devicefarm/home?region=us-west-2#/projects/eec4905f/runs/7aa1"));
    let uploads: Vec<_> = aws.calls("CreateUpload").iter().map(testkit::Call::json).collect();
    let upload = |name: &str, kind: &str| json!({"projectArn": PROJECT, "name": name, "type": kind});
    let expected = [
        upload("app.apk", "ANDROID_APP"),
        upload("tests.zip", "APPIUM_PYTHON_TEST_PACKAGE"),
        upload("spec.yml", "APPIUM_PYTHON_TEST_SPEC"),
    ];
    assert_eq!(uploads, expected);
    let sent: Vec<_> = aws.calls(&format!("PUT {PLACE}")).iter().map(testkit::Call::text).collect();
    assert_eq!(sent, ["the app", "the tests", "version: 0.1"]);
    assert!(aws.calls(&format!("PUT {PLACE}")).iter().all(|call| !call.headers.contains_key("authorization")));
    let arn = |name: &str| format!("arn:aws:devicefarm:us-west-2:111122223333:upload:{name}");
    let call = &aws.calls("ScheduleRun")[0];
    assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "us-west-2"));
    let expected = json!({
        "projectArn": PROJECT,
        "appArn": arn("app.apk"),
        "devicePoolArn": POOL,
        "name": task.id.to_string(),
        "test": {
            "type": "APPIUM_PYTHON",
            "testPackageArn": arn("tests.zip"),
            "testSpecArn": arn("spec.yml"),
            "parameters": {"app_performance_monitoring": "true"},
        },
        "configuration": {
            "location": {"latitude": 47.6, "longitude": -122.3},
            "radios": {"wifi": false, "gps": true},
            "customerArtifactPaths": {"androidPaths": ["/sdcard/"], "deviceHostPaths": ["$WORKING_DIRECTORY"]},
            "billingMethod": "UNMETERED",
        },
        "executionConfiguration": {"jobTimeoutMinutes": 25, "videoCapture": false},
    });
    assert_eq!(call.json(), expected);
}

#[tokio::test]
async fn a_fuzz_test_has_parameters_and_no_file_and_a_web_app_is_not_uploaded() {
    let aws = Aws::default();
    takes_files(&aws);
    schedules(&aws);
    let fuzz = [("FuzzEventCount", "6000"), ("FuzzEventThrottle", "50"), ("FuzzRandomizerSeed", "7")];
    let mut task = test(&fuzz);
    task.configuration.insert("AppType".into(), "iOS".into());
    running(&aws, &task).await;
    assert_eq!(aws.calls("CreateUpload").len(), 1);
    assert_eq!(aws.calls("CreateUpload")[0].json()["type"], "IOS_APP");
    let sent = aws.calls("ScheduleRun")[0].json();
    let parameters = json!({"event_count": "6000", "throttle": "50", "seed": "7"});
    assert_eq!(sent["test"], json!({"type": "BUILTIN_FUZZ", "parameters": parameters}));
    assert_eq!(sent["configuration"]["billingMethod"], "METERED");
    let mut task = test(&[("TestType", "APPIUM_WEB_NODE"), ("Test", "tests.zip"), ("AppType", "Web")]);
    task.configuration.insert("App".into(), "https://shop.example".into());
    running(&aws, &task).await;
    assert_eq!(aws.calls("CreateUpload").len(), 2, "the test alone");
    assert_eq!(aws.calls("ScheduleRun")[1].json().get("appArn"), None);
}

#[tokio::test]
async fn what_a_lost_worker_scheduled_is_found_by_its_name_and_not_scheduled_again() {
    let aws = Aws::default();
    let task = Task { reclaimed: true, ..test(&[]) };
    let name = task.id.to_string();
    aws.reply("ListRuns", move |call| {
        let page = match call.json().get("nextToken") {
            None => json!({"runs": [{"arn": "another", "name": "another"}], "nextToken": "more"}),
            Some(_) => json!({"runs": [{"arn": RUN, "name": name, "status": "RUNNING"}]}),
        };
        (200, Default::default(), page.to_string().into())
    });
    assert_eq!(running(&aws, &task).await.id, RUN);
    assert_eq!(aws.calls("ListRuns")[0].json(), json!({"arn": PROJECT}));
    let not_written_down = Task { reclaimed: false, ..task.clone() };
    assert!(matches!(registry(&aws).poll(&not_written_down).await.unwrap(), Outcome::Running { .. }));
    assert!(aws.calls("ScheduleRun").is_empty());
    // The worker was lost before it scheduled anything.
    aws.on("ListRuns", 200, json!({"runs": []}).to_string());
    takes_files(&aws);
    schedules(&aws);
    running(&aws, &task).await;
    assert_eq!(aws.calls("ScheduleRun").len(), 1);
}

#[tokio::test]
async fn a_run_ends_with_its_result_and_counts() {
    let aws = Aws::default();
    let counters = json!({"total": 12, "passed": 9, "failed": 2, "skipped": 1, "errored": 0});
    stands(&aws, "RUNNING", "PENDING", json!({"totalJobs": 4, "completedJobs": 1, "counters": counters}));
    let Outcome::Running { report, poll: true, .. } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
    assert_eq!(report.percent, Some(25));
    assert_eq!(report.summary.as_deref(), Some("RUNNING: 12 tests, 9 passed, 2 failed, 1 skipped"));
    assert_eq!(aws.calls("GetRun")[0].json(), json!({"arn": RUN}));
    for result in ["PASSED", "WARNED"] {
        stands(&aws, "COMPLETED", result, json!({"counters": {"total": 3, "passed": 3}}));
        let Outcome::Succeeded(done) = registry(&aws).poll(&started()).await.unwrap() else { panic!("{result}") };
        assert_eq!(done.report.summary.as_deref(), Some("COMPLETED: 3 tests, 3 passed"));
    }
    for result in ["FAILED", "ERRORED", "STOPPED", "SKIPPED"] {
        stands(&aws, "COMPLETED", result, json!({"counters": counters, "message": "The app crashed."}));
        let Outcome::Failed { error, report } = registry(&aws).poll(&started()).await.unwrap() else { panic!() };
        assert_eq!(error.code, "JobFailed");
        let expected =
            format!("The run {RUN} ended as {result}: 12 tests, 9 passed, 2 failed, 1 skipped: The app crashed.");
        assert_eq!((error.message, report.external.unwrap().id.as_str()), (expected, RUN));
    }
}

#[tokio::test]
async fn a_file_that_is_refused_is_named_with_the_reason() {
    let aws = Aws::default();
    takes_files(&aws);
    checks(&aws, "FAILED", json!({"message": "AAPT_DEBUG_BADGING_FAILED: We could not extract information."}));
    let error = failed(&registry(&aws), &test(&[])).await;
    assert_eq!(error.code, "JobFailed");
    let expected =
        "Device Farm does not take out/app.apk (App): AAPT_DEBUG_BADGING_FAILED: We could not extract information.";
    assert_eq!(error.message, expected);
    aws.on(&format!("PUT {PLACE}"), 403, "<Error><Code>AccessDenied</Code></Error>");
    let error = failed(&registry(&aws), &test(&[])).await;
    assert!(error.message.contains("out/app.apk") && error.message.contains("403"), "{}", error.message);
    assert!(!error.message.contains("secret"), "{}", error.message);
    aws.on(&format!("PUT {PLACE}"), 503, "Slow down");
    assert!(put_off(&registry(&aws), &test(&[])).await.contains("Slow down"));
    let error = failed(&registry(&aws), &test(&[("App", "none.apk")])).await;
    assert!(error.message.contains("none.apk"), "{}", error.message);
    assert!(aws.calls("ScheduleRun").is_empty());
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_key() {
    let aws = Aws::default();
    for (key, value, words) in [
        ("AppType", "Windows", "it can be iOS, Android or Web"),
        ("ProjectId", "", "needs a value for ProjectId"),
        ("TestType", "APPIUM_PYTHON", "needs a value for Test, as its TestType is APPIUM_PYTHON"),
        ("FuzzEventCount", "0", "it must be from 1 to 10000"),
        ("FuzzEventThrottle", "1001", "it must be from 0 to 1000"),
        ("FuzzRandomizerSeed", "x", "it must be a whole number"),
        ("RecordVideo", "maybe", "it must be true or false"),
        ("Latitude", "47.6", "needs a value for Longitude"),
    ] {
        let error = failed(&registry(&aws), &test(&[(key, value)])).await;
        assert_eq!(error.code, "ConfigurationError", "{key}");
        assert!(error.message.contains(words), "{}", error.message);
    }
    let error = failed(&registry(&aws), &test(&[("Latitude", "91"), ("Longitude", "0")])).await;
    assert!(error.message.contains("degrees from -90 to 90"), "{}", error.message);
    let error = failed(&registry(&aws), &Task { region: "eu-west-1".into(), ..test(&[]) }).await;
    assert!(error.message.contains("Device Farm is in us-west-2 alone"), "{}", error.message);
    assert!(aws.operations().iter().all(|operation| operation == "AssumeRole"), "{:?}", aws.operations());
}

#[tokio::test]
async fn refusals_are_told_and_throttling_is_put_off() {
    let aws = Aws::default();
    takes_files(&aws);
    for (exception, code) in [
        ("ArgumentException", "ConfigurationError"),
        ("NotFoundException", "ConfigurationError"),
        ("LimitExceededException", "ConfigurationError"),
        ("AccessDeniedException", "PermissionError"),
    ] {
        aws.fail("ScheduleRun", 400, exception, "The words of Device Farm.");
        let error = failed(&registry(&aws), &test(&[])).await;
        assert!(error.code == code && error.message.contains("The words of Device Farm."), "{error:?}");
    }
    aws.fail("ScheduleRun", 400, "ThrottlingException", "Slowly.");
    assert!(put_off(&registry(&aws), &test(&[])).await.contains("Slowly."));
}

#[tokio::test]
async fn the_action_s_role_says_whose_project_it_is() {
    let aws = Aws::default();
    takes_files(&aws);
    schedules(&aws);
    let action_role = Some("arn:aws:iam::444455556666:role/tester".to_owned());
    running(&aws, &Task { action_role, ..test(&[]) }).await;
    let call = &aws.calls("ScheduleRun")[0];
    assert_eq!(call.role, "tester");
    assert_eq!(call.json()["projectArn"], "arn:aws:devicefarm:us-west-2:444455556666:project:eec4905f");
}
