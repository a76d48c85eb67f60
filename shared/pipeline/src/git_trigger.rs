//! Which events of Git repositories start a pipeline, and why others do not. Source: CodePipeline user guide, 'Automate
//! starting pipelines using triggers and filtering' and 'Add trigger with code push or pull request event types'.
//!
//! - A trigger without filters, and a source action that detects changes in a pipeline without triggers, stand for every
//!   push to the branch of the action's configuration (`BranchName`). With filters that branch means nothing.
//! - Where a pipeline declares triggers, its other source actions detect no changes.
//! - One of the filters of a trigger must pass. Of a filter, all parts must pass: events, branches or tags, and files.
//! - A part passes when none of its excludes matches, and one of its includes does where it has any. Of the files of an
//!   event, one must pass.
//! - Where one filter on pushes excludes the branch or the tag, none of the others lets it in again.
//! - The branch of a pull request is the one that it is to be merged into.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::declaration::{GitConfiguration, GitPullRequestFilter, GitPushFilter, Patterns};
use crate::names::ActionName;
use crate::pipeline::{Action, CONNECTION, Pipeline, PipelineType};

mod glob;

use glob::Glob;

/// CodePipeline's `SourceRevisionType` of a commit.
pub const REVISION_TYPE: &str = "COMMIT_ID";

/// Something that happened in a Git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitEvent {
    /// With its owner or groups, for example `owner/name`.
    pub repository: String,
    /// What was pushed, or what became of a pull request.
    pub change: GitChange,
    /// The id of the commit that it leads to: the one that was pushed, or the newest one of a pull request's source branch.
    pub commit: String,
    /// The first line of what the commit says; empty where the event does not tell.
    pub message: String,
    /// Who made the commit; empty where the event does not tell.
    pub author: String,
    /// The paths of the files that differ; none where they are not known.
    pub files: Option<Vec<String>>,
}

/// What happened in a Git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GitChange {
    /// A branch has other commits than before, or is new.
    Branch {
        /// Its name, without `refs/heads/`.
        name: String,
        /// The commit that it had before; none: it is new.
        before: Option<String>,
    },
    /// A tag is new, or names another commit than before.
    Tag {
        /// Its name, without `refs/tags/`.
        name: String,
    },
    /// Something happened to a pull request.
    PullRequest(PullRequest),
}

/// A pull request (at GitLab a merge request).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// What happened to it.
    pub event: PullRequestEvent,
    /// The number by which its repository knows it.
    pub number: u64,
    /// The pull request's title, as its author wrote it.
    pub title: String,
    /// The branch whose commits are to be merged.
    pub source: String,
    /// The branch into which they are to be merged.
    pub target: String,
}

/// What may happen to a pull request. Source: CodePipeline API, `GitPullRequestFilter`, `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PullRequestEvent {
    /// It was opened, or opened again.
    Open,
    /// It has other commits than before.
    Updated,
    /// It was merged, or closed without that.
    Closed,
}

impl PullRequestEvent {
    /// The name that filters have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Updated => "UPDATED",
            Self::Closed => "CLOSED",
        }
    }
}

/// What let an event start a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedTrigger {
    /// Change detection without filters: a push to the branch of the action's configuration.
    BranchOfAction,
    /// The filter on pushes at this place of its trigger, from 0.
    Push(usize),
    /// The filter on pull requests at this place of its trigger, from 0.
    PullRequest(usize),
}

impl fmt::Display for MatchedTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BranchOfAction => f.write_str("a push to the action's branch"),
            Self::Push(filter) => write!(f, "push filter {}", filter + 1),
            Self::PullRequest(filter) => write!(f, "pull request filter {}", filter + 1),
        }
    }
}

/// Whether an event starts a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitDecision {
    /// The event starts the pipeline, by this trigger.
    Start(MatchedTrigger),
    /// Only the paths of the files decide, and they are not known.
    NeedsFiles,
    /// The event starts nothing, for this reason.
    Ignore(WhyIgnored),
}

/// Why an event does not start a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyIgnored {
    /// The pipeline's first stage has no such action that reads a repository through a connection.
    #[error("the action reads no repository through a connection")]
    NoConnection,
    /// The action's `DetectChanges` is false, or the pipeline has triggers for other actions only.
    #[error("the action does not detect changes")]
    NoTrigger,
    /// Without filters only pushes to the branch of the configuration count.
    #[error("it is no push to the action's branch {0}")]
    OtherBranch(String),
    /// None of the filters is for events of this kind.
    #[error("no filter of the trigger is for {0}")]
    OtherKind(&'static str),
    /// A filter on pushes excludes the branch or the tag, whatever the others say.
    #[error("push filter {} excludes it", filter + 1)]
    Excluded {
        /// The place of the filter, from 0.
        filter: usize,
    },
    /// Filters are for such events, and none of them lets this one pass.
    #[error("no filter of the trigger lets it pass")]
    Filtered,
}

impl Pipeline {
    /// Whether an event of the repository that a source action reads starts this pipeline.
    pub fn git_decision(&self, action: &ActionName, event: &GitEvent) -> GitDecision {
        let actions = &self.stages()[0].actions;
        let connected = actions.iter().find(|it| it.name == *action && it.type_id.provider == CONNECTION);
        let Some(action) = connected else { return GitDecision::Ignore(WhyIgnored::NoConnection) };
        let mut triggers = self.declaration().triggers.iter().flatten().peekable();
        if triggers.peek().is_none() || self.kind() == PipelineType::V1 {
            return unfiltered(action, event);
        }
        let trigger = triggers.find(|trigger| trigger.git_configuration.source_action_name == action.name.as_str());
        match trigger.map(|trigger| &trigger.git_configuration) {
            None => GitDecision::Ignore(WhyIgnored::NoTrigger),
            Some(git) if git.push.is_none() && git.pull_request.is_none() => unfiltered(action, event),
            Some(git) => filtered(git, event),
        }
    }
}

