//! Starting executions.

use std::collections::{BTreeMap, HashMap};

use engine::{ExecutionId, Refusal, RevisionOverride, Start, State, Trigger};
use pipeline::{Pipeline, PipelineName, PipelineType};
use store::{Entity, Expect, Key, StartToken, Versioned, Write};

use crate::backoff::UNCONTENDED;
use crate::commit::{Driver, Loaded};
use crate::error::DriveError;
use crate::resolve::Stages;

/// What a caller gives to start an execution.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// What starts it.
    pub trigger: Trigger,
    /// Values for pipeline variables.
    pub variables: BTreeMap<String, String>,
    /// Revisions for source actions.
    pub overrides: Vec<RevisionOverride>,
    /// A start with the same token starts nothing again.
    pub client_token: Option<String>,
}

/// A started execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub execution: ExecutionId,
    /// Whether this call started it, or an earlier one with the same token.
    pub new: bool,
}

/// The values of all pipeline variables: given, or by default.
pub(crate) fn variables(
    pipeline: &Pipeline,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, DriveError> {
    let declared = pipeline.declaration().variables.as_deref().unwrap_or_default();
    if !given.is_empty() && pipeline.kind() == PipelineType::V1 {
        return Err(DriveError::Variables(format!(
            "Pipeline '{}' is of type V1: variables need a pipeline of type V2.",
            pipeline.name()
        )));
    }
    if let Some(unknown) = given.keys().find(|name| declared.iter().all(|variable| variable.name != **name)) {
        return Err(DriveError::Variables(format!("Pipeline '{}' declares no variable '{unknown}'.", pipeline.name())));
    }
    declared
        .iter()
        .map(|variable| {
            let value = given.get(&variable.name).or(variable.default_value.as_ref());
            value.map(|value| (variable.name.clone(), value.clone())).ok_or_else(|| {
                DriveError::Variables(format!(
                    "Variable '{}' of pipeline '{}' has no default value: give one.",
                    variable.name,
                    pipeline.name()
                ))
            })
        })
        .collect()
}

impl Driver {
    /// Starts an execution of the current version.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::Variables`], [`DriveError::Overrides`].
    pub async fn start(&self, request: StartRequest) -> Result<Started, DriveError> {
        let name = &request.pipeline;
        let mut attempt = 0;
        loop {
            let (head, _) = self.head(name).await?;
            let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
            let token = request.client_token.as_ref().map(|token| (head.incarnation, token.clone()));
            if let Some((incarnation, token)) = &token
                && let Some(Versioned { entity: Entity::Token(used), .. }) =
                    self.load_one(Key::Token(name.clone(), *incarnation, token.clone())).await?
            {
                return Ok(Started { execution: used.execution, new: false });
            }
            engine::check_overrides(&pipeline, &request.overrides, self.sources.takes_revision)?;
            let start = Start {
                id: ExecutionId::from_random(self.clock.random()),
                trigger: request.trigger.clone(),
                variables: variables(&pipeline, &request.variables)?,
                overrides: request.overrides.clone(),
            };
            let id = start.id;
            let (locks, revision) = self.locks(&head).await?;
            let decided = self.decide(|context| engine::start(pipeline.clone(), &head, locks, start, context));
            let decision = match decided {
                Err(Refusal::PipelineUpdated) => continue,
                decided => decided?,
            };
            let Some(execution) = decision.execution.clone() else {
                return Err(DriveError::no_execution(id));
            };
            let revisions = HashMap::from([(Key::StageLocks(name.clone(), head.incarnation), revision)]);
            let finished = Stages::new();
            let state = State { pipeline, locks: None, execution, stage: None };
            let mut loaded = Loaded { state, finished, revisions };
            let writes = token
                .map(|(incarnation, token)| Write::Put {
                    entity: Entity::Token(StartToken {
                        pipeline: name.clone(),
                        incarnation,
                        token,
                        execution: id,
                        created: self.clock.now(),
                    }),
                    expect: Expect::Absent,
                })
                .into_iter()
                .collect();
            match self.commit(&decision, writes, &mut loaded).await {
                Ok(()) => {
                    self.follow(decision.effects).await;
                    return Ok(Started { execution: id, new: true });
                }
                Err(error) => self.back_off(&mut attempt, UNCONTENDED, error).await?,
            }
        }
    }
}
