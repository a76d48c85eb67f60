//! Webhooks: what a source host may call to start a pipeline, which calls count, and how a call proves itself.
//! Source: CodePipeline API, `WebhookDefinition`, `WebhookFilterRule`, `WebhookAuthConfiguration`.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use serde_json::Value;

use crate::names::{ActionName, PipelineName, WebhookName};
use crate::pipeline::{Action, Pipeline};
use crate::secrets::MASK;

mod json_path;

pub use json_path::{InvalidJsonPath, JsonPath};

/// Most webhooks of an account in a region. Source: CodePipeline user guide, 'Quotas'.
pub const MOST: usize = 300;

/// Something that nobody but its owner may see. It is sealed before it is stored, and shown as `****`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text out of every output but the one that stores it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for comparing in constant time and for signing, not for showing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A webhook as its owner defines it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Unique in its region and account.
    pub name: WebhookName,
    /// The pipeline that a call starts.
    pub target_pipeline: PipelineName,
    /// The action of the pipeline's first stage whose source has changed.
    pub target_action: ActionName,
    /// All of them must let a call pass.
    pub filters: Vec<Filter>,
    /// How a call proves itself.
    pub authentication: Authentication,
}

/// A condition on the body of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// What of the call's body is looked at.
    pub json_path: JsonPath,
    /// What must be found there; `{Key}` stands for the target action's configuration value of that key. None: it is
    /// enough that something is found.
    pub match_equals: Option<String>,
}

/// How a call proves itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// By a HMAC over its body, as GitHub signs it.
    GithubHmac {
        /// The key of the HMAC.
        secret: Secret,
    },
    /// By the address from which it comes.
    Ip {
        /// The addresses that may call.
        range: IpRange,
    },
    /// Not at all: whoever knows the URL may call.
    Unauthenticated,
}

/// A range of IP addresses in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange {
    address: IpAddr,
    prefix: u8,
}

/// Why an authentication cannot be what it says. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (at webhook.authenticationConfiguration)")]
pub struct InvalidAuthentication(String);

/// Why a filter cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at webhook.filters.{}.member)", index + 1)]
pub struct InvalidFilter {
    /// The index of the filter in the webhook's list, from 0.
    pub index: usize,
    message: String,
}

/// Why a webhook does not fit the pipeline that it names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The first stage has no action of that name.
    #[error(
        "Webhook Action with name {action} was not found in the first stage of the pipeline {pipeline} (at webhook.targetAction)"
    )]
    Action {
        /// The name of the pipeline.
        pipeline: PipelineName,
        /// The name that the webhook gives as its target action.
        action: ActionName,
    },
    /// A filter names what the action does not have.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
}

impl Authentication {
    /// Puts together a type of CodePipeline's and the two values that its configuration may hold. Each type needs its own
    /// value and none of another type's.
    ///
    /// # Errors
    /// [`InvalidAuthentication`].
    pub fn new(kind: &str, secret: Option<Secret>, range: Option<&str>) -> Result<Self, InvalidAuthentication> {
        let no = |message: &str| Err(InvalidAuthentication(message.to_owned()));
        match (kind, secret, range) {
            ("GITHUB_HMAC", Some(secret), None) => Ok(Self::GithubHmac { secret }),
            ("GITHUB_HMAC", ..) => no("GITHUB_HMAC needs a SecretToken and nothing else"),
            ("IP", None, Some(range)) => IpRange::new(range).map(|range| Self::Ip { range }),
            ("IP", ..) => no("IP needs an AllowedIPRange and nothing else"),
            ("UNAUTHENTICATED", None, None) => Ok(Self::Unauthenticated),
            ("UNAUTHENTICATED", ..) => no("UNAUTHENTICATED takes neither SecretToken nor AllowedIPRange"),
            _ => no("the authentication must be GITHUB_HMAC, IP or UNAUTHENTICATED"),
        }
    }

    /// CodePipeline's name of the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GithubHmac { .. } => "GITHUB_HMAC",
            Self::Ip { .. } => "IP",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// The same with `****` replaced by the secret that the webhook has had, so that what was read can be sent back.
    ///
    /// # Errors
    /// [`InvalidAuthentication`] when it has had none.
    pub fn unmask_from(self, previous: Option<&Self>) -> Result<Self, InvalidAuthentication> {
        match (self, previous) {
            (Self::GithubHmac { secret }, Some(Self::GithubHmac { secret: before })) if secret.0 == MASK => {
                Ok(Self::GithubHmac { secret: before.clone() })
            }
            (Self::GithubHmac { secret }, _) if secret.0 == MASK => Err(InvalidAuthentication(format!(
                "the SecretToken is {MASK}, and there is none that this could stand for"
            ))),
            (other, _) => Ok(other),
        }
    }
}