impl Pipeline {
    /// Whether changes of a source action's source can start this pipeline at all.
    pub fn is_watched(&self, action: &Action) -> bool {
        if action.type_id.provider != CONNECTION || self.kind() == PipelineType::V1 {
            return action.detects_changes();
        }
        let declared = self.declaration().triggers.as_deref().unwrap_or_default();
        let mut own =
            declared.iter().map(|it| &it.git_configuration).filter(|it| it.source_action_name == action.name.as_str());
        match own.next() {
            Some(git) if git.push.is_some() || git.pull_request.is_some() => true,
            Some(_) => action.detects_changes(),
            None => declared.is_empty() && action.detects_changes(),
        }
    }
}

fn unfiltered(action: &Action, event: &GitEvent) -> GitDecision {
    if !action.detects_changes() {
        return GitDecision::Ignore(WhyIgnored::NoTrigger);
    }
    let branch = action.configuration.get("BranchName").map(String::as_str).unwrap_or_default();
    match &event.change {
        GitChange::Branch { name, .. } if name == branch => GitDecision::Start(MatchedTrigger::BranchOfAction),
        _ => GitDecision::Ignore(WhyIgnored::OtherBranch(branch.to_owned())),
    }
}

fn filtered(git: &GitConfiguration, event: &GitEvent) -> GitDecision {
    let pushes = git.push.as_deref().unwrap_or_default().iter().enumerate();
    match &event.change {
        GitChange::Branch { name, .. } => {
            let of_branches = pushes.filter(|(_, filter)| filter.is_for_branches());
            let filters = of_branches.map(|(at, it)| (at, it.branches.as_ref(), it.file_paths.as_ref()));
            push("pushes to branches", name, filters, event)
        }
        GitChange::Tag { name } => {
            let filters = pushes.filter_map(|(at, filter)| Some((at, Some(filter.tags.as_ref()?), None)));
            push("pushes of tags", name, filters, event)
        }
        GitChange::PullRequest(request) => {
            let filters = git.pull_request.as_deref().unwrap_or_default();
            if filters.is_empty() {
                return GitDecision::Ignore(WhyIgnored::OtherKind("pull requests"));
            }
            let passing = filters.iter().enumerate().filter(|(_, filter)| filter.passes(request));
            first(passing.map(|(at, it)| (MatchedTrigger::PullRequest(at), it.file_paths.as_ref())), event)
        }
    }
}

/// A push, and the filters on such pushes: place, names, files.
fn push<'a>(
    kind: &'static str,
    name: &str,
    filters: impl Iterator<Item = (usize, Option<&'a Patterns>, Option<&'a Patterns>)>,
    event: &GitEvent,
) -> GitDecision {
    let filters: Vec<_> = filters.collect();
    if filters.is_empty() {
        return GitDecision::Ignore(WhyIgnored::OtherKind(kind));
    }
    let excluding = filters.iter().find(|(_, names, _)| names.is_some_and(|names| names.exclude(name)));
    if let Some((filter, ..)) = excluding {
        return GitDecision::Ignore(WhyIgnored::Excluded { filter: *filter });
    }
    let passing = filters.into_iter().filter(|(_, names, _)| names.is_none_or(|names| names.include(name)));
    first(passing.map(|(at, _, files)| (MatchedTrigger::Push(at), files)), event)
}

/// The first of some filters, of which all but the files has passed, that lets the event's files pass.
fn first<'a>(passing: impl Iterator<Item = (MatchedTrigger, Option<&'a Patterns>)>, event: &GitEvent) -> GitDecision {
    let mut needs_files = false;
    for (matched, patterns) in passing {
        match (patterns, &event.files) {
            (None, _) => return GitDecision::Start(matched),
            (Some(_), None) => needs_files = true,
            (Some(patterns), Some(files)) => {
                if patterns.let_one_pass(files) {
                    return GitDecision::Start(matched);
                }
            }
        }
    }
    if needs_files { GitDecision::NeedsFiles } else { GitDecision::Ignore(WhyIgnored::Filtered) }
}

impl GitPushFilter {
    /// Whether it is for pushes to branches: one that has tags alone is not.
    fn is_for_branches(&self) -> bool {
        self.tags.is_none() || self.branches.is_some() || self.file_paths.is_some()
    }
}

impl GitPullRequestFilter {
    /// Whether events and branches pass.
    fn passes(&self, request: &PullRequest) -> bool {
        let events = self.events.as_ref().is_none_or(|events| events.iter().any(|it| it == request.event.name()));
        let target = request.target.as_str();
        let branch = self.branches.as_ref().is_none_or(|it| it.include(target) && !it.exclude(target));
        events && branch
    }
}

impl Patterns {
    fn exclude(&self, name: &str) -> bool {
        self.excludes.iter().flatten().any(|pattern| Glob::new(pattern).matches(name))
    }

    fn include(&self, name: &str) -> bool {
        self.includes.as_ref().is_none_or(|patterns| patterns.iter().any(|it| Glob::new(it).matches(name)))
    }

    fn let_one_pass(&self, files: &[String]) -> bool {
        let globs = |patterns: &Option<Vec<String>>| {
            patterns.as_ref().map(|patterns| patterns.iter().map(|pattern| Glob::new(pattern)).collect::<Vec<_>>())
        };
        let (includes, excludes) = (globs(&self.includes), globs(&self.excludes).unwrap_or_default());
        files.iter().any(|file| {
            let matched = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(file));
            includes.as_deref().is_none_or(matched) && !matched(&excludes)
        })
    }
}

#[cfg(test)]
mod tests;
