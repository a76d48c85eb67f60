//! Hosts of code: the commit of a branch and its files, by each host's own API. Source: GitHub REST API, 'Get a commit',
//! 'Download a repository archive (zip)'; GitLab REST API, 'Branches', 'Commits', 'Get file archive'; Bitbucket Cloud REST
//! API, 'Get a branch', 'Get a commit', and its downloads of repositories.

use std::collections::BTreeSet;

use artifacts::{Content, TempFile, without_top_folder};
use engine::Timestamp;
use pipeline::git_trigger::{GitChange, GitEvent};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::context::ActionContext;
use crate::error::{CONFIGURATION_ERROR, JOB_FAILED, PERMISSION_ERROR, ProviderError, REVISION_UNAVAILABLE};
use crate::input_zip::half_of_storage;
use crate::repository::{CloneReference, LARGEST};
use crate::web::{Answer, Web};

/// Most bytes of the description of a commit, which may list the files that it changes.
const DESCRIPTION: usize = 16 << 20;
/// Files of a comparison that are asked for at once, and how often.
const COMPARED: usize = 100;
const COMPARED_PAGES: usize = 3;
/// Longest ETag that is kept, in bytes.
const VALIDATOR: usize = 256;
/// Most bytes of a refusal, and most characters of the host's words in it that are repeated.
pub(crate) const REFUSAL: usize = 64 << 10;
const WORDS: usize = 500;

/// What serves a repository, by the names that AWS's connections have for it (CodeConnections API, `ProviderType`).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum HostType {
    #[default]
    GitHub,
    GitHubEnterpriseServer,
    GitLab,
    GitLabSelfManaged,
    Bitbucket,
}

impl HostType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitHubEnterpriseServer => "GitHubEnterpriseServer",
            Self::GitLab => "GitLab",
            Self::GitLabSelfManaged => "GitLabSelfManaged",
            Self::Bitbucket => "Bitbucket",
        }
    }

    /// Where its API is; none where every installation has its own address.
    pub(crate) fn api(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("https://api.github.com"),
            Self::GitLab => Some("https://gitlab.com/api/v4"),
            Self::Bitbucket => Some("https://api.bitbucket.org/2.0"),
            Self::GitHubEnterpriseServer | Self::GitLabSelfManaged => None,
        }
    }

    /// CodeBuild's `SourceType`, and what its pages of commits have between the repository's address and the commit.
    fn clone_source(self) -> (&'static str, &'static str) {
        match self {
            Self::GitHub => ("GITHUB", "/commit/"),
            Self::GitHubEnterpriseServer => ("GITHUB_ENTERPRISE", "/commit/"),
            Self::GitLab => ("GITLAB", "/-/commit/"),
            Self::GitLabSelfManaged => ("GITLAB_SELF_MANAGED", "/-/commit/"),
            Self::Bitbucket => ("BITBUCKET", "/commits/"),
        }
    }
}

/// Which commit is meant.
#[derive(Clone, Copy)]
pub(crate) enum Reference<'a> {
    /// The newest of a branch.
    Branch(&'a str),
    /// The one with this id.
    Commit(&'a str),
}

/// A commit as its host describes it. What the host does not know is empty.
pub(crate) struct HostCommit {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) author_name: String,
    pub(crate) author_email: String,
    /// The host's id of the author's account.
    pub(crate) author_id: String,
    pub(crate) author_date: String,
    pub(crate) committer_date: String,
    /// The page for people.
    pub(crate) url: String,
    /// What the API has of it.
    pub(crate) api_url: String,
}

impl HostCommit {
    pub(crate) fn committed(&self) -> Option<Timestamp> {
        let timestamp: jiff::Timestamp = self.committer_date.parse().ok()?;
        Some(Timestamp(timestamp.as_millisecond()))
    }
}

/// A repository at its host.
pub(crate) struct HostedRepository<'a> {
    kind: HostType,
    web: Web,
    /// With its owner: `owner/name`.
    name: &'a str,
    /// Where the token comes from, for messages.
    token: String,
}

impl<'a> HostedRepository<'a> {
    /// # Errors
    /// A configuration error for what cannot be the name of a repository.
    pub(crate) fn new(kind: HostType, web: Web, name: &'a str, token: String) -> Result<Self, ProviderError> {
        let part = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.contains('/') || !name.split('/').all(part) {
            let message = format!("{name:?} is no repository: its owner and its name are needed, as owner/name");
            return Err(ProviderError::configuration(message));
        }
        Ok(Self { kind, web, name, token })
    }

