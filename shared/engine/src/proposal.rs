//! What an approval decides: which revisions it lets go on, and what runs now in the stages behind it. People are told the
//! same by mail, on the approval's page and in the console.
//!
//! What is live in a stage: what the execution released that succeeded in it last. A rollback counts, since what it brought back
//! runs there. Executions of mode PARALLEL remember nothing of stages: there it is the newest execution that succeeded.

use std::collections::BTreeMap;

use pipeline::{Action, ActionName, ExecutionMode, Pipeline, StageName};

use crate::change_set::{executes_change_set, makes_change_set};
use crate::id::{ActionId, ExecutionId};
use crate::kind::is_approval;
use crate::state::{
    ActionStatus, Execution, ExecutionStatus, Outputs, Revision, SourceRevision, StageLock, StageLocks, StageRun,
};
use crate::time::{Policy, Timestamp};

/// Revisions between what is live and what would go on: more are not listed.
const MOST_BETWEEN: usize = 10;

/// Variables in which sources say who made a revision, the best first. Source: CodePipeline user guide, 'Variables
/// reference', `CodeStarSourceConnection`.
const AUTHOR: [&str; 3] = ["AuthorDisplayName", "AuthorEmail", "AuthorId"];

/// What an approval decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proposal {
    /// By source action, what would go on.
    pub sources: Vec<SourceChange>,
    /// Whether what is live in a stage behind was made by another version of the pipeline.
    pub other_version: bool,
    /// Whether it was made with other values of the pipeline's variables.
    pub other_variables: bool,
    /// The change sets that wait to be executed.
    pub change_sets: Vec<ChangeSet>,
    /// The newest execution that waits for the approval's stage.
    pub newer: Option<NewerExecution>,
}

/// A revision that would go on, beside what is live.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceChange {
    /// The source action that found it.
    pub source: ActionName,
    /// What would go on.
    pub proposed: FoundRevision,
    /// What executions since the oldest that is live have found, the newest first; ten at most.
    pub between: Vec<FoundRevision>,
    /// What is live in the stages behind the approval, each revision once.
    pub live: Vec<LiveRevision>,
}

/// A revision, and who made it.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundRevision {
    /// The revision as the source action recorded it.
    pub revision: Revision,
    /// Who made it, where the source says so.
    pub author: Option<String>,
}

/// What runs in some stages.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRevision {
    /// The stages, in the pipeline's order.
    pub stages: Vec<StageName>,
    /// The revision that runs there; none where no execution has succeeded yet.
    pub revision: Option<Revision>,
}

/// A change set of CloudFormation that was made before the approval and is executed behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    /// The action that made it.
    pub action: ActionName,
    /// The stack, as the action's configuration names it.
    pub stack: String,
    /// What it would change, in the words that the action left.
    pub summary: Option<String>,
}

/// An execution that waits for the approval's stage, and would go in if this one were rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct NewerExecution {
    /// The execution that waits, by its id.
    pub execution: ExecutionId,
    /// When it was started.
    pub started: Timestamp,
    /// What its sources found.
    pub revisions: Vec<SourceRevision>,
    /// How many wait in front of it: they would go in first.
    pub before_it: usize,
}

impl Proposal {
    /// Whether everything that would go on is live already, in every stage behind, made by the same pipeline with the same
    /// variables. A change set that waits may change something all the same.
    pub fn changes_nothing(&self) -> bool {
        let live = |source: &SourceChange| {
            let same =
                |live: &LiveRevision| live.revision.as_ref().is_some_and(|it| it.id == source.proposed.revision.id);
            !source.live.is_empty() && source.live.iter().all(same)
        };
        let otherwise = self.other_version || self.other_variables || !self.change_sets.is_empty();
        !otherwise && !self.sources.is_empty() && self.sources.iter().all(live)
    }
}

/// Whether an approval needs nobody: its configuration says that it approves by itself where nothing would change, nothing would,
/// and the installation does not demand that somebody else than who started the execution approves it.
pub fn approves_itself(configuration: &BTreeMap<String, String>, proposal: &Proposal, policy: &Policy) -> bool {
    let asked_for = configuration.get("ApproveUnchanged").is_some_and(|value| value == "true");
    asked_for && !policy.separate_approver && proposal.changes_nothing()
}

