//! Reads a log of CloudWatch Logs. Source: CloudWatch Logs API, `GetLogEvents` and `FilterLogEvents`; CodeBuild API, `BatchGetBuilds`.

use aws_config::SdkConfig;
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::get_log_events::{GetLogEventsError, GetLogEventsOutput};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use aws_sdk_sts::config::IdentityCache;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use providers::ActionLog;
use runtime::arn;

use super::lines::{LINES, plain};
use super::{Ran, ReadLog, Tail};
use crate::Account;
use crate::proxy::{Credentials, said};

/// Events of one call when a log is read from where it was left. Who gets so many is too far behind.
const FOLLOWED: i32 = 1_000;
/// Pages that are read of a search, or until one has lines: those of CloudWatch Logs may have none though others follow.
const PAGES: usize = 5;

/// Reads logs in the services of an account.
#[derive(Clone, Debug)]
pub struct CloudWatch {
    account: Account,
    codebuild: Option<String>,
}

/// Where a log is.
#[derive(Debug)]
struct Place {
    region: String,
    group: String,
    stream: String,
    /// The time of its first line, in milliseconds since 1970, where others stand before it.
    from: Option<i64>,
    /// The time behind its last line.
    until: Option<i64>,
}

impl CloudWatch {
    /// The logs in this account, read with the credentials that each reading is given, and not with the account's.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self { account, codebuild: None }
    }

    /// The same with CodeBuild at an endpoint of its own.
    #[must_use]
    pub fn with_codebuild(self, endpoint: String) -> Self {
        Self { codebuild: Some(endpoint), ..self }
    }

    async fn tail(&self, keys: Keys, ran: &Ran, after: Option<&str>) -> Result<Tail, String> {
        let config = self.account.sdk(&ran.region).into_builder();
        // Whoever gives the credentials keeps them.
        let config = config.identity_cache(IdentityCache::no_cache());
        let config = config.credentials_provider(SharedCredentialsProvider::new(keys)).build();
        let client = Client::new(&config);
        let place = match &ran.log {
            ActionLog::Build => self.place_of_build(&config, ran).await?,
            ActionLog::Function { name } => {
                place_of_call(&client, ran, name, self.account.endpoint().is_some()).await?
            }
        };
        place.read(&client, after).await
    }

    async fn place_of_build(&self, config: &SdkConfig, ran: &Ran) -> Result<Place, String> {
        let mut config = aws_sdk_codebuild::config::Builder::from(config);
        if let Some(endpoint) = &self.codebuild {
            config = config.endpoint_url(endpoint);
        }
        let client = aws_sdk_codebuild::Client::from_conf(config.build());
        let found = client.batch_get_builds().ids(&ran.id).send().await.map_err(|error| {
            let project = ran.id.split(':').next().unwrap_or("*");
            let project = resource(&ran.region, "codebuild", &format!("project/{project}"));
            refused("codebuild:BatchGetBuilds", &project, error)
        })?;
        let build = found.builds.unwrap_or_default().pop();
        let build = build.ok_or_else(|| format!("CodeBuild does not know the build {} any more.", ran.id))?;
        match build.logs.map(|logs| (logs.group_name, logs.stream_name)) {
            Some((Some(group), Some(stream))) => {
                Ok(Place { region: ran.region.clone(), group, stream, from: None, until: None })
            }
            _ if build.build_complete => Err("The build has no log in CloudWatch Logs.".to_owned()),
            _ => Err("There is no log yet: the build is being prepared.".to_owned()),
        }
    }
}

impl ReadLog for CloudWatch {
    fn read<'a>(&'a self, keys: Keys, ran: &'a Ran, after: Option<&'a str>) -> BoxFuture<'a, Result<Tail, String>> {
        self.tail(keys, ran, after).boxed()
    }
}

/// Where a call of a function wrote: its stream, from the first line that has the call's request id to the one that reports its end.
/// An environment of Lambda serves one call at a time. What was called again after an error is shown from the last time.
async fn place_of_call(client: &Client, ran: &Ran, name: &str, emulated: bool) -> Result<Place, String> {
    let group = format!("/aws/lambda/{name}");
    if !ran.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("Lambda has given the call no request id, by which its lines are found.".to_owned());
    }
    let mut found = search(client, ran, &group, Some(format!("\"{}\"", ran.id))).await?;
    let mut last = found.last();
    if last.is_none() && emulated {
        // MiniStack writes another id than it answers: the first call since then is taken for this one.
        found = search(client, ran, &group, None).await?;
        last = found.first();
    }
    let stream = last.and_then(|event| event.log_stream_name.clone());
    let stream = stream.ok_or_else(|| format!("There is no log yet: nothing in {group} is of this call."))?;
    let mut own = found.iter().filter(|event| event.log_stream_name.as_ref() == Some(&stream));
    let from = own.clone().next().and_then(|event| event.timestamp);
    // Source: Lambda developer guide, 'Configuring JSON and plain text log formats'.
    let end = own.rfind(|event| {
        event.message().is_some_and(|line| line.starts_with("REPORT ") || line.contains("\"platform.report\""))
    });
    let until = end.and_then(|event| event.timestamp).map(|time| time + 1);
    Ok(Place { region: ran.region.clone(), group, stream, from, until })
}

