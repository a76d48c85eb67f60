//! Source/CodeStarSourceConnection: takes the files of a commit at a host of code into the artifact store. Source:
//! CodePipeline user guide, 'CodeStarSourceConnection for Bitbucket Cloud, GitHub, GitHub Enterprise Server, GitLab.com, and
//! GitLab self-managed actions'.
//!
//! Only AWS's own services can use what a connection holds. Here a secret stands for it, in AWS Secrets Manager in the
//! action's region. Its name is that of the setting `MILLRACE_CONNECTION_SECRETS` with the connection's id behind it, and
//! its value an object in JSON with these members:
//!
//! | member | what it is |
//! |---|---|
//! | `token` | an access token that can read the repositories |
//! | `providerType` | `GitHub` (where it is left out), `GitHubEnterpriseServer`, `GitLab`, `GitLabSelfManaged` or `Bitbucket` |
//! | `apiUrl` | where the API is, for example `https://github.example.com/api/v3`; needed for what companies run themselves |
//!
//! A role that may not read the secret cannot use the token, as on AWS one without `codestar-connections:UseConnection`
//! cannot use the connection. What hosts deliver of pushes and pull requests starts pipelines: see `delivery`.

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use driver::{Outcome, Task};
use pipeline::Action;
use pipeline::git_trigger::GitEvent;
use serde::Deserialize;
use url::Url;

use crate::code_host::{HostCommit, HostType, HostedRepository, Reference};
use crate::configuration::read;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, ProviderError};
use crate::permission::artifacts::WRITE_OUTPUTS;
use crate::permission::{Permission, Permissions};
use crate::provider::{
    Descriptor, Documentation, Implements, Provider, ProviderInfo, Source, Tried, attempt_id, never_polled, unchanged,
};
use crate::repository::{Commit, OutputFormat, output, prescribed, store_output, takes_revision};
use crate::web::Web;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        source: Some(Source {
            watched: |action, _| watched(action),
            polled: never_polled,
            takes_revision,
            events: None,
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Source", "CodeStarSourceConnection")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::OverTheWire,
                differs: "A secret stands for the connection, and another one for what its host delivers; the host is told where by hand. Symbolic links and submodules are left out.",
            },
        )
    },
    provider: &ConnectionSource,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[Permission::new(&["secretsmanager:GetSecretValue"], |scope| {
        let arn = scope.value_or_any("ConnectionArn");
        let id = arn.rsplit('/').next().unwrap_or("*");
        // Secrets Manager ends the ARN with six characters of its own.
        vec![scope.arn("secretsmanager", &format!("secret:{}{id}-??????", scope.connection_secrets))]
    })],
    WRITE_OUTPUTS,
])
.beside(|_| Some("if the secret has a key of yours, the role needs kms:Decrypt on it"));

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    connection_arn: &'a str,
    full_repository_id: &'a str,
    branch_name: &'a str,
    #[serde(default)]
    output_artifact_format: OutputFormat,
}

/// What the secret of a connection contains.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Connection {
    token: String,
    #[serde(default)]
    provider_type: HostType,
    api_url: Option<String>,
}

struct ConnectionSource;

#[async_trait]
impl Provider for ConnectionSource {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        output(task)?;
        let wanted = prescribed(task)?.map_or(Reference::Branch(configuration.branch_name), Reference::Commit);
        let (kind, repository) = hosted(context, &configuration).await?;
        let commit = repository.commit(wanted).await?;
        let content = match configuration.output_artifact_format {
            OutputFormat::Zip => repository.zip(context, &commit.id).await?,
            OutputFormat::Clone => repository.reference(&commit, Some(configuration.connection_arn))?.content()?,
        };
        let branch = triggering_branch(task).unwrap_or(configuration.branch_name);
        let variables = variables(&configuration, branch, kind, &commit);
        let committed = commit.committed();
        let HostCommit { id, message, url, .. } = commit;
        store_output(context, content, Commit { id, message, committed, url }, variables).await
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }

    async fn changed_files(&self, context: ActionContext<'_>, event: &GitEvent) -> Result<Vec<String>, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        hosted(context, &configuration).await?.1.changed_files(event).await
    }
}

/// The branch of the push or pull request that started the execution, which names it as the change that led to the revision.
fn triggering_branch(task: &Task) -> Option<&str> {
    task.overrides.iter().find_map(|revision| revision.change.as_deref()?.strip_prefix("refs/heads/"))
}

