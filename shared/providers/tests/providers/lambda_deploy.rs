use std::sync::{Arc, Mutex};

use aws_smithy_cbor::Encoder;
use driver::{ActionExecutor, Outcome, Task, TaskInput};
use engine::{ActionError, Progress, Success, Timestamp};
use serde_json::{Value, json};
use testkit::{Aws, TestClock};

use crate::permissions::Checked;
use crate::{failed, put_off, recorded, task};

const NOON: Timestamp = Timestamp(1_795_471_600_000);
const MINUTE: i64 = 60_000;
const CODE: &[u8] = b"the zip with the new code";

/// A function of Lambda's with an alias `live`.
struct State {
    sha256: String,
    /// How the last update of `$LATEST` stands: Lambda's `LastUpdateStatus`.
    update: &'static str,
    /// What was published, by version: from 1.
    versions: Vec<String>,
    /// Lambda's `State` of the last version.
    state: &'static str,
    main: String,
    weights: Value,
    revision: u32,
}

#[derive(Clone)]
struct Function(Arc<Mutex<State>>);

impl Function {
    /// A function whose alias points at its version 6.
    fn on(aws: &Aws) -> Self {
        let versions = (1..=6).map(|version| format!("code {version}")).collect();
        let state = State {
            sha256: "code 6".into(),
            update: "Successful",
            versions,
            state: "Active",
            main: "6".into(),
            weights: json!({}),
            revision: 1,
        };
        let it = Self(Arc::new(Mutex::new(state)));
        aws.plain_object("store-eu/shop/App/abcdefghijklmnop", CODE);
        aws.checksummed("store-eu/shop/App/abcdefghijklmnop");
        let function = it.clone();
        aws.reply("GetFunctionConfiguration", move |call| match call.query.strip_prefix("Qualifier=") {
            Some(version) => {
                let state = function.0.lock().unwrap().state;
                ok(json!({"Version": version, "State": state, "StateReason": "snapshots are made"}))
            }
            None => {
                let state = function.0.lock().unwrap();
                ok(json!({"CodeSha256": state.sha256, "LastUpdateStatus": state.update,
                    "LastUpdateStatusReason": "the layer is gone"}))
            }
        });
        let function = it.clone();
        aws.reply("UpdateFunctionCode", move |_| {
            let mut state = function.0.lock().unwrap();
            state.sha256 = testkit::sha256(CODE);
            ok(json!({"LastUpdateStatus": state.update}))
        });
        let function = it.clone();
        aws.reply("PublishVersion", move |_| {
            let mut state = function.0.lock().unwrap();
            // Lambda publishes nothing twice.
            if state.versions.last() != Some(&state.sha256) {
                let code = state.sha256.clone();
                state.versions.push(code);
            }
            ok(json!({"Version": state.versions.len().to_string()}))
        });
        let function = it.clone();
        aws.reply("GetAlias", move |_| {
            let state = function.0.lock().unwrap();
            ok(json!({"Name": "live", "FunctionVersion": state.main, "RevisionId": state.revision.to_string(),
                "RoutingConfig": {"AdditionalVersionWeights": state.weights}}))
        });
        let function = it.clone();
        aws.reply("UpdateAlias", move |call| {
            let (mut state, sent) = (function.0.lock().unwrap(), call.json());
            assert_eq!(sent["RevisionId"], state.revision.to_string(), "the alias is as it was looked at");
            state.main = sent["FunctionVersion"].as_str().unwrap().to_owned();
            state.weights = sent["RoutingConfig"]["AdditionalVersionWeights"].clone();
            state.revision += 1;
            ok(json!({}))
        });
        it
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    /// The alias's main version, and what the others have.
    fn alias(&self) -> (String, Value) {
        let state = self.0.lock().unwrap();
        (state.main.clone(), state.weights.clone())
    }
}

fn ok(answer: Value) -> testkit::Reply {
    (200, [].into(), answer.to_string().into_bytes())
}

/// An alarm in a state.
fn alarm(aws: &Aws, state: &str) {
    let mut answer = Encoder::new(Vec::new());
    answer.begin_map().str("MetricAlarms").array(1);
    answer.begin_map().str("AlarmName").str("errors").str("StateValue").str(state);
    answer.str("StateReason").str("3 of 7 calls failed").end();
    answer.end();
    aws.on("DescribeAlarms", 200, answer.into_writer());
}

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![("FunctionName", "shop")];
    all.extend(configuration);
    Task { inputs: vec![recorded("App", CODE)], ..task("Deploy", "Lambda", &all) }
}

