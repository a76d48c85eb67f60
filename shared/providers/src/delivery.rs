//! What hosts of code deliver when something happens in a repository: who sent it, and what it says. A body is not looked
//! into before its sender has proved itself.
//!
//! | host | proof under the secret | what tells the event |
//! |---|---|---|
//! | GitHub | `X-Hub-Signature-256`: HMAC of the body | `X-GitHub-Event` |
//! | GitLab | `webhook-signature`: HMAC of id, time and body, where the secret is a signing token (`whsec_...`); otherwise `X-Gitlab-Token`: the secret itself | `X-Gitlab-Event` |
//! | Bitbucket | `X-Hub-Signature`: HMAC of the body | `X-Event-Key` |
//!
//! Source: GitHub documentation, 'Validating webhook deliveries' and 'Webhook events and payloads'; GitLab documentation,
//! 'Webhooks' and 'Webhook events'; Standard Webhooks; Bitbucket Cloud documentation, 'Manage webhooks' and 'Event payloads'.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use pipeline::git_trigger::{GitChange, GitEvent, PullRequest, PullRequestEvent};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

mod bitbucket;
mod github;
mod gitlab;

/// Most characters of what people are shown of a commit or a pull request.
const SUMMARY: usize = 200;
/// Most bytes of the name of a branch, a tag or a repository, and of a file's path, that are taken.
const NAME: usize = 1024;
/// GitLab's signatures are good for this many seconds before and after the time in them. Source: Standard Webhooks.
const CLOCKS_APART: i64 = 5 * 60;

/// What was delivered, by a sender who has proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What tells this delivery from others and is the same when it comes again. Only who knows the secret can make
    /// another of the same content: at GitHub it is the body alone, which is never the same twice.
    pub id: String,
    /// What it says, in its order; nothing where it is about what starts no pipeline.
    pub events: Vec<GitEvent>,
}

/// Why something that was delivered is not taken. Nothing of what was sent is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It comes from no host that is known here.
    #[error("the headers are not those of GitHub, GitLab or Bitbucket")]
    UnknownHost,
    /// The proof is missing or wrong.
    #[error("the delivery does not prove from whom it comes")]
    Unproven,
    /// The body is not what the host documents.
    #[error("the body is not what the host documents: {0}")]
    Unreadable(&'static str),
}

/// Something of a body that the host documents and the body lacks.
fn lacks<T>(what: &'static str) -> Result<T, Undelivered> {
    Err(Undelivered::Unreadable(what))
}

/// Reads what was delivered. `header` finds a header that is there once; `now` is in seconds since 1970.
///
/// # Errors
/// [`Undelivered`].
pub fn delivered<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    secret: &str,
    now: i64,
) -> Result<Delivered, Undelivered> {
    type Read = fn(&str, &Value) -> Result<Vec<GitEvent>, Undelivered>;
    let (proved, own_id, kind, read): (_, _, _, Read) = if let Some(kind) = header("x-github-event") {
        (is_signed(header("x-hub-signature-256"), body, secret), None, kind, github::events)
    } else if let Some(kind) = header("x-gitlab-event") {
        let own_id = header("idempotency-key").or_else(|| header("x-gitlab-event-uuid"));
        (is_gitlab(&header, body, secret, now), own_id, kind, gitlab::events)
    } else if let Some(kind) = header("x-event-key") {
        (is_signed(header("x-hub-signature"), body, secret), header("x-request-uuid"), kind, bitbucket::events)
    } else {
        return Err(Undelivered::UnknownHost);
    };
    // With an empty secret anybody could sign.
    if secret.is_empty() || !proved {
        return Err(Undelivered::Unproven);
    }
    let json: Value = serde_json::from_slice(body).or_else(|_| lacks("it is not JSON"))?;
    Ok(Delivered { id: id(own_id, body), events: read(kind, &json)? })
}

fn id(own_id: Option<&str>, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    let own_id = own_id.unwrap_or_default();
    hash.update(own_id.len().to_be_bytes());
    hash.update(own_id);
    hash.update(body);
    hex::encode(hash.finalize())
}

/// Whether a header is `sha256=` and the body's HMAC in hexadecimal digits.
fn is_signed(header: Option<&str>, body: &[u8], secret: &str) -> bool {
    let given = header.and_then(|it| hex::decode(it.strip_prefix("sha256=")?).ok());
    given.is_some_and(|given| hmac(secret.as_bytes(), &[body]).is_some_and(|mac| mac.verify_slice(&given).is_ok()))
}

fn is_gitlab<'a>(header: &impl Fn(&str) -> Option<&'a str>, body: &[u8], secret: &str, now: i64) -> bool {
    let Some(key) = secret.strip_prefix("whsec_") else {
        let given = header("x-gitlab-token").unwrap_or_default();
        return given.as_bytes().ct_eq(secret.as_bytes()).into();
    };
    let parts = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), STANDARD.decode(key));
    let (Some(id), Some(time), Some(signatures), Ok(key)) = parts else { return false };
    let near = time.parse::<i64>().is_ok_and(|time| time.abs_diff(now) <= CLOCKS_APART.unsigned_abs());
    let Some(mac) = hmac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]) else { return false };
    let mut given = signatures.split(' ').filter_map(|it| STANDARD.decode(it.strip_prefix("v1,")?).ok());
    near && !key.is_empty() && given.any(|given| mac.clone().verify_slice(&given).is_ok())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac)
}

/// A text at a place of a body.
fn text<'a>(json: &'a Value, at: &str) -> Option<&'a str> {
    json.pointer(at)?.as_str()
}

/// The name of something that the event is about.
fn name(json: &Value, at: &str, what: &'static str) -> Result<String, Undelivered> {
    match text(json, at) {
        Some(name) if !name.is_empty() && name.len() <= NAME => Ok(name.to_owned()),
        _ => lacks(what),
    }
}

/// The first line of a text for people.
fn summary(text: Option<&str>) -> String {
    text.and_then(|text| text.lines().next()).unwrap_or_default().chars().take(SUMMARY).collect()
}

/// The id of a commit; none for the one of only zeros, which stands for none. Bitbucket shortens some to 12 digits.
fn commit(id: Option<&str>) -> Result<Option<String>, Undelivered> {
    let Some(id) = id else { return lacks("it names no commit") };
    if !(7..=64).contains(&id.len()) || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return lacks("what it names as a commit is none");
    }
    Ok(Some(id).filter(|id| id.bytes().any(|digit| digit != b'0')).map(str::to_owned))
}

/// The files of commits that list what each of them added, modified and removed.
fn files_of(commits: &[Value]) -> Vec<String> {
    let lists = commits.iter().flat_map(|commit| ["added", "modified", "removed"].map(|it| commit[it].as_array()));
    let paths = lists.flatten().flatten().filter_map(Value::as_str).filter(|path| path.len() <= NAME);
    paths.map(str::to_owned).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
