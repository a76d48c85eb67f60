//! The door over the real driver, an in-memory store and a stubbed KMS; requests as API Gateway sends them.

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{Driver, Outcome, Setup, Task};
use engine::{ExecutionId, Success, Timestamp};
use lambda_http::{Request, Response};
use notify::{Links, Macs, Ticket};
use pictures::{Picture, PublicLinks, TAG};
use pipeline::{PipelineName, StageName};
use serde_json::json;
use store::MemoryStore;
use testkit::{Answer, Outbox, Stub, TestClock, TestExecutor, create, kms, setup};
use url::Url;

use crate::door::Door;

const API: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/live";
const NOTHING: (u16, &str) = (404, "There is nothing at this address.\n");

struct World {
    outbox: Arc<Outbox>,
    driver: Driver,
    name: PipelineName,
    door: Door,
    kms: Stub,
}

fn macs(kms: &Stub) -> Macs {
    Macs::new(aws_sdk_kms::Client::new(&kms.config()), "key-1")
}

impl World {
    /// A pipeline whose release has succeeded, and whose pictures are public.
    async fn public() -> Self {
        let (clock, outbox) =
            (Arc::new(TestClock::standing(Timestamp(1_795_441_779_208))), Arc::new(Outbox::default()));
        let store = Arc::new(MemoryStore::default());
        let driver = || Driver::new(Setup { sources: providers::SOURCES, ..setup(&store, &outbox, &clock) });
        let kms = kms();
        let door = Door::new(driver(), PublicLinks::new(macs(&kms)));
        let name = create(&driver(), pipeline::testing::example()).await.head.pipeline;
        let world = Self { driver: driver(), outbox, name, door, kms };
        let executor = TestExecutor::new(|task: &Task| {
            let variables = BTreeMap::from([("VersionId".to_owned(), "v1".to_owned())]);
            Outcome::Succeeded(Success { outputs: task.outputs.clone(), variables, ..Success::default() })
        });
        world.outbox.work(&world.driver, &executor).await;
        world.tag(Some("1")).await;
        world
    }

    async fn tag(&self, value: Option<&str>) {
        let change = |tags: &mut BTreeMap<String, String>| {
            tags.remove(TAG);
            tags.extend(value.map(|value| (TAG.to_owned(), value.to_owned())));
            true
        };
        assert!(self.driver.change_tags(&self.name, change).await.unwrap());
    }

    async fn link(&self, picture: Picture) -> String {
        let head = self.driver.pipeline_head(&self.name).await.unwrap();
        PublicLinks::new(macs(&kms())).make(API, &head, &picture).await.unwrap().unwrap()
    }

    async fn get(&self, link: &str) -> (u16, String) {
        read(&self.door.open(&request(link, &[])).await.unwrap())
    }

    async fn first_stage(&self) -> StageName {
        self.driver.pipeline(&self.name, None).await.unwrap().pipeline.stages()[0].name.clone()
    }
}

fn read(response: &Response<lambda_http::Body>) -> (u16, String) {
    (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
}

/// A link as API Gateway's REST proxy hands it over.
fn request(link: &str, headers: &[(&str, &str)]) -> Request {
    let url = Url::parse(link).unwrap();
    let path = url.path().trim_start_matches("/live").to_owned();
    let mut query = serde_json::Map::new();
    for (name, value) in url.query_pairs() {
        query.entry(name.to_string()).or_insert_with(|| json!([])).as_array_mut().unwrap().push(json!(value));
    }
    let headers: serde_json::Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let event = json!({
        "resource": "/badges/{proxy+}", "path": path, "httpMethod": "GET", "headers": {}, "multiValueHeaders": headers,
        "queryStringParameters": null, "multiValueQueryStringParameters": query,
        "pathParameters": {"proxy": path.trim_start_matches("/badges/")},
        "requestContext": {"accountId": "1", "apiId": "abc", "stage": "live", "requestId": "r",
            "resourcePath": "/badges/{proxy+}", "httpMethod": "GET", "identity": {"sourceIp": "203.0.113.7"}},
        "body": null, "isBase64Encoded": false,
    });
    lambda_http::request::from_str(&event.to_string()).unwrap()
}

#[tokio::test]
async fn whoever_has_a_link_sees_its_picture() {
    let world = World::public().await;
    let stage = world.first_stage().await;
    for (picture, title) in [
        (Picture::Badge(None), format!("{}: succeeded</title>", world.name)),
        (Picture::Badge(Some(stage.clone())), format!("{} · {stage}: succeeded</title>", world.name)),
        (Picture::Graph, format!("{}: succeeded</title>", world.name)),
    ] {
        let (status, body) = world.get(&world.link(picture).await).await;
        assert_eq!(status, 200, "{body}");
        assert!(body.starts_with("<svg ") && body.contains(&title), "{body}");
    }
}

#[tokio::test]
async fn a_picture_may_be_kept_for_a_minute_and_one_that_is_known_is_not_sent_again() {
    let world = World::public().await;
    let link = world.link(Picture::Graph).await;
    let first = world.door.open(&request(&link, &[])).await.unwrap();
    let header = |name: &str| first.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "public, max-age=60");
    assert_eq!(header("content-type"), "image/svg+xml");
    assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    let tag = header("etag");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let again = world.door.open(&request(&link, &[("if-none-match", &known)])).await.unwrap();
        assert_eq!(read(&again), (304, String::new()), "{known}");
        assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
    }
    assert_eq!(world.kms.requests().len(), 1, "what was proven once is known");
}

