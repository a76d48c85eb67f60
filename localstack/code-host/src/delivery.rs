//! What GitHub delivers of a push, and its delivery. Source: GitHub documentation, 'Webhook events and payloads', `push`, and
//! 'Validating webhook deliveries'.

use std::time::Duration;

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::api::Api;
use crate::connection::Connection;
use crate::repository::{Commit, Person};

/// How often a delivery is tried, and how long the first wait in between is; each is twice the one before.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(500);
/// How long GitHub waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read, and most characters of it that are repeated.
const ANSWER: u64 = 64 << 10;
const WORDS: usize = 200;

/// A reference that a push has moved, as `post-receive` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The ids of the objects to which it led and leads; only zeros where it is new or gone.
    pub(crate) before: String,
    pub(crate) after: String,
    /// The full name, for example `refs/heads/main`.
    pub(crate) reference: String,
}

impl Moved {
    /// Reads a line of the hook's input.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut parts = line.trim_end().splitn(3, ' ').map(str::to_owned);
        Some(Self { before: parts.next()?, after: parts.next()?, reference: parts.next()? })
    }

    /// The name of the branch or tag, for people.
    pub(crate) fn short(&self) -> &str {
        let strip = |prefix| self.reference.strip_prefix(prefix);
        strip("refs/heads/").or_else(|| strip("refs/tags/")).unwrap_or(&self.reference)
    }

    pub(crate) fn is_tag(&self) -> bool {
        self.reference.starts_with("refs/tags/")
    }

    fn is_branch(&self) -> bool {
        self.reference.starts_with("refs/heads/")
    }

    /// The body of what is delivered; none of what GitHub delivers nothing of: other references than branches and tags, and
    /// tags of what is no commit.
    pub(crate) fn payload(&self, api: &Api<'_>, delivery: &str) -> Result<Option<Value>> {
        let is_none = |id: &str| id.bytes().all(|digit| digit == b'0');
        let (created, deleted) = (is_none(&self.before), is_none(&self.after));
        if !self.is_branch() && !self.is_tag() {
            return Ok(None);
        }
        let repository = api.repository;
        let head = match deleted {
            true => None,
            false => match repository.resolve(&self.after)? {
                Some(id) => repository.commit(&id)?,
                None => return Ok(None),
            },
        };
        let moves = self.is_branch() && !created && !deleted;
        let forced = moves && !repository.is_ancestor(&self.before, &self.after)?;
        let commits = match &head {
            _ if moves => repository.between(&self.before, &self.after)?,
            // Those of a new branch that no other one has are the host's to choose: nobody may conclude anything from them.
            Some(head) if self.is_branch() => vec![head.clone()],
            _ => Vec::new(),
        };
        let commits: Vec<Value> = commits.iter().map(|commit| described(api, commit)).collect();
        // There are no users: whoever made the newest commit has pushed it.
        let pusher = head.as_ref().map_or(("unknown", ""), |head| (&head.committer.name, &head.committer.email));
        let name = &repository.name;
        let page = format!("{}/{name}", api.url);
        Ok(Some(json!({
            "ref": self.reference,
            "before": self.before,
            "after": self.after,
            "created": created,
            "deleted": deleted,
            "forced": forced,
            "base_ref": null,
            "compare": format!("{page}/compare/{}...{}", self.before, self.after),
            "commits": commits,
            "head_commit": head.as_ref().map(|head| described(api, head)),
            "repository": {
                "name": name.name,
                "full_name": name.to_string(),
                "owner": {"name": name.owner, "login": name.owner},
                "html_url": page,
                "clone_url": format!("{page}.git"),
                "private": true,
                "default_branch": "main",
                "pushed_at": jiff::Timestamp::now().as_second(),
            },
            "pusher": {"name": pusher.0, "email": pusher.1},
            "sender": {"login": pusher.0},
            // GitHub's body has no such member. The same branch can be moved to the same commit twice within the second of
            // `pushed_at`, and what receives deliveries takes two equal bodies for one.
            "delivery": delivery,
        })))
    }
}

fn described(api: &Api<'_>, commit: &Commit) -> Value {
    let person = |it: &Person| json!({"name": it.name, "email": it.email, "date": it.date});
    json!({
        "id": commit.id,
        "tree_id": commit.tree,
        "distinct": true,
        "message": commit.message,
        "timestamp": commit.committer.date,
        "url": api.html_url(&commit.id),
        "author": person(&commit.author),
        "committer": person(&commit.committer),
        "added": commit.added,
        "removed": commit.removed,
        "modified": commit.modified,
    })
}

/// How a delivery was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// What the answer says.
    pub(crate) words: String,
}

/// Delivers a body until it is answered, except with a fault of the receiver's own.
///
/// # Errors
/// When nobody answers, or only with faults.
pub(crate) fn deliver(connection: &Connection, delivery: &str, body: &str) -> Result<Answered> {
    let signature = signature(&connection.webhook_secret, body)?;
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .new_agent();
    let send = || -> Result<Answered> {
        let request = agent
            .post(&connection.webhook_url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("millrace-code-host/", env!("CARGO_PKG_VERSION")))
            .header("x-github-event", "push")
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", &signature);
        let mut response = request.send(body)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER).read_to_string().unwrap_or_default();
        Ok(Answered { status, words: words(&text) })
    };
    let mut wait = WAIT;
    for attempt in 1.. {
        match send() {
            Ok(answered) if answered.status < 500 && answered.status != 429 => return Ok(answered),
            Ok(answered) if attempt == TRIES => {
                anyhow::bail!("{} was answered each of {TRIES} times: {}", answered.status, answered.words)
            }
            Err(error) if attempt == TRIES => {
                return Err(error).with_context(|| format!("nobody answers at {}", connection.webhook_url));
            }
            _ => std::thread::sleep(wait),
        }
        wait *= 2;
    }
    anyhow::bail!("it was not tried")
}

/// The value of `X-Hub-Signature-256`.
fn signature(secret: &str, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the secret is no key")?;
    mac.update(body.as_bytes());
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

/// The `message` of an answer, or its beginning, on one line.
fn words(text: &str) -> String {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let words = json["message"].as_str().unwrap_or(text);
    words.chars().map(|it| if it.is_control() { ' ' } else { it }).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: GitHub documentation, 'Validating webhook deliveries', which has secret, body and signature.
    #[test]
    fn a_body_is_signed_as_github_documents() {
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature("It's a Secret to Everybody", "Hello, World!").unwrap(), expected);
    }

    #[test]
    fn a_line_of_the_hook_is_read() {
        let moved = Moved::read("1 2 refs/heads/a b\n").unwrap();
        assert_eq!((moved.before.as_str(), moved.after.as_str(), moved.short()), ("1", "2", "a b"));
        assert!(Moved::read("1 2").is_none());
        assert_eq!(words("{\"message\": \"Accepted.\"}"), "Accepted.");
        assert_eq!(words("a\n\u{1b}[31mb"), "a  [31mb");
    }
}