fn to_live(strategy: &str) -> Task {
    deploy(&[("FunctionAlias", "live"), ("DeployStrategy", strategy)])
}

fn registry(aws: &Aws) -> (Checked, Arc<TestClock>) {
    let time = Arc::new(TestClock::standing(NOON));
    (crate::registry(aws).with_clock(time.clone()), time)
}

/// Writes down what a start or a poll reports, as the driver does; answers its summary.
fn waits(task: &mut Task, outcome: Outcome) -> String {
    let Outcome::Running { report: Progress { external, summary, .. }, poll: true, event_source: None } = outcome
    else {
        panic!("{outcome:?}")
    };
    task.external = external.or(task.external.take());
    summary.unwrap()
}

async fn start(registry: &Checked, task: &mut Task) -> String {
    let outcome = registry.start(task).await.unwrap();
    waits(task, outcome)
}

async fn poll(registry: &Checked, task: &mut Task) -> String {
    let outcome = registry.poll(task).await.unwrap();
    waits(task, outcome)
}

async fn done(registry: &Checked, task: &Task) -> Success {
    match registry.poll(task).await.unwrap() {
        Outcome::Succeeded(success) => success,
        other => panic!("{other:?}"),
    }
}

async fn failure(registry: &Checked, task: &Task) -> ActionError {
    match registry.poll(task).await.unwrap() {
        Outcome::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn all_at_once_the_artifact_is_the_code_of_a_new_version_to_which_the_alias_points() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let mut task = deploy(&[("FunctionAlias", "live")]);
    task.action_role = Some("arn:aws:iam::444455556666:role/deployer".into());
    let success = crate::succeeded(&registry, &task).await;
    assert_eq!(success.variables, [("FunctionVersion".to_owned(), "7".to_owned())].into());
    assert_eq!(success.report.summary.as_deref(), Some("All traffic of shop:live goes to version 7"));
    let external = success.report.external.unwrap();
    assert_eq!(external.id, "shop:7");
    assert!(external.url.unwrap().ends_with("/lambda/home?region=eu-west-1#/functions/shop/versions/7"));
    let update = &aws.calls("UpdateFunctionCode")[0];
    assert_eq!((update.role.as_str(), update.region.as_str()), ("deployer", "eu-west-1"));
    assert_eq!(update.json(), json!({"S3Bucket": "store-eu", "S3Key": "shop/App/abcdefghijklmnop"}));
    assert_eq!(aws.calls("PublishVersion")[0].json(), json!({"CodeSha256": testkit::sha256(CODE)}));
    assert_eq!(function.alias(), ("7".to_owned(), json!({})));
    assert_eq!(aws.calls("UpdateAlias")[0].path, "2015-03-31/functions/shop/aliases/live");
}

#[tokio::test]
async fn lambda_reads_the_version_of_the_artifact_that_was_recorded() {
    let aws = Aws::default();
    Function::on(&aws);
    aws.object("store-eu/shop/App/abcdefghijklmnop", "v1", CODE);
    aws.object("store-eu/shop/App/abcdefghijklmnop", "v2", b"written over it since");
    let mut task = deploy(&[]);
    task.inputs[0].pin.version = Some("v1".into());
    crate::succeeded(&registry(&aws).0, &task).await;
    assert_eq!(aws.calls("UpdateFunctionCode")[0].json()["S3ObjectVersion"], "v1");
}

#[tokio::test]
async fn without_alias_a_version_is_published_and_nothing_else() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let success = crate::succeeded(&registry(&aws).0, &deploy(&[])).await;
    assert_eq!(success.variables["FunctionVersion"], "7");
    assert_eq!(success.report.summary.as_deref(), Some("Version 7 is published"));
    assert_eq!(function.alias().0, "6");
    assert!(aws.calls("GetAlias").is_empty());
}

#[tokio::test]
async fn a_published_version_gets_the_traffic_without_an_artifact() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let mut task = deploy(&[("FunctionAlias", "live"), ("PublishedTargetVersion", "4")]);
    task.inputs.clear();
    assert_eq!(crate::succeeded(&registry(&aws).0, &task).await.variables["FunctionVersion"], "4");
    assert_eq!(function.alias().0, "4");
    assert_eq!(aws.calls("GetFunctionConfiguration")[0].query, "Qualifier=4", "it must be there");
    assert!(aws.calls("UpdateFunctionCode").is_empty() && aws.calls("PublishVersion").is_empty());
}

