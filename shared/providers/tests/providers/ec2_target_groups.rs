//! EC2 deploys with target groups, against load balancers and instances that stand somewhere and go on as they would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use artifacts::write_zip;
use driver::{ActionExecutor, Outcome, Task};
use engine::{External, Timestamp};
use serde_json::{Value, json};
use testkit::{Aws, Call, Reply, TestClock};

use crate::permissions::Checked;
use crate::{failed, put_off, recorded, registry, task};

const ARTIFACT: &str = "store-eu/shop/App/abcdefghijklmnop";
/// The same in the store of another region.
const ARTIFACT_THERE: &str = "store-us/shop/App/abcdefghijklmnop";
/// When the attempt was requested, an hour before its time-out.
const REQUESTED: i64 = 1_795_475_109_000 - 3_600_000;
/// Milliseconds between two polls.
const PERIOD: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Healthy,
    Initial,
    Unhealthy,
    Draining(u32),
    /// Nobody uses its group.
    Unused,
}

#[derive(Clone, Debug)]
struct Sent {
    comment: String,
    instances: Vec<String>,
    /// Polls until it has ended.
    takes: u32,
    cancelled: bool,
}

/// Instances, their target groups and the commands that were sent to them.
#[derive(Default)]
struct World {
    groups: BTreeMap<String, BTreeMap<(String, String), State>>,
    kinds: BTreeMap<String, &'static str>,
    managed: Vec<String>,
    commands: Vec<Sent>,
    /// Polls that draining, a command, and the first health check take.
    drains: u32,
    runs: u32,
    checks: u32,
    /// On which a command fails, which are not healthy when they come back, and which are stopped then.
    failing: BTreeSet<String>,
    sick: BTreeSet<String>,
    stopped: BTreeSet<String>,
    /// What changed, in its order.
    log: Vec<String>,
    /// Requests to these services so far, the one whose answer is lost, and the one that is lost itself.
    requests: usize,
    unanswered: Option<usize>,
    unheard: Option<usize>,
}

impl World {
    /// An interval between two polls passes.
    fn pass(&mut self) {
        for targets in self.groups.values_mut() {
            targets.retain(|_, state| *state != State::Draining(0));
            for ((instance, _), state) in targets.iter_mut() {
                *state = match *state {
                    State::Draining(left) => State::Draining(left - 1),
                    State::Initial if self.sick.contains(instance) => State::Unhealthy,
                    State::Initial if self.checks == 0 => State::Healthy,
                    other => other,
                };
            }
        }
        self.commands.iter_mut().for_each(|command| command.takes = command.takes.saturating_sub(1));
    }

    fn described(&self, index: usize) -> Value {
        let command = &self.commands[index];
        let failed = command.instances.iter().filter(|it| self.failing.contains(*it)).count();
        let (all, ended) = (command.instances.len(), command.takes == 0);
        let status = match (ended, command.cancelled, failed) {
            (_, true, _) => "Cancelled",
            (false, ..) => "InProgress",
            (true, _, 0) => "Success",
            (true, ..) => "Failed",
        };
        let (done, failed) = if ended { (all, failed) } else { (0, 0) };
        json!({"CommandId": id(index), "Comment": command.comment, "Status": status, "TargetCount": all,
            "CompletedCount": done, "ErrorCount": failed})
    }

    fn systems_manager(&mut self, call: &Call) -> Value {
        let asked = call.json();
        let index = asked["CommandId"].as_str().map(|id| id.rsplit('-').next().unwrap().parse::<usize>().unwrap());
        match call.operation.as_str() {
            "DescribeInstanceInformation" => {
                let of =
                    |id: &String| json!({"InstanceId": id, "ResourceType": "EC2Instance", "PlatformType": "Linux"});
                json!({"InstanceInformationList": self.managed.iter().map(of).collect::<Vec<_>>()})
            }
            "SendCommand" => {
                let instances: Vec<String> = serde_json::from_value(asked["InstanceIds"].clone()).unwrap();
                let comment = asked["Comment"].as_str().unwrap().to_owned();
                assert!(comment.len() <= 100, "{comment}");
                assert!(self.commands.iter().all(|it| it.comment != comment), "sent twice: {comment}");
                let registered = self.groups.values().flatten().find(|((id, _), _)| instances.contains(id));
                assert_eq!(registered, None, "it is deployed to in its group");
                self.log.push(format!("command to {}", instances.join(" ")));
                self.commands.push(Sent { comment, instances, takes: self.runs, cancelled: false });
                json!({"Command": self.described(self.commands.len() - 1)})
            }
            "ListCommands" => {
                let all = (0..self.commands.len()).filter(|it| index.is_none_or(|index| index == *it));
                json!({"Commands": all.map(|index| self.described(index)).collect::<Vec<_>>()})
            }
            "ListCommandInvocations" => {
                let command = &self.commands[index.unwrap()];
                let of = |instance: &String| {
                    let failed = self.failing.contains(instance);
                    json!({"InstanceId": instance, "Status": if failed { "Failed" } else { "Success" }})
                };
                json!({"CommandInvocations": command.instances.iter().map(of).collect::<Vec<_>>()})
            }
            "GetCommandInvocation" => {
                json!({"StatusDetails": "Failed", "ResponseCode": 3, "StandardErrorContent": "no disk left"})
            }
            "CancelCommand" => {
                self.commands[index.unwrap()].cancelled = true;
                json!({})
            }
            other => panic!("{other}"),
        }
    }

