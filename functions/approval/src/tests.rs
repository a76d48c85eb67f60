//! The page over the real driver, an in-memory store and a stubbed KMS; requests as API Gateway sends them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use driver::{Driver, Outcome, Setup, StartRequest, Task};
use engine::{
    ActionId, ApprovalToken, Approver, Artifact, ExecutionId, ExecutionStatus, Pin, Progress, Revision, Success,
    Timestamp, Trigger,
};
use lambda_http::{Body, Response};
use notify::{Links, Ticket};
use pipeline::{Declaration, PipelineName};
use runtime::{CallLog, Clients, Settings};
use serde_json::{Value, json};
use store::{ChangeOrigin, Entity, Key, MemoryStore};
use testkit::{Answer, Outbox, Stub, TestClock, TestExecutor, create, kms, setup};
use url::Url;
use uuid::Uuid;

use crate::handler::ApprovalHandler;

const BASE: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/live/approve";
const NOW: Timestamp = Timestamp(1_795_441_779_208);
const EVIL: &str = "<script>alert('x')</script>\"><img src=x onerror=y>";
const FORM: &str = "name=Ada+Lovelace&comment=Looks+good&decision=approve";

/// What the source action has left.
fn pin() -> Pin {
    Pin { version: Some("v1".into()), sha256: Some("LPJNug==".into()) }
}

/// The source finds a version that says more than it should; everything else waits.
fn start(task: &Task) -> Outcome {
    if task.action.type_id.category != "Source" {
        return Outcome::Running { report: Progress::default(), poll: false, event_source: None };
    }
    let revision = Revision {
        id: "version-9".into(),
        summary: Some(EVIL.into()),
        url: Some("javascript:alert(1)".into()),
        created: None,
        change: None,
    };
    Outcome::Succeeded(Success {
        outputs: task.outputs.iter().map(|it| Artifact { pin: pin(), ..it.clone() }).collect(),
        revision: Some(revision),
        variables: BTreeMap::from([("VersionId".to_owned(), "v".to_owned())]),
        ..Success::default()
    })
}

fn declaration() -> Declaration {
    let mut declaration = serde_json::to_value(pipeline::testing::example()).unwrap();
    let gate = json!({"name": "Gate", "actions": [{
        "name": "Ask",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
        "configuration": {"CustomData": EVIL, "ExternalEntityLink": "https://example.com/?a=1&b=\"2"},
    }]});
    declaration["stages"].as_array_mut().unwrap().insert(1, gate);
    serde_json::from_value(declaration).unwrap()
}

struct World {
    clock: Arc<TestClock>,
    outbox: Arc<Outbox>,
    store: Arc<MemoryStore>,
    handler: ApprovalHandler,
    /// The queue of the audit log.
    queue: Stub,
    links: Links,
    execution: ExecutionId,
    action: ActionId,
}

