//! What clients do: start, close and open transitions, change and delete pipelines, answer approvals, report jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use driver::{ApprovalAnswer, DriveError, Driver, JobCaller, JobResult, Message, StartRequest, Task};
use engine::{
    ActionError, ActionId, ActionStatus, ApprovalToken, Approver, Execution, ExecutionStatus, Progress, Refusal,
    Timestamp, Trigger,
};
use pipeline::{ConditionKind, PipelineName, RetryMode};
use rand::RngExt;
use store::{Entity, StoreError, Write};

use crate::check::fails_beside_others;
use crate::declare;
use crate::outside::{EVENT_SOURCE, SERVICE_ID, SimArtifacts, SimPerform, service_id, variables, write_outputs};
use crate::world::{Sim, World};

/// What a job worker reports of its job.
#[derive(Clone, Copy, Debug)]
pub enum JobFate {
    /// It reports success.
    Succeed,
    /// It reports a failure.
    Fail,
    /// It reports a continuation token, so that another job follows.
    Continue,
}

/// One thing that a client does.
#[derive(Clone, Debug)]
pub enum Operation {
    /// CreatePipeline.
    Create { pipeline: PipelineName },
    /// UpdatePipeline.
    Update { pipeline: PipelineName },
    /// DeletePipeline.
    Delete { pipeline: PipelineName },
    /// TagResource.
    Tag { pipeline: PipelineName },
    /// StartPipelineExecution.
    Start { pipeline: PipelineName, token: Option<String> },
    /// DisableStageTransition, EnableStageTransition.
    Transition { pipeline: PipelineName, stage: String, close: bool },
    /// StopPipelineExecution, of some execution.
    Stop { pipeline: PipelineName, abandon: bool },
    /// RetryStageExecution, of some execution in the stage in which it ended.
    Retry { pipeline: PipelineName, mode: RetryMode },
    /// RollbackStage, to some execution.
    RollBack { pipeline: PipelineName, stage: String },
    /// OverrideStageCondition, of some execution.
    Override { pipeline: PipelineName, kind: ConditionKind },
    /// GetPipelineState, ListPipelineExecutions, ListActionExecutions.
    Look { pipeline: PipelineName },
    /// PutApprovalResult, or the page behind the mail's link.
    Answer { action: ActionId, token: ApprovalToken, approved: bool, by: Approver, by_names: bool, wrong: bool },
    /// A job worker comes by: PollForJobs, or the third parties' twin, and what follows.
    Work { third_party: bool },
    /// PutJobSuccessResult, PutJobFailureResult.
    Report { job: ActionId, fate: JobFate },
    /// What pipelines have as their source changes.
    Change { watched: String },
    /// A minute is over: the sources that are polled are looked at.
    RequestPolls,
    /// An event of a service, which names what has ended by its own id; none: something that is not of ours.
    Announce { action: Option<ActionId>, region: String },
}

impl Operation {
    /// Whether it changes what a pipeline is, which the API alone may.
    pub fn changes_pipeline(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Tag { .. })
    }
}

