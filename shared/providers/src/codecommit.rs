//! Source/CodeCommit: takes the files of a commit into the artifact store. Source: CodePipeline user guide, 'CodeCommit
//! source action reference'.
//!
//! What AWS's CodePipeline has CodeCommit do by itself (`codecommit:UploadArchive`) nobody else can ask for, so the tree
//! is read folder by folder and file by file. Symbolic links and submodules are left out: AWS, too, removes the links
//! (AWS CDK, `CodeCommitSourceOptions.codeBuildCloneOutput`).

use artifacts::{Content, ZipBuilder};
use async_trait::async_trait;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_sdk_codecommit::Client;
use aws_sdk_codecommit::config::Builder;
use aws_sdk_codecommit::operation::get_blob::GetBlobError;
use aws_sdk_codecommit::operation::get_branch::GetBranchError;
use aws_sdk_codecommit::operation::get_commit::GetCommitError;
use aws_sdk_codecommit::operation::get_folder::GetFolderError;
use aws_sdk_codecommit::types::{Commit as Found, FileModeTypeEnum, UserInfo};
use driver::{NewestRevision, Outcome, Task};
use engine::Timestamp;
use futures::{StreamExt, TryStreamExt, stream};
use pipeline::Action;
use runtime::Session;
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::read;
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError, REVISION_UNAVAILABLE};
use crate::input_zip::half_of_storage;
use crate::permission::artifacts::WRITE_OUTPUTS;
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{
    Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Source, SourceChange, SourceEvents,
    Tried, asks_for_polls, attempt_id, unchanged,
};
use crate::repository::{
    COMMIT, CloneReference, Commit, LARGEST, OutputFormat, output, prescribed, store_output, takes_revision,
};
use crate::starts::StartKind;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        source: Some(Source {
            // One that is polled is left to that: an event and a poll have no name for a change in common.
            watched: |action, region| if asks_for_polls(action) { None } else { branch(action, region) },
            polled: |action, region| if asks_for_polls(action) { branch(action, region) } else { None },
            takes_revision,
            events: Some(SourceEvents {
                source: "aws.codecommit",
                detail_types: &["CodeCommit Repository State Change"],
                change,
                starts: STARTS,
            }),
        }),
        entity: Some(EntityPage {
            key: "RepositoryName",
            path: "codesuite/codecommit/repositories/{}/browse?region={region}",
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Source", "CodeCommit")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "at once",
                tried: Tried::ProviderEmulator,
                differs: "The role needs GetFolder and GetBlob in place of UploadArchive. A push starts the pipeline without a rule of its own; where `PollForSourceChanges` is `true`, the branch is polled instead. Symbolic links and submodules are left out.",
            },
        )
    },
    provider: &CodeCommit,
    token: attempt_id,
};

fn repository(scope: &Scope<'_>) -> Vec<String> {
    vec![scope.arn("codecommit", &scope.value_or_any("RepositoryName"))]
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["codecommit:GetBranch", "codecommit:GetCommit"], repository),
        Permission::new(&["codecommit:GetBlob", "codecommit:GetFolder"], |scope| {
            let clones = scope.value("OutputArtifactFormat").is_some_and(|it| it == "CODEBUILD_CLONE_REF");
            if clones { Vec::new() } else { repository(scope) }
        }),
    ],
    WRITE_OUTPUTS,
])
.beside(|scope| {
    let clones = scope.value("OutputArtifactFormat").is_some_and(|it| it == "CODEBUILD_CLONE_REF");
    clones.then_some("the role of the build that clones the repository needs codecommit:GitPull")
});

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    repository_name: &'a str,
    branch_name: &'a str,
    #[serde(default)]
    output_artifact_format: OutputFormat,
}

fn branch(action: &Action, region: &str) -> Option<String> {
    let value = |key: &str| action.configuration.get(key);
    Some(watched(region, value("RepositoryName")?, value("BranchName")?))
}

fn watched(region: &str, repository: &str, branch: &str) -> String {
    format!("codecommit/{region}/{repository}:{branch}")
}

