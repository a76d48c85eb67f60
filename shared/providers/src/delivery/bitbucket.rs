//! What Bitbucket Cloud delivers: pushes, which may change several branches and tags, and pull requests. Neither tells which
//! files differ. Source: Bitbucket Cloud documentation, 'Event payloads'.

use super::*;

pub(super) fn events(kind: &str, json: &Value) -> Result<Vec<GitEvent>, Undelivered> {
    let event = match kind {
        "repo:push" => return push(json),
        "pullrequest:created" => PullRequestEvent::Open,
        "pullrequest:updated" => PullRequestEvent::Updated,
        "pullrequest:fulfilled" | "pullrequest:rejected" => PullRequestEvent::Closed,
        _ => return Ok(Vec::new()),
    };
    pull_request(event, json).map(Vec::from_iter)
}

fn repository(json: &Value) -> Result<String, Undelivered> {
    name(json, "/repository/full_name", "it names no repository")
}

fn push(json: &Value) -> Result<Vec<GitEvent>, Undelivered> {
    let Some(changes) = json.pointer("/push/changes").and_then(Value::as_array) else {
        return lacks("it has no changes");
    };
    let mut events = Vec::new();
    for change in changes {
        // Removed.
        if change["new"].is_null() {
            continue;
        }
        let named = name(change, "/new/name", "a change names no reference")?;
        let Some(newest) = commit(text(change, "/new/target/hash"))? else { continue };
        let what = match text(change, "/new/type") {
            Some("branch") => {
                let before = text(change, "/old/target/hash").map(|id| commit(Some(id))).transpose()?.flatten();
                GitChange::Branch { name: named, before }
            }
            Some("tag") => GitChange::Tag { name: named },
            _ => continue,
        };
        events.push(GitEvent {
            repository: repository(json)?,
            change: what,
            commit: newest,
            message: summary(text(change, "/new/target/message")),
            author: summary(text(change, "/new/target/author/raw").and_then(|raw| raw.split(" <").next())),
            files: None,
        });
    }
    Ok(events)
}

fn pull_request(event: PullRequestEvent, json: &Value) -> Result<Option<GitEvent>, Undelivered> {
    let request = &json["pullrequest"];
    let Some(number) = request["id"].as_u64() else { return lacks("the pull request has no number") };
    let Some(newest) = commit(text(request, "/source/commit/hash"))? else { return Ok(None) };
    Ok(Some(GitEvent {
        repository: repository(json)?,
        change: GitChange::PullRequest(PullRequest {
            event,
            number,
            title: summary(text(request, "/title")),
            source: name(request, "/source/branch/name", "the pull request has no source branch")?,
            target: name(request, "/destination/branch/name", "the pull request has no target branch")?,
        }),
        commit: newest,
        message: String::new(),
        author: summary(text(request, "/author/display_name")),
        files: None,
    }))
}