    fn page(&self, base: &Url, parts: &[&str]) -> Result<Url, ProviderError> {
        let mut url = base.clone();
        let none = |()| ProviderError::configuration(format!("{base} is not the address of an API"));
        url.path_segments_mut().map_err(none)?.pop_if_empty().extend(parts);
        Ok(url)
    }

    fn api(&self, parts: &[&str]) -> Result<Url, ProviderError> {
        self.page(self.web.api(), parts)
    }

    /// The repository in the address of an API's page, and what follows it.
    fn repository(&self, rest: &[&str]) -> Result<Url, ProviderError> {
        let mut parts = match self.kind {
            HostType::GitHub | HostType::GitHubEnterpriseServer => vec!["repos"],
            HostType::GitLab | HostType::GitLabSelfManaged => vec!["projects", self.name],
            HostType::Bitbucket => vec!["repositories"],
        };
        if !matches!(self.kind, HostType::GitLab | HostType::GitLabSelfManaged) {
            parts.extend(self.name.split('/'));
        }
        parts.extend(rest);
        self.api(&parts)
    }

    /// The id of the newest commit of a branch, and what the host takes to tell whether there is a newer one; none where it says that
    /// there is none since it gave this.
    pub(crate) async fn newest(
        &self,
        branch: &str,
        validator: Option<&str>,
    ) -> Result<Option<(String, Option<String>)>, ProviderError> {
        let wanted = Reference::Branch(branch);
        let (url, at) = self.commit_page(wanted)?;
        let answer = self.web.get_changed(url, validator).await?;
        if answer.status == 304 {
            return Ok(None);
        }
        let validator = answer.header("etag").filter(|it| it.len() <= VALIDATOR).map(str::to_owned);
        Ok(Some((self.answered(answer, at, wanted).await?.id, validator)))
    }

    /// The commit that is meant.
    pub(crate) async fn commit(&self, wanted: Reference<'_>) -> Result<HostCommit, ProviderError> {
        let (url, at) = self.commit_page(wanted)?;
        self.answered(self.web.get(url).await?, at, wanted).await
    }

    /// The API's page of a commit, and where in it the commit is.
    fn commit_page(&self, wanted: Reference<'_>) -> Result<(Url, &'static str), ProviderError> {
        use Reference::{Branch, Commit};
        // A branch's answer has the commit inside.
        Ok(match (self.kind, wanted) {
            (HostType::GitHub | HostType::GitHubEnterpriseServer, wanted) => {
                let parts = match wanted {
                    Branch(name) => ["commits", "heads"].into_iter().chain(name.split('/')).collect(),
                    Commit(id) => vec!["commits", id],
                };
                let mut url = self.repository(&parts)?;
                // Of the files that the commit changes, which it lists.
                url.query_pairs_mut().append_pair("per_page", "1");
                (url, "")
            }
            (HostType::GitLab | HostType::GitLabSelfManaged, Branch(name)) => {
                (self.repository(&["repository", "branches", name])?, "/commit")
            }
            (HostType::GitLab | HostType::GitLabSelfManaged, Commit(id)) => {
                (self.repository(&["repository", "commits", id])?, "")
            }
            (HostType::Bitbucket, Branch(name)) => (self.repository(&["refs", "branches", name])?, "/target"),
            (HostType::Bitbucket, Commit(id)) => (self.repository(&["commit", id])?, ""),
        })
    }

    async fn answered(&self, answer: Answer, at: &str, wanted: Reference<'_>) -> Result<HostCommit, ProviderError> {
        if answer.status != 200 {
            return Err(self.refused(answer, wanted).await);
        }
        let request = answer.request.clone();
        let described = answer.read(DESCRIPTION).await?;
        let described: Value = serde_json::from_slice(&described).map_err(|error| {
            ProviderError::Retryable(format!("the answer to {request} is not the JSON that it should be: {error}"))
        })?;
        let commit = self.described(described.pointer(at).unwrap_or(&Value::Null));
        let lacks = |what| ProviderError::failed(JOB_FAILED, format!("the answer to {request} has no {what}"));
        if commit.id.is_empty() || !commit.id.chars().all(|character| character.is_ascii_alphanumeric()) {
            return Err(lacks("commit"));
        }
        if commit.url.is_empty() { Err(lacks("page of the commit")) } else { Ok(commit) }
    }

