//! What lies outside Millrace: providers, people who approve, job workers, buckets, the replicator's S3.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use driver::{
    ActionExecutor, ArtifactStore, DriveError, Driver, ExecutorError, NewestRevision, Outcome, Replication,
    SourceReader, Task,
};
use engine::{
    ActionError, ActionId, ApprovalToken, Approver, Artifact, External, Pin, Policy, Progress, Revision, Success,
};
use pipeline::git_trigger::GitEvent;
use pipeline::{ArtifactName, TypeId};
use rand::RngExt;
use store::{Entity, Write};

use crate::clients::{JobFate, Operation};
use crate::declare::{bucket, watched};
use crate::world::{Sim, World};

/// How a simulated provider does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Does all of it while the worker waits; doing it twice has the same result.
    Whole,
    /// Runs by itself under an idempotency token, and is polled.
    Token,
    /// The same, and its events name what it runs by an id that it chooses itself.
    Named,
    /// The same without a token: what was started can only be looked up.
    Tagged,
    /// Gives out a job, whose worker reports.
    Job,
    /// Waits for a person's answer.
    Person,
    /// Waits for a job worker that polls.
    Polled,
    /// Is called with a job while the worker waits; may ask to be called again later, with its next job.
    Function,
}

/// The manner of an action type.
pub fn manner(id: &TypeId) -> Manner {
    match (id.category.as_str(), id.provider.as_str()) {
        (_, "Worker" | "Partner") => Manner::Polled,
        (_, "Executor") => Manner::Function,
        ("Approval", _) => Manner::Person,
        (_, "S3" | "VariableCheck") => Manner::Whole,
        (_, "Lambda" | "LambdaInvoke") => Manner::Job,
        (_, "CodeBuild") => Manner::Named,
        (_, "CodeDeploy") => Manner::Tagged,
        _ => Manner::Token,
    }
}

/// What a provider runs for one attempt.
#[derive(Clone, Debug)]
struct Run {
    /// When it ends; none: it never does.
    ends: Option<i64>,
    fails: bool,
    /// Whether its end is that of a step: the action is to be started again, for the next one.
    continues: bool,
    starts: u32,
}

/// A version of an object.
#[derive(Clone, Debug)]
struct Object {
    version: String,
    /// The attempt that wrote it.
    made: ActionId,
    /// Whether somebody has put it over an artifact.
    tampered: bool,
}

impl Object {
    fn pin(&self) -> Pin {
        let made = identity(self.made);
        let content = if self.tampered { format!("not {made}") } else { made };
        Pin { version: Some(self.version.clone()), sha256: Some(content) }
    }
}

/// Providers, buckets and what people and job workers have answered.
#[derive(Default)]
pub struct Outside {
    runs: BTreeMap<ActionId, Run>,
    /// By bucket and key: the versions, the newest last.
    objects: BTreeMap<(String, String), Vec<Object>>,
    /// By what is watched: how often it has changed.
    changes: BTreeMap<String, u64>,
    /// Attempts whose providers must be asked.
    polled: BTreeSet<ActionId>,
    /// Approvals and jobs for which an answer was taken.
    pub taken: BTreeSet<ActionId>,
}

impl Outside {
    /// What a source is now.
    pub fn newest(&self, watched: &str) -> String {
        self.changes.get(watched).copied().unwrap_or_default().to_string()
    }

    /// Gives a source its next revision: the number of its changes.
    pub fn change(&mut self, watched: &str) {
        *self.changes.entry(watched.to_owned()).or_default() += 1;
    }
}

/// Sources, as those who poll them see them.
pub struct SimSources(pub Sim);

#[async_trait]
impl SourceReader for SimSources {
    async fn newest(&self, task: &Task, validator: Option<&str>) -> Result<Option<NewestRevision>, ExecutorError> {
        self.0.step().await;
        let value = {
            let mut world = self.0.world();
            throttled(&mut world)?;
            world.outside.newest(&watched(&task.action))
        };
        // The answer has its way back: by then the source may have changed again.
        self.0.step().await;
        if validator == Some(&value) {
            return Ok(None);
        }
        let validator = self.0.world().rng.random_bool(0.5).then(|| value.clone());
        Ok(Some(NewestRevision { kind: REVISION_TYPE, value, validator, token: None, detail: String::new() }))
    }

