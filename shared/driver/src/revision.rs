//! Revisions that somebody outside reports for a source action. Source: CodePipeline API, `PutActionRevision`.

use std::collections::BTreeMap;

use engine::{Reported, RevisionOverride, Timestamp, Trigger};
use pipeline::{ActionName, PipelineName};
use sha2::{Digest, Sha256};
use store::{ActionRevision, Expect, Key, StoreError, Write};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::start::{StartRequest, Started};

/// A revision as it was reported.
#[derive(Clone, Debug)]
pub struct PutRevision {
    /// The name of the pipeline to start.
    pub pipeline: PipelineName,
    /// The stage of the action: the first.
    pub stage: String,
    /// The name of the source action.
    pub action: String,
    /// The revision's id, as the source's system names it.
    pub revision: String,
    /// What made it the current one.
    pub change: String,
    /// When the revision was made, as the caller says.
    pub created: Timestamp,
    /// The ARN of the caller, which becomes the trigger's detail.
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
        let name = &put.pipeline;
        let stage = record.pipeline.stage_index(&put.stage).ok_or_else(|| DriveError::no_stage(name, &put.stage))?;
        let mut actions = record.pipeline.stages()[stage].actions.iter();
        let action = actions.find(|action| action.name.as_str() == put.action);
        let action = action.ok_or_else(|| DriveError::no_such_action(name, &put.stage, &put.action))?;
        let key = Key::Revision(name.clone(), record.head.incarnation, action.name.clone());
        let last = self.store.get::<ActionRevision>(key).await?;
        let expect = last.as_ref().map_or(Expect::Absent, |last| last.unchanged());
        let last = last.as_ref().map(|last| (last.entity.revision.as_str(), last.entity.execution));
        let given = match engine::report_revision(action, &put.revision, last) {
            Some(Reported::Known(execution)) => return Ok(Started { execution, new: false }),
            Some(Reported::New(given)) => {
                RevisionOverride { change: Some(put.change.clone()), created: Some(put.created), ..given }
            }
            None => {
                return Err(DriveError::NotReported { pipeline: name.to_string(), action: action.name.to_string() });
            }
        };
        let started = self
            .start(StartRequest {
                pipeline: name.clone(),
                trigger: Trigger { kind: "PutActionRevision".into(), detail: put.by },
                variables: BTreeMap::new(),
                overrides: vec![given],
                client_token: Some(change_token("revision", &action.name, &put.revision, expect)),
            })
            .await?;
        let reported = ActionRevision {
            action: action.name.clone(),
            pipeline: put.pipeline,
            incarnation: record.head.incarnation,
            revision: put.revision,
            change: put.change,
            created: put.created,
            execution: started.execution,
        };
        match self.store.commit(vec![Write::put(reported, expect)]).await {
            // Whoever was first reported the same revision, or a newer one.
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(started),
            Err(error) => Err(error.into()),
        }
    }
}

/// The own token of a start with a revision that was not the one that is noted: what is repeated, because its answer was lost or
/// its process died between the start and the note of it, starts nothing again, while the same revision after another one does.
/// It has a character that callers' tokens cannot have, and is short whatever the revision is.
pub(crate) fn change_token(by: &str, action: &ActionName, revision: &str, last: Expect) -> String {
    let mut hash = Sha256::new();
    for part in [action.as_str(), revision, &format!("{last:?}")] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let hash = hex::encode(hash.finalize());
    format!("{by}#{hash}")
}
