//! Sources that are polled: what starts, and that it starts once whatever dies in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use driver::{
    DriveError, Driver, ExecutorError, Message, NewestRevision, Outcome, Setup, SourceReader, SourceRules, Started,
    Task,
};
use engine::{ActionError, Execution, Progress, Revision, Success, Timestamp};
use pipeline::git_trigger::GitEvent;
use pipeline::{ActionName, Declaration, PipelineName};
use serde_json::json;
use store::{Due, Entity, Key, Listing, MemoryStore, Page, SourcePoll, Store, StoreError, Versioned, Write};
use testkit::{Outbox, TestClock, TestExecutor, create, setup};

/// A store whose process dies at one of its commits: before or after it was made.
#[derive(Default)]
struct DyingStore {
    inner: MemoryStore,
    commits: AtomicUsize,
    /// The number of the commit, and whether it is made.
    dies_at: Mutex<Option<(usize, bool)>>,
}

impl DyingStore {
    fn die_at(&self, commit: usize, made: bool) {
        self.commits.store(0, Ordering::Relaxed);
        *self.dies_at.lock().unwrap() = Some((commit, made));
    }

    /// Lives on. Answers whether it had died.
    fn live(&self) -> bool {
        self.dies_at.lock().unwrap().take().is_none()
    }
}

#[async_trait]
impl Store for DyingStore {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.inner.load(keys).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        let dies = self.dies_at.lock().unwrap().take_if(|(at, _)| *at == number);
        match dies {
            None => self.inner.commit(writes).await,
            Some((_, made)) => {
                if made {
                    self.inner.commit(writes).await?;
                }
                Err(StoreError::Unavailable("it died".into()))
            }
        }
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.inner.list(listing, after, limit).await
    }

    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.inner.due(shard, from, to, limit).await
    }
}

/// A source at this revision, or why it cannot be asked.
struct At(Result<Option<&'static str>, &'static str>);

#[async_trait]
impl SourceReader for At {
    async fn newest(&self, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError> {
        assert_eq!((task.pipeline.as_str(), task.region.as_str()), ("p", "eu-west-1"));
        assert_eq!(task.configuration["S3ObjectKey"], "app.zip");
        let revision = self.0.map_err(|why| ExecutorError(why.into()))?;
        let Some(revision) = revision.filter(|it| validator != Some(&format!("etag {it}"))) else { return Ok(None) };
        Ok(Some(NewestRevision {
            kind: "S3_OBJECT_VERSION_ID",
            value: revision.into(),
            validator: Some(format!("etag {revision}")),
            token: None,
            detail: "the source".into(),
        }))
    }

    async fn changed_files(&self, _: &Task, _: &GitEvent) -> Result<Vec<String>, ExecutorError> {
        panic!("nobody asks for files")
    }
}

struct World {
    store: Arc<DyingStore>,
    outbox: Arc<Outbox>,
    driver: Driver,
}

fn name() -> PipelineName {
    PipelineName::new("p").unwrap()
}

fn declaration(poll: &str, key: &str) -> Declaration {
    let mut declaration = pipeline::testing::example();
    declaration.name = "p".into();
    let source = &mut declaration.stages[0].actions[0];
    let configuration = json!({"S3Bucket": "b", "S3ObjectKey": key, "PollForSourceChanges": poll});
    source.configuration = Some(serde_json::from_value(configuration).unwrap());
    let deploy = declaration.stages[1].actions[0].configuration.as_mut().unwrap();
    deploy.insert("ObjectKey".into(), "site.zip".into());
    declaration
}

impl World {
    /// A world in which no pipeline has been created, with a clock that moves on at each look.
    fn empty() -> Self {
        let (store, outbox) = (Arc::new(DyingStore::default()), Arc::new(Outbox::default()));
        let clock = Arc::new(TestClock::ticking(Timestamp(0)));
        let sources = SourceRules {
            polled: |action, _| {
                let value = |key: &str| action.configuration.get(key);
                (value("PollForSourceChanges")? == "true").then(|| value("S3ObjectKey").cloned()).flatten()
            },
            ..setup(&store, &outbox, &clock).sources
        };
        let driver = Driver::new(Setup { sources, ..setup(&store, &outbox, &clock) });
        Self { store, outbox, driver }
    }