    async fn changed_files(&self, _: &Task, _: &GitEvent) -> Result<Vec<String>, ExecutorError> {
        Err(ExecutorError("no repository is watched here".into()))
    }
}

/// The type of sources' revisions.
const REVISION_TYPE: &str = "S3_OBJECT_VERSION_ID";

/// The simulated providers, as the driver calls them.
pub struct SimPerform(pub Sim);

/// The output variables of an attempt, as everybody can foretell them.
pub fn identity(id: ActionId) -> String {
    id.first_turn().to_string()
}

#[async_trait]
impl ActionExecutor for SimPerform {
    async fn start(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        {
            let mut world = self.0.world();
            world.counts.starts += 1;
            world.note(|| format!("start {} {} (reclaimed: {})", task.action.name, task.id, task.reclaimed));
            let now = engine::Timestamp(world.now);
            let held = world.checker.started(task, now);
            world.must(held);
            read_inputs(&mut world, task);
        }
        if task.approves_itself {
            self.0.step().await;
            return Ok(Outcome::Succeeded(Success::default()));
        }
        match manner(&task.action.type_id) {
            Manner::Whole | Manner::Function => self.whole(task).await,
            Manner::Tagged => self.tagged(task).await,
            Manner::Token | Manner::Named | Manner::Job | Manner::Person | Manner::Polled => self.by_token(task).await,
        }
    }

    async fn poll(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        self.0.step().await;
        let mut world = self.0.world();
        world.counts.polls += 1;
        throttled(&mut world)?;
        let now = world.now;
        match world.outside.runs.get(&task.id).cloned() {
            None => {
                world.violated(format!("{} is polled and was never started", task.id));
                Err(ExecutorError("never started".into()))
            }
            // Only its function reports a job's end.
            Some(run) if manner(&task.action.type_id) != Manner::Job && run.ends.is_some_and(|ends| ends <= now) => {
                if run.continues {
                    world.counts.continued += 1;
                    return Ok(Outcome::Continue {
                        token: format!("after {}", task.id.turn),
                        report: Progress::default(),
                    });
                }
                Ok(end(&mut world, task, run.fails))
            }
            Some(_) => {
                let percent = world.rng.random_range(0..4) * 25;
                Ok(Outcome::Running {
                    report: Progress { percent: Some(percent), ..Progress::default() },
                    poll: true,
                    event_source: None,
                })
            }
        }
    }
}

fn throttled(world: &mut World) -> Result<(), ExecutorError> {
    let probability = world.dials.throttled;
    if world.fault(probability) { Err(ExecutorError("throttled".into())) } else { Ok(()) }
}

impl SimPerform {
    async fn whole(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let lease = self.0.world().dials.policy.lease;
        let time = {
            let mut world = self.0.world();
            // Sometimes longer than a lease, so that it must be renewed.
            let most = if world.rng.random_bool(0.1) { 3 * lease } else { 300 };
            world.rng.random_range(0..most)
        };
        self.0.gate(time).await;
        let outcome = {
            let mut world = self.0.world();
            throttled(&mut world)?;
            let run = begin(&mut world, task);
            let goes_on = manner(&task.action.type_id) == Manner::Function && task.id.turn < 3;
            if goes_on && world.rng.random_bool(0.4) {
                world.counts.continued += 1;
                Outcome::Continue { token: format!("after {}", task.id.turn), report: Progress::default() }
            } else {
                end(&mut world, task, run.fails)
            }
        };
        self.0.step().await;
        Ok(outcome)
    }

    async fn by_token(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        self.0.step().await;
        throttled(&mut self.0.world())?;
        {
            let mut world = self.0.world();
            let known = world.outside.runs.contains_key(&task.id);
            let run = begin(&mut world, task);
            if !known {
                match manner(&task.action.type_id) {
                    Manner::Named => announce(&mut world, task, &run),
                    Manner::Person => ask(&mut world, task),
                    Manner::Job => hand_out(&mut world, task),
                    _ => {}
                }
            }
        }
        self.0.step().await;
        throttled(&mut self.0.world())?;
        Ok(running(task))
    }

