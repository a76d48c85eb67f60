//! What GitHub delivers: the events `push` and `pull_request`. Source: GitHub documentation, 'Webhook events and payloads'.

use super::*;

/// A push with this many commits may have more, which it does not list.
const COMMITS: usize = 2048;

pub(super) fn events(kind: &str, json: &Value) -> Result<Vec<GitEvent>, Undelivered> {
    match kind {
        "push" => push(json).map(Vec::from_iter),
        "pull_request" => pull_request(json).map(Vec::from_iter),
        _ => Ok(Vec::new()),
    }
}

fn push(json: &Value) -> Result<Option<GitEvent>, Undelivered> {
    let Some(after) = commit(text(json, "/after"))? else { return Ok(None) };
    let reference = name(json, "/ref", "it names no reference")?;
    let (change, files) = if let Some(tag) = reference.strip_prefix("refs/tags/") {
        (GitChange::Tag { name: tag.to_owned() }, None)
    } else if let Some(branch) = reference.strip_prefix("refs/heads/") {
        let before = commit(text(json, "/before"))?;
        let commits = json["commits"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Of a branch that is new or was set to another place, the commits do not say what differs from before.
        let whole = before.is_some() && json["forced"] != true && commits.len() < COMMITS;
        let files = whole.then(|| files_of(commits));
        (GitChange::Branch { name: branch.to_owned(), before }, files)
    } else {
        return Ok(None);
    };
    // Where a tag has a text of its own, `after` is that, and not the commit.
    let head = text(json, "/head_commit/id").map(|id| commit(Some(id))).transpose()?.flatten();
    Ok(Some(GitEvent {
        repository: name(json, "/repository/full_name", "it names no repository")?,
        change,
        commit: head.unwrap_or(after),
        message: summary(text(json, "/head_commit/message")),
        author: summary(text(json, "/head_commit/author/name")),
        files,
    }))
}

fn pull_request(json: &Value) -> Result<Option<GitEvent>, Undelivered> {
    let event = match text(json, "/action") {
        Some("opened" | "reopened") => PullRequestEvent::Open,
        Some("synchronize") => PullRequestEvent::Updated,
        Some("closed") => PullRequestEvent::Closed,
        _ => return Ok(None),
    };
    let Some(number) = json["number"].as_u64() else { return lacks("the pull request has no number") };
    let Some(head) = commit(text(json, "/pull_request/head/sha"))? else { return Ok(None) };
    Ok(Some(GitEvent {
        repository: name(json, "/repository/full_name", "it names no repository")?,
        change: GitChange::PullRequest(PullRequest {
            event,
            number,
            title: summary(text(json, "/pull_request/title")),
            source: name(json, "/pull_request/head/ref", "the pull request has no source branch")?,
            target: name(json, "/pull_request/base/ref", "the pull request has no target branch")?,
        }),
        commit: head,
        message: String::new(),
        author: summary(text(json, "/pull_request/user/login")),
        files: None,
    }))
}
