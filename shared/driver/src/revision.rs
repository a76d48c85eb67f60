//! Revisions that somebody outside reports for a source action. Source: CodePipeline API, `PutActionRevision`.

use engine::{PUT_REVISION, RevisionOverride, Timestamp, Trigger};
use pipeline::{Action, ActionName, PipelineName};
use sha2::{Digest, Sha256};
use store::{ActionRevision, Entity, Expect, Key, StoreError, Versioned, Write};

use crate::commit::Driver;
use crate::error::DriveError;
use crate::start::{StartRequest, Started};

/// A revision as it was reported.
#[derive(Clone, Debug)]
pub struct PutRevision {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage of the action: the first.
    pub stage: String,
    /// The source action.
    pub action: String,
    /// The revision's id.
    pub revision: String,
    /// What made it the current one.
    pub change: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who reports it.
    pub by: String,
}

impl Driver {
    /// Starts an execution for a revision of a source action, unless the action's last reported revision is the same:
    /// then [`Started::new`] is false, and the execution is the one that it started.
    ///
    /// # Errors
    /// [`DriveError::PipelineNotFound`], [`DriveError::StageNotFound`], [`DriveError::ActionNotFound`];
    /// [`DriveError::NotReported`] for an action whose source finds its revisions by itself; those of a start.
    pub async fn put_revision(&self, put: PutRevision) -> Result<Started, DriveError> {
        let record = self.pipeline(&put.pipeline, None).await?;
        let action = source(&record.pipeline, &put)?;
        let key = Key::Revision(put.pipeline.clone(), record.head.incarnation, action.clone());
        let (last, expect) = match self.load_one(key).await? {
            Some(Versioned { entity: Entity::Revision(last), revision }) => (Some(last), Expect::Revision(revision)),
            _ => (None, Expect::Absent),
        };
        if let Some(last) = last.filter(|last| last.revision == put.revision) {
            return Ok(Started { execution: last.execution, new: false });
        }
        let given = RevisionOverride {
            change: Some(put.change.clone()),
            created: Some(put.created),
            ..RevisionOverride::new(action.clone(), PUT_REVISION, put.revision.clone())
        };
        let started = self
            .start(StartRequest {
                pipeline: put.pipeline.clone(),
                trigger: Trigger { kind: "PutActionRevision".into(), detail: put.by },
                variables: std::collections::BTreeMap::new(),
                overrides: vec![given],
                client_token: Some(token(&action, &put.revision, expect)),
            })
            .await?;
        let entity = Entity::Revision(ActionRevision {
            pipeline: put.pipeline,
            incarnation: record.head.incarnation,
            action,
            revision: put.revision,
            change: put.change,
            created: put.created,
            execution: started.execution,
        });
        match self.store.commit(vec![Write::Put { entity, expect }]).await {
            // Whoever was first reported the same revision, or a newer one.
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(started),
            Err(error) => Err(error.into()),
        }
    }
}

/// The start's own token: a report that is repeated, because its answer was lost or its process died between the start
/// and the note of it, starts nothing again, while the same revision reported after another one does. It has a
/// character that callers' tokens cannot have, and is short whatever the revision is.
fn token(action: &ActionName, revision: &str, last: Expect) -> String {
    let mut hash = Sha256::new();
    for part in [action.as_str(), revision, &format!("{last:?}")] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("revision#{hash}")
}

/// The source action that is named, if its revisions can be reported.
fn source(pipeline: &pipeline::Pipeline, put: &PutRevision) -> Result<ActionName, DriveError> {
    let short = |text: &str| text.chars().take(100).collect::<String>();
    let name = put.pipeline.to_string();
    let stage = pipeline.stages().iter().find(|stage| stage.name.as_str() == put.stage);
    let stage = stage.ok_or_else(|| DriveError::StageNotFound { pipeline: name.clone(), stage: short(&put.stage) })?;
    let action = stage.actions.iter().find(|action| action.name.as_str() == put.action);
    let action: &Action = action.ok_or_else(|| DriveError::ActionNotFound {
        pipeline: name.clone(),
        stage: short(&put.stage),
        action: short(&put.action),
    })?;
    let own = action.type_id.owner.as_deref() == Some("AWS");
    if action.type_id.category == "Source" && !own {
        Ok(action.name.clone())
    } else {
        Err(DriveError::NotReported { pipeline: name, action: action.name.to_string() })
    }
}