    /// With a pipeline that is polled; its first execution's source took this revision, or found nothing.
    async fn new(took: Option<&'static str>) -> Self {
        let world = Self::empty();
        create(&world.driver, declaration("true", "app.zip")).await;
        world.work(took).await;
        world
    }

    /// Lets sources find a revision, or fail; everything else succeeds.
    async fn work(&self, took: Option<&'static str>) {
        let executor = TestExecutor::new(move |task: &Task| {
            let success = |revision| {
                Outcome::Succeeded(Success { outputs: task.outputs.clone(), revision, ..Success::default() })
            };
            match (task.action.name.as_str(), took) {
                ("Fetch", Some(id)) => {
                    success(Some(Revision { id: id.into(), summary: None, url: None, created: None, change: None }))
                }
                ("Fetch", None) => {
                    let error = ActionError { code: "ConfigurationError".into(), message: "nothing there".into() };
                    Outcome::Failed { error, report: Progress::default() }
                }
                _ => success(None),
            }
        });
        while let Some(message) = self.outbox.take() {
            self.driver.work(message, &executor, Timestamp(i64::MAX)).await.unwrap();
        }
    }

    async fn poll(&self, revision: Result<Option<&'static str>, &'static str>) -> Result<Option<Started>, DriveError> {
        self.driver.poll_source(&name(), &ActionName::new("Fetch").unwrap(), &At(revision)).await
    }

    /// Whether a poll at this revision starts something.
    async fn starts(&self, revision: &'static str) -> bool {
        self.poll(Ok(Some(revision))).await.unwrap().is_some_and(|started| started.new)
    }

    /// What polls have started, the oldest first.
    async fn started(&self) -> Vec<String> {
        let listed = self.driver.executions(&name(), None, 100).await.unwrap().entities;
        let executions = listed.into_iter().rev().map(|entity| match entity {
            Entity::Execution(execution) => execution,
            other => panic!("{other:?}"),
        });
        let polled = executions.filter(|it: &Execution| it.trigger.kind == "PollForSourceChanges");
        polled.map(|it| it.overrides[0].value.clone()).collect()
    }

