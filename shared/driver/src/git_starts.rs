//! From what a host of code delivered through a connection to starts. Which event starts what is `pipeline`'s
//! ([`pipeline::git_trigger`]); here the pipelines are found that watch the repository, by key.
//!
//! Where only the paths of the changed files decide and the delivery does not have them, a worker asks the host, since workers alone
//! may act as pipelines and read the connection's token. A host that does not answer is asked again; at last the message is among the
//! dead letters. A branch that is new has nothing to be compared with, so that filters on files let nothing pass (CodePipeline user
//! guide, 'Automate starting pipelines using triggers and filtering').

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{RevisionOverride, Trigger};
use pipeline::git_trigger::{GitChange, GitDecision, GitEvent, MatchedTrigger, REVISION_TYPE};
use pipeline::{ActionName, PipelineName};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::ChangeOrigin;

use crate::driver::Driver;
use crate::error::DriveError;
use crate::pipelines::PipelineRecord;
use crate::ports::{Message, SourceReader, Task};
use crate::start::{StartRequest, Started};

/// Most characters of one name in a trigger's detail, which has at most 1,024. Source: CodePipeline API, `ExecutionTrigger`.
const NAME: usize = 100;
/// A message that is sent through the queue, which delivers it again, waits at least this long.
const SOON: Duration = Duration::from_secs(1);
/// Between the tries to have a host compare.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(20)];

/// An event of a Git repository, as it was delivered through a connection by somebody who proved himself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GitDelivery {
    /// The key of what has changed, as sources watch it.
    pub watched: String,
    /// Names the event: what comes twice starts nothing again.
    pub token: String,
    /// The push or the pull request.
    pub event: GitEvent,
    /// On whose behalf pipelines start.
    pub by: ChangeOrigin,
}

impl Driver {
    /// The starts that an event asks for: one for each pipeline that it matches, with the event's commit as revision. Where files
    /// decide that are not known, a worker is asked.
    ///
    /// # Errors
    /// The store's.
    pub async fn git_starts(&self, delivery: &GitDelivery) -> Result<Vec<StartRequest>, DriveError> {
        let mut watchers: BTreeMap<PipelineName, BTreeSet<ActionName>> = BTreeMap::new();
        for (pipeline, action) in self.watchers(&delivery.watched, None).await? {
            watchers.entry(pipeline).or_default().insert(action);
        }
        let mut starts = Vec::new();
        for (name, actions) in watchers {
            let record = self.pipeline(&name, None).await?;
            match decide(&record, &actions, &delivery.event) {
                Decided::Start(matched) => starts.push(request(&record, delivery, &matched)),
                Decided::Ask(action) => {
                    let delivery = Box::new(delivery.clone());
                    let message = Message::CompareFiles { pipeline: name, action, delivery };
                    self.dispatch.dispatch(vec![(message, SOON)]).await.map_err(DriveError::Dispatch)?;
                }
                Decided::Nothing => {}
            }
        }
        Ok(starts)
    }

    /// Asks the host which files differ, and starts the pipeline if they say so. Answers what it started.
    ///
    /// # Errors
    /// The store's; [`DriveError::Source`] when the host does not say: to be tried again.
    pub async fn compare_files(
        &self,
        pipeline: &PipelineName,
        action: &ActionName,
        delivery: &GitDelivery,
        reader: &dyn SourceReader,
    ) -> Result<Option<Started>, DriveError> {
        let record = match self.pipeline(pipeline, None).await {
            Err(DriveError::PipelineNotFound(_)) => return Ok(None),
            record => record?,
        };
        let watching = self.sources(&record.pipeline).into_iter().filter(|it| it.watched == delivery.watched);
        let actions = watching.map(|it| ActionName::new(it.action)).collect::<Result<BTreeSet<_>, _>>()?;
        let declared = record.pipeline.stages()[0].actions.iter().find(|it| it.name == *action);
        let Some(declared) = declared.filter(|it| actions.contains(&it.name)) else { return Ok(None) };
        let task = self.polled_task(&record, declared);
        let files = self.differing_files(reader, &task, &delivery.event).await?;
        let event = GitEvent { files: Some(files), ..delivery.event.clone() };
        let Decided::Start(matched) = decide(&record, &actions, &event) else { return Ok(None) };
        let start = self.start(request(&record, delivery, &matched));
        let started = delivery.by.clone().scope(Box::pin(start)).await?;
        tracing::info!(%pipeline, execution = %started.execution, new = started.new, "started for the files that differ");
        Ok(Some(started))
    }

