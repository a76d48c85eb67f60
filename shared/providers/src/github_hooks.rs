//! Webhooks of repositories at GitHub, which call what `PutWebhook` gave a URL. Source: GitHub REST API, 'Repository webhooks'.
//!
//! A hook is known by the URL that it calls, so nothing has to be kept of it, and whoever dies in between finds it again.

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Method;
use pipeline::Action;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::code_host::{HostType, REFUSAL, words};
use crate::error::{JOB_FAILED, ProviderError};
use crate::web::{Answer, Web};

/// Hooks on a page, which is the most that GitHub gives, and pages that are looked through.
const PAGE: usize = 100;
const PAGES: usize = 10;
/// Most bytes of a page.
const LISTED: usize = 4 << 20;

/// Why GitHub was not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// Somebody must change something first.
    #[error("{0}")]
    Refused(String),
    /// Trying later may help.
    #[error("{0}")]
    Unavailable(String),
}

impl From<ProviderError> for HookError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Retryable(message) => Self::Unavailable(message),
            ProviderError::Failed { message, .. } => Self::Refused(message),
        }
    }
}

/// The hooks of the repository that an action's configuration names.
pub struct GitHubHooks {
    web: Web,
    hooks: Url,
    repository: String,
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    config: HookConfig,
}

#[derive(Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: String,
}

impl GitHubHooks {
    /// The hooks of an action of the provider GitHub, which are reached with the action's own token.
    ///
    /// # Errors
    /// [`HookError::Refused`] for a configuration that names no repository, or has no token.
    pub fn of(client: SharedHttpClient, action: &Action) -> Result<Self, HookError> {
        let setting = |key: &str| action.configuration.get(key).map(String::as_str).unwrap_or_default();
        let (owner, repository) = (setting("Owner"), setting("Repo"));
        let is_name = |name: &str| {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            plain && !name.is_empty() && !name.bytes().all(|byte| byte == b'.')
        };
        if !is_name(owner) || !is_name(repository) {
            let message = format!("the action {} names no repository at GitHub by its Owner and Repo", action.name);
            return Err(HookError::Refused(message));
        }
        let api = HostType::GitHub.api().unwrap_or_default();
        let failed = |error: url::ParseError| HookError::Refused(format!("{api}: {error}"));
        let api = Url::parse(api).map_err(failed)?;
        let hooks = api.join(&format!("repos/{owner}/{repository}/hooks")).map_err(failed)?;
        let web = Web::new(client, api, setting("OAuthToken"))?;
        Ok(Self { web, hooks, repository: format!("{owner}/{repository}") })
    }

    /// Has GitHub call a URL at each push, and sign what it delivers with this secret, where there is one.
    ///
    /// # Errors
    /// [`HookError`], in GitHub's words.
    pub async fn register(&self, url: &str, secret: Option<&str>) -> Result<(), HookError> {
        let mut config = json!({"url": url, "content_type": "json", "insecure_ssl": "0"});
        if let Some(secret) = secret {
            config["secret"] = secret.into();
        }
        let mut body = json!({"active": true, "events": ["push"], "config": config});
        let answer = match self.find(url).await? {
            Some(id) => self.web.change(Method::PATCH, &self.hook(id)?, Some(&body)).await?,
            None => {
                body["name"] = Value::from("web");
                self.web.change(Method::POST, &self.hooks, Some(&body)).await?
            }
        };
        match answer.status {
            200 | 201 => Ok(()),
            _ => Err(self.refused(answer).await),
        }
    }

    /// Has GitHub call a URL no more. That it does not do so is no error.
    ///
    /// # Errors
    /// [`HookError`], in GitHub's words.
    pub async fn deregister(&self, url: &str) -> Result<(), HookError> {
        let Some(id) = self.find(url).await? else { return Ok(()) };
        let answer = self.web.change(Method::DELETE, &self.hook(id)?, None).await?;
        match answer.status {
            204 | 404 => Ok(()),
            _ => Err(self.refused(answer).await),
        }
    }

    fn hook(&self, id: u64) -> Result<Url, HookError> {
        let mut hook = self.hooks.clone();
        let none = |()| HookError::Refused(format!("{} has no hooks", self.hooks));
        hook.path_segments_mut().map_err(none)?.push(&id.to_string());
        Ok(hook)
    }

    /// The hook that calls a URL.
    async fn find(&self, url: &str) -> Result<Option<u64>, HookError> {
        for page in 1..=PAGES {
            let mut place = self.hooks.clone();
            place.query_pairs_mut().append_pair("per_page", &PAGE.to_string()).append_pair("page", &page.to_string());
            let answer = self.web.get(place).await?;
            if answer.status != 200 {
                return Err(self.refused(answer).await);
            }
            let listed = answer.read(LISTED).await?;
            let hooks: Vec<Hook> = serde_json::from_slice(&listed).map_err(|error| {
                let message = format!("GitHub's list of the hooks of {} cannot be read: {error}", self.repository);
                HookError::from(ProviderError::failed(JOB_FAILED, message))
            })?;
            let (found, last) = (hooks.iter().find(|hook| hook.config.url == url), hooks.len() < PAGE);
            if found.is_some() || last {
                return Ok(found.map(|hook| hook.id));
            }
        }
        Ok(None)
    }

    /// Why GitHub does not do it, in its own words, and what can be done.
    async fn refused(&self, answer: Answer) -> HookError {
        let (status, request) = (answer.status, answer.request.clone());
        let too_often = answer.header("retry-after").is_some() || answer.header("x-ratelimit-remaining") == Some("0");
        let words = words(&answer.read(REFUSAL).await.unwrap_or_default());
        let said = format!("GitHub answered {status} to {request}{words}");
        match status {
            408 | 429 | 500.. => HookError::Unavailable(said),
            403 if too_often => HookError::Unavailable(said),
            401 => HookError::Refused(format!("{said}. The action's OAuthToken is not valid, or not any more")),
            403 | 404 => HookError::Refused(format!(
                "{said}. There is no repository {}, or the action's OAuthToken may not change its webhooks, for which a \
                 classic token needs the scope admin:repo_hook",
                self.repository
            )),
            _ => HookError::Refused(said),
        }
    }
}