    fn load_balancing(&mut self, call: &Call) -> Result<String, (&'static str, String)> {
        let body = call.text();
        let asked: BTreeMap<String, String> = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.replace("%3A", ":").replace("%2F", "/")))
            .collect();
        let name = asked.get("TargetGroupArn").map(|arn| arn.split('/').nth(1).unwrap());
        let name = name.or(asked.get("Names.member.1").map(String::as_str)).unwrap().to_owned();
        let unknown = ("TargetGroupNotFound", "One or more target groups not found".to_owned());
        let group = self.groups.get_mut(&name).ok_or(unknown)?;
        let targets: Vec<(String, String)> = (1..)
            .map_while(|n| {
                let id = asked.get(&format!("Targets.member.{n}.Id"))?.clone();
                Some((id, asked[&format!("Targets.member.{n}.Port")].clone()))
            })
            .collect();
        let named = targets.iter().map(|(id, port)| format!("{id}:{port}")).collect::<Vec<_>>().join(" ");
        match call.operation.as_str() {
            "DescribeTargetGroups" => {
                let kind = self.kinds.get(&name).copied().unwrap_or("instance");
                let arn = format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/1");
                Ok(format!(
                    "<TargetGroups><member><TargetGroupName>{name}</TargetGroupName><TargetGroupArn>{arn}</TargetGroupArn>\
                     <TargetType>{kind}</TargetType></member></TargetGroups>"
                ))
            }
            "DescribeTargetHealth" => {
                let of = |((id, port), state): (&(String, String), &State)| {
                    let (state, reason, words) = match state {
                        State::Healthy => ("healthy", "", ""),
                        State::Unused => ("unused", "Target.NotInUse", "Target group is not in use"),
                        State::Initial => ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
                        State::Unhealthy => ("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
                        State::Draining(_) => {
                            ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
                        }
                    };
                    let why = match reason {
                        "" => String::new(),
                        _ => format!("<Reason>{reason}</Reason><Description>{words}</Description>"),
                    };
                    format!(
                        "<member><Target><Id>{id}</Id><Port>{port}</Port></Target><TargetHealth><State>{state}</State>{why}\
                         </TargetHealth></member>"
                    )
                };
                let all: String = group.iter().map(of).collect();
                Ok(format!("<TargetHealthDescriptions>{all}</TargetHealthDescriptions>"))
            }
            "DeregisterTargets" => {
                self.log.push(format!("out of {name}: {named}"));
                for target in targets {
                    let state = group.get_mut(&target).expect("only what is there is taken out");
                    *state = State::Draining(self.drains);
                }
                Ok(String::new())
            }
            "RegisterTargets" => {
                if let Some((id, _)) = targets.iter().find(|(id, _)| self.stopped.contains(id)) {
                    let words =
                        format!("The following targets are not in a running state and cannot be registered: {id}");
                    return Err(("InvalidTarget", words));
                }
                self.log.push(format!("into {name}: {named}"));
                for target in targets {
                    let state = group.entry(target).or_insert(State::Initial);
                    if matches!(state, State::Draining(_)) {
                        *state = State::Initial;
                    }
                }
                Ok(String::new())
            }
            other => panic!("{other}"),
        }
    }

    fn answer(&mut self, call: &Call) -> Reply {
        self.requests += 1;
        let lost = || (500, [].into(), Vec::new());
        if self.unheard == Some(self.requests) {
            return lost();
        }
        let operation = &call.operation;
        let (status, body) = if call.headers.contains_key("x-amz-target") {
            (200, self.systems_manager(call).to_string())
        } else {
            match self.load_balancing(call) {
                Ok(result) => (
                    200,
                    format!(
                        "<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"
                    ),
                ),
                Err((code, words)) => (400, refusal(code, &words)),
            }
        };
        if self.unanswered == Some(self.requests) {
            return lost();
        }
        (status, [].into(), body.into_bytes())
    }

    /// The targets that are in their groups.
    fn registered(&self) -> Vec<String> {
        let of = |(name, targets): (&String, &BTreeMap<(String, String), State>)| {
            let there = targets.iter().filter(|(_, state)| !matches!(state, State::Draining(_)));
            there.map(|((id, port), _)| format!("{name} {id}:{port}")).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of).collect()
    }
}