    /// A call that is on its way takes effect within a quarter of a lease, as a client with a time-out sees to it.
    async fn tagged(&self, task: &Task) -> Result<Outcome, ExecutorError> {
        let lease = self.0.world().dials.policy.lease;
        if task.reclaimed {
            self.0.gate(20).await;
            if self.0.world().outside.runs.contains_key(&task.id) {
                return Ok(running(task));
            }
        }
        throttled(&mut self.0.world())?;
        let way = self.0.world().rng.random_range(0..lease / 4);
        self.0.gate(way).await;
        {
            let mut world = self.0.world();
            let run = begin(&mut world, task);
            announce(&mut world, task, &run);
            if run.starts > 1 {
                world.violated(format!("{} ({}) was started {} times", task.action.name, task.id, run.starts));
            }
        }
        self.0.step().await;
        throttled(&mut self.0.world())?;
        Ok(running(task))
    }
}

fn running(task: &Task) -> Outcome {
    let manner = manner(&task.action.type_id);
    let named = matches!(manner, Manner::Named | Manner::Tagged);
    let id = if named { service_id(task.id) } else { format!("external/{}", task.id) };
    let poll = named || manner == Manner::Token;
    let event_source = named.then(|| EVENT_SOURCE.to_owned());
    let external = Some(External { id, url: None });
    Outcome::Running { report: Progress { external, ..Progress::default() }, poll, event_source }
}

/// The source of events that name actions by the service's own ids.
pub const EVENT_SOURCE: &str = "sim.named";
/// With this begin the ids that services choose.
pub const SERVICE_ID: &str = "service/";

/// The id that a service chooses for an attempt.
pub fn service_id(id: ActionId) -> String {
    format!("{SERVICE_ID}{id}")
}

/// The service tells of an end by the id that it chose: on time or late, once, twice or never; and of others' ends.
fn announce(world: &mut World, task: &Task, run: &Run) {
    let Some(ends) = run.ends else { return };
    for _ in 0..world.rng.random_range(0..3) {
        let late = world.rng.random_range(0..20_000);
        let after = (ends - world.now).max(0) + late;
        let action = world.rng.random_bool(0.9).then_some(task.id);
        world.plan(after, Operation::Announce { action, region: task.region.clone() });
    }
}

/// The provider begins, or finds that it has begun.
fn begin(world: &mut World, task: &Task) -> Run {
    let (now, failing) = (world.now, world.dials.failing);
    let endless = world.dials.policy.poll_most > 60_000 && world.rng.random_bool(0.03);
    let time = match world.rng.random_range(0..10) {
        0 => 0,
        1..9 => world.rng.random_range(0..30_000),
        _ => world.rng.random_range(0..300_000),
    };
    let is_polled = matches!(manner(&task.action.type_id), Manner::Token | Manner::Named | Manner::Tagged);
    if is_polled {
        world.outside.polled.insert(task.id);
    }
    let continues = is_polled && task.id.turn < 3 && world.rng.random_bool(0.2);
    let ends = (!endless).then_some(now + time);
    let fresh = Run { ends, fails: world.rng.random_bool(failing), continues, starts: 0 };
    let run = world.outside.runs.entry(task.id).or_insert(fresh);
    run.starts += 1;
    run.clone()
}

/// What a provider leaves that has ended: output artifacts and variables, or a failure.
fn end(world: &mut World, task: &Task, fails: bool) -> Outcome {
    if fails {
        let error = ActionError { code: "JobFailed".into(), message: "made to fail".into() };
        return Outcome::Failed { error, report: Progress::default() };
    }
    write_outputs(world, task.id, &task.outputs);
    let outputs = stored_outputs(world, task);
    let source = task.action.type_id.category == "Source";
    let revision = source.then(|| {
        let given = task.overrides.iter().find(|it| it.action == task.action.name);
        let id = given.map_or_else(|| world.outside.newest(&watched(&task.action)), |it| it.value.clone());
        Revision { id, summary: None, url: None, created: None, change: None }
    });
    let variables = variables(world, task.id);
    Outcome::Succeeded(Success { report: Progress::default(), outputs, variables, revision })
}