#[tokio::test]
async fn it_waits_until_the_code_is_updated_and_the_version_can_be_invoked() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let mut task = deploy(&[("FunctionAlias", "live")]);
    function.set(|it| it.update = "InProgress");
    assert_eq!(start(&registry, &mut task).await, "Lambda updates the code of shop");
    assert_eq!(poll(&registry, &mut task).await, "Lambda updates the code of shop");
    assert!(aws.calls("PublishVersion").is_empty());
    function.set(|it| (it.update, it.state) = ("Successful", "Pending"));
    let pending = "Version 7 of shop is pending: snapshots are made";
    assert_eq!(poll(&registry, &mut task).await, pending);
    assert_eq!(task.external.as_ref().unwrap().id, "shop:7");
    assert_eq!(poll(&registry, &mut task).await, pending);
    assert_eq!(aws.calls("PublishVersion").len(), 1, "the version is known");
    assert_eq!(function.alias().0, "6");
    function.set(|it| it.state = "Active");
    assert_eq!(done(&registry, &task).await.variables["FunctionVersion"], "7");
    assert_eq!(function.alias().0, "7");
}

#[tokio::test]
async fn a_canary_has_its_part_first_and_the_rest_after_its_minutes() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, time) = registry(&aws);
    let mut task = to_live("Canary10Percent5Minutes");
    let moved = "10 percent of the traffic of shop:live go to version 7, the rest to version 6";
    assert_eq!(start(&registry, &mut task).await, moved);
    assert_eq!(function.alias(), ("6".to_owned(), json!({"7": 0.1})));
    assert_eq!(task.external.as_ref().unwrap().id, "shop:7@10@1795471600");
    time.pass(5 * MINUTE - 1);
    assert_eq!(poll(&registry, &mut task).await, moved);
    assert_eq!(aws.calls("UpdateAlias").len(), 1);
    time.pass(1);
    let success = done(&registry, &task).await;
    assert_eq!((success.variables["FunctionVersion"].as_str(), success.report.percent), ("7", Some(100)));
    assert_eq!(function.alias(), ("7".to_owned(), json!({})));
    assert_eq!(success.report.external.unwrap().id, "shop:7");
}

#[tokio::test]
async fn a_linear_strategy_makes_one_move_at_a_time_however_late_its_poll_is() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, time) = registry(&aws);
    let mut task = to_live("Linear40PercentEvery2Minutes");
    start(&registry, &mut task).await;
    time.pass(60 * MINUTE);
    assert!(poll(&registry, &mut task).await.starts_with("80 percent"));
    assert!(poll(&registry, &mut task).await.starts_with("80 percent"), "the next move has its own time");
    assert_eq!(function.alias(), ("6".to_owned(), json!({"7": 0.8})));
    time.pass(2 * MINUTE);
    done(&registry, &task).await;
    assert_eq!(function.alias(), ("7".to_owned(), json!({})));
}

#[tokio::test]
async fn the_same_attempt_started_again_goes_on_from_where_the_alias_is() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, time) = registry(&aws);
    let mut lost = to_live("Linear40PercentEvery2Minutes");
    start(&registry, &mut lost).await;
    // Its worker was lost before it wrote that down.
    time.pass(60 * MINUTE);
    let mut task = Task { reclaimed: true, ..to_live("Linear40PercentEvery2Minutes") };
    assert!(start(&registry, &mut task).await.starts_with("40 percent"));
    assert_eq!((aws.calls("UpdateFunctionCode").len(), aws.calls("UpdateAlias").len()), (1, 1));
    assert_eq!(function.0.lock().unwrap().versions.len(), 7, "no second version was published");
    time.pass(2 * MINUTE - 1);
    assert!(poll(&registry, &mut task).await.starts_with("40 percent"), "never earlier than the strategy says");
    time.pass(1);
    assert!(poll(&registry, &mut task).await.starts_with("80 percent"));
    // So was the worker of this move.
    task.external = Some(engine::External { id: "shop:7@40@1795471600".into(), url: None });
    assert!(poll(&registry, &mut task).await.starts_with("80 percent"));
    assert_eq!(aws.calls("UpdateAlias").len(), 2);
    time.pass(2 * MINUTE);
    done(&registry, &task).await;
    // And after the last move.
    alarm(&aws, "ALARM");
    let again = Task { reclaimed: true, ..deploy(&[("FunctionAlias", "live"), ("Alarms", "errors")]) };
    assert_eq!(crate::succeeded(&registry, &again).await.variables["FunctionVersion"], "7");
    assert_eq!((aws.calls("UpdateFunctionCode").len(), aws.calls("UpdateAlias").len()), (1, 3));
}