fn refusal(code: &str, words: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>"
    )
}

fn id(index: usize) -> String {
    format!("0b1a2c3d-4444-5555-6666-{index}")
}

const OPERATIONS: [&str; 10] = [
    "DescribeInstanceInformation",
    "SendCommand",
    "ListCommands",
    "ListCommandInvocations",
    "GetCommandInvocation",
    "CancelCommand",
    "DescribeTargetGroups",
    "DescribeTargetHealth",
    "DeregisterTargets",
    "RegisterTargets",
];

/// An AWS with a world in it, and a clock.
struct Site {
    aws: Aws,
    world: Arc<Mutex<World>>,
    clock: Arc<TestClock>,
}

impl Site {
    /// Four instances: all in `web`, two of them with two ports in `api` as well.
    fn new() -> Self {
        let aws = Aws::default();
        let zip = write_zip([("bin/after.sh", "true")]).unwrap();
        for artifact in [ARTIFACT, ARTIFACT_THERE] {
            aws.plain_object(artifact, &zip);
            aws.checksummed(artifact);
        }
        let target = |id: &str, port: &str| ((id.to_owned(), port.to_owned()), State::Healthy);
        let web = ["i-1", "i-2", "i-3", "i-4"].map(|id| target(id, "80"));
        let api = [("i-2", "81"), ("i-2", "82"), ("i-4", "81")].map(|(id, port)| target(id, port));
        let world = World {
            groups: [("web".to_owned(), web.into()), ("api".to_owned(), api.into())].into(),
            managed: ["i-3", "i-1", "i-4", "i-2"].map(str::to_owned).into(),
            runs: 1,
            ..World::default()
        };
        let world = Arc::new(Mutex::new(world));
        for operation in OPERATIONS {
            let world = world.clone();
            aws.reply(operation, move |call| world.lock().unwrap().answer(call));
        }
        Self { aws, world, clock: Arc::new(TestClock::standing(Timestamp(REQUESTED))) }
    }

    /// A world to begin with.
    fn with(change: impl FnOnce(&mut World)) -> Self {
        let site = Self::new();
        change(&mut site.world());
        site
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn log(&self) -> Vec<String> {
        self.world().log.clone()
    }

    fn run(&self, task: Task) -> Run<'_> {
        let registry = registry(&self.aws).with_clock(self.clock.clone());
        Run { site: self, registry, task, starts: true, summaries: Vec::new() }
    }
}

/// An attempt and what the table knows of it.
struct Run<'a> {
    site: &'a Site,
    registry: Checked,
    task: Task,
    /// Whether the action is to be started; otherwise it is polled.
    starts: bool,
    summaries: Vec<String>,
}

impl Run<'_> {
    /// One call of the provider, as a worker makes it, and what the table knows then; the outcome of an end.
    async fn step(&mut self) -> Option<Outcome> {
        let outcome = match self.starts {
            true => self.registry.start(&self.task).await,
            false => self.registry.poll(&self.task).await,
        };
        match outcome {
            Ok(Outcome::Running { report, poll: true, .. }) => {
                self.task.external = report.external.or(self.task.external.take());
                self.summaries.extend(report.summary);
                (self.starts, self.task.reclaimed) = (false, false);
                self.site.clock.pass(PERIOD);
                self.site.world().pass();
                None
            }
            Ok(Outcome::Continue { token, .. }) => {
                self.task.continuation = Some(token);
                self.task.id = self.task.id.next_turn();
                (self.starts, self.task.reclaimed) = (true, false);
                None
            }
            Ok(end) => Some(end),
            // The claim runs out and another worker takes it; a poll is repeated.
            Err(_) => {
                self.task.reclaimed = self.starts;
                None
            }
        }
    }

    async fn end(&mut self) -> Outcome {
        for _ in 0..1_000 {
            if let Some(end) = self.step().await {
                return end;
            }
        }
        panic!("it does not end: {:?}", self.summaries)
    }

    async fn fails(&mut self) -> String {
        match self.end().await {
            Outcome::Failed { error, .. } => {
                assert_eq!(error.code, "JobFailed");
                error.message
            }
            other => panic!("{other:?}"),
        }
    }

    /// Until its summary has this in it.
    async fn until(&mut self, summary: &str) {
        for _ in 0..100 {
            assert!(self.step().await.is_none());
            if self.summaries.last().is_some_and(|it| it.contains(summary)) {
                return;
            }
        }
        panic!("{:?}", self.summaries)
    }
}