/// Draws what clients will do in this world; answers the time at which they are through.
pub fn plan(world: &mut World) -> Result<i64, anyhow::Error> {
    let span = world.rng.random_range(20_000..200_000);
    let pipelines = if world.rng.random_bool(0.15) { 2 } else { 1 };
    for watched in declare::sources_read() {
        for _ in 0..world.rng.random_range(0..6) {
            let after = world.rng.random_range(0..span);
            world.plan(after, Operation::Change { watched: watched.clone() });
        }
    }
    // Some worlds are in a hurry, so that several polls look at a source at once.
    let minute = [5_000, 20_000, 60_000][world.rng.random_range(0..3)];
    for after in (0..span).step_by(minute) {
        world.plan(after, Operation::RequestPolls);
    }
    for number in 0..pipelines {
        let pipeline = PipelineName::new(format!("release-{number}"))?;
        world.plan(0, Operation::Create { pipeline: pipeline.clone() });
        for start in 0..world.rng.random_range(1..7) {
            let after = world.rng.random_range(0..span);
            let token = world.rng.random_bool(0.5).then(|| format!("token-{start}"));
            let again = if token.is_some() { world.rng.random_range(0..3) } else { 0 };
            for _ in 0..=again {
                let after = after + world.rng.random_range(0..2_000);
                world.plan(after, Operation::Start { pipeline: pipeline.clone(), token: token.clone() });
            }
        }
        for _ in 0..world.rng.random_range(0..5) {
            let after = world.rng.random_range(0..span);
            let stage = format!("S{}", world.rng.random_range(0..4));
            let close = world.rng.random_bool(0.6);
            world.plan(after, Operation::Transition { pipeline: pipeline.clone(), stage, close });
        }
        // Not in most worlds: an update ends what runs, so that less becomes of it.
        for _ in 0..[0, 0, 0, 1, 2][world.rng.random_range(0..5)] {
            let after = world.rng.random_range(0..span);
            world.plan(after, Operation::Update { pipeline: pipeline.clone() });
        }
        for _ in 0..world.rng.random_range(0..3) {
            let after = world.rng.random_range(0..span);
            world.plan(after, Operation::Look { pipeline: pipeline.clone() });
        }
        plan_control(world, &pipeline, span);
        if world.rng.random_bool(0.15) {
            let after = world.rng.random_range(0..span);
            world.plan(after, Operation::Delete { pipeline: pipeline.clone() });
            // Changes that race with the deletion, and with another pipeline of the same name; some all at once.
            let near = if world.rng.random_bool(0.5) { -500..1_500 } else { -20..60 };
            let race = |world: &mut World| after + world.rng.random_range(near.clone());
            for _ in 0..world.rng.random_range(1..4) {
                let update = race(world);
                world.plan(update, Operation::Update { pipeline: pipeline.clone() });
            }
            let (tag, create) = (race(world), race(world));
            world.plan(tag, Operation::Tag { pipeline: pipeline.clone() });
            if world.rng.random_bool(0.6) {
                world.plan(create, Operation::Create { pipeline: pipeline.clone() });
            }
        }
    }
    Ok(span)
}

/// What people do to executions that run or have ended.
fn plan_control(world: &mut World, pipeline: &PipelineName, span: i64) {
    for _ in 0..world.rng.random_range(0..10) {
        let after = world.rng.random_range(0..2 * span);
        let pipeline = pipeline.clone();
        let operation = match world.rng.random_range(0..10) {
            0 => Operation::Stop { pipeline, abandon: world.rng.random_bool(0.5) },
            1..5 => {
                let mode = [RetryMode::FailedActions, RetryMode::AllActions][world.rng.random_range(0..2)];
                Operation::Retry { pipeline, mode }
            }
            5..8 => {
                let stage = format!("S{}", world.rng.random_range(0..3));
                Operation::RollBack { pipeline, stage }
            }
            _ => {
                let kind = [ConditionKind::BeforeEntry, ConditionKind::OnSuccess][world.rng.random_range(0..2)];
                Operation::Override { pipeline, kind }
            }
        };
        world.plan(after, operation);
    }
}

/// Somebody sees an action fail while others of its stage run, and has it tried again.
pub fn committed(world: &mut World, writes: &[Write]) {
    for write in writes {
        let Write::Put { entity: Entity::Stage(stage), .. } = write else {
            continue;
        };
        let carried_over = stage.runs().any(|(_, run)| run.status == ActionStatus::CarriedOver);
        world.counts.retries_beside_running += u64::from(carried_over);
        if fails_beside_others(stage) && world.rng.random_bool(0.3) {
            let after = world.rng.random_range(0..3_000);
            let pipeline = stage.pipeline.clone();
            world.plan(after, Operation::Retry { pipeline, mode: RetryMode::FailedActions });
        }
    }
}

/// Whether a client could get this answer, whatever else happens.
fn plausible(error: &DriveError) -> bool {
    match error {
        DriveError::Missing(_) | DriveError::Invalid(_) | DriveError::Name(_) | DriveError::Variables(_) => false,
        DriveError::Refused(refusal) => !matches!(refusal, Refusal::LocksNeeded | Refusal::Nothing),
        DriveError::Store(error) => matches!(error, StoreError::Unavailable(_)),
        _ => true,
    }
}

