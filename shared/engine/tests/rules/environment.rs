//! A pipeline with its items in memory, and commands applied to them one after another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engine::{
    ActionError, ActionId, ActionRun, ActionStatus, Artifact, Command, Context, Decision, Effect, End, Execution,
    ExecutionId, ExternalId, Head, Incarnation, JobChange, OutboxTask, Policy, Position, Progress, Refusal, Rollback,
    StageLocks, StageRun, Start, State, Success, Timestamp, TransitionChange, Trigger, WorkerId,
};
use pipeline::{ConditionKind, Pipeline, PipelineName, PipelineType, RetryMode, StageName};
use serde_json::{Value, json};
use uuid::Uuid;

pub const MINUTE: i64 = 60_000;

/// Actions as (name, provider, run order).
pub type Actions<'a> = &'a [(&'a str, &'a str, u32)];

/// Stages as (name, [(action, provider, run order)]); the first has an S3 source, which makes the artifact `App`.
pub fn pipeline(stages: &[(&str, Actions<'_>)]) -> Arc<Pipeline> {
    declared(stages, |_| ())
}

/// The same, changed before it is checked.
pub fn declared(stages: &[(&str, Actions<'_>)], change: impl FnOnce(&mut Value)) -> Arc<Pipeline> {
    let action = |(name, provider, order): &(&str, &str, u32)| {
        let (category, configuration) = match *provider {
            "Manual" => ("Approval", json!({})),
            "Lambda" => ("Invoke", json!({"FunctionName": "f"})),
            "StepFunctions" => {
                ("Invoke", json!({"StateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:m"}))
            }
            other => panic!("no sample of {other}"),
        };
        json!({"name": name, "runOrder": order, "configuration": configuration,
            "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"}})
    };
    let mut all = vec![json!({"name": "Source", "actions": [{
        "name": "Fetch", "outputArtifacts": [{"name": "App"}], "configuration": {"S3Bucket": "b", "S3ObjectKey": "k"},
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}}]})];
    all.extend(
        stages
            .iter()
            .map(|(name, actions)| json!({"name": name, "actions": actions.iter().map(action).collect::<Vec<_>>()})),
    );
    let mut declaration = json!({"name": "p", "roleArn": "arn:aws:iam::111122223333:role/r", "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"}, "stages": all});
    change(&mut declaration);
    let declaration: pipeline::Declaration = serde_json::from_value(declaration).unwrap();
    Arc::new(Pipeline::try_from(declaration).unwrap())
}

pub struct TestEnvironment {
    /// The current version.
    pub pipeline: Arc<Pipeline>,
    earlier: BTreeMap<u32, Arc<Pipeline>>,
    pub head: Head,
    pub locks: StageLocks,
    pub executions: BTreeMap<ExecutionId, Execution>,
    pub stages: HashMap<(ExecutionId, usize, u16), StageRun>,
    pub effects: Vec<Effect>,
    pub claimed: Vec<ActionId>,
    pub jobs: Vec<JobChange>,
    pub external_ids: Vec<ExternalId>,
    pub now: Timestamp,
    pub policy: Policy,
    drawn: u128,
}

impl TestEnvironment {
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        let name = PipelineName::new("p").unwrap();
        let head = Head {
            pipeline: name.clone(),
            incarnation: Incarnation(Uuid::from_u128(1)),
            version: 1,
            created: Timestamp(0),
            updated: Timestamp(0),
            kind: PipelineType::V2,
            mode: pipeline.mode(),
            tags: BTreeMap::new(),
        };
        Self {
            pipeline,
            earlier: BTreeMap::new(),
            locks: StageLocks::new(name, head.incarnation),
            head,
            executions: BTreeMap::new(),
            stages: HashMap::new(),
            effects: Vec::new(),
            claimed: Vec::new(),
            external_ids: Vec::new(),
            jobs: Vec::new(),
            now: Timestamp(1_000_000),
            policy: Policy::default(),
            drawn: 0,
        }
    }

    fn with<T>(&mut self, decide: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let drawn = &mut self.drawn;
        let mut random = || {
            *drawn += 1;
            Uuid::from_u128(*drawn << 64 | 0xfeed)
        };
        decide(&mut Context { now: self.now, policy: &self.policy, home: "eu-west-1", random: &mut random })
    }

    pub fn keep(&mut self, decision: Decision) {
        if let Some(locks) = decision.locks {
            self.locks = locks;
        }
        if let Some(execution) = decision.execution {
            self.executions.insert(execution.id, execution);
        }
        for stage in decision.stages {
            self.stages.insert((stage.execution, stage.stage, stage.attempt), stage);
        }
        self.effects = decision.effects;
        self.claimed = decision.claimed;
        self.jobs = decision.jobs;
        self.external_ids = decision.external_ids;
    }

    /// Starts an execution; outbox that come of it are not done.
    pub fn start(&mut self) -> ExecutionId {
        self.try_start().unwrap()
    }

    pub fn try_start(&mut self) -> Result<ExecutionId, Refusal> {
        let id = ExecutionId::from_random(Uuid::from_u128(
            0xabc0_0000_0000_0000_0000_0000_0000_0000 + ((self.locks.next_number as u128) << 100),
        ));
        let start = Start {
            id,
            trigger: Trigger { kind: "StartPipelineExecution".into(), detail: String::new() },
            variables: BTreeMap::new(),
            overrides: Vec::new(),
        };
        let (pipeline, head, locks) = (self.pipeline.clone(), self.head.clone(), self.locks.clone());
        let decision = self.with(|context| engine::start(pipeline, &head, locks, start, context))?;
        self.keep(decision);
        Ok(id)
    }

    /// Applies a command to an execution, in the stage in which it is or in the one of the action.
    pub fn apply(&mut self, id: ExecutionId, command: Command) -> Result<(), Refusal> {
        let state = self.state(id, &command);
        let decision = self.with(|context| engine::decide(state, command, context))?;
        self.keep(decision);
        Ok(())
    }

    /// Applies commands in the stage of the first one, each to what those before it leave, and keeps what comes of all.
    pub fn apply_together(&mut self, id: ExecutionId, commands: &[Command]) {
        let mut state = self.state(id, &commands[0]);
        let mut together = Decision::default();
        for command in commands {
            let before = state.clone();
            let decision = self.with(|context| engine::decide(before, command.clone(), context)).unwrap();
            state.follow(&decision);
            together = together.and(decision);
        }
        self.keep(together);
    }

    fn state(&self, id: ExecutionId, command: &Command) -> State {
        let execution = self.executions[&id].clone();
        let latest = |name: &StageName| {
            let stage = self.pipeline.stage_index(name.as_str()).unwrap();
            (id, stage, execution.attempts[stage])
        };
        let key = match (command, execution.position) {
            (Command::Retry { stage, .. } | Command::Override { stage, .. }, _) => Some(latest(stage)),
            (
                Command::Claim { action, .. }
                | Command::Renew { action, .. }
                | Command::Started { action, .. }
                | Command::Report { action, .. }
                | Command::Finish { action, .. }
                | Command::Result { action, .. }
                | Command::Offer { action, .. }
                | Command::Acknowledge { action, .. }
                | Command::Continue { action, .. }
                | Command::Approve { action, .. },
                _,
            ) => Some(self.place(*action)),
            (_, Position::In(stage)) => Some((id, stage, execution.attempts[stage])),
            _ => None,
        };
        let stage = key.and_then(|key| self.stages.get(&key).cloned());
        let pipeline = self.earlier.get(&execution.version).unwrap_or(&self.pipeline).clone();
        State { pipeline, locks: Some(self.locks.clone()), execution, stage }
    }

    /// The stage attempt in which an action is.
    fn place(&self, action: ActionId) -> (ExecutionId, usize, u16) {
        let mut place = (action.execution, usize::from(action.stage), action.attempt);
        while let Some(attempt) = self.stages.get(&place).and_then(|stage| stage.carried_over_to(action)) {
            place.2 = attempt;
        }
        place
    }

    /// Does every task on the locks.
    pub fn outbox(&mut self) {
        while let Some(task) = self.locks.outbox.first().cloned() {
            let command = match &task {
                OutboxTask::Enter { stage, .. } => Command::Enter { stage: stage.clone() },
                OutboxTask::Supersede { by, .. } => Command::Supersede { by: *by },
                OutboxTask::Cancel { .. } => Command::Cancel,
                OutboxTask::RollBack { execution, stage, target, failed } => {
                    let trigger = Trigger { kind: "AutomatedRollback".into(), detail: failed.to_string() };
                    self.roll_back(*execution, stage.as_str(), *target, trigger).unwrap();
                    continue;
                }
            };
            self.apply(task.execution(), command).unwrap();
        }
    }

    fn roll_back(
        &mut self,
        id: ExecutionId,
        stage: &str,
        target: ExecutionId,
        trigger: Trigger,
    ) -> Result<(), Refusal> {
        let index = self.pipeline.stage_index(stage).unwrap();
        let target = self.executions[&target].clone();
        let attempt = self.stages.get(&(target.id, index, target.attempts[index])).cloned();
        let rollback = Rollback { id, stage: StageName::new(stage).unwrap(), trigger, target, attempt };
        let (pipeline, head, locks) = (self.pipeline.clone(), self.head.clone(), self.locks.clone());
        let decision = self.with(|context| engine::rollback(pipeline, &head, locks, rollback, context))?;
        self.keep(decision);
        Ok(())
    }

    /// A person rolls a stage back to an execution.
    pub fn rollback(&mut self, stage: &str, target: ExecutionId) -> Result<ExecutionId, Refusal> {
        let id = ExecutionId::from_random(Uuid::from_u128(
            0xdef0_0000_0000_0000_0000_0000_0000_0000 + ((self.locks.next_number as u128) << 100),
        ));
        let trigger = Trigger { kind: "ManualRollback".into(), detail: String::new() };
        self.roll_back(id, stage, target, trigger)?;
        Ok(id)
    }

    pub fn stop(&mut self, id: ExecutionId, abandon: bool) -> Result<(), Refusal> {
        self.apply(id, Command::Stop { abandon, reason: Some("enough".into()) })
    }

    pub fn retry(&mut self, id: ExecutionId, stage: &str, mode: RetryMode) -> Result<(), Refusal> {
        let current = self.pipeline.clone();
        self.apply(id, Command::Retry { stage: StageName::new(stage).unwrap(), mode, current })
    }

    pub fn overrule(&mut self, id: ExecutionId, stage: &str, kind: ConditionKind) -> Result<(), Refusal> {
        self.apply(id, Command::Override { stage: StageName::new(stage).unwrap(), kind, by: "ada".into() })
    }

    /// Ends a rule of the condition to which the execution has come in its stage.
    pub fn rule(&mut self, id: ExecutionId, stage: &str, kind: ConditionKind, rule: usize, holds: bool) {
        let stage = self.pipeline.stage_index(stage).unwrap();
        let run = &self.stages[&(id, stage, self.executions[&id].attempts[stage])];
        let action = run.id_at(kind.place(rule));
        self.apply(id, Command::Claim { action, worker: WorkerId(Uuid::from_u128(7)) }).unwrap();
        let end = if holds { good() } else { failed("it does not hold") };
        self.apply(id, Command::Finish { action, end, next_worker: None }).unwrap();
    }

    /// The latest attempt at a stage.
    pub fn stage(&self, id: ExecutionId, stage: &str) -> &StageRun {
        let index = self.pipeline.stage_index(stage).unwrap();
        &self.stages[&(id, index, self.executions[&id].attempts[index])]
    }

    /// The id of an action in the stage in which the execution is.
    pub fn action(&self, id: ExecutionId, name: &str) -> ActionId {
        let (stage, index) = self.find(name);
        let attempt = self.executions[&id].attempts[stage].max(1);
        let run = self.stages.get(&(id, stage, attempt));
        run.map_or_else(|| id.action(stage, index, attempt), |run| run.action_id(index).first_turn())
    }

    fn find(&self, name: &str) -> (usize, usize) {
        let stages = self.pipeline.stages().iter().enumerate();
        let mut found = stages.filter_map(|(s, stage)| {
            stage.actions.iter().position(|action| action.name.as_str() == name).map(|a| (s, a))
        });
        found.next().unwrap()
    }

    pub fn run(&self, id: ExecutionId, name: &str) -> &ActionRun {
        let (stage, index) = self.find(name);
        &self.stages[&(id, stage, self.executions[&id].attempts[stage])].actions[index]
    }

    pub fn status(&self, id: ExecutionId, name: &str) -> ActionStatus {
        let (stage, index) = self.find(name);
        let key = (id, stage, self.executions[&id].attempts[stage]);
        self.stages.get(&key).map_or(ActionStatus::Pending, |stage| stage.actions[index].status.clone())
    }

    pub fn claim(&mut self, id: ExecutionId, name: &str, worker: u128) -> Result<(), Refusal> {
        let action = self.action(id, name);
        self.apply(id, Command::Claim { action, worker: WorkerId(Uuid::from_u128(worker)) })
    }

    pub fn started(&mut self, id: ExecutionId, name: &str, worker: u128, poll: bool) -> Result<(), Refusal> {
        let action = self.action(id, name);
        let worker = WorkerId(Uuid::from_u128(worker));
        self.apply(id, Command::Started { action, worker, report: Progress::default(), poll, event_source: None })
    }

    pub fn finish(&mut self, id: ExecutionId, name: &str, end: End) -> Result<(), Refusal> {
        let action = self.action(id, name);
        self.apply(id, Command::Finish { action, end, next_worker: None })
    }

    /// Claims an action by its id, for one of an earlier version, and ends it.
    pub fn finish_by_id(&mut self, action: ActionId, end: End) {
        let worker = WorkerId(Uuid::from_u128(7));
        self.apply(action.execution, Command::Claim { action, worker }).unwrap();
        self.apply(action.execution, Command::Finish { action, end, next_worker: None }).unwrap();
    }

    /// Stores another version of the pipeline; tasks that come of it are not done.
    pub fn update(&mut self, after: Arc<Pipeline>) {
        self.earlier.insert(self.head.version, std::mem::replace(&mut self.pipeline, after.clone()));
        self.head.version += 1;
        self.head.mode = after.mode();
        let (locks, version) = (self.locks.clone(), self.head.version);
        let decision = self.with(|context| engine::update(locks, version, &after, context));
        self.keep(decision);
    }

    /// Closes a transition, with a reason, or opens it.
    pub fn transition(&mut self, stage: &str, disable: Option<&str>) -> Result<(), Refusal> {
        let change = TransitionChange {
            mode: self.pipeline.mode(),
            stage: StageName::new(stage).unwrap(),
            disable: disable.map(str::to_owned),
            by: "someone".into(),
        };
        let locks = self.locks.clone();
        let decision = self.with(|context| engine::set_transition(locks, change, context))?;
        self.keep(decision);
        Ok(())
    }

    /// Deletes the pipeline; outbox that come of it are not done.
    pub fn delete(&mut self) {
        let locks = self.locks.clone();
        let decision = self.with(|context| engine::delete(locks, context));
        self.keep(decision);
    }

    pub fn give_up_rollback(&mut self, id: ExecutionId) -> Result<(), Refusal> {
        let locks = self.locks.clone();
        let decision = self.with(|context| engine::give_up_rollback(locks, id, context))?;
        self.keep(decision);
        Ok(())
    }

    /// Claims an action and ends it well, with its declared output artifacts.
    pub fn succeed(&mut self, id: ExecutionId, name: &str) {
        self.claim(id, name, 7).unwrap();
        self.succeed_claimed(id, name);
    }

    /// The same for one that is claimed.
    pub fn succeed_claimed(&mut self, id: ExecutionId, name: &str) {
        let (stage, index) = self.find(name);
        let outputs = self.pipeline.stages()[stage].actions[index].outputs.iter().map(|name| Artifact {
            name: name.clone(),
            region: "eu-west-1".into(),
            bucket: "artifacts".into(),
            key: name.to_string(),
            pin: engine::Pin::default(),
        });
        let success = Success { outputs: outputs.collect(), ..Success::default() };
        self.finish(id, name, End::Succeeded(success)).unwrap();
    }

    /// Claims an action and ends it badly.
    pub fn fail(&mut self, id: ExecutionId, name: &str) {
        self.claim(id, name, 7).unwrap();
        self.finish(id, name, failed("no")).unwrap();
    }
}

pub fn failed(message: &str) -> End {
    End::Failed {
        error: ActionError { code: "JobFailed".into(), message: message.into() },
        report: Progress::default(),
    }
}

pub fn good() -> End {
    End::Succeeded(Success::default())
}
