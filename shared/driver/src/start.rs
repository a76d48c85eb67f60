//! Starting executions of a pipeline's current version, once for each client token.

use std::collections::BTreeMap;

use engine::{ExecutionId, RevisionOverride, Start, Trigger};
use pipeline::PipelineName;
use serde::{Deserialize, Serialize};
use store::{ChangeOrigin, Expect, StartToken, Write};

use crate::commit::Change;
use crate::driver::Driver;
use crate::error::DriveError;

/// What a caller gives to start an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartRequest {
    /// The name of the pipeline to start.
    pub pipeline: PipelineName,
    /// The trigger that people are shown.
    pub trigger: Trigger,
    /// Values for pipeline variables by name; the others take their defaults.
    pub variables: BTreeMap<String, String>,
    /// Revisions that source actions must use; at most one of a type for each action.
    pub overrides: Vec<RevisionOverride>,
    /// A start with the same token starts nothing again.
    pub client_token: Option<String>,
}

/// A start that waits in the queue of `trigger`, whoever put it there having checked that it is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuedStart {
    /// What is to be started, and the token by which it is started once.
    pub start: StartRequest,
    /// On whose behalf: of the one who called, not of the function that starts it.
    pub by: ChangeOrigin,
}

/// The execution that a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The id of the execution, whichever call started it.
    pub execution: ExecutionId,
    /// Whether this call started it, or an earlier one with the same token.
    pub new: bool,
}

impl Driver {
    /// Starts an execution of the current version.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::Variables`], [`DriveError::Overrides`].
    pub async fn start(&self, request: StartRequest) -> Result<Started, DriveError> {
        let StartRequest { pipeline: name, trigger, variables, overrides, client_token } = &request;
        self.transact(|| {
            Box::pin(async {
                let items = self.items(name, client_token.as_deref()).await?;
                if let Some(used) = items.used {
                    return Ok(Change::of(Vec::new(), Started { execution: used.execution, new: false }));
                }
                let read = items.read();
                let head = &items.head.entity;
                let pipeline = self.pipeline_version(name, head.incarnation, head.version).await?;
                engine::check_overrides(&pipeline, overrides, self.sources.takes_revision)?;
                let id = ExecutionId::from_random(self.clock.random());
                let start = Start {
                    id,
                    trigger: trigger.clone(),
                    variables: engine::start_variables(&pipeline, variables)?,
                    overrides: overrides.clone(),
                };
                let locks = items.locks.entity;
                let decision = self.decide(|context| engine::start(pipeline, head, locks, start, context))?;
                let mut change = Change::decided(decision, &read, Started { execution: id, new: true });
                if let Some(token) = client_token {
                    let (pipeline, incarnation, created) = (name.clone(), head.incarnation, self.clock.now());
                    let token = StartToken { pipeline, incarnation, token: token.clone(), execution: id, created };
                    change.writes.push(Write::put(token, Expect::Absent));
                }
                Ok(change)
            })
        })
        .await
    }
}