fn deploy(configuration: &[(&str, &str)]) -> Task {
    let mut all = vec![
        ("InstanceTagKey", "Name"),
        ("InstanceTagValue", "shop"),
        ("InstanceType", "EC2"),
        ("TargetDirectory", "/srv"),
        ("PostScript", "bin/after.sh"),
        ("TargetGroupNameList", "web, api"),
        ("MaxBatch", "50%"),
    ];
    all.extend(configuration);
    let zip = write_zip([("bin/after.sh", "true")]).unwrap();
    Task { inputs: vec![recorded("App", &zip)], ..task("Deploy", "EC2", &all) }
}

const ALL: [&str; 7] =
    ["api i-2:81", "api i-2:82", "api i-4:81", "web i-1:80", "web i-2:80", "web i-3:80", "web i-4:80"];
/// What a deploy in two batches does.
const CHANGES: [&str; 10] = [
    "out of web: i-1:80 i-2:80",
    "out of api: i-2:81 i-2:82",
    "command to i-1 i-2",
    "into web: i-1:80 i-2:80",
    "into api: i-2:81 i-2:82",
    "out of web: i-3:80 i-4:80",
    "out of api: i-4:81",
    "command to i-3 i-4",
    "into web: i-3:80 i-4:80",
    "into api: i-4:81",
];