/// Whether a worker or the sweeper could get this answer.
pub fn check_internal(sim: &Sim, what: &str, error: &DriveError) {
    let mut world = sim.world();
    world.counts.errors += 1;
    let expected = matches!(error, DriveError::Store(StoreError::Unavailable(_)));
    world.note(|| format!("{what} failed: {error}"));
    if !expected {
        world.violated(format!("{what} failed with {error:?}"));
    }
}

/// A client tries again while the service does not answer.
pub async fn insist<T, F: Future<Output = Result<T, DriveError>>>(
    sim: &Sim,
    what: &str,
    mut call: impl FnMut() -> F,
) -> Result<T, DriveError> {
    let mut tries = 0;
    loop {
        let answer = call().await;
        if let Err(error) = &answer {
            let mut world = sim.world();
            world.note(|| format!("{what}: {error}"));
            if !plausible(error) {
                world.violated(format!("{what} is answered with {error:?}"));
            }
        }
        match answer {
            Err(DriveError::Store(_) | DriveError::ArtifactStore(_)) if tries < 6 => tries += 1,
            answer => return answer,
        }
        sim.gate(200).await;
    }
}

/// Does one of these things.
pub async fn perform(sim: Sim, driver: Arc<Driver>, operation: Operation) {
    match operation {
        Operation::Create { pipeline } => {
            if let Some(declaration) = declared(&sim, &pipeline) {
                let created = Trigger { kind: "CreatePipeline".into(), detail: String::new() };
                let create = || driver.create_pipeline(declaration.clone(), BTreeMap::new(), created.clone());
                _ = insist(&sim, "CreatePipeline", create).await;
            }
        }
        Operation::Update { pipeline } => {
            if let Some(declaration) = declared(&sim, &pipeline) {
                _ = insist(&sim, "UpdatePipeline", || driver.update_pipeline(declaration.clone())).await;
            }
        }
        Operation::Delete { pipeline } => {
            _ = insist(&sim, "DeletePipeline", || driver.delete_pipeline(&pipeline)).await;
        }
        Operation::Tag { pipeline } => {
            let tag = |tags: &mut BTreeMap<String, String>| {
                tags.insert("team".into(), "release".into());
                true
            };
            _ = insist(&sim, "TagResource", || driver.change_tags(&pipeline, tag)).await;
        }
        Operation::Start { pipeline, token } => start(&sim, &driver, pipeline, token).await,
        Operation::Transition { pipeline, stage, close } => {
            let reason = close.then(|| "closed for a while".to_owned());
            let set = || driver.set_transition(&pipeline, &stage, reason.clone(), "a person".into());
            _ = insist(&sim, "StageTransition", set).await;
        }
        Operation::Stop { .. } | Operation::Retry { .. } | Operation::RollBack { .. } | Operation::Override { .. } => {
            control(&sim, &driver, operation).await;
        }
        Operation::Look { pipeline } => look(&sim, &driver, &pipeline).await,
        Operation::Answer { action, token, approved, by, by_names, wrong } => {
            let answer = ApprovalAnswer { approved, summary: "seen".into(), by };
            answer_approval(&sim, &driver, action, token, answer, by_names, wrong).await;
        }
        Operation::Report { job, fate } => report(&sim, &driver, job, fate).await,
        Operation::Change { watched } => sim.world().outside.change(&watched),
        Operation::RequestPolls => {
            if let Err(error) = driver.request_polls().await {
                check_internal(&sim, "the trigger", &error);
            }
        }
        Operation::Announce { action, region } => announced(&sim, &driver, action, &region).await,
        Operation::Work { third_party } => crate::job_workers::work(&sim, &driver, third_party).await,
    }
}

