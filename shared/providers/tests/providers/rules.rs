use std::sync::Arc;

use aws_smithy_cbor::Encoder;
use driver::{ActionExecutor, Clock, Outcome, Task};
use engine::{ActionError, Timestamp};
use pipeline::catalogue;
use testkit::{Aws, TestClock};

use crate::permissions::Checked;
use crate::{failed, input, job_id, put_off, signing, succeeded};

/// 2026-11-24T08:59:30Z, a Tuesday.
const MORNING: Timestamp = Timestamp(1_795_510_770_000);
const MINUTE: i64 = 60_000;

fn registry(aws: &Aws) -> (Checked, Arc<TestClock>) {
    let time = Arc::new(TestClock::standing(MORNING));
    (crate::registry(aws).with_clock(time.clone()), time)
}

/// A rule of an entry condition that was requested in the morning.
fn rule(provider: &str, configuration: &[(&str, &str)]) -> Task {
    let mut rule = crate::task("Rule", provider, configuration);
    rule.id.action = 100;
    rule.deadline = Some(MORNING.plus(60 * MINUTE));
    rule
}

async fn poll(registry: &Checked, task: &Task) -> Result<String, ActionError> {
    match registry.poll(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => Ok(report.summary.unwrap()),
        Outcome::Succeeded(success) => Ok(format!("held: {}", success.report.summary.unwrap())),
        Outcome::Failed { error, .. } => Err(error),
        other => panic!("{other:?}"),
    }
}