/// What must be known to say what an approval decides.
#[derive(Clone, Debug)]
pub struct ProposalFacts<'a> {
    /// The version of the pipeline that the execution runs.
    pub pipeline: &'a Pipeline,
    /// The execution that asks.
    pub execution: &'a Execution,
    /// The approval that is asked about.
    pub approval: ActionId,
    /// Stage attempts of the execution, by stage index, as far as they have been read.
    pub stages: BTreeMap<usize, &'a StageRun>,
    /// By stage index, of [`stages_behind`]: the execution that is live there.
    pub live: BTreeMap<usize, &'a Execution>,
    /// Executions of the pipeline, the newest first.
    pub executions: &'a [Execution],
    /// The source stages of executions, as far as they have been read.
    pub found_in: &'a [StageRun],
    /// The executions that wait for the approval's stage, the oldest first.
    pub waiting: Vec<&'a Execution>,
}

/// The stages in which something runs once an approval is given: its own, if other actions than approvals come behind it, and
/// those that follow. An execution that rolls a stage back has no others.
pub fn stages_behind(pipeline: &Pipeline, execution: &Execution, approval: ActionId) -> Vec<usize> {
    let last = if execution.rollback.is_some() { usize::from(approval.stage) } else { usize::MAX };
    let mut stages: Vec<usize> =
        behind(pipeline, approval).filter(|(_, it)| !is_approval(it)).map(|(at, _)| at).collect();
    stages.retain(|stage| *stage <= last);
    stages.dedup();
    stages
}

/// The actions behind an approval, with the indexes of their stages.
fn behind(pipeline: &Pipeline, approval: ActionId) -> impl Iterator<Item = (usize, &Action)> {
    let here = usize::from(approval.stage);
    let order = pipeline.action(here, approval.action).map_or(0, |action| action.run_order);
    pipeline.stages().iter().enumerate().skip(here).flat_map(move |(index, stage)| {
        stage.actions.iter().filter(move |it| index > here || it.run_order > order).map(move |it| (index, it))
    })
}

impl StageLock {
    /// The execution that is live in the stage; none where none has succeeded.
    pub fn live(&self) -> Option<ExecutionId> {
        self.live.or(self.succeeded.map(|last| last.execution))
    }
}

impl StageLocks {
    /// The executions that wait for a stage and are newer than this one, the oldest first.
    pub fn newer_than(&self, execution: &Execution, stage: &StageName) -> Vec<ExecutionId> {
        let waiting = self.stages.get(stage).into_iter().flat_map(|lock| &lock.waiting);
        waiting.filter(|it| it.number > execution.number).map(|it| it.execution).collect()
    }
}

/// What is live where executions share no stages: the newest that succeeded. `executions`: the newest first.
pub fn live_in_parallel(executions: &[Execution]) -> Option<&Execution> {
    let parallel = |it: &&Execution| it.mode == ExecutionMode::Parallel && it.status == ExecutionStatus::Succeeded;
    executions.iter().find(parallel)
}

/// The executions between what is live and the one that asks, the newest first: what their sources found is told. None where
/// nothing is live yet. `executions`: the newest first.
pub fn between<'a>(
    execution: &Execution,
    live: &BTreeMap<usize, &Execution>,
    executions: &'a [Execution],
) -> Vec<&'a Execution> {
    let Some(oldest) = live.values().map(|it| it.number).min() else { return Vec::new() };
    let between = |it: &&Execution| it.number < execution.number && it.number > oldest && it.rollback.is_none();
    executions.iter().filter(between).take(MOST_BETWEEN).collect()
}