const STARTS: &[StartKind] = &[StartKind {
    what: "the branch of a CodeCommit source is created or gets another commit",
    needs: "nothing",
    starts: "every pipeline that watches the branch, with that commit; once for each event. A branch that is deleted starts nothing",
    trigger: "CloudWatchEvent",
    detail: "the repository's ARN",
    test: (
        "shared/providers/tests/providers/codecommit.rs",
        "a_new_commit_of_the_branch_starts_who_watches_it_with_that_commit",
    ),
}];

/// The detail of CodeCommit's event. Source: CodeCommit user guide, 'Monitoring CodeCommit events'. Events about pull requests,
/// comments and rules have other members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceChanged {
    repository_name: String,
    reference_name: String,
    commit_id: String,
}

fn change(event: &EventBridgeEvent<Value>) -> serde_json::Result<Option<SourceChange>> {
    let text = |name: &str| event.detail.get(name).and_then(Value::as_str);
    // A branch that is deleted leaves nothing to start with, and nobody watches tags.
    if !matches!(text("event"), Some("referenceCreated" | "referenceUpdated"))
        || text("referenceType") != Some("branch")
    {
        return Ok(None);
    }
    let changed = ReferenceChanged::deserialize(&event.detail)?;
    let region = event.region.as_deref().unwrap_or_default();
    let account = event.account.as_deref().unwrap_or_default();
    let partition = runtime::arn::partition(region);
    // A branch can be set back to a commit that it had before, so only the event's own id names the change.
    let token = event.id.as_ref().unwrap_or(&changed.commit_id);
    Ok(Some(SourceChange {
        watched: watched(region, &changed.repository_name, &changed.reference_name),
        token: format!("codecommit#{token}"),
        detail: format!("arn:{partition}:codecommit:{region}:{account}:{}", changed.repository_name),
        account: event.account.clone(),
        revision: Some((COMMIT, changed.commit_id)),
    }))
}

/// Folders or files that are read at the same time. No file of CodeCommit's API has more than a few MiB, so this bounds
/// the memory as well.
const PARALLEL: usize = 16;

/// Tries of a call in all: there are as many calls as files, and one of thousands is likely to be throttled.
const TRIES: u32 = 8;

struct CodeCommit;

#[async_trait]
impl Provider for CodeCommit {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        output(task)?;
        let repository = Repository { client: client(&context.session().await?), task, configuration };
        let found = repository.commit().await?;
        let content = match repository.configuration.output_artifact_format {
            OutputFormat::Zip => repository.zip(context, &found.id).await?,
            OutputFormat::Clone => repository.reference(&found.id).content()?,
        };
        let variables = repository.variables(&found);
        store_output(context, content, repository.described(found), variables).await
    }

    async fn poll(&self, _: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        unchanged()
    }

    async fn newest(
        &self,
        context: ActionContext<'_>,
        _: Option<&str>,
    ) -> Result<Option<NewestRevision>, ProviderError> {
        let task = context.task;
        let configuration: Configuration<'_> = read(task)?;
        let repository = Repository { client: client(&context.session().await?), task, configuration };
        let value = repository.newest().await?;
        let (region, name) = (&task.region, repository.name());
        let (partition, account) = (runtime::arn::partition(region), context.roles.account());
        let detail = format!("arn:{partition}:codecommit:{region}:{account}:{name}");
        Ok(Some(NewestRevision { kind: COMMIT, value, validator: None, token: None, detail }))
    }
}

fn client(session: &Session) -> Client {
    let config = session.config();
    let mut builder = Builder::from(config);
    if let Some(retries) = config.retry_config().filter(|retries| retries.has_retry()) {
        builder = builder.retry_config(retries.clone().with_max_attempts(TRIES));
    }
    Client::from_conf(builder.build())
}

/// The repository of an action.
struct Repository<'a> {
    client: Client,
    task: &'a Task,
    configuration: Configuration<'a>,
}

/// A commit, and its id, which CodeCommit need not repeat.
struct FoundCommit {
    id: String,
    found: Found,
}

/// A file of the tree.
struct File {
    path: String,
    blob: String,
    executable: bool,
}

/// What a folder has in it.
#[derive(Default)]
struct Folder {
    folders: Vec<String>,
    files: Vec<File>,
}