async fn waits(registry: &Checked, task: &Task) -> String {
    match registry.start(task).await.unwrap() {
        Outcome::Running { report, poll: true, .. } => report.summary.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exactly_the_built_rules_run() {
    let aws = Aws::default();
    // Commands have no key that can be missing, but they have a role.
    aws.fail("StartBuild", 400, "AccessDeniedException", "not allowed");
    let (registry, _) = registry(&aws);
    for known in catalogue::rules::all() {
        let task = rule(known.provider, &[]);
        let message = failed(&registry, &task).await.message;
        let expected = format!("Millrace does not run {} rules yet (owner AWS, version 1)", known.provider);
        let built = providers::all().iter().any(|it| it.types.iter().any(|it| it.id() == known.id()));
        assert_eq!(message == expected, !built, "{message}");
    }
    let mut other = rule("VariableCheck", &[]);
    other.action.type_id.version = Some("2".into());
    assert!(failed(&registry, &other).await.message.contains("does not run VariableCheck rules yet"));
    let asked = aws.operations();
    assert!(asked.iter().all(|it| ["AssumeRole", "StartBuild"].contains(&it.as_str())), "{asked:?}");
}

#[tokio::test]
async fn a_window_is_waited_for_and_holds_when_it_opens() {
    let aws = Aws::default();
    let (registry, time) = registry(&aws);
    let task = rule("DeploymentWindow", &[("Cron", "* * 9-16 ? * MON-FRI *")]);
    let waiting = "Waits for the deployment window, which opens at 2026-11-24 09:00 (UTC+00:00)";
    assert_eq!(waits(&registry, &task).await, waiting);
    time.pass(29_000);
    assert_eq!(poll(&registry, &task).await.unwrap(), waiting, "the same words, so that nothing is written");
    time.pass(1_000);
    let open = "held: The deployment window is open since 2026-11-24 09:00 (UTC+00:00)";
    assert_eq!(poll(&registry, &task).await.unwrap(), open);
    assert_eq!(succeeded(&registry, &task).await.report.summary.as_deref(), open.strip_prefix("held: "));
    time.pass(8 * 60 * MINUTE);
    let late = Task { deadline: Some(time.now().plus(60 * MINUTE)), ..task };
    assert!(waits(&registry, &late).await.contains("2026-11-25 09:00"), "it is evening");
    assert!(aws.operations().is_empty(), "no role is needed");
}

#[tokio::test]
async fn a_window_of_one_minute_is_not_missed_between_two_polls_nor_found_long_after() {
    let aws = Aws::default();
    let (registry, time) = registry(&aws);
    let task = rule("DeploymentWindow", &[("Cron", "0 0 9-17 ? * MON-FRI *")]);
    assert!(waits(&registry, &task).await.contains("09:00"));
    time.pass(2 * MINUTE);
    assert!(poll(&registry, &task).await.unwrap().contains("open since 2026-11-24 09:00"));
    time.pass(3 * MINUTE);
    assert!(poll(&registry, &task).await.unwrap().contains("opens at 2026-11-24 10:00"));
    // What was open before the rule was requested does not count.
    let mut later = task.clone();
    later.deadline = Some(MORNING.plus(62 * MINUTE));
    time.pass(-3 * MINUTE);
    assert!(poll(&registry, &later).await.unwrap().contains("opens at 2026-11-24 10:00"));
}

#[tokio::test]
async fn a_window_is_in_its_zone_s_time() {
    let aws = Aws::default();
    let (registry, _) = registry(&aws);
    for (zone, opening) in [
        ("America/New_York", "2026-11-24 09:00 (UTC-05:00)"),
        ("PST", "2026-11-24 09:00 (UTC-08:00)"),
        ("UTC+01:30", "2026-11-25 09:00 (UTC+01:30)"),
    ] {
        let task = rule("DeploymentWindow", &[("Cron", "* 0-20 9 * * ?"), ("TimeZone", zone)]);
        assert!(waits(&registry, &task).await.ends_with(opening), "{zone}");
    }
}

#[tokio::test]
async fn a_window_that_cannot_be_says_why() {
    let aws = Aws::default();
    let (registry, _) = registry(&aws);
    for (cron, zone, code, words) in [
        (
            "* * 25 * * ?",
            "UTC",
            "ConfigurationError",
            "Cron is \"* * 25 * * ?\": \"25\" is not a valid value for hours",
        ),
        ("* * * * * ?", "Mars/Base", "ConfigurationError", "TimeZone is \"Mars/Base\": there is no such time zone"),
        ("* * * * * ? 2020", "UTC", "JobFailed", "does not open any more"),
    ] {
        let error = failed(&registry, &rule("DeploymentWindow", &[("Cron", cron), ("TimeZone", zone)])).await;
        assert_eq!(error.code, code);
        assert!(error.message.contains(words), "{}", error.message);
    }
    let error = failed(&registry, &rule("DeploymentWindow", &[])).await;
    assert_eq!(error.message, "DeploymentWindow rule the-action needs a value for Cron");
}

/// CloudWatch's answer with one alarm in a state, or none.
fn alarms(kind: &str, state: Option<&str>) -> Vec<u8> {
    let mut answer = Encoder::new(Vec::new());
    answer.begin_map().str(kind).array(usize::from(state.is_some()));
    if let Some(state) = state {
        answer.begin_map().str("AlarmName").str("errors").str("StateValue").str(state);
        answer.str("AlarmArn").str("arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors").end();
    }
    answer.end();
    answer.into_writer()
}

fn refusal(code: &str) -> Vec<u8> {
    let mut answer = Encoder::new(Vec::new());
    answer.begin_map().str("__type").str(code).str("message").str("The words of CloudWatch.").end();
    answer.into_writer()
}

#[tokio::test]
async fn an_alarm_in_a_wanted_state_holds_at_once() {
    for (kind, state, states, after_failure) in [
        ("MetricAlarms", "OK", None, false),
        ("MetricAlarms", "INSUFFICIENT_DATA", None, false),
        ("CompositeAlarms", "ALARM", Some("ALARM"), false),
        ("CompositeAlarms", "ALARM", None, true),
        ("MetricAlarms", "OK", Some("ALARM,OK"), true),
    ] {
        let aws = Aws::default();
        aws.on("DescribeAlarms", 200, alarms(kind, Some(state)));
        let (registry, _) = registry(&aws);
        let mut task = rule("CloudWatchAlarm", &[("AlarmName", "errors"), ("WaitTime", "20")]);
        if let Some(states) = states {
            task.configuration.insert("AlarmStates".into(), states.into());
        }
        if after_failure {
            task.id.action = ON_FAILURE;
        }
        let report = succeeded(&registry, &task).await.report;
        assert_eq!(report.summary.unwrap(), format!("The alarm errors is in state {state}"));
        let external = report.external.unwrap();
        assert_eq!(external.id, "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors");
        assert!(external.url.unwrap().ends_with("#alarmsV2:alarm/errors"));
        let call = &aws.calls("DescribeAlarms")[0];
        assert_eq!((call.role.as_str(), call.region.as_str()), ("pipeline", "eu-west-1"));
    }
}

/// The place of the first rule of an `onSuccess` condition, and of an `onFailure` one.
const ON_SUCCESS: u8 = 110;
const ON_FAILURE: u8 = 120;

#[tokio::test]
async fn after_a_success_an_alarm_is_watched_for_all_of_the_time() {
    let aws = Aws::default();
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("OK")));
    let (registry, time) = registry(&aws);
    let mut task = rule("CloudWatchAlarm", &[("AlarmName", "errors"), ("WaitTime", "20")]);
    task.id.action = ON_SUCCESS;
    let watched = "The alarm errors is in state OK; is watched until the end of WaitTime";
    assert_eq!(waits(&registry, &task).await, watched, "an alarm that is quiet at first proves nothing");
    time.pass(20 * MINUTE - 1);
    assert_eq!(poll(&registry, &task).await.unwrap(), watched);
    time.pass(1);
    assert_eq!(poll(&registry, &task).await.unwrap(), "held: The alarm errors is in state OK");
}

#[tokio::test]
async fn after_a_success_an_alarm_that_goes_off_fails_the_rule_at_once() {
    let aws = Aws::default();
    let (registry, time) = registry(&aws);
    let mut task = rule("CloudWatchAlarm", &[("AlarmName", "errors"), ("WaitTime", "20")]);
    task.id.action = ON_SUCCESS;
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("INSUFFICIENT_DATA")));
    assert!(waits(&registry, &task).await.contains("watched"));
    time.pass(MINUTE);
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("ALARM")));
    let error = poll(&registry, &task).await.unwrap_err();
    assert_eq!(error.message, "the alarm errors is in state ALARM, and the rule holds in OK or INSUFFICIENT_DATA");
    // One that is off already, and one that nobody is to watch.
    assert_eq!(failed(&registry, &task).await.code, "JobFailed");
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("OK")));
    task.configuration.remove("WaitTime");
    succeeded(&registry, &task).await;
}

