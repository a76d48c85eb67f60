//! Polling: looking every minute whether sources have changed, for actions that ask for it. Source: CodePipeline user guide,
//! 'Change detection methods', `PollForSourceChanges`.
//!
//! Each polled source has an item ([`SourcePoll`]) with what was seen of it. Once a minute somebody asks for a poll of each
//! ([`Driver::request_polls`]), spread over the minute; workers carry them out ([`Driver::poll_source`]), since they alone may act
//! as pipelines. A poll that finds something new notes it together with the start that must follow, on the condition that nobody has
//! noted anything in the meantime, and then makes the start. A start that is noted and not made is made by the next poll, before it
//! looks any further: so each change starts once, and an older one never after a newer one, whoever dies or dawdles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Execution, ExecutionId, Head, RevisionOverride, Trigger};
use pipeline::{Action, ActionName, Pipeline, PipelineName, limits};
use store::{Entity, Expect, Key, Listing, PendingStart, SeenRevision, SourcePoll, StoreError, Write};

use crate::driver::Driver;
use crate::error::DriveError;
use crate::pipelines::PipelineRecord;
use crate::ports::{Message, NewestRevision, SourceReader, Task};
use crate::revision::change_token;
use crate::start::{StartRequest, Started};

/// Polls are spread over this many milliseconds: until the next ones are asked for.
const SPREAD: u64 = 59_000;

impl Driver {
    /// Asks for a poll of every source that is polled. Answers how many there are; what cannot be asked for comes again with the
    /// next call, a minute later.
    ///
    /// # Errors
    /// The store's.
    pub async fn request_polls(&self) -> Result<usize, DriveError> {
        let polls = self.store.all::<SourcePoll>(&Listing::SourcePolls).await?;
        let message = |poll: SourcePoll| {
            let delay = 1 + self.clock.random().as_u128() as u64 % SPREAD;
            let SourcePoll { pipeline, action, .. } = poll;
            (Message::PollSource { pipeline, action }, Duration::from_millis(delay))
        };
        let messages: Vec<_> = polls.into_iter().map(message).collect();
        let count = messages.len();
        if count > 0
            && let Err(error) = self.dispatch.dispatch(messages).await
        {
            tracing::error!(%error, "not all polls of sources were asked for");
        }
        Ok(count)
    }

