//! What sources have in common that are Git repositories, wherever these are.

use std::collections::BTreeMap;

use artifacts::{Bucket, Content};
use driver::{Outcome, Task, TaskInput};
use engine::{Artifact, External, Progress, Revision, Success, Timestamp};
use serde::{Deserialize, Serialize};

use crate::configuration::{store, title};
use crate::context::ActionContext;
use crate::error::{JOB_FAILED, ProviderError};

/// Most bytes of the zip of a repository. Source: CodePipeline user guide, 'Quotas': artifacts in a source stage, of
/// repositories.
pub(crate) const LARGEST: u64 = 1 << 30;

/// Most characters of what a person is told of a revision. Source: CodePipeline API, `RevisionSummary`.
const SUMMARY: usize = 2048;

/// The value of `OutputArtifactFormat`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum OutputFormat {
    /// The files at the commit, without history.
    #[default]
    #[serde(rename = "CODE_ZIP")]
    Zip,
    /// Where a build can clone the repository.
    #[serde(rename = "CODEBUILD_CLONE_REF")]
    Clone,
}

/// `SourceRevisionType`: the full id of a commit.
pub(crate) const COMMIT: &str = "COMMIT_ID";

/// Source: CodePipeline API, `SourceRevisionOverride`.
pub(crate) fn takes_revision(_: &BTreeMap<String, String>, revision_type: &str) -> Result<(), &'static str> {
    if revision_type == COMMIT { Ok(()) } else { Err("a repository takes COMMIT_ID") }
}

/// The commit that the start of the execution prescribes; without one it is the newest of the branch.
pub(crate) fn prescribed(task: &Task) -> Result<Option<&str>, ProviderError> {
    let mut commit = None;
    for revision in &task.overrides {
        takes_revision(&task.configuration, &revision.kind).map_err(|why| {
            ProviderError::configuration(format!("the start of the execution names a {}: {why}", revision.kind))
        })?;
        commit = Some(revision.value.as_str());
    }
    Ok(commit)
}

/// A commit as its host describes it.
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) message: String,
    /// When it came into the branch's history, in milliseconds; none where the host does not say.
    pub(crate) committed: Option<Timestamp>,
    /// The host's page of it.
    pub(crate) url: String,
}

/// What a build needs to clone the repository by itself: the artifact of the format `CODEBUILD_CLONE_REF`. AWS does not
/// say what is in its own; only CodeBuild actions read it, so its words are those of StartBuild.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CloneReference {
    /// CodeBuild's `SourceType`, for example `CODECOMMIT`.
    pub(crate) source_type: String,
    /// The address of the repository.
    pub(crate) source_location: String,
    /// The id of the commit.
    pub(crate) source_version: String,
    /// The connection by which a build reaches it, where it takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connection_arn: Option<String>,
}

impl CloneReference {
    /// Most bytes of one. What is larger is not looked into.
    const LARGEST: u64 = 4096;

    pub(crate) fn content(&self) -> Result<Content, ProviderError> {
        let json = serde_json::to_vec(self)
            .map_err(|error| ProviderError::failed(JOB_FAILED, format!("the reference cannot be written: {error}")))?;
        Ok(json.into())
    }

    /// What an input artifact refers to; none where it contains files.
    pub(crate) async fn read(store: &Bucket, input: &TaskInput) -> Result<Option<Self>, ProviderError> {
        let (key, pin) = (&input.artifact.key, &input.pin);
        if store.find(key, pin).await?.size > Self::LARGEST {
            return Ok(None);
        }
        let content = store.read(key, pin, Self::LARGEST).await?;
        Ok(serde_json::from_slice(&content).ok())
    }
}

/// The one output artifact, its bucket and its key.
pub(crate) fn output(task: &Task) -> Result<&Artifact, ProviderError> {
    let needed = || ProviderError::configuration(format!("{} needs one output artifact", title(task)));
    task.outputs.first().ok_or_else(needed)
}

/// Stores the artifact, and ends the action with it.
pub(crate) async fn store_output(
    context: ActionContext<'_>,
    content: Content,
    commit: Commit,
    variables: Vec<(&str, String)>,
) -> Result<Outcome, ProviderError> {
    let (bucket, encryption) = store(context.task)?;
    let output = output(context.task)?;
    let pin = context.artifact_store(bucket).await?.put_artifact(&output.key, content, &encryption).await?;
    let Commit { id, message, committed, url } = commit;
    let summary: String = message.chars().take(SUMMARY).collect();
    let summary = Some(summary).filter(|summary| !summary.is_empty());
    Ok(Outcome::Succeeded(Success {
        report: Progress {
            external: Some(External { id: id.clone(), url: Some(url.clone()) }),
            summary: summary.clone(),
            percent: None,
        },
        outputs: vec![Artifact { pin, ..output.clone() }],
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        revision: Some(Revision { id, summary, url: Some(url), created: committed, change: None }),
    }))
}