    fn described(&self, commit: &Value) -> HostCommit {
        let text = |at: &str| match commit.pointer(at) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let mut described = match self.kind {
            HostType::GitHub | HostType::GitHubEnterpriseServer => HostCommit {
                id: text("/sha"),
                message: text("/commit/message"),
                author_name: text("/commit/author/name"),
                author_email: text("/commit/author/email"),
                author_id: text("/author/id"),
                author_date: date(text("/commit/author/date")),
                committer_date: date(text("/commit/committer/date")),
                url: text("/html_url"),
                api_url: text("/url"),
            },
            HostType::GitLab | HostType::GitLabSelfManaged => HostCommit {
                id: text("/id"),
                message: text("/message"),
                author_name: text("/author_name"),
                author_email: text("/author_email"),
                author_id: String::new(),
                author_date: date(text("/authored_date")),
                committer_date: date(text("/committed_date")),
                url: text("/web_url"),
                api_url: String::new(),
            },
            HostType::Bitbucket => {
                // As Git has it: `Name <address>`.
                let raw = text("/author/raw");
                let (name, email) = raw.trim_end_matches('>').split_once(" <").unwrap_or((&raw, ""));
                HostCommit {
                    id: text("/hash"),
                    message: text("/message"),
                    author_name: name.to_owned(),
                    author_email: email.to_owned(),
                    author_id: text("/author/user/account_id"),
                    author_date: date(text("/date")),
                    committer_date: date(text("/date")),
                    url: text("/links/html/href"),
                    api_url: text("/links/self/href"),
                }
            }
        };
        described.message = described.message.trim_end().to_owned();
        described
    }

    /// The paths of the files that an event changed: for a push those that differ from the commit before, for a pull request all of
    /// it. The first 300 count, which is as many as GitHub compares. Source: GitHub REST API, 'Compare two commits' and 'List pull
    /// requests files'; GitLab REST API, 'Compare branches, tags or commits' and 'List merge request diffs'; Bitbucket Cloud REST API,
    /// 'Compare two commit diff stats' and 'Get the diff stat for a pull request'.
    pub(crate) async fn changed_files(&self, event: &GitEvent) -> Result<Vec<String>, ProviderError> {
        let number;
        let (page, list): (Url, &str) = match (self.kind, &event.change) {
            (_, GitChange::Tag { .. } | GitChange::Branch { before: None, .. }) => return Ok(Vec::new()),
            (HostType::GitHub | HostType::GitHubEnterpriseServer, GitChange::Branch { before: Some(before), .. }) => {
                (self.repository(&["compare", &format!("{before}...{}", event.commit)])?, "/files")
            }
            (HostType::GitLab | HostType::GitLabSelfManaged, GitChange::Branch { before: Some(before), .. }) => {
                let mut url = self.repository(&["repository", "compare"])?;
                url.query_pairs_mut().append_pair("from", before).append_pair("to", &event.commit);
                (url, "/diffs")
            }
            (HostType::Bitbucket, GitChange::Branch { before: Some(before), .. }) => {
                (self.repository(&["diffstat", &format!("{}..{before}", event.commit)])?, "/values")
            }
            (kind, GitChange::PullRequest(request)) => {
                number = request.number.to_string();
                match kind {
                    HostType::GitHub | HostType::GitHubEnterpriseServer => {
                        (self.repository(&["pulls", &number, "files"])?, "")
                    }
                    HostType::GitLab | HostType::GitLabSelfManaged => {
                        (self.repository(&["merge_requests", &number, "diffs"])?, "")
                    }
                    HostType::Bitbucket => (self.repository(&["pullrequests", &number, "diffstat"])?, "/values"),
                }
            }
        };
        let mut files = BTreeSet::new();
        for number in 1..=COMPARED_PAGES {
            let mut url = page.clone();
            let size = if self.kind == HostType::Bitbucket { "pagelen" } else { "per_page" };
            url.query_pairs_mut().append_pair(size, &COMPARED.to_string()).append_pair("page", &number.to_string());
            let answer = self.web.get(url).await?;
            if answer.status != 200 {
                return Err(self.refused(answer, Reference::Commit(&event.commit)).await);
            }
            let request = answer.request.clone();
            let compared: Value = serde_json::from_slice(&answer.read(DESCRIPTION).await?).unwrap_or_default();
            let Some(compared) = compared.pointer(list).and_then(Value::as_array) else {
                let message = format!("the answer to {request} lists no files");
                return Err(ProviderError::failed(JOB_FAILED, message));
            };
            let paths = ["/filename", "/previous_filename", "/new_path", "/old_path", "/new/path", "/old/path"];
            let paths = compared.iter().flat_map(|file| paths.iter().filter_map(|at| file.pointer(at)?.as_str()));
            files.extend(paths.map(str::to_owned));
            // A comparison of GitHub's has all its files on each page, GitLab's has but one page.
            if list == "/files" || list == "/diffs" || compared.len() < COMPARED {
                break;
            }
        }
        Ok(files.into_iter().collect())
    }