/// The repository at its host, with the token of the connection.
async fn hosted<'a>(
    context: ActionContext<'_>,
    configuration: &Configuration<'a>,
) -> Result<(HostType, HostedRepository<'a>), ProviderError> {
    let secret = secret_name(context.connection_secrets, configuration.connection_arn)?;
    let connection = connection(context, &secret).await?;
    let kind = connection.provider_type;
    let (web, token) = (web(context, &secret, connection)?, format!("it is in the secret {secret}"));
    Ok((kind, HostedRepository::new(kind, web, configuration.full_repository_id, token)?))
}

fn watched(action: &Action) -> Option<String> {
    let value = |key: &str| action.configuration.get(key);
    let (_, id) = value("ConnectionArn")?.split_once(CONNECTION_ID)?;
    Some(connected(id, value("FullRepositoryId")?))
}

/// The key of a repository that is read through the connection of this id. At all hosts, capitals make no other name.
pub fn connected(id: &str, repository: &str) -> String {
    format!("connection/{id}/{}", repository.to_lowercase())
}

/// What is in front of the id in a connection's ARN.
const CONNECTION_ID: &str = ":connection/";

/// The secret that stands for a connection.
fn secret_name(prefix: &str, arn: &str) -> Result<String, ProviderError> {
    let id = arn.split_once(CONNECTION_ID).map(|(_, id)| id).filter(|id| {
        !id.is_empty() && id.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
    });
    let id = id.ok_or_else(|| {
        ProviderError::configuration(format!("ConnectionArn is {arn:?}, which is not the ARN of a connection"))
    })?;
    Ok(format!("{prefix}{id}"))
}

async fn connection(context: ActionContext<'_>, secret: &str) -> Result<Connection, ProviderError> {
    let client = Client::new(context.session().await?.config());
    let got = client.get_secret_value().secret_id(secret).send().await.map_err(|error| {
        let missing = error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception);
        let what = format!("the secret {secret} in {}", context.task.region);
        match ProviderError::aws("GetSecretValue", what, &error) {
            ProviderError::Failed { code, message, .. } if missing => ProviderError::failed(
                code,
                format!("{message} Only AWS can use what its connections hold: create this secret with a token of the host, as {{\"token\": \"...\"}}"),
            ),
            error => error,
        }
    })?;
    // What cannot be read may hold a token, and the reader's words may quote it.
    serde_json::from_str(got.secret_string().unwrap_or_default()).map_err(|error| {
        ProviderError::configuration(format!(
            "the secret {secret} is not an object in JSON with token, and where they are needed providerType and apiUrl \
             (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

fn web(context: ActionContext<'_>, secret: &str, connection: Connection) -> Result<Web, ProviderError> {
    let kind = connection.provider_type;
    let api = connection.api_url.as_deref().or(kind.api()).ok_or_else(|| {
        let message = format!("the secret {secret} needs an apiUrl, since {} is not at one place", kind.name());
        ProviderError::configuration(message)
    })?;
    let is_local = |api: &Url| context.local_code_host == Some(&*api.origin().ascii_serialization());
    let is_host = |api: &Url| (api.scheme() == "https" && api.host_str().is_some()) || is_local(api);
    let api = Url::parse(api).ok().filter(is_host);
    let api = api.ok_or_else(|| {
        let message = format!("the apiUrl in the secret {secret} is not an address that begins with https://");
        ProviderError::configuration(message)
    })?;
    Web::new(context.clients.web(), api, connection.token.trim())
}

/// Source: CodePipeline user guide, 'Variables reference', CodeStarSourceConnection.
fn variables(
    configuration: &Configuration<'_>,
    branch: &str,
    kind: HostType,
    commit: &HostCommit,
) -> Vec<(&'static str, String)> {
    vec![
        ("AuthorDate", commit.author_date.clone()),
        ("AuthorDisplayName", commit.author_name.clone()),
        ("AuthorEmail", commit.author_email.clone()),
        ("AuthorId", commit.author_id.clone()),
        ("BranchName", branch.to_owned()),
        ("CommitId", commit.id.clone()),
        ("CommitMessage", commit.message.clone()),
        ("ConnectionArn", configuration.connection_arn.to_owned()),
        ("FullRepositoryName", configuration.full_repository_id.to_owned()),
        ("ProviderType", kind.name().to_owned()),
    ]
}

impl ClassifyError for GetSecretValueError {
    fn class(&self) -> Option<ErrorClass> {
        Some(match self {
            Self::ResourceNotFoundException(_)
            | Self::InvalidParameterException(_)
            | Self::InvalidRequestException(_) => ErrorClass::Configuration,
            Self::DecryptionFailure(_) => ErrorClass::Permission,
            Self::InternalServiceError(_) => ErrorClass::Retryable,
            _ => return None,
        })
    }
}
