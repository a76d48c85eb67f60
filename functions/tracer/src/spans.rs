//! The spans of a run of an execution.
//!
//! A run's root span contains one for each attempt at a stage that began in it, and for each time that the execution waited in
//! front of a stage. An attempt contains what was begun in it, actions and rules. What a later attempt took over is in the earlier
//! one: each has exactly one span, which ends where it ended.

use std::collections::BTreeSet;

use engine::{
    ActionId, ActionRun, ActionStatus, Execution, ExecutionStatus, RetryTrigger, StageRun, StageStatus, Timestamp,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use pipeline::{ConditionKind, ExecutionMode};

use crate::attributes::{Attributes, bounded};
use crate::batches::nanoseconds;
use crate::ids;
use crate::record::{Record, Run};

/// The version of the semantic conventions that the names of attributes are from.
pub const SCHEMA: &str = "https://opentelemetry.io/schemas/1.38.0";

/// Who tells: the same for all spans of an installation.
pub fn resource(installation: &str, account: &str, region: &str) -> Resource {
    let attributes = Attributes::default()
        .text("service.name", "millrace")
        .text("service.namespace", installation)
        .text("service.version", env!("CARGO_PKG_VERSION"))
        .text("cloud.provider", "aws")
        .text("cloud.account.id", account)
        .text("cloud.region", region);
    Resource { attributes: attributes.0, ..Resource::default() }
}

/// The spans of a run that has ended; none of one that has not. `home`: the region of actions that name none.
pub fn of_run(record: &Record, run: &Run<'_>, home: &str) -> Vec<Span> {
    let Some(ended) = run.ended else { return Vec::new() };
    let told = Told { record, run, home };
    let mut spans: Vec<Span> = run.attempts.iter().flat_map(|attempt| told.attempt(attempt)).collect();
    spans.extend(told.waits(ended));
    let last = spans.iter().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
    spans.push(told.root(ended, last));
    spans
}

/// What the spans of a run are made from.
struct Told<'a> {
    record: &'a Record,
    run: &'a Run<'a>,
    home: &'a str,
}