#[tokio::test]
async fn an_alarm_is_waited_for_as_long_as_the_rule_says() {
    let aws = Aws::default();
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("ALARM")));
    let (registry, time) = registry(&aws);
    let mut task = rule("CloudWatchAlarm", &[("AlarmName", "errors"), ("WaitTime", "20")]);
    task.action_role = Some("arn:aws:iam::444455556666:role/watcher".into());
    task.region = "us-west-2".into();
    let waiting = "The alarm errors is in state ALARM; waits for OK or INSUFFICIENT_DATA";
    assert_eq!(waits(&registry, &task).await, waiting);
    time.pass(20 * MINUTE - 1);
    assert_eq!(poll(&registry, &task).await.unwrap(), waiting);
    time.pass(1);
    let error = poll(&registry, &task).await.unwrap_err();
    assert_eq!(error.code, "JobFailed");
    assert_eq!(error.message, "the alarm errors is in state ALARM, and the rule holds in OK or INSUFFICIENT_DATA");
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("OK")));
    assert_eq!(poll(&registry, &task).await.unwrap(), "held: The alarm errors is in state OK");
    for call in aws.calls("DescribeAlarms") {
        assert_eq!((call.role.as_str(), call.region.as_str()), ("watcher", "us-west-2"));
    }
    // Without a time to wait the first look decides.
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", Some("ALARM")));
    assert_eq!(failed(&registry, &rule("CloudWatchAlarm", &[("AlarmName", "errors")])).await.code, "JobFailed");
}

#[tokio::test]
async fn an_alarm_that_cannot_be_looked_at_says_why() {
    let aws = Aws::default();
    aws.on("DescribeAlarms", 200, alarms("MetricAlarms", None));
    let (registry, _) = registry(&aws);
    let task = rule("CloudWatchAlarm", &[("AlarmName", "errors")]);
    let error = failed(&registry, &task).await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("ConfigurationError", "there is no alarm errors in eu-west-1")
    );
    aws.on("DescribeAlarms", 403, refusal("AccessDenied"));
    let error = failed(&registry, &task).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains("The words of CloudWatch."), "{}", error.message);
    aws.on("DescribeAlarms", 400, refusal("Throttling"));
    assert!(put_off(&registry, &task).await.contains("Throttling"));
    for (key, value) in [("AlarmStates", "BROKEN"), ("WaitTime", "soon")] {
        let error = failed(&registry, &rule("CloudWatchAlarm", &[("AlarmName", "errors"), (key, value)])).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.starts_with(key) && error.message.contains(value), "{}", error.message);
    }
}

#[tokio::test]
async fn a_lambda_rule_is_a_job_of_its_function() {
    let aws = signing();
    aws.on("Invoke", 202, "");
    let (registry, _) = registry(&aws);
    let mut task = rule("LambdaInvoke", &[("FunctionName", "check"), ("UserParameters", "strict")]);
    task.inputs = vec![input("App")];
    let outcome = registry.start(&task).await.unwrap();
    assert!(matches!(outcome, Outcome::Running { poll: false, .. }), "{outcome:?}");
    let job = aws.calls("Invoke")[0].json()["CodePipeline.job"].clone();
    assert_eq!(job["id"], job_id(&aws, &task).await);
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["UserParameters"], "strict");
    assert_eq!(job["data"]["inputArtifacts"][0]["name"], "App");
    let error = failed(&registry, &rule("LambdaInvoke", &[])).await;
    assert_eq!(error.message, "LambdaInvoke rule the-action needs a value for FunctionName");
}

#[tokio::test]
async fn a_variable_is_compared() {
    let aws = Aws::default();
    let (registry, _) = registry(&aws);
    let mut task = rule("VariableCheck", &[("Variable", "#{Source.Branch}"), ("Value", "main"), ("Operator", "EQ")]);
    task.configuration.insert("Variable".into(), "main".into());
    let held = succeeded(&registry, &task).await;
    assert_eq!(held.report.summary.as_deref(), Some("\"main\" EQ \"main\" holds"));
    task.configuration.insert("Variable".into(), String::new());
    let error = failed(&registry, &task).await;
    assert_eq!((error.code.as_str(), error.message.as_str()), ("JobFailed", "\"\" EQ \"main\" does not hold"));
    task.configuration.insert("Operator".into(), "GT".into());
    assert_eq!(failed(&registry, &task).await.code, "ConfigurationError");
    task.configuration.insert("Operator".into(), "NE".into());
    task.configuration.remove("Value");
    assert_eq!(failed(&registry, &task).await.message, "VariableCheck rule the-action needs a value for Value");
    assert!(aws.operations().is_empty(), "no role is needed");
}