#[tokio::test]
async fn an_alarm_takes_the_traffic_back_and_fails_the_action() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let mut task = to_live("Canary10Percent5Minutes");
    task.configuration.insert("Alarms".into(), "errors".into());
    alarm(&aws, "OK");
    start(&registry, &mut task).await;
    alarm(&aws, "ALARM");
    let error = failure(&registry, &task).await;
    let expected = "The alarm errors is in state ALARM (3 of 7 calls failed): shop:live is back at version 6";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("JobFailed", expected));
    assert_eq!(function.alias(), ("6".to_owned(), json!({})));
    assert_eq!(failure(&registry, &task).await.code, "JobFailed", "a second poll does not begin anew");
    assert_eq!(function.alias().0, "6");
}

#[tokio::test]
async fn an_alarm_that_is_off_before_nothing_was_deployed_for_leaves_all_as_it_is() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let task = deploy(&[("FunctionAlias", "live"), ("Alarms", "errors")]);
    alarm(&aws, "ALARM");
    let error = failed(&registry, &task).await;
    assert!(error.message.ends_with("(3 of 7 calls failed): nothing was deployed"), "{}", error.message);
    assert!(aws.calls("UpdateFunctionCode").is_empty());
    let error = failed(&registry, &Task { reclaimed: true, ..task }).await;
    assert!(error.message.ends_with("version 7 was published, and shop:live stays at version 6"), "{}", error.message);
    assert_eq!(function.alias().0, "6");
    let missing = failed(&registry, &deploy(&[("FunctionAlias", "live"), ("Alarms", "errors, gone")])).await;
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str()),
        ("ConfigurationError", "there is no alarm gone in eu-west-1")
    );
}

#[tokio::test]
async fn what_somebody_else_does_to_the_alias_or_the_function_is_not_undone() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, time) = registry(&aws);
    let mut task = to_live("Canary10Percent5Minutes");
    start(&registry, &mut task).await;
    time.pass(5 * MINUTE);
    // Between the look at the alias and its update: it is looked at again.
    let precondition = r#"{"Type": "User", "message": "The Revision Id provided does not match"}"#;
    let raced = Aws::default();
    Function::on(&raced).set(|it| {
        it.weights = json!({"7": 0.1});
        it.versions.push(testkit::sha256(CODE));
    });
    raced.reply("UpdateAlias", |_| {
        (412, [("x-amzn-errortype".to_owned(), "PreconditionFailedException".to_owned())].into(), precondition.into())
    });
    let late = crate::registry(&raced).with_clock(time.clone());
    assert!(late.poll(&task).await.unwrap_err().to_string().contains("does not match"));
    function.set(|it| it.weights = json!({}));
    let error = failure(&registry, &task).await;
    assert_eq!(error.message, "Somebody took traffic of shop:live back from version 7 in the meantime");
    assert_eq!(function.alias(), ("6".to_owned(), json!({})));
    function.set(|it| it.weights = json!({"3": 0.5}));
    let error = failed(&registry, &to_live("AllAtOnce")).await;
    let expected = "shop:live sends traffic to the versions 6 and 3: it must have one version, from which traffic moves to version 7";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
    // Another one's code is not published as ours.
    let mut task = deploy(&[]);
    function.set(|it| (it.update, it.sha256) = ("InProgress", "code 6".into()));
    start(&registry, &mut task).await;
    function.set(|it| (it.update, it.sha256) = ("Successful", "code 9".into()));
    let error = failure(&registry, &task).await;
    assert!(error.message.ends_with("was changed by somebody else before it was published"), "{}", error.message);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_refused_before_anything_is_asked() {
    let without_artifact = |task: Task| Task { inputs: Vec::new(), ..task };
    let strategies = "it can be AllAtOnce, or as Canary10Percent5Minutes or Linear10PercentEvery1Minute";
    for (task, expected) in [
        (deploy(&[("FunctionName", "")]), "Deploy/Lambda action the-action needs a value for FunctionName"),
        (without_artifact(deploy(&[])), "needs an input artifact or a value for PublishedTargetVersion"),
        (
            deploy(&[("FunctionAlias", "live"), ("PublishedTargetVersion", "3")]),
            "has an input artifact and a value for PublishedTargetVersion: it deploys one of them",
        ),
        (deploy(&[("DeployStrategy", "AllAtOnce")]), "DeployStrategy needs a value for FunctionAlias"),
        (
            without_artifact(deploy(&[("PublishedTargetVersion", "3")])),
            "PublishedTargetVersion needs a value for FunctionAlias",
        ),
        (
            without_artifact(deploy(&[("FunctionAlias", "live"), ("PublishedTargetVersion", "$LATEST")])),
            "PublishedTargetVersion is \"$LATEST\": it must be the number of a published version",
        ),
        (to_live("Fast"), strategies),
        (to_live("Canary10Percent2881Minutes"), "it waits 2881 minutes in all, and may wait 2880"),
        (
            deploy(&[("FunctionAlias", "live"), ("Alarms", "a,b,c,d,e,f,g,h,i,j,k")]),
            "it is a list of up to 10 names of alarms, with commas between them",
        ),
    ] {
        let aws = Aws::default();
        let error = failed(&registry(&aws).0, &task).await;
        assert_eq!(error.code, "ConfigurationError");
        assert!(error.message.ends_with(expected), "{}", error.message);
        assert!(aws.operations().is_empty());
    }
    let aws = Aws::default();
    Function::on(&aws).set(|it| it.main = "$LATEST".into());
    let error = failed(&registry(&aws).0, &to_live("Linear10PercentEvery1Minute")).await;
    assert!(error.message.contains("shop:live points at $LATEST"), "{}", error.message);
    assert!(aws.calls("UpdateFunctionCode").is_empty());
}