impl World {
    /// A release that waits in its approval.
    async fn waiting() -> Self {
        let (clock, outbox) = (Arc::new(TestClock::standing(NOW)), Arc::new(Outbox::default()));
        let store = Arc::new(MemoryStore::default());
        let links = Links::new(aws_sdk_kms::Client::new(&kms().config()), "key-1");
        let queue = Stub::new(|_| Answer::ok(r#"{"MessageId": "m"}"#));
        let handler =
            ApprovalHandler::new(driver(&store, &clock, &outbox), Some(links.clone()), clock.clone(), calls(&queue));
        let driver = driver(&store, &clock, &outbox);
        let record = create(&driver, declaration()).await;
        let page = driver.executions(&record.head.pipeline, None, 1).await.unwrap();
        let Some(Entity::Execution(execution)) = page.entities.first() else { panic!("it starts by itself") };
        let execution = execution.id;
        let world = Self { clock, outbox, store, handler, queue, links, execution, action: execution.action(1, 0, 1) };
        world.work().await;
        world
    }

    /// Does all work that was dispatched.
    async fn work(&self) {
        self.outbox.work(&self.driver(), &TestExecutor::new(start)).await;
    }

    /// A driver that has not seen anything yet.
    fn driver(&self) -> Driver {
        driver(&self.store, &self.clock, &self.outbox)
    }

    /// Starts another execution, and does all work that comes of it.
    async fn start(&self) -> ExecutionId {
        let request = StartRequest {
            pipeline: PipelineName::new("release").unwrap(),
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: "somebody".into() },
            variables: BTreeMap::new(),
            overrides: Vec::new(),
            client_token: None,
        };
        let started = self.driver().start(request).await.unwrap();
        self.work().await;
        started.execution
    }

    async fn link(&self) -> String {
        let view = self.driver().approval(self.action).await.unwrap();
        self.link_for(Ticket {
            action_id: self.action,
            token: view.run.token.unwrap(),
            expires: view.run.deadline.unwrap(),
            pipeline: "release".into(),
            stage: "Gate".into(),
            action: "Ask".into(),
        })
        .await
    }

    async fn link_for(&self, ticket: Ticket) -> String {
        self.links.make(BASE, &ticket).await.unwrap()
    }

    async fn status(&self) -> ExecutionStatus {
        let name = PipelineName::new("release").unwrap();
        self.driver().execution(&name, self.execution).await.unwrap().status
    }

    async fn get(&self, link: &str) -> (u16, String) {
        shown(&self.handler.open(&event("GET", link, None)).await.unwrap())
    }

    async fn post(&self, link: &str, form: &str) -> (u16, String) {
        shown(&self.handler.open(&event("POST", link, Some(form))).await.unwrap())
    }
}

/// What the audit log is told, through this queue.
fn calls(queue: &Stub) -> CallLog {
    let environment = |name| match name {
        "AWS_REGION" => Some("eu-west-1".into()),
        "MILLRACE_AUDIT_QUEUE_URL" => Some("https://queue".into()),
        _ => None,
    };
    CallLog::new(&Settings::read(environment).unwrap(), &Clients::from_config(queue.config())).unwrap()
}

fn driver(store: &Arc<MemoryStore>, clock: &Arc<TestClock>, outbox: &Arc<Outbox>) -> Driver {
    Driver::new(Setup { sources: providers::SOURCES, ..setup(store, outbox, clock) })
}

/// A request as API Gateway's REST proxy hands it over, its body in base64.
fn event(method: &str, link: &str, form: Option<&str>) -> lambda_http::Request {
    let url = Url::parse(link).unwrap();
    let (mut single, mut multi) = (serde_json::Map::new(), serde_json::Map::new());
    for (name, value) in url.query_pairs() {
        single.insert(name.to_string(), json!(value));
        let all = multi.entry(name.to_string()).or_insert_with(|| json!([]));
        all.as_array_mut().unwrap().push(json!(value));
    }
    let event = json!({
        "resource": "/approve", "path": "/approve", "httpMethod": method,
        "headers": {"Content-Type": "application/x-www-form-urlencoded", "Host": "abc"},
        "multiValueHeaders": {"Content-Type": ["application/x-www-form-urlencoded"], "Host": ["abc"]},
        "queryStringParameters": single, "multiValueQueryStringParameters": multi,
        "pathParameters": null, "stageVariables": null,
        "requestContext": {"accountId": "123456789012", "resourceId": "r", "stage": "live", "requestId": "q",
            "identity": {"sourceIp": "203.0.113.7"}, "resourcePath": "/approve", "httpMethod": method, "apiId": "abc", "path": "/live/approve"},
        "body": form.map(|form| BASE64_STANDARD.encode(form)), "isBase64Encoded": true,
    });
    lambda_http::request::from_str(&event.to_string()).unwrap()
}

fn shown(response: &Response<Body>) -> (u16, String) {
    let body = String::from_utf8(response.body().as_ref().to_vec()).unwrap();
    (response.status().as_u16(), body)
}

#[tokio::test]
async fn the_page_shows_what_is_asked_and_changes_nothing() {
    let world = World::waiting().await;
    let link = world.link().await;
    for _ in 0..3 {
        let (status, body) = world.get(&link).await;
        assert_eq!(status, 200);
        for part in
            ["release", "Gate", "Ask", "version-9", "Monday 23 November 2026, 13:49 UTC", "Monday 30 November 2026"]
        {
            assert!(body.contains(part), "{part} is missing in\n{body}");
        }
    }
    let head = world.handler.open(&event("HEAD", &link, None)).await.unwrap();
    assert_eq!(shown(&head), (200, String::new()));
    assert_eq!(world.status().await, ExecutionStatus::InProgress);
    assert_eq!(world.outbox.waiting(), 0);
    let view = world.driver().approval(world.action).await.unwrap();
    assert!(view.run.status.in_flight());
}

#[tokio::test]
async fn nothing_from_outside_becomes_html() {
    let world = World::waiting().await;
    let link = world.link().await;
    let form = format!("name={0}&comment={0}", "%3Cscript%3E%22%3E%27%3C%2Ftextarea%3E");
    let (status, sent_back) = world.post(&link, &form).await;
    assert_eq!(status, 400);
    for body in [world.get(&link).await.1, sent_back] {
        assert!(!body.contains("<script") && !body.contains("<img") && !body.contains("javascript:"), "{body}");
        assert!(body.contains("&lt;script&gt;"), "{body}");
        assert!(body.contains("href=\"https://example.com/?a=1&amp;b=%222\""), "{body}");
        assert_eq!(body.matches("</textarea>").count(), 1);
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let world = World::waiting().await;
    let link = world.link().await;
    for request in [event("GET", &link, None), event("POST", &link, Some("x=y")), event("GET", BASE, None)] {
        let response = world.handler.open(&request).await.unwrap();
        let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-robots-tag"), "noindex, nofollow");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "style-src 'sha256-", "form-action 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!shown(&response).1.contains(" style=") && !shown(&response).1.contains("<script"));
    }
}

#[tokio::test]
async fn an_approval_goes_on_once() {
    let world = World::waiting().await;
    let link = world.link().await;
    let (status, body) = world.post(&link, FORM).await;
    assert_eq!(status, 200);
    assert!(body.contains("Approved"), "{body}");
    let view = world.driver().approval(world.action).await.unwrap();
    assert_eq!(view.run.summary.as_deref(), Some("Looks good"));
    assert_eq!(view.run.updated_by, Some(Approver::Link { name: "Ada Lovelace".into() }));
    assert_eq!(world.outbox.waiting(), 1, "the deploy action is requested");
    for again in [world.post(&link, &FORM.replace("approve", "reject")).await, world.get(&link).await] {
        assert_eq!(again.0, 410);
        assert!(again.1.contains("has been answered") && again.1.contains("Ada Lovelace"), "{}", again.1);
    }
    assert_eq!(world.outbox.waiting(), 1, "nothing is requested twice");
    assert_eq!(world.status().await, ExecutionStatus::InProgress);
}

#[tokio::test]
async fn a_rejection_fails_the_execution() {
    let world = World::waiting().await;
    let link = world.link().await;
    let (status, body) = world.post(&link, "name=Ada&comment=&decision=reject").await;
    assert_eq!(status, 200);
    assert!(body.contains("Rejected"), "{body}");
    assert_eq!(world.status().await, ExecutionStatus::Failed);
}

#[tokio::test]
async fn an_execution_that_is_being_stopped_waits_for_the_answer_and_takes_it() {
    let world = World::waiting().await;
    let link = world.link().await;
    let name = PipelineName::new("release").unwrap();
    world.driver().stop(&name, world.execution, false, None).await.unwrap();
    assert_eq!(world.status().await, ExecutionStatus::Stopping);
    let (status, body) = world.post(&link, FORM).await;
    assert_eq!(status, 200);
    assert!(body.contains("Approved"), "{body}");
    assert_eq!(world.status().await, ExecutionStatus::Stopped);

    let world = World::waiting().await;
    let link = world.link().await;
    world.driver().stop(&name, world.execution, true, None).await.unwrap();
    let (status, body) = world.get(&link).await;
    assert_ne!(status, 200, "what was given up is not asked any more: {body}");
    assert_eq!(world.status().await, ExecutionStatus::Stopped);
}

#[tokio::test]
async fn a_form_with_faults_changes_nothing_and_keeps_what_was_written() {
    let world = World::waiting().await;
    let link = world.link().await;
    let (status, body) = world.post(&link, "name=&comment=my+words&decision=approve").await;
    assert_eq!(status, 400);
    assert!(body.contains("Enter your name.") && body.contains("my words"), "{body}");
    let long = format!("name=Ada&decision=approve&comment={}", "x".repeat(513));
    assert_eq!(world.post(&link, &long).await.0, 400);
    assert_eq!(world.post(&link, &"x".repeat(20_000)).await.0, 413);
    assert_eq!(world.post(&link, "decision=perhaps").await.0, 415);
    assert_eq!(world.get(&link).await.0, 200, "still open");
}

#[tokio::test]
async fn bad_links_have_pages_of_their_own() {
    let world = World::waiting().await;
    let link = world.link().await;
    let forged = link.replace("stage=Gate", "stage=Gaze");
    for (link, status, words) in [
        (BASE.to_owned(), 404, "not an approval link"),
        (format!("{link}&token=x"), 404, "not an approval link"),
        (forged, 403, "not genuine"),
    ] {
        for (got, body) in [world.get(&link).await, world.post(&link, FORM).await] {
            assert_eq!(got, status);
            assert!(body.contains(words), "{body}");
        }
    }
    let (status, body) = shown(&world.handler.open(&event("PUT", &link, None)).await.unwrap());
    assert_eq!(status, 405);
    assert!(body.contains("not possible"), "{body}");
    assert_eq!(world.get(&link).await.0, 200, "still open");
}

#[tokio::test]
async fn an_expired_link_says_so() {
    let world = World::waiting().await;
    let link = world.link().await;
    world.clock.pass(7 * 24 * 3_600_000 + 1);
    for (status, body) in [world.get(&link).await, world.post(&link, FORM).await] {
        assert_eq!(status, 410);
        assert!(body.contains("has expired") && body.contains("Monday 30 November 2026"), "{body}");
    }
    assert_eq!(world.status().await, ExecutionStatus::InProgress);
}

#[tokio::test]
async fn a_link_to_another_attempt_is_superseded() {
    let world = World::waiting().await;
    let view = world.driver().approval(world.action).await.unwrap();
    let mut ticket = Ticket {
        action_id: world.action,
        token: ApprovalToken(Uuid::from_u128(5)),
        expires: view.run.deadline.unwrap(),
        pipeline: "release".into(),
        stage: "Gate".into(),
        action: "Ask".into(),
    };
    let other_token = world.link_for(ticket.clone()).await;
    ticket.action_id = world.execution.action(1, 0, 2);
    let other_attempt = world.link_for(ticket.clone()).await;
    ticket.action_id = ExecutionId::from_random(Uuid::from_u128(1 << 100)).action(1, 0, 1);
    let other_execution = world.link_for(ticket).await;
    for link in [other_token, other_attempt, other_execution] {
        for (status, body) in [world.get(&link).await, world.post(&link, FORM).await] {
            assert_eq!(status, 410);
            assert!(body.contains("no longer needed"), "{body}");
        }
    }
    assert_eq!(world.status().await, ExecutionStatus::InProgress);
}

#[tokio::test]
async fn a_fault_of_kms_changes_nothing() {
    let world = World::waiting().await;
    let link = world.link().await;
    let down = Stub::new(|_| Answer { status: 500, body: "{}".into() });
    let links = Links::new(aws_sdk_kms::Client::new(&down.config()), "key-1");
    let handler = ApprovalHandler::new(world.driver(), Some(links), world.clock.clone(), calls(&world.queue));
    let (status, body) = shown(&handler.open(&event("POST", &link, Some(FORM))).await.unwrap());
    assert_eq!(status, 503);
    assert!(body.contains("Nothing was changed"), "{body}");
    assert_eq!(world.get(&link).await.0, 200);
}

#[tokio::test]
async fn the_page_shows_the_digest_of_what_would_go_on() {
    let world = World::waiting().await;
    let (_, body) = world.get(&world.link().await).await;
    assert!(body.contains("<dt>Artifact <bdi>App</bdi></dt><dd><code>SHA-256 2cf24dba</code></dd>"), "{body}");
}

#[tokio::test]
async fn the_page_says_what_is_decided_and_that_a_newer_execution_waits() {
    let world = World::waiting().await;
    let link = world.link().await;
    let (_, body) = world.get(&link).await;
    assert!(body.contains("<bdi>Deploy</bdi>: nothing has come through yet"), "{body}");
    assert!(!body.contains("reject-for-newer"), "{body}");
    let (status, body) = world.post(&link, &FORM.replace("approve", "reject-for-newer")).await;
    assert_eq!(status, 400);
    assert!(body.contains("No newer execution waits behind this one any more."), "{body}");
    assert_eq!(world.status().await, ExecutionStatus::InProgress);

    let newer = world.start().await;
    let (_, body) = world.get(&link).await;
    assert!(body.contains("A newer execution waits behind this one") && body.contains("reject-for-newer"), "{body}");
    let (status, body) = world.post(&link, &FORM.replace("approve", "reject-for-newer")).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(world.status().await, ExecutionStatus::Failed);
    let comment = world.driver().approval(world.action).await.unwrap().run.summary.unwrap();
    assert_eq!(comment, format!("Looks good\nRejected in favour of the newer execution {newer}"));
    world.work().await;
    let asks = world.driver().approval(newer.action(1, 0, 1)).await.unwrap();
    assert!(asks.run.status.in_flight(), "the newer one has come to the approval");
}

#[tokio::test]
async fn a_link_that_can_only_reject_can_do_so_in_favour_of_a_newer_execution() {
    let world = World::waiting().await;
    let link = world.link().await;
    world.start().await;
    let handler =
        ApprovalHandler::new(world.driver(), Some(world.links.clone()), world.clock.clone(), calls(&world.queue));
    let form = FORM.replace("approve", "reject-for-newer");
    let response = handler.rejecting_only().open(&event("POST", &link, Some(&form))).await.unwrap();
    assert_eq!(shown(&response).0, 200);
    assert_eq!(world.status().await, ExecutionStatus::Failed);
}

#[tokio::test]
async fn a_name_that_looks_like_an_identity_stays_a_name() {
    let world = World::waiting().await;
    let arn = "arn:aws:iam::111122223333:user/admin";
    let (status, _) = world.post(&world.link().await, &format!("name={arn}&comment=&decision=approve")).await;
    assert_eq!(status, 200);
    let by = world.driver().approval(world.action).await.unwrap().run.updated_by.unwrap();
    assert_eq!(by, Approver::Link { name: arn.into() });
    assert_eq!(by.to_string(), format!("approval link (name given: {arn})"));
}

#[tokio::test]
async fn an_answer_by_link_is_recorded_as_one_in_the_table_and_in_the_audit_log() {
    let world = World::waiting().await;
    let link = world.link().await;
    world.get(&link).await;
    world.post(&link, FORM).await;
    world.post(&link, FORM).await;
    let forged = link.replace("Gate", "Gates");
    assert_ne!(world.get(&forged).await.0, 200, "of this nothing is recorded: anybody could fill the log");
    let sent: Vec<Value> = world.queue.requests().iter().map(|it| serde_json::from_str(&it.body).unwrap()).collect();
    let sent = sent.iter().map(|it| serde_json::from_str(it["MessageBody"].as_str().unwrap()).unwrap());
    let [opened, line, again]: &[Value] = &sent.collect::<Vec<_>>()[..] else { panic!("a look and two answers") };
    assert_eq!([&again["operation"], &again["result"]], ["PutApprovalResult", "refused"], "it is answered");
    assert_eq!([&opened["operation"], &opened["pipeline"]], ["OpenApprovalLink", "release"]);
    let members = ["operation", "pipeline", "caller", "source", "request", "result"].map(|name| line[name].as_str());
    let caller = "approval link (name given: Ada Lovelace)";
    let expected = ["PutApprovalResult", "release", caller, "203.0.113.7", "q", "ok"].map(Some);
    assert_eq!(members, expected);
    assert!(!line.to_string().contains(link.split_once('?').unwrap().1), "the link itself is in no log");
    let origin = ChangeOrigin { caller: caller.into(), source: Some("203.0.113.7".into()), request: "q".into() };
    assert_eq!(world.store.changed_by(&Key::Execution(world.execution)), Some(origin));
}

#[tokio::test]
async fn where_links_are_off_every_link_is_answered_by_a_notice() {
    let world = World::waiting().await;
    let link = world.link().await;
    let handler = ApprovalHandler::new(world.driver(), None, world.clock.clone(), calls(&world.queue));
    for (method, form) in [("GET", None), ("POST", Some(FORM))] {
        let (status, body) = shown(&handler.open(&event(method, &link, form)).await.unwrap());
        assert_eq!(status, 403);
        assert!(body.contains("Approval links are off") && body.contains("put-approval-result"), "{body}");
        assert!(!body.contains("release"), "nothing is told: {body}");
    }
    assert_eq!(world.get(&link).await.0, 200, "nothing was changed");
}

#[tokio::test]
async fn where_the_approver_must_be_somebody_else_a_link_can_only_reject() {
    let world = World::waiting().await;
    let link = world.link().await;
    let handler =
        ApprovalHandler::new(world.driver(), Some(world.links.clone()), world.clock.clone(), calls(&world.queue));
    let handler = handler.rejecting_only();
    let (status, body) = shown(&handler.open(&event("GET", &link, None)).await.unwrap());
    assert_eq!(status, 200);
    assert!(body.contains("This page can only reject") && body.contains("value=\"reject\""), "{body}");
    assert!(!body.contains("value=\"approve\""), "{body}");
    let (status, body) = shown(&handler.open(&event("POST", &link, Some(FORM))).await.unwrap());
    assert_eq!(status, 403);
    assert!(body.contains("cannot approve") && body.contains("Nothing was changed"), "{body}");
    assert_eq!(world.get(&link).await.0, 200, "still open");
    let reject = FORM.replace("approve", "reject");
    assert_eq!(shown(&handler.open(&event("POST", &link, Some(&reject))).await.unwrap()).0, 200);
    assert_eq!(world.status().await, ExecutionStatus::Failed);
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = testkit::Template::home().environment("ApprovalFunction");
    let settings = runtime::Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &runtime::Clients::from_config(testkit::Stub::unused().config())).unwrap();
    environment.assert_read();
}