/// Sometimes more than stays in the stage's item.
pub fn variables(world: &mut World, id: ActionId) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::from([("Id".to_owned(), identity(id))]);
    if world.rng.random_bool(0.2) {
        variables.insert("Large".into(), "x".repeat(3_000));
    }
    variables
}

/// Puts artifacts into their buckets.
pub fn write_outputs(world: &mut World, id: ActionId, outputs: &[Artifact]) {
    for artifact in outputs {
        let place = (artifact.bucket.clone(), artifact.key.clone());
        let before = world.outside.objects.get(&place).and_then(|versions| versions.last()).map(|object| object.made);
        store(world, place, id.first_turn(), false);
        if let Some(before) = before.filter(|before| *before != id.first_turn()) {
            world.violated(format!("{id} writes its artifact {} over that of {before}", artifact.name));
        }
    }
}

fn store(world: &mut World, place: (String, String), made: ActionId, tampered: bool) -> Pin {
    let object = Object { version: world.uuid().to_string(), made, tampered };
    let pin = object.pin();
    world.outside.objects.entry(place).or_default().push(object);
    pin
}

/// What lies in the buckets as a task's outputs.
fn stored_outputs(world: &World, task: &Task) -> Vec<Artifact> {
    let newest = |output: &Artifact| {
        let versions = world.outside.objects.get(&(output.bucket.clone(), output.key.clone()))?;
        Some(Artifact { pin: versions.last()?.pin(), ..output.clone() })
    };
    task.outputs.iter().filter_map(newest).collect()
}

/// The buckets as the API sees them when a job's result comes.
pub struct SimArtifacts(pub Sim);

#[async_trait]
impl ArtifactStore for SimArtifacts {
    async fn stored_outputs(&self, task: &Task) -> Result<Result<Vec<Artifact>, ActionError>, ExecutorError> {
        self.0.step().await;
        let mut world = self.0.world();
        throttled(&mut world)?;
        Ok(Ok(stored_outputs(&world, task)))
    }
}

/// Whose action is over may still have credentials: here and there something is put over what has been recorded.
pub fn tamper(world: &mut World, writes: &[Write]) {
    for write in writes {
        let Write::Put { entity: Entity::Stage(stage), .. } = write else {
            continue;
        };
        let ended = stage.actions.iter().filter(|run| run.updated.is_some_and(|updated| updated.0 == world.now));
        let places = ended.flat_map(|run| &run.outputs).map(|it| (it.bucket.clone(), it.key.clone()));
        for place in places.collect::<Vec<_>>() {
            overwrite(world, place);
        }
    }
}

fn overwrite(world: &mut World, place: (String, String)) {
    let newest = world.outside.objects.get(&place).and_then(|versions| versions.last());
    if let Some(made) = newest.map(|object| object.made)
        && world.fault(0.1)
    {
        world.counts.tampered += 1;
        store(world, place, made, true);
    }
}

/// Reads the inputs, each in the region of the task.
fn read_inputs(world: &mut World, task: &Task) {
    for input in &task.inputs {
        let (key, name) = (&input.artifact.key, &input.artifact.name);
        let place = (input.artifact.bucket.clone(), key.clone());
        let here = input.bucket == input.artifact.bucket;
        let pin = if here { &input.pin } else { &input.artifact.pin };
        let Some(object) = pinned(world, &place, pin) else {
            world.violated(format!("{} starts without its input {name}: nothing is recorded of it", task.id));
            return;
        };
        if !world.checker.reads_of(task.id.execution).contains(&object.made.execution) {
            world.violated(format!("{} reads the artifact {name} of {}", task.id, object.made));
            return;
        }
        if object.tampered {
            world.violated(format!("{} reads what somebody has put over its input {name}", task.id));
            return;
        }
        if !here && copy(world, &object, (input.bucket.clone(), key.clone())) {
            // The replicator was late or its message lost, or somebody has changed the copy: the action makes its own.
            world.counts.late_copies += 1;
        }
    }
}

/// The version that a pin means; the newest where it means none, as S3 has it.
fn pinned(world: &World, place: &(String, String), pin: &Pin) -> Option<Object> {
    let versions = world.outside.objects.get(place)?;
    match &pin.version {
        Some(version) => versions.iter().find(|object| object.version == *version).cloned(),
        None => versions.last().cloned(),
    }
}