/// Somebody looks for an execution and does something to it. A call that was not answered may have taken place, so
/// that its repetition is refused.
async fn control(sim: &Sim, driver: &Driver, operation: Operation) {
    let (Operation::Stop { pipeline, .. }
    | Operation::Retry { pipeline, .. }
    | Operation::RollBack { pipeline, .. }
    | Operation::Override { pipeline, .. }) = &operation
    else {
        return;
    };
    let (id, at) = {
        let mut world = sim.world();
        let chance = world.rng.random_range(0.0..1.0);
        // Mostly one for which it makes sense.
        let any = world.rng.random_bool(0.2);
        let checker = &world.checker;
        let wanted = |it: &Execution| match &operation {
            _ if any => true,
            Operation::Stop { .. } => it.status.is_open(),
            Operation::Retry { mode: RetryMode::FailedActions, .. } if checker.is_failing(it) => true,
            Operation::Retry { .. } => matches!(it.status, ExecutionStatus::Failed | ExecutionStatus::Stopped),
            Operation::RollBack { .. } => it.status == ExecutionStatus::Succeeded && it.rollback.is_none(),
            _ => checker.is_held_up(it),
        };
        let Some(picked) = checker.any_execution(pipeline, chance, wanted) else {
            return;
        };
        let last = picked.attempts.iter().rposition(|attempts| *attempts > 0).unwrap_or(0);
        (picked.id, format!("S{last}"))
    };
    match &operation {
        Operation::Stop { abandon, .. } => {
            let stop = || driver.stop(pipeline, id, *abandon, Some("enough".into()));
            let stopped = insist(sim, "StopPipelineExecution", stop).await.is_ok();
            sim.world().counts.stops += u64::from(stopped);
        }
        Operation::Retry { mode, .. } => {
            let retried = insist(sim, "RetryStageExecution", || driver.retry(pipeline, &at, id, *mode)).await.is_ok();
            sim.world().counts.retries += u64::from(retried);
        }
        Operation::RollBack { stage, .. } => {
            let trigger = Trigger { kind: "ManualRollback".into(), detail: "a person".into() };
            // Who gets no answer does not ask for another rollback.
            let made = driver.roll_back(pipeline, stage, id, trigger).await;
            let mut world = sim.world();
            match made {
                Ok(_) => world.counts.rollbacks += 1,
                Err(error) if !plausible(&error) => world.violated(format!("RollbackStage: {error:?}")),
                Err(error) => world.note(|| format!("RollbackStage: {error}")),
            }
        }
        Operation::Override { kind, .. } => {
            let overrule = || driver.override_condition(pipeline, &at, id, *kind, "a person".into());
            let done = insist(sim, "OverrideStageCondition", overrule).await.is_ok();
            sim.world().counts.overrides += u64::from(done);
        }
        _ => {}
    }
}

fn declared(sim: &Sim, pipeline: &PipelineName) -> Option<pipeline::Declaration> {
    let mut world = sim.world();
    match declare::declaration(&mut world.rng, pipeline.as_str()) {
        Ok(declaration) => Some(declaration),
        Err(error) => {
            world.violated(format!("the simulation makes no declaration: {error}"));
            None
        }
    }
}

async fn start(sim: &Sim, driver: &Driver, pipeline: PipelineName, token: Option<String>) {
    let given = sim.world().rng.random_bool(0.5);
    let request = StartRequest {
        pipeline,
        trigger: Trigger { kind: "StartPipelineExecution".into(), detail: "a person".into() },
        variables: if given { BTreeMap::from([("Flavour".into(), "sweet".into())]) } else { BTreeMap::new() },
        overrides: Vec::new(),
        client_token: token.clone(),
    };
    // Without a token, nobody can tell whether a start that was not answered took place.
    let started = if token.is_some() {
        insist(sim, "StartPipelineExecution", || driver.start(request.clone())).await
    } else {
        driver.start(request).await
    };
    let mut world = sim.world();
    match started {
        Ok(started) => {
            world.note(|| format!("started {} (new: {})", started.execution, started.new));
            let held = world.checker.start_answered(started.execution, token);
            world.must(held);
        }
        Err(error) if !plausible(&error) => world.violated(format!("StartPipelineExecution: {error:?}")),
        Err(_) => {}
    }
}

async fn look(sim: &Sim, driver: &Driver, pipeline: &PipelineName) {
    _ = insist(sim, "GetPipelineState", || driver.state(pipeline)).await;
    let Ok(page) = insist(sim, "ListPipelineExecutions", || driver.executions(pipeline, None, 10)).await else {
        return;
    };
    for entity in page.entities {
        if let store::Entity::Execution(execution) = entity {
            _ = insist(sim, "ListActionExecutions", || driver.stage_runs(execution.id)).await;
        }
    }
}