impl IpRange {
    /// Reads `address/prefix`, of either family.
    ///
    /// # Errors
    /// [`InvalidAuthentication`].
    pub fn new(text: &str) -> Result<Self, InvalidAuthentication> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
            Some((address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok().filter(|_| digits)?))
        });
        match parsed {
            Some((address, prefix)) if prefix <= if address.is_ipv4() { 32 } else { 128 } => {
                Ok(Self { address, prefix })
            }
            _ => {
                let shown: String = text.chars().take(100).collect();
                let message = format!("the AllowedIPRange '{shown}' is no CIDR range, such as 192.0.2.0/24");
                Err(InvalidAuthentication(message))
            }
        }
    }
}

impl IpRange {
    /// Whether an address is in the range. One of IPv4 that is written as one of IPv6 is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                range.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                range.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for IpRange {
    type Error = InvalidAuthentication;
    fn try_from(text: String) -> Result<Self, InvalidAuthentication> {
        Self::new(&text)
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> String {
        range.to_string()
    }
}

impl Webhook {
    /// Checks that the pipeline has what the webhook names: the action, in the first stage, and the configuration keys in
    /// its filters.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn check(&self, pipeline: &Pipeline) -> Result<(), InvalidTarget> {
        let action = self.target(pipeline)?;
        for (index, filter) in self.filters.iter().enumerate() {
            for key in placeholders(filter.match_equals.as_deref().unwrap_or_default()) {
                let refuse = |why: &str| {
                    let message = format!("matchEquals: {{{key}}} names {why} of action '{}'", action.name);
                    Err(InvalidFilter { index, message }.into())
                };
                // Whoever may call could find out a secret by trying.
                let secret = action.action_type().and_then(|known| known.property(key)).is_some_and(|it| it.secret);
                if secret {
                    return refuse("a secret configuration value");
                }
                if !action.configuration.contains_key(key) {
                    return refuse("no configuration key");
                }
            }
        }
        Ok(())
    }

    /// The action whose source has changed when the webhook is called.
    ///
    /// # Errors
    /// [`InvalidTarget::Action`].
    pub fn target<'a>(&self, pipeline: &'a Pipeline) -> Result<&'a Action, InvalidTarget> {
        let mut sources = pipeline.stages()[0].actions.iter();
        sources.find(|action| action.name == self.target_action).ok_or_else(|| InvalidTarget::Action {
            pipeline: self.target_pipeline.clone(),
            action: self.target_action.clone(),
        })
    }

    /// Whether all filters let the body of a call pass. Where an expression selects several values, one that matches is enough.
    ///
    /// # Errors
    /// [`InvalidTarget`] when the webhook does not fit the pipeline as it is by now.
    pub fn passes(&self, pipeline: &Pipeline, body: &Value) -> Result<bool, InvalidTarget> {
        self.check(pipeline)?;
        let configuration = &self.target(pipeline)?.configuration;
        for (index, filter) in self.filters.iter().enumerate() {
            let found = filter.json_path.find(body);
            let found = found.map_err(|error| InvalidFilter { index, message: error.to_string() })?;
            let passes = match &filter.match_equals {
                Some(text) => {
                    let wanted = filled(text, |key| configuration.get(key).map(String::as_str));
                    found.iter().any(|value| is_text(value, &wanted))
                }
                None => !found.is_empty(),
            };
            if !passes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a third party can be told to call: only GitHub can. Source: CodePipeline API,
    /// `DeregisterWebhookWithThirdParty`.
    pub fn third_party(&self, pipeline: &Pipeline) -> bool {
        self.target(pipeline).is_ok_and(|action| {
            action.type_id.provider == "GitHub" && action.type_id.owner.as_deref() == Some("ThirdParty")
        })
    }
}

/// The keys between curly brackets. Brackets around anything that can be no key are part of the value.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| Some(placeholder(rest)?.0))
}

/// The key at the beginning of what follows an opening bracket, and what follows its closing one.
fn placeholder(rest: &str) -> Option<(&str, &str)> {
    let (key, after) = rest.split_once('}')?;
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (!key.is_empty() && plain).then_some((key, after))
}

/// The text with what the configuration has under them in place of its placeholders.
fn filled<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        match placeholder(rest).and_then(|(key, after)| Some((value(key)?, after))) {
            Some((value, after)) => filled.extend([value, after]),
            None => filled.extend(["{", rest]),
        }
    }
    filled
}

/// Whether a value of a body is this text: a number and the like by how JSON writes it, a list or an object never.
fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Number(number) => number.to_string() == text,
        Value::Bool(value) => text == if *value { "true" } else { "false" },
        Value::Null => text == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests;