fn done(end: Outcome) -> String {
    match end {
        Outcome::Succeeded(success) => success.report.summary.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_batch_leaves_its_groups_is_deployed_to_and_comes_back_before_the_next() {
    let site = Site::with(|world| world.drains = 1);
    let mut run = site.run(deploy(&[]));
    assert_eq!(done(run.end().await), "4 of 4 instances are done");
    assert_eq!(
        (site.log(), site.world().registered()),
        (CHANGES.map(str::to_owned).into(), ALL.map(str::to_owned).into())
    );
    let first = [
        "Batch 1 of 2: i-1 leaves web and 3 more",
        "Batch 1 of 2: i-1 leaves web: draining (Target.DeregistrationInProgress: Target deregistration is in progress) and 3 more",
        "Batch 1 of 2: 0 of 2 instances are done",
        "Batch 1 of 2: i-1 in web is initial (Elb.InitialHealthChecking: Initial health checks in progress) and 3 more",
    ];
    assert_eq!(run.summaries[..4], first);
    let sent = site.aws.calls("SendCommand")[0].json();
    assert_eq!(sent["Comment"], format!("Millrace action execution {} batch 1", run.task.id.first_turn()));
    assert_eq!(sent["InstanceIds"], json!(["i-1", "i-2"]));
    assert_eq!((&sent["MaxConcurrency"], &sent["MaxErrors"]), (&json!("2"), &json!("2")));
    // Of the hour, ten seconds have passed, and three minutes are kept to bring instances back.
    assert_eq!(sent["Parameters"]["executionTimeout"], json!(["3410"]));
    assert_eq!(run.task.external, Some(External { id: id(1), url: run.task.external.clone().unwrap().url }));
}

#[tokio::test]
async fn without_max_batch_as_many_as_a_command_can_name_are_a_batch() {
    let site = Site::with(|world| {
        world.managed = (0..120).map(|n| format!("i-{n:03}")).collect();
        let all = world.managed.iter().map(|id| ((id.clone(), "80".to_owned()), State::Unused));
        world.groups = [("web".to_owned(), all.collect())].into();
    });
    let task = deploy(&[("TargetGroupNameList", "web"), ("MaxBatch", "")]);
    assert_eq!(done(site.run(task).end().await), "120 of 120 instances are done");
    let sizes: Vec<_> = site.world().commands.iter().map(|command| command.instances.len()).collect();
    assert_eq!((sizes, site.world().registered().len()), (vec![50, 50, 20], 120));
}

#[tokio::test]
async fn instances_come_back_only_to_the_groups_in_which_they_were() {
    let site = Site::with(|world| {
        let web = world.groups.get_mut("web").unwrap();
        web.remove(&("i-1".to_owned(), "80".to_owned()));
        // An Auto Scaling group takes it out just now, and it has connections for longer than the first batches take.
        web.insert(("i-3".to_owned(), "80".to_owned()), State::Draining(90));
    });
    done(site.run(deploy(&[("MaxBatch", "1")])).end().await);
    let expected = ["api i-2:81", "api i-2:82", "api i-4:81", "web i-2:80", "web i-4:80"];
    assert_eq!(site.world().registered(), expected);
    let commands: Vec<_> = site.log().into_iter().filter(|it| it.starts_with("command")).collect();
    assert_eq!(commands, ["command to i-1", "command to i-2", "command to i-3", "command to i-4"]);
}

#[tokio::test]
async fn draining_takes_as_long_as_it_takes() {
    let site = Site::with(|world| world.drains = 60);
    let mut run = site.run(deploy(&[]));
    done(run.end().await);
    let waits = run.summaries.iter().filter(|it| it.contains("leaves web: draining")).count();
    assert_eq!((waits, site.log().len()), (120, CHANGES.len()), "nothing else is done meanwhile");
}

#[tokio::test]
async fn a_batch_may_fail_within_max_error_and_comes_back_all_the_same() {
    let site = Site::with(|world| world.failing = ["i-2".to_owned()].into());
    // It is not healthy either, which nobody waits for.
    site.world().sick = ["i-2".to_owned()].into();
    let end = site.run(deploy(&[("MaxError", "25%")])).end().await;
    let expected = "4 of 4 instances are done, 1 of them failed, first i-2: Failed (exit code 3):";
    assert_eq!((done(end).as_str(), site.world().registered()), (expected, ALL.map(str::to_owned).into()));
}

#[tokio::test]
async fn beyond_max_error_the_action_ends_when_its_batch_is_back() {
    let site = Site::with(|world| world.failing = ["i-1".to_owned(), "i-2".to_owned()].into());
    let message = site.run(deploy(&[("MaxError", "1")])).fails().await;
    let expected = "2 of 4 instances failed, and 2 were not tried; MaxError allows 1 to fail\ni-1: Failed (exit code 3):\n\
                    no disk left\ni-2: Failed (exit code 3):\nno disk left";
    assert_eq!(message, expected);
    assert_eq!(
        (site.log(), site.world().registered()),
        (CHANGES[..5].iter().map(|it| (*it).to_owned()).collect(), ALL.map(str::to_owned).into())
    );
    // Errors of all batches count.
    let site = Site::with(|world| world.failing = ["i-1".to_owned(), "i-3".to_owned()].into());
    let message = site.run(deploy(&[("MaxError", "1")])).fails().await;
    assert!(message.starts_with("2 of 4 instances failed; MaxError allows 1 to fail\ni-1: Failed"), "{message}");
    assert!(message.contains("\ni-3: Failed") && site.world().registered() == ALL, "{message}");
}

#[tokio::test]
async fn an_instance_that_is_not_healthy_in_time_has_failed_in_the_service_s_words() {
    let site = Site::with(|world| world.sick = ["i-2".to_owned()].into());
    let mut run = site.run(deploy(&[]));
    let message = run.fails().await;
    let words = "is unhealthy (Target.FailedHealthChecks: Health checks failed)";
    assert_eq!(
        message,
        format!("1 of 4 instances failed, and 2 were not tried; MaxError allows 0 to fail\ni-2 in web {words}")
    );
    assert!(run.summaries.last().unwrap().contains(&format!("i-2 in web {words} and 2 more")), "{:?}", run.summaries);
    let waits = run.summaries.iter().filter(|it| it.contains(words)).count();
    assert!((110..=120).contains(&waits), "ten minutes: {waits}");
    assert_eq!(site.world().registered(), ALL);
    // One that becomes healthy before is fine.
    let site = Site::with(|world| world.sick = ["i-2".to_owned()].into());
    let mut run = site.run(deploy(&[]));
    run.until("is unhealthy").await;
    site.world().sick.clear();
    site.world().groups.values_mut().flatten().for_each(|(_, state)| *state = State::Healthy);
    done(run.end().await);
}

#[tokio::test]
async fn an_instance_that_is_gone_keeps_no_other_out() {
    // Stopped while it was out.
    let site = Site::with(|world| world.stopped = ["i-2".to_owned()].into());
    let message = site.run(deploy(&[])).fails().await;
    let expected = "1 of 4 instances failed, and 2 were not tried; MaxError allows 0 to fail\nRegisterTargets of i-2 with the \
                    target group web failed: InvalidTarget: The following targets are not in a running state and cannot be \
                    registered: i-2";
    assert_eq!(message, expected);
    assert_eq!(site.world().registered(), ["api i-4:81", "web i-1:80", "web i-3:80", "web i-4:80"]);
    // Gone from Systems Manager before the command was sent.
    let site = Site::with(|world| world.drains = 2);
    let mut run = site.run(deploy(&[("MaxError", "1")]));
    run.until("draining").await;
    site.world().managed.retain(|id| id != "i-1");
    let summary = done(run.end().await);
    assert!(summary.ends_with("first i-1: Systems Manager does not manage it any more"), "{summary}");
    assert_eq!(site.world().commands[0].instances, ["i-2"]);
    assert_eq!(site.world().registered(), ALL);
}

#[tokio::test]
async fn whatever_request_or_answer_is_lost_each_batch_is_deployed_once_and_comes_back() {
    let site = Site::with(|world| world.drains = 1);
    done(site.run(deploy(&[])).end().await);
    let requests = site.world().requests;
    assert!(requests > 40, "{requests}");
    for n in 1..=requests {
        for answered in [true, false] {
            let site = Site::with(|world| {
                world.drains = 1;
                (world.unheard, world.unanswered) = if answered { (Some(n), None) } else { (None, Some(n)) };
            });
            done(site.run(deploy(&[])).end().await);
            assert_eq!(site.world().registered(), ALL, "{n}");
            let commands: Vec<_> = site.world().commands.iter().map(|it| it.instances.clone()).collect();
            assert_eq!(commands, [["i-1", "i-2"], ["i-3", "i-4"]], "{n}");
        }
    }
}

#[tokio::test]
async fn a_worker_that_dies_after_any_step_is_followed_by_one_that_goes_on() {
    // How many calls an attempt takes, and then each of them twice: what the first one answered was never written down.
    let mut calls = 0;
    let site = Site::with(|world| world.drains = 1);
    let mut run = site.run(deploy(&[]));
    while run.step().await.is_none() {
        calls += 1;
    }
    assert!(calls > 12, "{calls}");
    for lost in 0..calls {
        let site = Site::with(|world| world.drains = 1);
        let mut run = site.run(deploy(&[]));
        for _ in 0..lost {
            assert!(run.step().await.is_none());
        }
        let before = run.task.clone();
        let started = run.starts;
        assert!(run.step().await.is_none());
        (run.task, run.starts) = (Task { reclaimed: started, ..before }, started);
        done(run.end().await);
        assert_eq!(site.world().registered(), ALL, "{lost}");
        assert_eq!(site.world().commands.len(), 2, "{lost}");
    }
}

#[tokio::test]
async fn polls_that_come_twice_or_late_change_nothing() {
    let site = Site::with(|world| world.drains = 1);
    let mut run = site.run(deploy(&[]));
    let mut earlier: Vec<Task> = Vec::new();
    let end = loop {
        if !run.starts {
            earlier.push(run.task.clone());
        }
        let changes = site.log().len();
        for late in &earlier {
            let _ = run.registry.poll(late).await;
        }
        assert_eq!(site.log().len(), changes);
        if let Some(end) = run.step().await {
            break end;
        }
    };
    assert!(earlier.len() > 6 && done(end) == "4 of 4 instances are done");
    assert_eq!(site.log(), CHANGES);
}

#[tokio::test]
async fn a_throttled_start_is_put_off_and_starts_once() {
    for operation in ["DeregisterTargets", "SendCommand", "RegisterTargets", "DescribeTargetHealth"] {
        let site = Site::new();
        let mut run = site.run(deploy(&[]));
        if operation != "DeregisterTargets" && operation != "DescribeTargetHealth" {
            run.until("leaves").await;
            // Up to the start that sends the command, or to the one that brings the batch back.
            while !run.starts {
                assert!(run.step().await.is_none());
            }
        }
        if operation == "RegisterTargets" {
            run.until("0 of 2 instances").await;
            while !run.starts {
                assert!(run.step().await.is_none());
            }
        }
        let throttled = refusal("Throttling", "Rate exceeded");
        let json = json!({"__type": "ThrottlingException", "message": "Rate exceeded"}).to_string();
        site.aws.on(operation, 400, if operation == "SendCommand" { json } else { throttled });
        for _ in 0..3 {
            let message = put_off(&run.registry, &run.task).await;
            assert!(message.starts_with(operation) && message.ends_with("Rate exceeded"), "{message}");
            run.task.reclaimed = true;
        }
        let world = site.world.clone();
        site.aws.reply(operation, move |call| world.lock().unwrap().answer(call));
        done(run.end().await);
        assert_eq!(site.log(), CHANGES, "{operation}");
    }
}

#[tokio::test]
async fn what_fails_for_good_fails_when_the_batch_is_back() {
    let site = Site::new();
    site.aws.fail("SendCommand", 400, "AccessDeniedException", "no");
    let Outcome::Failed { error, .. } = site.run(deploy(&[])).end().await else { panic!() };
    let expected = "SendCommand of the instances with the tag Name=shop failed: AccessDeniedException: no\nThe instances of \
                    the batch are back in their target groups";
    assert_eq!((error.code.as_str(), error.message.as_str()), ("PermissionError", expected));
    assert_eq!(site.world().registered(), ALL);
    // Also when not all could be taken out.
    let site = Site::new();
    site.aws.on("DeregisterTargets", 403, refusal("AccessDenied", "no"));
    let Outcome::Failed { error, .. } = site.run(deploy(&[])).end().await else { panic!() };
    assert!(
        error.message.starts_with("DeregisterTargets of the target group web failed: AccessDenied: no"),
        "{error:?}"
    );
    assert_eq!(site.world().registered(), ALL);
}

#[tokio::test]
async fn what_cannot_come_back_is_said_and_comes_back_with_the_next_run() {
    let site = Site::new();
    site.aws.on("RegisterTargets", 403, refusal("AccessDenied", "no"));
    let message = site.run(deploy(&[])).fails().await;
    let expected = "Instances are not back in their target groups; the action brings them back when it runs again:\n\
                    RegisterTargets of i-1 and 1 more with the target group web failed: AccessDenied: no\n\
                    RegisterTargets of i-2 and 1 more with the target group api failed: AccessDenied: no";
    assert_eq!(message, expected);
    assert_eq!(site.world().registered(), ["api i-4:81", "web i-3:80", "web i-4:80"]);
    let world = site.world.clone();
    site.aws.reply("RegisterTargets", move |call| world.lock().unwrap().answer(call));
    let next = deploy(&[]);
    let id = next.id.execution.action(1, 0, 2);
    done(site.run(Task { id, ..next }).end().await);
    assert_eq!(site.world().registered(), ALL);
}

#[tokio::test]
async fn what_an_abandoned_attempt_left_outside_comes_back_with_the_next_attempt() {
    let (mut left, mut ended) = (0, false);
    for steps in 1.. {
        let site = Site::with(|world| world.drains = 1);
        let mut run = site.run(deploy(&[]));
        for _ in 0..steps {
            ended = run.step().await.is_some();
        }
        if ended {
            break;
        }
        // What drains is gone by then.
        (0..3).for_each(|_| site.world().pass());
        left += usize::from(site.world().registered() != ALL);
        let next = deploy(&[]);
        let id = next.id.execution.action(1, 0, 2);
        done(site.run(Task { id, ..next }).end().await);
        assert_eq!(site.world().registered(), ALL, "{steps}");
        // The attempt before is told so, if it was not abandoned after all.
        let message = run.fails().await;
        assert!(message.contains("another execution of the action has made its own since"), "{message}");
        assert_eq!(site.world().registered(), ALL, "{steps}");
    }
    assert!(left > 8, "{left}");
}

#[tokio::test]
async fn what_others_took_out_after_the_deploy_stays_out() {
    let site = Site::new();
    done(site.run(deploy(&[])).end().await);
    site.world().groups.get_mut("web").unwrap().remove(&("i-4".to_owned(), "80".to_owned()));
    let next = deploy(&[]);
    let id = next.id.execution.action(1, 0, 2);
    done(site.run(Task { id, ..next }).end().await);
    assert_eq!(site.world().registered(), ALL[..6]);
}

#[tokio::test]
async fn before_the_time_out_the_batch_comes_back_and_its_command_is_cancelled() {
    let expected = "The action was ended 3 minutes before its time-out of 60 minutes, at batch 1 of 2\nThe instances of the \
                    batch are back in their target groups";
    // While it drains there is nothing to cancel.
    for (drains, runs, waits) in [(0, 1_000, "0 of 2 instances"), (1_000, 0, "leaves web: draining")] {
        let site = Site::with(|world| (world.drains, world.runs) = (drains, runs));
        let mut run = site.run(deploy(&[]));
        run.until(waits).await;
        let left = || run.task.deadline.unwrap().since(driver::Clock::now(&*site.clock));
        site.clock.pass(left() - 180_001);
        assert!(run.step().await.is_none());
        assert!(run.summaries.last().unwrap().contains(waits), "it is waited for until then");
        assert_eq!(run.fails().await, expected);
        assert_eq!(site.world().registered(), ALL);
        let cancelled: Vec<_> = site.world().commands.iter().map(|command| command.cancelled).collect();
        assert_eq!(cancelled, if runs > 0 { vec![true] } else { vec![] });
    }
}

#[tokio::test]
async fn in_another_region_and_with_another_account_s_role_everything_is_there() {
    let site = Site::new();
    let mut task = Task {
        region: "us-west-2".into(),
        action_role: Some("arn:aws:iam::444455556666:role/deployer".into()),
        store: Some(("store-us".into(), None)),
        ..deploy(&[])
    };
    for input in &mut task.inputs {
        input.bucket = "store-us".into();
        input.artifact.bucket = "store-us".into();
        input.artifact.region = "us-west-2".into();
    }
    done(site.run(task).end().await);
    for operation in
        ["DescribeTargetGroups", "DescribeTargetHealth", "DeregisterTargets", "SendCommand", "RegisterTargets"]
    {
        for call in site.aws.calls(operation) {
            assert_eq!((call.role.as_str(), call.region.as_str()), ("deployer", "us-west-2"), "{operation}");
        }
    }
    let kept = site.aws.calls("PutObject");
    assert!(!kept.is_empty() && kept.iter().all(|call| call.role == "pipeline" && call.region == "us-west-2"));
    assert!(kept.iter().all(|call| call.path.starts_with("store-us/shop/TargetGrou/")), "{:?}", kept[0].path);
}

#[tokio::test]
async fn what_is_wrong_with_target_groups_is_said_before_anything_changes() {
    let none = |world: &mut World| world.groups.insert("empty".to_owned(), BTreeMap::new());
    let kind = |kind: &'static str| {
        move |world: &mut World| {
            world.kinds.insert("api".to_owned(), kind);
        }
    };
    type Case<'a> = (&'a [(&'a str, &'a str)], Box<dyn FnOnce(&mut World)>, &'a str);
    let cases: [Case<'_>; 8] = [
        (
            &[("TargetGroupNameList", "web,other")],
            Box::new(|_| {}),
            "DescribeTargetGroups of the target group other failed: TargetGroupNotFound: One or more target groups not found",
        ),
        (
            &[],
            Box::new(kind("ip")),
            "the target group api has targets of type ip: TargetGroupNameList takes groups with targets of type instance",
        ),
        (
            &[],
            Box::new(kind("lambda")),
            "the target group api has targets of type lambda: TargetGroupNameList takes groups with targets of type instance",
        ),
        (
            &[("TargetGroupNameList", "web,empty")],
            Box::new(move |world| drop(none(world))),
            "the instances with the tag Name=shop: none of them is registered in the target group empty",
        ),
        (
            &[],
            Box::new(|world| world.managed.clear()),
            "the instances with the tag Name=shop: Systems Manager manages none in eu-west-1",
        ),
        (&[("TargetGroupNameList", ",")], Box::new(|_| {}), "TargetGroupNameList is \",\": it names no target group"),
        (
            &[("TargetGroupNameList", "arn:aws:elasticloadbalancing")],
            Box::new(|_| {}),
            "TargetGroupNameList is \"arn:aws:elasticloadbalancing\": it must be names of target groups, no ARNs, with commas \
             between them",
        ),
        (
            &[("InstanceType", "SSM_MANAGED_NODE")],
            Box::new(|_| {}),
            "TargetGroupNameList needs EC2 as InstanceType: target groups have EC2 instances",
        ),
    ];
    for (configuration, change, expected) in cases {
        let site = Site::with(change);
        let error = failed(&registry(&site.aws), &deploy(configuration)).await;
        assert_eq!((error.code.as_str(), error.message.as_str()), ("ConfigurationError", expected));
        assert!(site.log().is_empty() && site.aws.calls("PutObject").is_empty());
    }
    let site = Site::new();
    let error = failed(&registry(&site.aws), &Task { inputs: Vec::new(), ..deploy(&[]) }).await;
    assert!(error.message.ends_with("needs an input artifact") && site.log().is_empty(), "{}", error.message);
}

#[tokio::test]
async fn without_a_plan_that_can_be_read_nothing_is_taken_out() {
    let site = Site::new();
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    site.aws.reply("GetObject", move |_| (403, [].into(), denied.as_bytes().to_vec()));
    let run = site.run(deploy(&[]));
    let error = failed(&run.registry, &run.task).await;
    assert_eq!(error.code, "PermissionError");
    assert!(error.message.contains("/shop/TargetGrou/") && site.log().is_empty(), "{}", error.message);
}