#[tokio::test]
async fn what_lambda_refuses_is_told_in_its_words_and_what_passes_is_tried_again() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let task = deploy(&[("FunctionAlias", "live")]);
    let refuses = |operation: &str, status: u16, code: &str| {
        let code = code.to_owned();
        aws.reply(operation, move |_| {
            let headers = [("x-amzn-errortype".to_owned(), code.clone())].into();
            (status, headers, br#"{"Type": "User", "message": "The words of Lambda."}"#.to_vec())
        });
    };
    // From the last call to the first, since what is refused stays so.
    for (operation, status, code, expected) in [
        ("UpdateAlias", 400, "InvalidParameterValueException", "ConfigurationError"),
        ("UpdateAlias", 409, "ResourceConflictException", ""),
        ("PublishVersion", 400, "CodeStorageExceededException", "ConfigurationError"),
        ("PublishVersion", 412, "PreconditionFailedException", ""),
        ("UpdateFunctionCode", 403, "AccessDeniedException", "PermissionError"),
        ("UpdateFunctionCode", 429, "TooManyRequestsException", ""),
        ("UpdateFunctionCode", 409, "ResourceConflictException", ""),
        ("UpdateFunctionCode", 500, "ServiceException", ""),
        ("GetFunctionConfiguration", 404, "ResourceNotFoundException", "ConfigurationError"),
        ("GetAlias", 404, "ResourceNotFoundException", "ConfigurationError"),
    ] {
        function.set(|it| it.sha256 = "code 6".into());
        refuses(operation, status, code);
        let message = match expected {
            "" => put_off(&registry, &task).await,
            _ => {
                let error = failed(&registry, &task).await;
                assert_eq!(error.code, expected, "{operation} {code}");
                error.message
            }
        };
        assert!(
            message.starts_with(operation) && message.ends_with(&format!("{code}: The words of Lambda.")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_update_or_a_version_that_fails_says_why() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    let (registry, _) = registry(&aws);
    let task = deploy(&[("FunctionAlias", "live")]);
    function.set(|it| it.state = "Failed");
    let error = failed(&registry, &task).await;
    let expected = "Version 7 of the function shop in eu-west-1 cannot be invoked: snapshots are made";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("JobFailed", expected));
    function.set(|it| it.update = "Failed");
    let error = failed(&registry, &task).await;
    let expected = "Lambda could not update the code of the function shop in eu-west-1: the layer is gone";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("JobFailed", expected));
    assert_eq!(function.alias().0, "6");
}

#[tokio::test]
async fn an_artifact_from_another_region_is_the_one_that_was_made_there() {
    let aws = Aws::default();
    let function = Function::on(&aws);
    function.set(|it| it.sha256 = testkit::sha256(CODE));
    let mut task = deploy(&[]);
    task.region = "us-west-2".into();
    task.inputs = vec![TaskInput { pin: engine::Pin::default(), ..recorded("App", CODE) }];
    crate::succeeded(&registry(&aws).0, &task).await;
    assert!(aws.calls("UpdateFunctionCode").is_empty(), "the function has that code already");
    assert_eq!(aws.calls("PublishVersion")[0].region, "us-west-2");
}