/// Copies an object to another bucket, unless what lies there is the same. Answers whether it had to.
fn copy(world: &mut World, object: &Object, to: (String, String)) -> bool {
    let there = world.outside.objects.get(&to).and_then(|versions| versions.last());
    if there.is_some_and(|there| there.pin().sha256 == object.pin().sha256) {
        return false;
    }
    store(world, to, object.made, object.tampered);
    true
}

/// The replicator.
///
/// # Errors
/// The store's.
pub async fn replicate(sim: &Sim, driver: &Driver, action: ActionId, name: &ArtifactName) -> Result<(), DriveError> {
    let Some(Replication { artifact, regions, .. }) = driver.replication(action, name).await? else {
        sim.world().violated(format!("the artifact {name} of {action} is to be copied and the table does not know it"));
        return Ok(());
    };
    for region in regions {
        sim.step().await;
        let mut world = sim.world();
        match pinned(&world, &(artifact.bucket.clone(), artifact.key.clone()), &artifact.pin) {
            Some(object) => {
                world.counts.copies += 1;
                let to = (bucket(&region), artifact.key.clone());
                copy(&mut world, &object, to.clone());
                overwrite(&mut world, to);
            }
            None => world.violated(format!("the artifact {} is to be copied and does not exist", artifact.name)),
        }
    }
    Ok(())
}

/// An action failed by time-out: its provider must not have ended long before.
pub fn timed_out(world: &mut World, writes: &[Write]) {
    let Policy { poll_most, grace, .. } = world.dials.policy;
    let patience = 600_000 + 2 * (poll_most + grace);
    for write in writes {
        let Write::Put { entity: Entity::Stage(stage), .. } = write else {
            continue;
        };
        for (place, run) in stage.runs() {
            if run.updated.is_none_or(|updated| updated.0 != world.now) {
                continue;
            }
            let id = stage.id_at(place);
            let ended = world.outside.runs.get(&id).and_then(|run| run.ends);
            let polled = world.outside.polled.contains(&id) && ended.is_some_and(|ended| ended + patience < world.now);
            // Later jobs of workers that poll are started by nobody, those of functions after a while.
            let later = run.job.is_some() || (run.continuation.is_some() && run.claims == 0);
            let started = if later { id.first_turn() } else { id };
            let unseen = !world.outside.runs.contains_key(&started);
            if run.error.as_ref().is_some_and(|error| error.code == "TimeoutError") && (polled || unseen) {
                world.violated(format!("{} ({id}) times out; its provider ended at {ended:?}", run.name));
            }
        }
    }
}

/// A person gets the message; answers, or not, or twice, or with a wrong token.
fn ask(world: &mut World, task: &Task) {
    let Some(token) = task.token else {
        world.violated(format!("the approval {} has no token", task.id));
        return;
    };
    let answers = [0, 1, 1, 1, 1, 2, 3][world.rng.random_range(0..7)];
    for number in 0..answers {
        let late = world.rng.random_bool(0.1);
        let after = if late { 40 * 60_000 } else { world.rng.random_range(0..120_000) };
        let wrong = world.rng.random_bool(0.1);
        let operation = Operation::Answer {
            action: task.id,
            token: if wrong { ApprovalToken(world.uuid()) } else { token },
            approved: world.rng.random_bool(0.8),
            by: Approver::Caller(format!("person {number}")),
            by_names: world.rng.random_bool(0.3),
            wrong,
        };
        world.plan(after, operation);
    }
}

/// A job worker gets the job; reports its end, or asks for a continuation, or reports twice, or never.
fn hand_out(world: &mut World, task: &Task) {
    let results = [0, 1, 1, 1, 1, 1, 1, 2, 2, 3][world.rng.random_range(0..10)];
    for _ in 0..results {
        let after = world.rng.random_range(0..20_000);
        let failing = world.dials.failing;
        let fate = if task.id.turn < 3 && world.rng.random_bool(0.4) {
            JobFate::Continue
        } else if world.rng.random_bool(failing) {
            JobFate::Fail
        } else {
            JobFate::Succeed
        };
        world.plan(after, Operation::Report { job: task.id, fate });
    }
}
