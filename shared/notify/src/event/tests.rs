//! Each event beside the example of the guide that it must agree with, member by member.

use engine::{ActionError, ActionStatus, Revision};
use pipeline::{ActionName, StageName};
use testkit::samples::{END, START, execution, stage_run};

use super::*;

fn example() -> Pipeline {
    Pipeline::try_from(pipeline::testing::example()).unwrap()
}

fn app() -> BTreeMap<ArtifactName, Artifact> {
    let name = ArtifactName::new("App").unwrap();
    let artifact = Artifact {
        name: name.clone(),
        region: "eu-west-1".into(),
        bucket: "artifacts-bucket".into(),
        key: "release/App/x".into(),
        pin: engine::Pin::default(),
    };
    BTreeMap::from([(name, artifact)])
}

fn built<T>(execution: &Execution, build: impl FnOnce(&EventBuilder<'_>) -> T) -> T {
    let (pipeline, artifacts) = (example(), app());
    build(&EventBuilder {
        execution,
        pipeline: Some(&pipeline),
        arn: "arn:aws:codepipeline:eu-west-1:123456789012:release",
        home: "eu-west-1",
        artifacts: &artifacts,
    })
}

#[test]
fn events_of_executions_are_those_of_the_guide() {
    let of = |execution: Execution, state| built(&execution, |builder| builder.of_execution(state));
    let started = of(execution(), State::Started);
    assert_eq!(started.detail_type, "CodePipeline Pipeline Execution State Change");
    assert_eq!(started.resource, "arn:aws:codepipeline:eu-west-1:123456789012:release");
    assert_eq!((started.time, of(execution(), State::Failed).time), (START, END));
    let common = |state: &str| {
        json!({
            "pipeline": "release",
            "execution-id": "12345678-1234-8678-abcd-000000000000",
            "start-time": "2026-11-23T13:49:39.208Z",
            "state": state,
            "version": 3.0,
            "pipeline-execution-attempt": 1.0,
        })
    };
    let mut expected = common("STARTED");
    expected["execution-trigger"] = json!({"trigger-type": "CloudWatchEvent", "trigger-detail": "arn:aws:events:rule"});
    assert_eq!(started.detail, expected);
    for state in [
        State::Resumed,
        State::Succeeded,
        State::Failed,
        State::Superseded,
        State::Canceled,
        State::Stopped,
        State::Stopping,
    ] {
        assert_eq!(of(execution(), state).detail, common(state.as_str()));
    }
    let stop = |reason: &str| Execution {
        stop: Some(engine::Stop { abandon: false, reason: Some(reason.to_owned()) }),
        ..execution()
    };
    let mut expected = common("STOPPING");
    expected["stop-execution-comments"] = "an update".into();
    assert_eq!(of(stop("an update"), State::Stopping).detail, expected);
    assert_eq!(of(stop(""), State::Stopping).detail, common("STOPPING"));
    assert_eq!(of(stop("an update"), State::Stopped).detail, common("STOPPED"));
    let again = Execution { attempts: vec![1, 2], ..execution() };
    assert_eq!(of(again, State::Resumed).detail["pipeline-execution-attempt"], 2.0);
}

#[test]
fn events_of_stages_are_those_of_the_guide() {
    let of = |run: &StageRun, state| built(&execution(), |builder| builder.of_stage(run, &StageChange::Stage(state)));
    let started = of(&stage_run(), State::Started);
    assert_eq!(started.detail_type, "CodePipeline Stage Execution State Change");
    assert_eq!((started.time, of(&stage_run(), State::Failed).time), (START.plus(1_000), END));
    let states = [State::Started, State::Succeeded, State::Failed, State::Canceled, State::Stopping, State::Stopped];
    for state in states {
        let expected = json!({
            "pipeline": "release",
            "execution-id": "12345678-1234-8678-abcd-000000000000",
            "start-time": "2026-11-23T13:49:40.208Z",
            "stage": "Deploy",
            "state": state.as_str(),
            "version": 3.0,
            "pipeline-execution-attempt": 1.0,
        });
        assert_eq!(of(&stage_run(), state).detail, expected);
    }
    let again = StageRun { attempt: 2, ..stage_run() };
    let expected = json!({
        "pipeline": "release",
        "execution-id": "12345678-1234-8678-abcd-000000000000",
        "stage-last-retry-attempt-time": "2026-11-23T13:49:40.208Z",
        "stage": "Deploy",
        "state": "RESUMED",
        "version": 3.0,
        "pipeline-execution-attempt": 2.0,
    });
    assert_eq!(of(&again, State::Resumed).detail, expected);
    let later = of(&again, State::Succeeded).detail;
    assert_eq!(later["stage-last-retry-attempt-time"], "2026-11-23T13:49:40.208Z", "every later event of the stage");
    assert_eq!(later["start-time"], "2026-11-23T13:49:40.208Z");
}

/// The guide's example of an action's start leaves the region out; its other examples, and the notification that is made
/// of that event, have it.
#[test]
fn events_of_actions_are_those_of_the_guide() {
    let of =
        |run: &StageRun, state| built(&execution(), |builder| builder.of_stage(run, &StageChange::Action(0, state)));
    let common = |state: &str| {
        json!({
            "pipeline": "release",
            "execution-id": "12345678-1234-8678-abcd-000000000000",
            "stage": "Deploy",
            "action-execution-id": "12345678-1234-8678-abcd-010000010000",
            "action": "Publish",
            "state": state,
            "region": "eu-west-1",
            "type": {"owner": "AWS", "category": "Deploy", "provider": "S3", "version": "1"},
            "version": 3.0,
            "pipeline-execution-attempt": 1.0,
        })
    };
    let inputs = json!([{"name": "App", "s3location": {"bucket": "artifacts-bucket", "key": "release/App/x"}}]);

    let mut expected = common("STARTED");
    expected["start-time"] = "2026-11-23T13:49:41.208Z".into();
    expected["input-artifacts"] = inputs.clone();
    let started = of(&stage_run(), State::Started);
    assert_eq!(started.detail, expected);
    assert_eq!(started.detail_type, "CodePipeline Action Execution State Change");
    assert_eq!(started.time, START.plus(2_000));

    let mut expected = common("FAILED");
    expected["start-time"] = "2026-11-23T13:49:41.208Z".into();
    expected["execution-result"] = json!({
        "external-execution-url": "https://example.com/7",
        "external-execution-summary": "no such bucket: site-bucket",
        "external-execution-id": "deploy-7",
        "error-code": "JobFailed",
    });
    let failed = of(&stage_run(), State::Failed);
    assert_eq!((failed.detail, failed.time), (expected, END));

    let mut succeeded = stage_run();
    succeeded.actions[0].error = None;
    let mut expected = common("SUCCEEDED");
    expected["start-time"] = "2026-11-23T13:49:41.208Z".into();
    expected["input-artifacts"] = inputs;
    expected["execution-result"] = json!({
        "external-execution-url": "https://example.com/7",
        "external-execution-summary": "working",
        "external-execution-id": "deploy-7",
    });
    assert_eq!(of(&succeeded, State::Succeeded).detail, expected);

    for state in [State::Abandoned, State::Canceled] {
        assert_eq!(of(&stage_run(), state).detail, common(state.as_str()));
    }
}

#[test]
fn the_event_of_a_source_action_is_that_of_the_guide() {
    let mut source = stage_run();
    source.stage = 0;
    source.name = StageName::new("Source").unwrap();
    let action = &mut source.actions[0];
    action.name = ActionName::new("Fetch").unwrap();
    (action.status, action.error, action.external, action.summary) = (ActionStatus::Succeeded, None, None, None);
    action.outputs = app().into_values().collect();
    action.revision = Some(Revision {
        id: "version-9".into(),
        summary: Some("Amazon S3 version id: version-9".into()),
        url: Some("https://example.com/9".into()),
        created: None,
        change: None,
    });
    let event = built(&execution(), |builder| builder.of_stage(&source, &StageChange::Action(0, State::Succeeded)));
    let expected = json!({
        "pipeline": "release",
        "execution-id": "12345678-1234-8678-abcd-000000000000",
        "start-time": "2026-11-23T13:49:41.208Z",
        "stage": "Source",
        "execution-result": {
            "external-execution-url": "https://example.com/9",
            "external-execution-summary": "Amazon S3 version id: version-9",
            "external-execution-id": "version-9",
        },
        "output-artifacts":
            [{"name": "App", "s3location": {"bucket": "artifacts-bucket", "key": "release/App/x"}}],
        "action-execution-id": "12345678-1234-8678-abcd-000000010000",
        "action": "Fetch",
        "state": "SUCCEEDED",
        "region": "eu-west-1",
        "type": {"owner": "AWS", "provider": "S3", "category": "Source", "version": "1"},
        "version": 3.0,
        "pipeline-execution-attempt": 1.0,
    });
    assert_eq!(event.detail, expected);
}

#[test]
fn a_long_reason_is_cut() {
    let mut long = stage_run();
    long.actions[0].error = Some(ActionError { code: "JobFailed".into(), message: "é".repeat(100_000) });
    let event = built(&execution(), |builder| builder.of_stage(&long, &StageChange::Action(0, State::Failed)));
    assert!(event.detail.to_string().len() < 20_000);
}
