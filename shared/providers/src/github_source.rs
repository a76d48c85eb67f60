//! Source/GitHub, of the owner ThirdParty: takes the files of a commit at github.com into the artifact store, with a token
//! of the action's own. Source: CodePipeline user guide, 'GitHub (via OAuth app) source action reference'.
//!
//! Nothing tells of pushes by itself, so the branch is polled, unless `PollForSourceChanges` is `false`: that is AWS's default, too.
//! Whoever has GitHub call a webhook sets it to `false`, or both start the pipeline.

use async_trait::async_trait;
use driver::{NewestRevision, Outcome};
use serde::Deserialize;
use url::Url;

use crate::code_host::{HostCommit, HostType, HostedRepository, Reference};
use crate::configuration::read;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::permission::Permissions;
use crate::permission::artifacts::WRITE_OUTPUTS;
use crate::provider::{
    Descriptor, Documentation, Implements, Provider, ProviderInfo, Source, Tried, attempt_id, unchanged,
};
use crate::repository::{COMMIT, Commit, output, prescribed, store_output, takes_revision};
use crate::web::Web;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        source: Some(Source {
            watched: |_, _| None,
            polled: |action, _| {
                let value = |key: &str| action.configuration.get(key);
                let key = || Some(format!("github/{}/{}:{}", value("Owner")?, value("Repo")?, value("Branch")?));
                action.detects_changes().then(key).flatten()
            },
            takes_revision,
            events: None,
        }),
        ..ProviderInfo::of(
            &[Implements { category: "Source", owner: "ThirdParty", provider: "GitHub", version: "1" }],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::OverTheWire,
                differs: "The branch is polled, unless `PollForSourceChanges` is `false`; a webhook may tell of pushes instead. Symbolic links and submodules are left out.",
            },
        )
    },
    provider: &GitHubSource,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[WRITE_OUTPUTS]);

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(rename = "Owner")]
    owner: &'a str,
    #[serde(rename = "Repo")]
    repository: &'a str,
    #[serde(rename = "Branch")]
    branch: &'a str,
    #[serde(rename = "OAuthToken")]
    token: &'a str,
}

impl Configuration<'_> {
    fn name(&self) -> String {
        format!("{}/{}", self.owner, self.repository)
    }

    fn hosted<'a>(&self, context: ActionContext<'_>, name: &'a str) -> Result<HostedRepository<'a>, ProviderError> {
        let api = HostType::GitHub.api().unwrap_or_default();
        let api = Url::parse(api).map_err(|error| ProviderError::configuration(format!("{api}: {error}")))?;
        let web = Web::new(context.clients.web(), api, self.token)?;
        HostedRepository::new(HostType::GitHub, web, name, "it is the action's OAuthToken".to_owned())
    }
}

struct GitHubSource;

#[async_trait]
impl Provider for GitHubSource {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        output(task)?;
        let wanted = prescribed(task)?.map_or(Reference::Branch(configuration.branch), Reference::Commit);
        let name = configuration.name();
        let repository = configuration.hosted(context, &name)?;
        let commit = repository.commit(wanted).await?;
        let content = repository.zip(context, &commit.id).await?;
        let variables = variables(&configuration, &commit);
        let committed = commit.committed();
        let HostCommit { id, message, url, .. } = commit;
        store_output(context, content, Commit { id, message, committed, url }, variables).await
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }

    async fn newest(
        &self,
        context: ActionContext<'_>,
        validator: Option<&str>,
    ) -> Result<Option<NewestRevision>, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let name = configuration.name();
        let repository = configuration.hosted(context, &name)?;
        let found = repository.newest(configuration.branch, validator).await?;
        Ok(found.map(|(value, validator)| NewestRevision { kind: COMMIT, value, validator, token: None, detail: name }))
    }
}

/// Source: CodePipeline user guide, 'Variables reference', GitHub; AWS CDK, `GitHubSourceVariables`, which says that
/// `CommitUrl` is the address in GitHub's API.
fn variables(configuration: &Configuration<'_>, commit: &HostCommit) -> Vec<(&'static str, String)> {
    vec![
        ("AuthorDate", commit.author_date.clone()),
        ("BranchName", configuration.branch.to_owned()),
        ("CommitId", commit.id.clone()),
        ("CommitMessage", commit.message.clone()),
        ("CommitUrl", commit.api_url.clone()),
        ("CommitterDate", commit.committer_date.clone()),
        ("RepositoryName", configuration.repository.to_owned()),
    ]
}