impl Told<'_> {
    fn execution(&self) -> &Execution {
        &self.record.execution
    }

    /// A span of this trace without anything else.
    fn span(&self, id: Vec<u8>, parent: Vec<u8>, name: &str, (from, to): (Timestamp, Timestamp)) -> Span {
        Span {
            trace_id: ids::trace(self.execution().id),
            span_id: id,
            parent_span_id: parent,
            name: name.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: nanoseconds(from),
            end_time_unix_nano: nanoseconds(to.max(from)),
            ..Span::default()
        }
    }

    fn run_id(&self) -> Vec<u8> {
        ids::run(self.execution().id, self.run.index)
    }

    fn link(&self, id: Vec<u8>, why: &str) -> Link {
        link(ids::trace(self.execution().id), id, why)
    }

    fn root(&self, ended: Timestamp, last: u64) -> Span {
        let execution = self.execution();
        let status = self.outcome();
        let result = match status {
            ExecutionStatus::Succeeded => "success",
            ExecutionStatus::Failed => "failure",
            _ => "cancellation",
        };
        let error = (status == ExecutionStatus::Failed).then(|| self.error());
        let attributes = Attributes::default()
            .text("cicd.pipeline.name", execution.pipeline.as_str())
            .text("cicd.pipeline.action.name", "RUN")
            .text("cicd.pipeline.run.id", execution.id.to_string())
            .text("cicd.pipeline.result", result)
            .text("millrace.execution.status", format!("{status:?}"))
            .text("millrace.execution.mode", format!("{:?}", execution.mode).to_uppercase())
            .number("millrace.execution.run", self.run.index as i64 + 1)
            .number("millrace.pipeline.version", execution.version)
            .text("millrace.trigger.type", &execution.trigger.kind)
            .known("millrace.trigger.detail", Some(&execution.trigger.detail))
            .known("millrace.stop.reason", execution.stop.as_ref().and_then(|stop| stop.reason.as_ref()))
            .known("error.type", error.as_ref().map(|(code, _)| code));
        let name = format!("RUN {}", execution.pipeline);
        let mut span = self.span(self.run_id(), Vec::new(), &name, (self.run.began, ended));
        span.kind = SpanKind::Server.into();
        span.end_time_unix_nano = span.end_time_unix_nano.max(last);
        span.attributes = attributes.0;
        span.status = error.map(|(_, message)| failure(&message));
        if let Some(before) = self.run.index.checked_sub(1) {
            span.links.push(self.link(ids::run(execution.id, before), "retry"));
        }
        if let Some(target) = &execution.rollback {
            span.links.push(link(ids::trace(target.execution), ids::run(target.execution, 0), "rollback"));
        }
        span
    }

    /// How the run ended. Its last attempt decides wherever it can, since it stays when the execution comes back: one that failed
    /// while it was being stopped is told as failed.
    fn outcome(&self) -> ExecutionStatus {
        let execution = self.execution();
        let last = self.run.attempts.last();
        let came_back = last.is_some_and(|last| self.record.attempts.last() != Some(last));
        match last.map(|last| last.status) {
            Some(StageStatus::Failed) if came_back || execution.status == ExecutionStatus::Stopped => {
                ExecutionStatus::Failed
            }
            Some(StageStatus::Stopped) if came_back => ExecutionStatus::Stopped,
            _ => execution.status,
        }
    }

    /// Code and message of the failure that ended the run.
    fn error(&self) -> (String, String) {
        let found = self.run.attempts.last().and_then(first_error);
        // OpenTelemetry's word for what has no other.
        found.unwrap_or_else(|| ("_OTHER".to_owned(), String::new()))
    }

    /// An attempt at a stage, and what was begun in it.
    fn attempt(&self, attempt: &StageRun) -> Vec<Span> {
        let id = ids::stage(attempt.execution, attempt.stage, attempt.attempt);
        let mut spans = self.begun_in(attempt, &id);
        let failed = attempt.status == StageStatus::Failed;
        let retry = attempt.retries.latest.filter(|_| attempt.attempt > 1).map(|trigger| match trigger {
            RetryTrigger::Automatic => "automatic",
            RetryTrigger::Manual => "manual",
        });
        let attributes = Attributes::default()
            .text("millrace.stage.name", attempt.name.as_str())
            .number("millrace.stage.attempt", attempt.attempt)
            .text("millrace.stage.status", format!("{:?}", attempt.status))
            .known("millrace.stage.retry", retry)
            .known("millrace.stage.rollback", attempt.rolls_back.then_some("true"));
        let mut span = self.span(id, self.run_id(), attempt.name.as_str(), (attempt.started, attempt.updated));
        // What was carried over into the next attempt goes on in this one's span.
        let last = spans.iter().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
        span.end_time_unix_nano = span.end_time_unix_nano.max(last);
        span.attributes = attributes.0;
        span.status = failed.then(|| failure(&first_error(attempt).map_or_else(String::new, |(_, message)| message)));
        if let Some(before) = attempt.attempt.checked_sub(1).filter(|before| *before > 0) {
            span.links.push(self.link(ids::stage(attempt.execution, attempt.stage, before), "retry"));
        }
        spans.push(span);
        spans
    }

    /// Actions and rules whose own attempt is this one, as they ended, here or in a later attempt that took them over.
    fn begun_in(&self, attempt: &StageRun, parent: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        for (place, run) in attempt.runs() {
            let id = attempt.id_at(place).first_turn();
            let (Some(from), true) = (run.requested, id.attempt == attempt.attempt) else { continue };
            let end = self.end_of(attempt, id, run);
            // Of a run that has come back only those are left that are still in flight, and they belong to a later one.
            let Some(to) = end.updated.filter(|_| !end.status.in_flight()) else { continue };
            spans.push(self.action(attempt, (id, end), parent, (from, to)));
        }
        spans
    }

    /// The run with this id as it ended: one that was carried over ended in a later attempt.
    fn end_of<'a>(&'a self, attempt: &StageRun, id: ActionId, run: &'a ActionRun) -> &'a ActionRun {
        let mut found = run;
        let mut number = attempt.attempt;
        while found.status == ActionStatus::CarriedOver {
            number = number.saturating_add(1);
            let Some(next) = self.record.attempt(attempt.stage, number).and_then(|next| next.find(id)) else { break };
            found = next;
        }
        found
    }

    fn action(
        &self,
        attempt: &StageRun,
        (id, run): (ActionId, &ActionRun),
        parent: &[u8],
        time: (Timestamp, Timestamp),
    ) -> Span {
        let declared = self.record.declared(attempt.stage, id.action);
        let category = declared.map(|it| it.type_id.category.as_str());
        let approval = category == Some("Approval");
        let result = match (&run.status, &run.error) {
            (ActionStatus::Succeeded, _) => "success",
            (ActionStatus::Failed, Some(error)) if error.code == "TimeoutError" => "timeout",
            (ActionStatus::Failed, _) => "failure",
            _ => "cancellation",
        };
        let kind = category.filter(|it| matches!(*it, "Build" | "Test" | "Deploy")).map(str::to_lowercase);
        let failed = run.status == ActionStatus::Failed;
        let error = run.error.as_ref().filter(|_| failed);
        let revision = run.revision.as_ref();
        let url = run.external.as_ref().and_then(|it| it.url.as_ref()).or(revision.and_then(|it| it.url.as_ref()));
        let attributes = Attributes::default()
            .text("cicd.pipeline.task.name", run.name.as_str())
            .text("cicd.pipeline.task.run.id", id.to_string())
            .text("cicd.pipeline.task.run.result", result)
            .known("cicd.pipeline.task.type", kind)
            .known("cicd.pipeline.task.run.url.full", url)
            .known("vcs.ref.head.revision", revision.map(|it| &it.id))
            .known("error.type", failed.then(|| error.map_or("_OTHER", |error| error.code.as_str())))
            .text("millrace.stage.name", attempt.name.as_str())
            .number("millrace.stage.attempt", id.attempt)
            .known("millrace.action.category", category)
            .known("millrace.action.owner", declared.map(|it| it.type_id.owner.as_deref().unwrap_or("AWS")))
            .known("millrace.action.provider", declared.map(|it| &it.type_id.provider))
            .known("millrace.action.region", declared.map(|it| it.region.as_ref().map_or(self.home, |it| it.as_str())))
            .known("millrace.action.external_id", run.external.as_ref().map(|it| &it.id))
            .known("millrace.condition", ConditionKind::at(id.action).map(|(kind, _)| format!("{kind:?}")))
            .known("millrace.wait.for", approval.then_some("person"));
        // Once for each worker that was lost.
        let attributes = match run.claims {
            0 | 1 => attributes,
            claims => attributes.number("millrace.action.claims", claims),
        };
        let mut span = self.span(ids::action(id), parent.to_vec(), run.name.as_str(), time);
        span.attributes = attributes.0;
        span.status = failed.then(|| failure(error.map_or("", |error| &error.message)));
        let before = (1..id.attempt).rev().map(|attempt| ActionId { attempt, ..id }).find(|id| self.has_span(*id));
        span.links.extend(before.map(|before| self.link(ids::action(before), "retry")));
        span
    }

    /// Whether an attempt at an action was begun under this id.
    fn has_span(&self, id: ActionId) -> bool {
        let attempt = self.record.attempt(usize::from(id.stage), id.attempt);
        attempt.and_then(|attempt| attempt.find(id)).is_some_and(|run| run.requested.is_some())
    }

    /// The times at which the execution was in no stage: for each, in front of which it was.
    fn waits(&self, ended: Timestamp) -> Vec<Span> {
        let execution = self.execution();
        if execution.mode == ExecutionMode::Parallel {
            return Vec::new();
        }
        let mut spans = Vec::new();
        let mut left = self.run.began;
        let mut seen = BTreeSet::new();
        for attempt in self.run.attempts {
            // An attempt after the first is made at once.
            if seen.insert(attempt.stage) && attempt.started > left {
                spans.extend(self.wait(attempt.stage, attempt.attempt, (left, attempt.started)));
            }
            left = attempt.updated;
        }
        let next = match self.run.attempts.last() {
            None => Some(0),
            Some(last) if matches!(last.status, StageStatus::Succeeded | StageStatus::Skipped) => Some(last.stage + 1),
            Some(_) => None,
        };
        if let Some(stage) = next.filter(|_| ended > left) {
            spans.extend(self.wait(stage, 0, (left, ended)));
        }
        spans
    }

    fn wait(&self, stage: usize, attempt: u16, (from, to): (Timestamp, Timestamp)) -> Option<Span> {
        let name = &self.record.pipeline.stages().get(stage)?.name;
        let locks = self.record.locks.as_ref().and_then(|locks| locks.stages.get(name));
        let transition = locks.map(|lock| (lock.transition.disabled, lock.transition.changed_at));
        let cause = match transition {
            // It was opened, or closed, meanwhile.
            Some((_, Some(changed))) if changed > from && changed <= to => "transition",
            // It has been changed since, which hides what was before.
            Some((_, Some(changed))) if changed > to => "lock or transition",
            Some((true, _)) => "transition",
            _ => "lock",
        };
        let id = ids::wait(self.execution().id, stage, attempt);
        let mut span = self.span(id, self.run_id(), &format!("wait for {cause}"), (from, to));
        let attributes = Attributes::default().text("millrace.wait.for", cause);
        span.attributes = attributes.text("millrace.stage.name", name.as_str()).0;
        Some(span)
    }
}

/// Code and message of the first action, or else rule, of an attempt that failed.
fn first_error(attempt: &StageRun) -> Option<(String, String)> {
    let failed = |(_, run): (u8, &ActionRun)| run.error.clone().filter(|_| run.status == ActionStatus::Failed);
    attempt.runs().find_map(failed).map(|error| (error.code, error.message))
}

fn failure(message: &str) -> Status {
    Status { code: StatusCode::Error.into(), message: bounded(message) }
}

fn link(trace: Vec<u8>, span: Vec<u8>, why: &str) -> Link {
    let attributes = Attributes::default().text("millrace.link", why).0;
    Link { trace_id: trace, span_id: span, attributes, ..Link::default() }
}