    async fn polled(&self) -> Vec<SourcePoll> {
        let store: &dyn Store = self.store.as_ref();
        store.all::<SourcePoll>(&Listing::SourcePolls).await.unwrap()
    }
}

#[tokio::test]
async fn a_change_starts_the_pipeline_once() {
    let world = World::new(Some("1")).await;
    assert!(!world.starts("1").await, "its creation has started that");
    for revision in ["2", "3", "2"] {
        assert!(world.starts(revision).await, "{revision}");
        assert!(!world.starts(revision).await, "{revision} again");
    }
    assert_eq!(world.started().await, ["2", "3", "2"]);
    assert_eq!(world.poll(Ok(None)).await, Ok(None));
    assert_eq!(world.poll(Err("access denied")).await, Ok(None), "asked again a minute later");
    let [poll] = <[SourcePoll; 1]>::try_from(world.polled().await).unwrap();
    assert_eq!(poll.seen.unwrap().validator.as_deref(), Some("etag 2"));
}

#[tokio::test]
async fn what_the_first_execution_did_not_take_is_started() {
    let world = World::empty();
    create(&world.driver, declaration("true", "app.zip")).await;
    assert!(!world.starts("2").await, "it may still take that");
    world.work(Some("1")).await;
    assert!(world.starts("2").await, "it has taken another one");

    let world = World::new(None).await;
    assert!(world.starts("1").await, "it found nothing");
}

#[tokio::test]
async fn whatever_dies_nothing_starts_twice_and_nothing_is_lost() {
    let mut deaths = 0;
    for made in [false, true] {
        for commit in 0.. {
            let world = World::new(Some("1")).await;
            assert!(world.starts("2").await);
            world.store.die_at(commit, made);
            // The next minute's poll follows on one that died.
            let died = world.poll(Ok(Some("3"))).await.is_err();
            assert_eq!(died, world.store.live(), "commit {commit}, made: {made}");
            world.poll(Ok(Some("3"))).await.unwrap();
            assert_eq!(world.started().await, ["2", "3"], "commit {commit}, made: {made}");
            // Or the source is already another one by then.
            world.store.die_at(commit, made);
            let _ = world.poll(Ok(Some("4"))).await;
            world.store.live();
            // A start that is due comes before a look at the source.
            world.poll(Ok(Some("5"))).await.unwrap();
            world.poll(Ok(Some("5"))).await.unwrap();
            let started = world.started().await;
            assert!(started == ["2", "3", "4", "5"] || started == ["2", "3", "5"], "{started:?}");
            if !died {
                break;
            }
            deaths += 1;
        }
    }
    assert_eq!(deaths, 6, "before and after what was seen is noted, it is started, and that is noted");
}

#[tokio::test]
async fn polls_at_the_same_time_start_one_execution() {
    let world = World::new(Some("1")).await;
    let polls = futures::future::join_all((0..8).map(|_| world.poll(Ok(Some("2"))))).await;
    let new = polls.into_iter().filter(|poll| poll.as_ref().unwrap().is_some_and(|it| it.new)).count();
    assert_eq!((new, world.started().await), (1, vec!["2".to_owned()]));
}

#[tokio::test]
async fn polls_are_spread_over_the_minute() {
    let world = World::new(Some("1")).await;
    assert_eq!(world.driver.request_polls().await.unwrap(), 1);
    let message = Message::PollSource { pipeline: name(), action: ActionName::new("Fetch").unwrap() };
    assert_eq!(world.outbox.take(), Some(message));
    world.driver.delete_pipeline(&name()).await.unwrap();
    assert_eq!(world.driver.request_polls().await.unwrap(), 0);
    assert_eq!(world.poll(Ok(Some("2"))).await, Ok(None), "it is gone");
}

#[tokio::test]
async fn an_update_keeps_what_was_seen_and_forgets_what_is_not_polled_any_more() {
    let world = World::new(Some("1")).await;
    assert!(world.starts("2").await);
    let update = |poll, key| world.driver.update_pipeline(declaration(poll, key));
    update("true", "app.zip").await.unwrap();
    assert!(!world.starts("2").await, "as before");
    assert!(world.starts("3").await);
    update("false", "app.zip").await.unwrap();
    assert_eq!(world.polled().await, []);
    assert!(!world.starts("4").await, "nobody asks for it");
    update("true", "app.zip").await.unwrap();
    assert!(!world.starts("5").await, "what is there when polling begins is known");
    assert!(world.starts("6").await);
    update("true", "other.zip").await.unwrap();
    assert_eq!(world.polled().await[0].seen, None, "of something else");
}

#[tokio::test]
async fn no_more_than_300_pipelines_are_polled() {
    let world = World::empty();
    let named = |number: usize, poll: &str| Declaration { name: format!("p{number}"), ..declaration(poll, "app.zip") };
    for number in 0..300 {
        create(&world.driver, named(number, "true")).await;
    }
    let trigger = || engine::Trigger { kind: "CreatePipeline".into(), detail: String::new() };
    let refused = world.driver.create_pipeline(named(300, "true"), [].into(), trigger()).await;
    assert_eq!(refused.unwrap_err(), DriveError::PollingLimit);
    world.driver.create_pipeline(named(300, "false"), [].into(), trigger()).await.unwrap();
    let refused = world.driver.update_pipeline(named(300, "true")).await;
    assert_eq!(refused.unwrap_err(), DriveError::PollingLimit);
    world.driver.update_pipeline(named(7, "true")).await.unwrap();
}
