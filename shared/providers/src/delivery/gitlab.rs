//! What GitLab delivers: push, tag and merge request events. Source: GitLab documentation, 'Webhook events'.

use super::*;

pub(super) fn events(kind: &str, json: &Value) -> Result<Vec<GitEvent>, Undelivered> {
    match kind {
        "Push Hook" => push(json, "refs/heads/").map(Vec::from_iter),
        "Tag Push Hook" => push(json, "refs/tags/").map(Vec::from_iter),
        "Merge Request Hook" => merge_request(json).map(Vec::from_iter),
        _ => Ok(Vec::new()),
    }
}

fn push(json: &Value, kind: &str) -> Result<Option<GitEvent>, Undelivered> {
    // Of an annotated tag `after` is the tag's own object. Neither is there when something was removed.
    let Some(commit_id) = text(json, "/checkout_sha") else { return Ok(None) };
    let Some(newest) = commit(Some(commit_id))? else { return Ok(None) };
    let reference = name(json, "/ref", "it names no reference")?;
    let Some(named) = reference.strip_prefix(kind) else { return lacks("it is about another kind of reference") };
    let commits = json["commits"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (change, files) = if kind == "refs/tags/" {
        (GitChange::Tag { name: named.to_owned() }, None)
    } else {
        let before = commit(text(json, "/before"))?;
        // It lists the newest 20 commits, and says how many there are.
        let whole = before.is_some() && json["total_commits_count"] == commits.len() && !commits.is_empty();
        (GitChange::Branch { name: named.to_owned(), before }, whole.then(|| files_of(commits)))
    };
    let described = commits.iter().find(|it| it["id"] == newest.as_str()).unwrap_or(&Value::Null);
    Ok(Some(GitEvent {
        repository: name(json, "/project/path_with_namespace", "it names no project")?,
        change,
        message: summary(text(described, "/message")),
        author: summary(text(described, "/author/name").or_else(|| text(json, "/user_name"))),
        commit: newest,
        files,
    }))
}

fn merge_request(json: &Value) -> Result<Option<GitEvent>, Undelivered> {
    let event = match text(json, "/object_attributes/action") {
        Some("open" | "reopen") => PullRequestEvent::Open,
        // Other updates are about its description, labels and the like.
        Some("update") if text(json, "/object_attributes/oldrev").is_some() => PullRequestEvent::Updated,
        Some("close" | "merge") => PullRequestEvent::Closed,
        _ => return Ok(None),
    };
    let attributes = &json["object_attributes"];
    let Some(number) = attributes["iid"].as_u64() else { return lacks("the merge request has no number") };
    let Some(newest) = commit(text(attributes, "/last_commit/id"))? else { return Ok(None) };
    Ok(Some(GitEvent {
        repository: name(json, "/project/path_with_namespace", "it names no project")?,
        change: GitChange::PullRequest(PullRequest {
            event,
            number,
            title: summary(text(attributes, "/title")),
            source: name(attributes, "/source_branch", "the merge request has no source branch")?,
            target: name(attributes, "/target_branch", "the merge request has no target branch")?,
        }),
        commit: newest,
        message: summary(text(attributes, "/last_commit/message")),
        author: summary(text(attributes, "/last_commit/author/name")),
        files: None,
    }))
}