    /// The files at a commit.
    pub(crate) async fn zip(&self, context: ActionContext<'_>, commit: &str) -> Result<Content, ProviderError> {
        let url = match self.kind {
            HostType::GitHub | HostType::GitHubEnterpriseServer => self.repository(&["zipball", commit])?,
            HostType::GitLab | HostType::GitLabSelfManaged => {
                let mut url = self.repository(&["repository", "archive.zip"])?;
                url.query_pairs_mut().append_pair("sha", commit);
                url
            }
            // Its API has no archives; its pages have.
            HostType::Bitbucket => {
                let mut parts: Vec<&str> = self.name.split('/').collect();
                let file = format!("{commit}.zip");
                parts.extend(["get", &file]);
                self.page(&self.pages()?, &parts)?
            }
        };
        let mut answer = self.web.get(url).await?;
        if answer.status != 200 {
            return Err(self.refused(answer, Reference::Commit(commit)).await);
        }
        let _place = half_of_storage().await;
        let label = format!("the archive of the commit {commit} of {}", self.name);
        let length = answer.length();
        let archive = TempFile::receive(answer.body(), &label, length, LARGEST).await?;
        Ok(without_top_folder(archive, label, context.zip_limits, LARGEST).await?.into())
    }

    /// The host of the pages, beside that of the API.
    fn pages(&self) -> Result<Url, ProviderError> {
        let mut url = self.web.api().clone();
        let host = url.host_str().unwrap_or_default().trim_start_matches("api.").to_owned();
        url.set_path("");
        url.set_host(Some(&host)).map_err(|error| ProviderError::configuration(format!("{url}: {error}")))?;
        Ok(url)
    }

    /// What a build needs to clone the repository.
    pub(crate) fn reference(
        &self,
        commit: &HostCommit,
        connection: Option<&str>,
    ) -> Result<CloneReference, ProviderError> {
        let (source_type, separator) = self.kind.clone_source();
        let (address, _) = commit.url.split_once(separator).ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, format!("{} is not a page of a commit of {}", commit.url, self.name))
        })?;
        Ok(CloneReference {
            source_type: source_type.to_owned(),
            source_location: format!("{address}.git"),
            source_version: commit.id.clone(),
            connection_arn: connection.map(str::to_owned),
        })
    }

    /// Why the host does not give what was asked for, in its own words, and what can be done.
    async fn refused(&self, answer: Answer, wanted: Reference<'_>) -> ProviderError {
        let (status, request) = (answer.status, answer.request.clone());
        // Source: GitHub REST API, 'Rate limits': it answers 403, too, to who asks too often.
        let too_often = answer.header("retry-after").is_some() || answer.header("x-ratelimit-remaining") == Some("0");
        let body = answer.read(REFUSAL).await.unwrap_or_default();
        let words = words(&body);
        let said = format!("{} answered {status} to {request}{words}", self.kind.name());
        let (name, token) = (self.name, &self.token);
        match status {
            408 | 429 | 500.. => ProviderError::Retryable(said),
            403 if too_often => ProviderError::Retryable(said),
            401 => ProviderError::failed(
                PERMISSION_ERROR,
                format!("{said}. The token is not valid, or not any more: {token}"),
            ),
            403 => ProviderError::failed(
                PERMISSION_ERROR,
                format!("{said}. Let the token read the repository {name}: {token}"),
            ),
            404 | 409 | 410 | 422 => {
                let (code, what) = match wanted {
                    Reference::Branch(branch) => (CONFIGURATION_ERROR, format!("branch {branch}")),
                    Reference::Commit(id) => (REVISION_UNAVAILABLE, format!("commit {id}")),
                };
                let message =
                    format!("{said}. There is no {what} of a repository {name}, or the token may not read it: {token}");
                ProviderError::failed(code, message)
            }
            _ => ProviderError::failed(JOB_FAILED, said),
        }
    }
}

/// What a host says in a refusal, after a colon.
pub(crate) fn words(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let found = ["/message", "/error/message", "/error_description", "/error"].into_iter().find_map(|at| {
        let text = body.pointer(at)?.as_str()?;
        Some(text.chars().take(WORDS).collect::<String>())
    });
    found.map(|words| format!(": {words}")).unwrap_or_default()
}

/// In ISO 8601's form and universal time, as AWS has it; what cannot be read stays as it is.
fn date(text: String) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => text,
    }
}