async fn answer_approval(
    sim: &Sim,
    driver: &Driver,
    action: ActionId,
    token: ApprovalToken,
    answer: ApprovalAnswer,
    by_names: bool,
    wrong: bool,
) {
    let names = sim.world().checker.names(action);
    let answered = match names {
        Some((pipeline, stage, name)) if by_names => {
            insist(sim, "PutApprovalResult", || driver.approve(&pipeline, &stage, &name, token, answer.clone())).await
        }
        _ => {
            _ = insist(sim, "the approval's page", || driver.approval(action)).await;
            insist(sim, "the approval's link", || driver.approve_by_id(action, token, answer.clone())).await
        }
    };
    let mut world = sim.world();
    if answered.is_ok() {
        world.counts.approvals += 1;
        if wrong {
            world.violated(format!("the approval {action} took a wrong token"));
        }
        if !world.outside.taken.insert(action) {
            world.violated(format!("the approval {action} took two answers"));
        }
        let held = world.checker.answered(action, &answer.by, answer.approved);
        world.must(held);
    }
}

async fn report(sim: &Sim, driver: &Driver, job: ActionId, fate: JobFate) {
    let task = insist(sim, "GetJobDetails", || driver.job(job, JobCaller::Account)).await;
    let result = match task {
        // It got no answer and gives up.
        Err(DriveError::Store(_)) => return,
        Ok((task, _)) => result(&mut sim.world(), job, fate, Some(&task)),
        // It does not know that it is over.
        Err(_) => result(&mut sim.world(), job, fate, None),
    };
    let over = put_result(sim, driver, job, JobCaller::Account, &result).await;
    let mut world = sim.world();
    if over.is_ok() {
        world.counts.jobs += 1;
        if !world.outside.taken.insert(job) {
            world.violated(format!("the job {job} took two results"));
        }
    }
}

/// A worker gets an event with an id of a service's own.
async fn announced(sim: &Sim, driver: &Driver, action: Option<ActionId>, region: &str) {
    let id = action.map_or_else(|| format!("{SERVICE_ID}somebody else's"), service_id);
    let known = sim.world().checker.knows_external_id(&id);
    let found = match driver.action_by_external_id(EVENT_SOURCE, region, &id).await {
        Ok(found) => found,
        Err(error) => return check_internal(sim, "the worker", &error),
    };
    if found != action.filter(|_| known || found.is_some()) {
        sim.world().violated(format!("the event about {id} is taken to be about {found:?}"));
    }
    let Some(action) = found else { return };
    sim.world().counts.announced += 1;
    let until = Timestamp(sim.now().0 + 10_000);
    let message = Message::Poll { action, count: None };
    if let Err(error) = driver.work(message, &SimPerform(sim.clone()), until).await {
        check_internal(sim, "the worker", &error);
    }
}

/// A worker reports, and insists.
pub async fn put_result(
    sim: &Sim,
    driver: &Driver,
    job: ActionId,
    caller: JobCaller<'_>,
    result: &JobResult,
) -> Result<(), DriveError> {
    let artifacts = SimArtifacts(sim.clone());
    insist(sim, "PutJobResult", || driver.job_result(job, caller, result.clone(), &artifacts)).await
}

/// What the worker of a job reports; with its task it stores the artifacts of a success.
pub fn result(world: &mut World, job: ActionId, fate: JobFate, task: Option<&Task>) -> JobResult {
    let report = Progress::default();
    match fate {
        JobFate::Succeed => {
            if let Some(task) = task {
                write_outputs(world, job, &task.outputs);
            }
            JobResult::Succeeded { report, variables: variables(world, job), revision: None }
        }
        JobFate::Continue => JobResult::Continue { token: format!("after {}", job.turn), report },
        JobFate::Fail => {
            let error = ActionError { code: "JobFailed".into(), message: "made to fail".into() };
            JobResult::Failed { error, report }
        }
    }
}