    /// Asks a few times, since the queue waits much longer before it delivers a message again.
    async fn differing_files(
        &self,
        reader: &dyn SourceReader,
        task: &Task,
        event: &GitEvent,
    ) -> Result<Vec<String>, DriveError> {
        for pause in PAUSES {
            match reader.changed_files(task, event).await {
                Ok(files) => return Ok(files),
                Err(error) => tracing::warn!(%error, "the host does not say which files differ"),
            }
            self.clock.sleep(pause).await;
        }
        reader.changed_files(task, event).await.map_err(DriveError::Source)
    }
}

enum Decided {
    /// It starts the pipeline, by these source actions.
    Start(Vec<(ActionName, MatchedTrigger)>),
    /// The files decide; this action can tell them.
    Ask(ActionName),
    Nothing,
}

fn decide(record: &PipelineRecord, actions: &BTreeSet<ActionName>, event: &GitEvent) -> Decided {
    let (mut matched, mut asks) = (Vec::new(), None);
    for action in actions {
        let pipeline = record.pipeline.name();
        match record.pipeline.git_decision(action, event) {
            GitDecision::Start(trigger) => matched.push((action.clone(), trigger)),
            GitDecision::NeedsFiles if matches!(event.change, GitChange::Branch { before: None, .. }) => {
                tracing::info!(%pipeline, %action, "not started: the branch is new, so that no files can be compared");
            }
            GitDecision::NeedsFiles => asks = Some(action.clone()),
            GitDecision::Ignore(why) => tracing::info!(%pipeline, %action, %why, "not started"),
        }
    }
    match asks {
        _ if !matched.is_empty() => Decided::Start(matched),
        Some(action) => Decided::Ask(action),
        None => Decided::Nothing,
    }
}

/// Source: CodePipeline user guide, 'Start a pipeline in CodePipeline', for the trigger's type: `Webhook` where changes of the
/// action's branch are detected, `WebhookV2` where a trigger's filters were asked.
fn request(record: &PipelineRecord, delivery: &GitDelivery, matched: &[(ActionName, MatchedTrigger)]) -> StartRequest {
    let event = &delivery.event;
    let filtered = matched.iter().find(|(_, trigger)| *trigger != MatchedTrigger::BranchOfAction);
    let first = filtered.or(matched.first());
    let short = |text: &str| text.chars().take(NAME).collect::<String>();
    let mut detail = json!({"repository": short(&event.repository), "commit": event.commit});
    if let Some((action, trigger)) = first {
        let declared = record.pipeline.stages()[0].actions.iter().find(|it| it.name == *action);
        detail["connectionArn"] =
            json!(declared.and_then(|it| it.configuration.get("ConnectionArn")).map(|it| short(it)));
        detail["trigger"] = json!(trigger.to_string());
    }
    let reference = match &event.change {
        GitChange::Branch { name, .. } => {
            detail["branch"] = json!(short(name));
            format!("refs/heads/{name}")
        }
        GitChange::Tag { name } => {
            detail["tag"] = json!(short(name));
            format!("refs/tags/{name}")
        }
        GitChange::PullRequest(request) => {
            let (source, target) = (short(&request.source), short(&request.target));
            let (event, number) = (request.event.name(), request.number);
            detail["pullRequest"] = json!({"number": number, "event": event, "source": source, "target": target});
            format!("refs/heads/{}", request.source)
        }
    };
    let revision = |(action, _): &(ActionName, MatchedTrigger)| RevisionOverride {
        change: Some(reference.clone()),
        ..RevisionOverride::new(action.clone(), REVISION_TYPE, event.commit.clone())
    };
    StartRequest {
        pipeline: record.pipeline.name().clone(),
        trigger: Trigger {
            kind: if filtered.is_some() { "WebhookV2" } else { "Webhook" }.into(),
            detail: detail.to_string(),
        },
        variables: BTreeMap::new(),
        overrides: matched.iter().map(revision).collect(),
        client_token: Some(format!("git#{}", delivery.token)),
    }
}