    /// Looks whether a source has changed, and starts its pipeline if so. Answers what it started; a source that cannot be asked is
    /// logged, and asked again by the next poll.
    ///
    /// # Errors
    /// The store's.
    pub async fn poll_source(
        &self,
        pipeline: &PipelineName,
        action: &ActionName,
        poller: &dyn SourceReader,
    ) -> Result<Option<Started>, DriveError> {
        let record = match self.pipeline(pipeline, None).await {
            Err(DriveError::PipelineNotFound(_)) => return Ok(None),
            record => record?,
        };
        let key = Key::SourcePoll(pipeline.clone(), record.head.incarnation, action.clone());
        let Some(poll) = self.store.get::<SourcePoll>(key.clone()).await? else { return Ok(None) };
        let found = record.pipeline.stages()[0].actions.iter().find(|it| it.name == *action);
        let Some(declared) = found.filter(|it| self.polled(it).as_ref() == Some(&poll.entity.polled)) else {
            return Ok(None);
        };
        if poll.entity.pending.is_some() {
            let started = self.start_pending(&key).await?;
            if started.is_some() {
                return Ok(started);
            }
            // It cannot be started. Something newer may take its place.
        }
        let (expect, poll) = (poll.unchanged(), poll.entity);
        let validator = poll.seen.as_ref().and_then(|seen| seen.validator.as_deref());
        let newest = match poller.newest(&self.polled_task(&record, declared), validator).await {
            Ok(Some(newest)) => newest,
            Ok(None) => return Ok(None),
            Err(error) => {
                tracing::warn!(%pipeline, %action, %error, "the source cannot be polled");
                return Ok(None);
            }
        };
        let NewestRevision { kind, value: revision, validator, token, detail } = newest;
        let Some(known) = self.is_known(&poll, &revision).await? else { return Ok(None) };
        let seen = SeenRevision { revision, validator };
        if known && poll.seen.as_ref() == Some(&seen) {
            return Ok(None);
        }
        let pending = if known {
            poll.pending
        } else {
            let token = token.unwrap_or_else(|| change_token("poll", action, &seen.revision, expect));
            Some(PendingStart { kind: kind.into(), token, detail })
        };
        let noted = SourcePoll { seen: Some(seen), pending, ..poll };
        match self.store.commit(vec![Write::put(noted, expect)]).await {
            Ok(()) if known => Ok(None),
            Ok(()) => self.start_pending(&key).await,
            // Whoever was first saw the same, or something newer; or the pipeline is another one by now.
            Err(StoreError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the start that is noted, and notes that it was made. None where there is none, or where the pipeline cannot be started:
    /// then it stays, and the next poll tries again.
    async fn start_pending(&self, key: &Key) -> Result<Option<Started>, DriveError> {
        let Some(noted) = self.store.get::<SourcePoll>(key.clone()).await? else { return Ok(None) };
        let (expect, mut poll) = (noted.unchanged(), noted.entity);
        let (Some(pending), Some(seen)) = (poll.pending.take(), &poll.seen) else { return Ok(None) };
        let (pipeline, action) = (&poll.pipeline, &poll.action);
        let started = self
            .start(StartRequest {
                pipeline: pipeline.clone(),
                trigger: Trigger { kind: "PollForSourceChanges".into(), detail: pending.detail },
                variables: BTreeMap::new(),
                overrides: vec![RevisionOverride::new(action.clone(), pending.kind, seen.revision.clone())],
                client_token: Some(pending.token),
            })
            .await;
        let started = match started {
            Ok(started) => started,
            Err(error @ DriveError::Store(_)) => return Err(error),
            Err(error) => {
                tracing::error!(%pipeline, %action, %error, "not started for a change of its source");
                return Ok(None);
            }
        };
        tracing::info!(%pipeline, %action, execution = %started.execution, new = started.new, "the source has changed");
        match self.store.commit(vec![Write::put(poll, expect)]).await {
            Ok(()) | Err(StoreError::Conflict(_)) => Ok(Some(started)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this revision is what the pipeline ran with last; none while the first execution has not come to it.
    async fn is_known(&self, poll: &SourcePoll, revision: &str) -> Result<Option<bool>, DriveError> {
        if let Some(seen) = &poll.seen {
            return Ok(Some(seen.revision == revision));
        }
        let Some(first) = poll.first else { return Ok(Some(true)) };
        let Some(first) = self.store.get::<Execution>(Key::Execution(first)).await? else { return Ok(Some(true)) };
        let first = first.entity;
        match first.revisions.iter().find(|it| it.action == poll.action) {
            Some(taken) => Ok(Some(taken.revision.id == revision)),
            None if first.status.is_open() => Ok(None),
            // It found nothing there.
            None => Ok(Some(false)),
        }
    }

    /// A task with what is known of an action that nobody runs.
    pub(crate) fn polled_task(&self, record: &PipelineRecord, action: &Action) -> Task {
        let pipeline = &record.pipeline;
        let id = ExecutionId::from_random(record.head.incarnation.0).action(0, 0, 0);
        Task::declared(id, pipeline, record.version, &pipeline.stages()[0].name, action, self.region(action))
    }

    pub(crate) fn region<'a>(&'a self, action: &'a Action) -> &'a str {
        action.region.as_ref().map_or(self.home.as_str(), |region| region.as_str())
    }

    fn polled(&self, action: &Action) -> Option<String> {
        (self.sources.polled)(action, self.region(action))
    }

    /// What is polled for a pipeline: its actions, with the key of what each of them polls.
    fn polled_actions(&self, pipeline: &Pipeline) -> BTreeMap<ActionName, String> {
        let actions = pipeline.stages()[0].actions.iter();
        actions.filter_map(|action| Some((action.name.clone(), self.polled(action)?))).collect()
    }

    /// The items that begin to be polled with a version of a pipeline. `first`: the execution that its creation started. What is
    /// polled as before keeps what was seen of it.
    ///
    /// # Errors
    /// [`DriveError::PollingLimit`].
    pub(crate) async fn begin_polls(
        &self,
        head: &Head,
        pipeline: &Pipeline,
        first: Option<ExecutionId>,
    ) -> Result<Vec<Write>, DriveError> {
        let polled = self.polled_actions(pipeline);
        let key = |action: &ActionName| Key::SourcePoll(head.pipeline.clone(), head.incarnation, action.clone());
        let keys: Vec<_> = polled.keys().map(key).collect();
        let known = if keys.is_empty() { Vec::new() } else { self.store.load(&keys).await? };
        let is_new =
            |key: &str, known: Option<Entity>| !matches!(known, Some(Entity::SourcePoll(it)) if it.polled == key);
        let new = polled
            .into_iter()
            .zip(known)
            .filter(|((_, key), known)| is_new(key, known.as_ref().map(|known| known.entity.clone())));
        let poll = |(action, polled)| SourcePoll {
            pipeline: head.pipeline.clone(),
            incarnation: head.incarnation,
            action,
            polled,
            first,
            seen: None,
            pending: None,
        };
        let new: Vec<_> = new.map(|(new, _)| Write::put(poll(new), Expect::Any)).collect();
        if !new.is_empty() {
            let all = self.store.all::<SourcePoll>(&Listing::SourcePolls).await?;
            let others: BTreeSet<_> = all.into_iter().map(|it| it.pipeline).filter(|it| *it != head.pipeline).collect();
            if others.len() >= limits::POLLED_PIPELINES {
                return Err(DriveError::PollingLimit);
            }
        }
        Ok(new)
    }

    /// The keys of what was polled for a version of a pipeline and is not for the next one.
    pub(crate) fn end_polls(&self, head: &Head, before: &Pipeline, after: Option<&Pipeline>) -> Vec<Key> {
        let after = after.map(|after| self.polled_actions(after)).unwrap_or_default();
        let before = self.polled_actions(before).into_keys().filter(|action| !after.contains_key(action));
        before.map(|action| Key::SourcePoll(head.pipeline.clone(), head.incarnation, action)).collect()
    }
}