/// What an approval decides.
pub fn proposal(facts: &ProposalFacts<'_>) -> Proposal {
    let ProposalFacts { pipeline, execution, approval, .. } = facts;
    let behind_it = stages_behind(pipeline, execution, *approval);
    let others = between(execution, &facts.live, facts.executions);
    let sources = execution.revisions.iter().map(|found| {
        let live = live_revisions(facts, &behind_it, &found.action);
        let mut known: Vec<&str> = vec![&found.revision.id];
        known.extend(live.iter().filter_map(|it| Some(it.revision.as_ref()?.id.as_str())));
        let mut between = Vec::new();
        for other in &others {
            if let Some(it) = revision_of(other, &found.action).filter(|it| !known.contains(&it.id.as_str())) {
                known.push(&it.id);
                between.push(FoundRevision { revision: it.clone(), author: author(facts, other.id, &found.action) });
            }
        }
        SourceChange {
            source: found.action.clone(),
            proposed: FoundRevision {
                revision: found.revision.clone(),
                author: author(facts, execution.id, &found.action),
            },
            between,
            live,
        }
    });
    let sources = sources.collect();
    let newest = facts.waiting.last().map(|newest| NewerExecution {
        execution: newest.id,
        started: newest.started,
        revisions: newest.revisions.clone(),
        before_it: facts.waiting.len() - 1,
    });
    Proposal {
        sources,
        other_version: facts.live.values().any(|it| it.version != execution.version),
        other_variables: facts.live.values().any(|it| it.variables != execution.variables),
        change_sets: change_sets(facts),
        newer: newest,
    }
}

fn revision_of<'a>(execution: &'a Execution, source: &ActionName) -> Option<&'a Revision> {
    execution.revisions.iter().find(|it| it.action == *source).map(|it| &it.revision)
}

/// What a source action's revisions are in the stages behind, each once.
fn live_revisions(facts: &ProposalFacts<'_>, stages: &[usize], source: &ActionName) -> Vec<LiveRevision> {
    let mut found: Vec<LiveRevision> = Vec::new();
    for index in stages {
        let Some(stage) = facts.pipeline.stages().get(*index) else { continue };
        let revision = facts.live.get(index).and_then(|live| revision_of(live, source)).cloned();
        let id = |revision: &Option<Revision>| revision.as_ref().map(|it| it.id.clone());
        match found.iter_mut().find(|it| id(&it.revision) == id(&revision)) {
            Some(same) => same.stages.push(stage.name.clone()),
            None => found.push(LiveRevision { stages: vec![stage.name.clone()], revision }),
        }
    }
    found
}

/// Who made what a source action of an execution found.
fn author(facts: &ProposalFacts<'_>, execution: ExecutionId, source: &ActionName) -> Option<String> {
    let stage = facts.found_in.iter().find(|run| run.execution == execution)?;
    let run = stage.actions.iter().find(|run| run.name == *source)?;
    let Outputs::Inline(variables) = &run.variables else { return None };
    let said = AUTHOR.iter().filter_map(|name| variables.get(*name)).find(|value| !value.trim().is_empty());
    said.cloned()
}

/// The stages in which actions before an approval have made change sets that actions behind it execute.
pub fn change_sets_made(pipeline: &Pipeline, approval: ActionId) -> impl Iterator<Item = usize> {
    awaited_change_sets(pipeline, approval).into_iter().map(|(stage, ..)| stage)
}

/// The actions before an approval that make change sets which actions behind it execute: stage, place in it, action.
fn awaited_change_sets(pipeline: &Pipeline, approval: ActionId) -> Vec<(usize, usize, &Action)> {
    let here = usize::from(approval.stage);
    let order = pipeline.action(here, approval.action).map_or(0, |action| action.run_order);
    let executed: Vec<_> = behind(pipeline, approval).filter_map(|(_, it)| executes_change_set(it)).collect();
    let before = pipeline.stages().iter().enumerate().take(here + 1).flat_map(|(index, stage)| {
        let actions = stage.actions.iter().enumerate().map(move |(at, action)| (index, at, action));
        actions.filter(move |(_, _, action)| index < here || action.run_order < order)
    });
    before.filter(|(_, _, action)| makes_change_set(action).is_some_and(|it| executed.contains(&it))).collect()
}

/// What the change sets that wait would change.
fn change_sets(facts: &ProposalFacts<'_>) -> Vec<ChangeSet> {
    let made = awaited_change_sets(facts.pipeline, facts.approval).into_iter();
    let waiting = made.filter_map(|(stage, place, action)| {
        let run = facts.stages.get(&stage)?.actions.get(place)?;
        let stack = action.configuration.get("StackName")?.clone();
        let is_there = run.status == ActionStatus::Succeeded;
        is_there.then(|| ChangeSet { action: action.name.clone(), stack, summary: run.summary.clone() })
    });
    waiting.collect()
}