impl Repository<'_> {
    fn name(&self) -> &str {
        self.configuration.repository_name
    }

    /// How messages call something in the repository.
    fn describe(&self, what: &str) -> String {
        format!("{what} of the repository {} in {}", self.name(), self.task.region)
    }

    fn lacks(&self, operation: &str, what: &str, missing: &str) -> ProviderError {
        let what = self.describe(what);
        ProviderError::failed(JOB_FAILED, format!("{operation} of {what}: CodeCommit's answer has no {missing}"))
    }

    /// The commit that the start of the execution prescribes, or the newest of the branch.
    async fn commit(&self) -> Result<FoundCommit, ProviderError> {
        let prescribed = prescribed(self.task)?;
        let id = match prescribed {
            Some(id) => id.to_owned(),
            None => self.newest().await?,
        };
        let what = format!("the commit {id}");
        let got = self.client.get_commit().repository_name(self.name()).commit_id(&id).send().await;
        let got = got.map_err(|error| {
            let missing = error.as_service_error().is_some_and(|error| {
                error.is_commit_id_does_not_exist_exception() || error.is_invalid_commit_id_exception()
            });
            match ProviderError::aws("GetCommit", self.describe(&what), &error) {
                ProviderError::Failed { message, .. } if missing && prescribed.is_some() => {
                    ProviderError::failed(REVISION_UNAVAILABLE, message)
                }
                error => error,
            }
        })?;
        let found = got.commit.ok_or_else(|| self.lacks("GetCommit", &what, "commit"))?;
        Ok(FoundCommit { id, found })
    }

    async fn newest(&self) -> Result<String, ProviderError> {
        let branch = self.configuration.branch_name;
        let what = format!("the branch {branch}");
        let got = self.client.get_branch().repository_name(self.name()).branch_name(branch).send().await;
        let got = got.map_err(|error| ProviderError::aws("GetBranch", self.describe(&what), &error))?;
        let id = got.branch.and_then(|branch| branch.commit_id);
        id.ok_or_else(|| self.lacks("GetBranch", &what, "commitId"))
    }

    /// All files at the commit, written into temporary storage as they come.
    async fn zip(&self, context: ActionContext<'_>, commit: &str) -> Result<Content, ProviderError> {
        let files = self.files(commit, context.zip_limits.entries).await?;
        let _place = half_of_storage().await;
        let mut zip = ZipBuilder::new(self.describe(&format!("the zip of the commit {commit}")), LARGEST)?;
        let mut contents = stream::iter(files).map(|file| self.content(file)).buffered(PARALLEL);
        while let Some((file, content)) = contents.try_next().await? {
            zip = zip.file(file.path, file.executable, content.into()).await?;
        }
        Ok(zip.finish().await?.into())
    }

    /// The files of the whole tree, by their paths: the same commit makes the same zip.
    async fn files(&self, commit: &str, most: usize) -> Result<Vec<File>, ProviderError> {
        let (mut files, mut level) = (Vec::new(), vec!["/".to_owned()]);
        while !level.is_empty() {
            let mut folders = stream::iter(level).map(|path| self.folder(commit, path)).buffer_unordered(PARALLEL);
            let mut next = Vec::new();
            while let Some(mut folder) = folders.try_next().await? {
                next.append(&mut folder.folders);
                files.append(&mut folder.files);
                if files.len() > most {
                    let what = self.describe(&format!("the commit {commit}"));
                    let message = format!("{what} has more than the {most} files that are allowed here");
                    return Err(ProviderError::configuration(message));
                }
            }
            level = next;
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    async fn folder(&self, commit: &str, path: String) -> Result<Folder, ProviderError> {
        let what = format!("the folder {path} at the commit {commit}");
        let get = self.client.get_folder().repository_name(self.name()).commit_specifier(commit).folder_path(path);
        let got = get.send().await.map_err(|error| ProviderError::aws("GetFolder", self.describe(&what), &error))?;
        let lacks = |missing| self.lacks("GetFolder", &what, missing);
        let mut folder = Folder::default();
        for found in got.sub_folders.unwrap_or_default() {
            folder.folders.push(found.absolute_path.ok_or_else(|| lacks("absolutePath"))?);
        }
        for found in got.files.unwrap_or_default() {
            if found.file_mode == Some(FileModeTypeEnum::Symlink) {
                continue;
            }
            folder.files.push(File {
                path: found.absolute_path.ok_or_else(|| lacks("absolutePath"))?,
                blob: found.blob_id.ok_or_else(|| lacks("blobId"))?,
                executable: found.file_mode == Some(FileModeTypeEnum::Executable),
            });
        }
        Ok(folder)
    }

    async fn content(&self, file: File) -> Result<(File, Vec<u8>), ProviderError> {
        let got = self.client.get_blob().repository_name(self.name()).blob_id(&file.blob).send().await;
        let got = got.map_err(|error| {
            let too_large = error.as_service_error().is_some_and(GetBlobError::is_file_too_large_exception);
            match ProviderError::aws("GetBlob", self.describe(&format!("the file {}", file.path)), &error) {
                ProviderError::Failed { code, message, .. } if too_large => ProviderError::failed(
                    code,
                    format!("{message} CodeCommit's API does not give out such files; a build can clone the repository: OutputArtifactFormat CODEBUILD_CLONE_REF"),
                ),
                error => error,
            }
        })?;
        Ok((file, got.content.into_inner()))
    }

    /// Source: CodeCommit user guide, 'Regions and Git connection endpoints'.
    fn reference(&self, commit: &str) -> CloneReference {
        let region = &self.task.region;
        let domain = runtime::arn::service_domain(region);
        CloneReference {
            source_type: "CODECOMMIT".to_owned(),
            source_location: format!("https://git-codecommit.{region}.{domain}/v1/repos/{}", self.name()),
            source_version: commit.to_owned(),
            connection_arn: None,
        }
    }

    /// Source: CodePipeline user guide, 'Variables reference', CodeCommit.
    fn variables(&self, commit: &FoundCommit) -> Vec<(&'static str, String)> {
        vec![
            ("AuthorDate", date(commit.found.author())),
            ("BranchName", self.configuration.branch_name.to_owned()),
            ("CommitId", commit.id.clone()),
            ("CommitMessage", message(&commit.found)),
            ("CommitterDate", date(commit.found.committer())),
            ("RepositoryName", self.name().to_owned()),
        ]
    }

    fn described(&self, FoundCommit { id, found }: FoundCommit) -> Commit {
        Commit {
            url: console::codecommit(&self.task.region, self.name(), &id),
            message: message(&found),
            committed: seconds(found.committer()).map(|seconds| Timestamp(seconds.saturating_mul(1000))),
            id,
        }
    }
}

/// Without the line break that Git puts at its end.
fn message(commit: &Found) -> String {
    commit.message().unwrap_or_default().trim_end().to_owned()
}

/// When somebody did something: Git's seconds, before the offset of the time zone. Source: CodeCommit API, `UserInfo`.
fn seconds(user: Option<&UserInfo>) -> Option<i64> {
    user?.date()?.split_whitespace().next()?.parse().ok()
}

/// In ISO 8601's form. Source: AWS CDK, `CodeCommitSourceVariables`.
fn date(user: Option<&UserInfo>) -> String {
    let timestamp = seconds(user).and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    timestamp.map(|timestamp| timestamp.to_string()).unwrap_or_default()
}

/// What all operations of CodeCommit can answer, and besides what each of them says about its own parameters. Source:
/// CodeCommit API, the errors of each operation.
macro_rules! classify {
    ($error:ty: $($own:ident),+) => {
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                Some(match self {
                    $(Self::$own(_))|+
                    | Self::RepositoryDoesNotExistException(_)
                    | Self::InvalidRepositoryNameException(_)
                    | Self::EncryptionKeyDisabledException(_)
                    | Self::EncryptionKeyNotFoundException(_) => ErrorClass::Configuration,
                    Self::EncryptionKeyAccessDeniedException(_) => ErrorClass::Permission,
                    Self::EncryptionKeyUnavailableException(_) => ErrorClass::Retryable,
                    _ => return None,
                })
            }
        }
    };
}

classify!(GetBranchError: BranchDoesNotExistException, InvalidBranchNameException);
classify!(GetCommitError: CommitIdDoesNotExistException, InvalidCommitIdException);
classify!(GetFolderError: CommitDoesNotExistException, InvalidCommitException, FolderDoesNotExistException, InvalidPathException);
classify!(GetBlobError: BlobIdDoesNotExistException, InvalidBlobIdException, FileTooLargeException);