/// What was written since an action's turn came, of that what fits the pattern; the oldest first.
async fn search(
    client: &Client,
    ran: &Ran,
    group: &str,
    pattern: Option<String>,
) -> Result<Vec<FilteredLogEvent>, String> {
    let search = client.filter_log_events().log_group_name(group).start_time(ran.since).set_filter_pattern(pattern);
    let mut pages = search.into_paginator().send();
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| {
            refused("logs:FilterLogEvents", &resource(&ran.region, "logs", &format!("log-group:{group}:*")), error)
        })?;
        found.extend(page.events.unwrap_or_default());
    }
    found.sort_by_key(|event| event.timestamp);
    Ok(found)
}

impl Place {
    /// The last lines, or those behind a token. Whoever is too far behind, or has a token that is not of this log, gets the last.
    async fn read(&self, client: &Client, after: Option<&str>) -> Result<Tail, String> {
        if let Some(after) = after {
            match self.events(client, Some((after, true)), FOLLOWED).await {
                Ok(page) if page.events().len() < FOLLOWED as usize => return Ok(tail(page, after, false)),
                Ok(_) => {}
                Err(error) if error.code() == Some("InvalidParameterException") => {}
                Err(error) => return Err(self.refused(error)),
            }
        }
        let mut page = self.newest(client, None).await?;
        let end = page.next_forward_token.clone().unwrap_or_default();
        for _ in 0..PAGES {
            let Some(before) = page.next_backward_token.clone().filter(|_| page.events().is_empty()) else { break };
            page = self.newest(client, Some((&before, false))).await?;
            if page.next_backward_token.as_ref() == Some(&before) {
                break;
            }
        }
        page.next_forward_token = Some(end);
        Ok(tail(page, "", true))
    }

    async fn newest(&self, client: &Client, from: Option<(&str, bool)>) -> Result<GetLogEventsOutput, String> {
        self.events(client, from, LINES as i32).await.map_err(|error| self.refused(error))
    }

    /// A page of events, the last ones or those from a token on, forward or not.
    async fn events(
        &self,
        client: &Client,
        token: Option<(&str, bool)>,
        most: i32,
    ) -> Result<GetLogEventsOutput, GetError> {
        let get = client.get_log_events().log_group_name(&self.group).log_stream_name(&self.stream).limit(most);
        let get = get.set_start_time(self.from).set_end_time(self.until);
        let get = get.start_from_head(token.is_some_and(|(_, forward)| forward));
        get.set_next_token(token.map(|(token, _)| token.to_owned())).send().await
    }

    fn refused(&self, error: GetError) -> String {
        refused("logs:GetLogEvents", &resource(&self.region, "logs", &format!("log-group:{}:*", self.group)), error)
    }
}

type GetError = SdkError<GetLogEventsError>;

fn tail(page: GetLogEventsOutput, before: &str, fresh: bool) -> Tail {
    let lines = plain(page.events().iter().filter_map(|event| event.message()));
    Tail { lines, after: page.next_forward_token.unwrap_or_else(|| before.to_owned()), fresh }
}

/// What a policy names; the account is not known here.
fn resource(region: &str, service: &str, resource: &str) -> String {
    format!("arn:{}:{service}:{region}:*:{resource}", arn::partition(region))
}

/// Why a log cannot be read. Who lacks a permission is told which.
fn refused<E>(action: &str, resource: &str, error: SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let words = error.message().unwrap_or_default();
    match error.code() {
        Some("AccessDeniedException" | "AccessDenied") => {
            format!("You may not read this log: a policy must allow {action} on {resource}. AWS says: {words}")
        }
        Some("ResourceNotFoundException") => format!("There is no log yet, or none any more. AWS says: {words}"),
        Some("ExpiredTokenException" | "UnrecognizedClientException") => {
            format!("AWS does not take the proxy's credentials: {}. {words}", Credentials::HOW)
        }
        _ => format!("The log cannot be read: {action}: {}", said(error)),
    }
}