#[tokio::test]
async fn a_link_is_good_for_one_picture_of_one_pipeline() {
    let world = World::public().await;
    let stage = world.first_stage().await;
    let badge = world.link(Picture::Badge(None)).await;
    let graph = world.link(Picture::Graph).await;
    let proof = |link: &str| link.split("proof=").nth(1).unwrap().to_owned();
    let name = world.name.to_string();
    for changed in [
        badge.replace("badge.svg", "graph.svg"),
        graph.replace("graph.svg", "badge.svg"),
        badge.replace("badge.svg?", &format!("badge.svg?stage={stage}&")),
        badge.replace(&format!("/{name}/"), "/another/"),
        badge.replace(&proof(&badge), &"A".repeat(43)),
    ] {
        assert_ne!(changed, badge);
        let (status, body) = world.get(&changed).await;
        assert_eq!((status, body.as_str()), NOTHING, "{changed}");
    }
    // Without the form of a link, KMS is not asked.
    let asked = world.kms.requests().len();
    for changed in [
        badge.split('?').next().unwrap().to_owned(),
        badge.replace("badge.svg", "badge.png"),
        format!("{badge}&proof={}", proof(&badge)),
        format!("{graph}&stage={stage}"),
        badge.replace("proof=", "proof=A"),
        badge.replace(&format!("/{name}/"), &format!("/{}/", "%41".repeat(200))),
        badge.replace(&format!("/{name}/"), "/../"),
    ] {
        let (status, body) = world.get(&changed).await;
        assert_eq!((status, body.as_str()), NOTHING, "{changed}");
    }
    assert_eq!(world.kms.requests().len(), asked);
}

#[tokio::test]
async fn a_stranger_cannot_tell_whether_there_is_a_pipeline() {
    let world = World::public().await;
    let forged =
        world.link(Picture::Graph).await.split("proof=").next().unwrap().to_owned() + "proof=" + &"A".repeat(43);
    let nobody = forged.replace(&format!("/{}/", world.name), "/nobody/");
    let mut answers = Vec::new();
    for link in [&forged, &nobody] {
        let before = world.kms.requests().len();
        let response = world.door.open(&request(link, &[])).await.unwrap();
        answers.push((format!("{:?}", response.headers()), read(&response), world.kms.requests().len() - before));
    }
    world.tag(None).await;
    let before = world.kms.requests().len();
    let response = world.door.open(&request(&forged, &[])).await.unwrap();
    answers.push((format!("{:?}", response.headers()), read(&response), world.kms.requests().len() - before));
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.2 == 1), "{answers:?}");
}

#[tokio::test]
async fn without_the_tag_or_with_another_value_links_are_over() {
    let world = World::public().await;
    let link = world.link(Picture::Badge(None)).await;
    assert_eq!(world.get(&link).await.0, 200);
    for value in [None, Some("2"), Some("")] {
        world.tag(value).await;
        assert_eq!(world.get(&link).await, (NOTHING.0, NOTHING.1.to_owned()), "{value:?}");
    }
    let other = world.link(Picture::Badge(None)).await;
    assert_eq!(world.get(&other).await.0, 200);
    world.driver.delete_pipeline(&world.name).await.unwrap();
    assert_eq!(world.get(&other).await.0, 404);
    // Another pipeline of that name is another one.
    create(&world.driver, pipeline::testing::example()).await;
    world.tag(Some("")).await;
    assert_eq!(world.get(&other).await.0, 404);
}

#[tokio::test]
async fn a_proof_of_an_approval_link_shows_no_picture_and_none_of_a_picture_approves() {
    let world = World::public().await;
    let approvals = Links::new(aws_sdk_kms::Client::new(&kms().config()), "key-1");
    let ticket = Ticket {
        action_id: ExecutionId::from_random(Default::default()).action(0, 0, 1),
        token: engine::ApprovalToken(Default::default()),
        expires: Timestamp(2_000_000_000_000),
        pipeline: world.name.to_string(),
        stage: "badge.svg".into(),
        action: "1".into(),
    };
    let approval = approvals.make("https://abc/approve", &ticket).await.unwrap();
    let mac = approval.split("mac=").nth(1).unwrap();
    let badge = world.link(Picture::Badge(None)).await;
    let proof = badge.split("proof=").nth(1).unwrap().to_owned();
    assert_eq!(world.get(&badge.replace(&proof, mac)).await.0, 404);
    let forged = Url::parse(&approval.replace(mac, &proof)).unwrap();
    let query: Vec<_> = forged.query_pairs().into_owned().collect();
    let query = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    assert_eq!(approvals.verify(query, Timestamp(0)).await, Err(notify::LinkError::Forged));
}

#[tokio::test]
async fn a_fault_of_kms_is_told_to_all_alike() {
    let world = World::public().await;
    let link = world.link(Picture::Badge(None)).await;
    let broken = Stub::new(|_| Answer { status: 400, body: r#"{"__type":"DisabledException"}"#.into() });
    let World { driver, name, .. } = world;
    let door = Door::new(driver, PublicLinks::new(macs(&broken)));
    for link in [link.clone(), link.replace(&format!("/{name}/"), "/nobody/")] {
        let response = door.open(&request(&link, &[])).await.unwrap();
        assert_eq!(read(&response), (503, "This cannot be looked at now.\n".to_owned()));
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

#[test]
fn its_environment_is_what_it_reads_and_nothing_else() {
    let environment = testkit::Template::home().environment("BadgeFunction");
    let settings = runtime::Settings::read(environment.lookup()).unwrap();
    crate::wire(&settings, &runtime::Clients::from_config(Stub::unused().config())).unwrap();
    environment.assert_read();
}
