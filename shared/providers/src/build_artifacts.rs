//! The artifacts of an action as a build's sources and artifacts. Source: CodeBuild API, `StartBuild`.
//!
//! Only CodePipeline itself can hand a build its artifacts as the source type `CODEPIPELINE`. Here the build's sources and
//! artifacts are overridden with the very objects in S3: each input with its version, the primary one as the project's
//! source and the others under their names ([`source_identifier`]); one output as the project's artifact, several as
//! secondary artifacts of their names. An input that a source made with `OutputArtifactFormat` `CODEBUILD_CLONE_REF` is a
//! reference, from which the build clones the repository itself. The build's own role reads and writes them.

use aws_sdk_codebuild::types::{
    ArtifactNamespace, ArtifactPackaging, ArtifactsType, ProjectArtifacts, ProjectSource, ProjectSourceVersion,
    SourceAuth, SourceAuthType, SourceType,
};
use driver::{Task, TaskInput};
use engine::Artifact;

use crate::configuration::title;
use crate::context::ActionContext;
use crate::error::ProviderError;
use crate::repository::CloneReference;

/// That the SDK does not take what would be sent.
pub(crate) fn invalid(error: impl std::fmt::Display) -> ProviderError {
    ProviderError::configuration(error.to_string())
}

/// The inputs of a build.
pub(crate) struct BuildSources {
    pub(crate) primary: BuildSource,
    /// Each with its version.
    pub(crate) secondary: Vec<(ProjectSource, Option<ProjectSourceVersion>)>,
}

impl BuildSources {
    /// All inputs of the action, of which this one is the primary; none for an action without inputs.
    pub(crate) async fn of(context: ActionContext<'_>, primary: Option<&TaskInput>) -> Result<Self, ProviderError> {
        let task = context.task;
        let Some(primary) = primary else {
            let none = BuildSource { kind: SourceType::NoSource, location: None, version: None, auth: None };
            return Ok(Self { primary: none, secondary: Vec::new() });
        };
        let mut secondary = Vec::new();
        for input in task.inputs.iter().filter(|input| input.artifact.name != primary.artifact.name) {
            let name = input.artifact.name.as_str();
            let identifier = source_identifier(name);
            let taken = |(other, _): &(ProjectSource, _)| other.source_identifier() == Some(identifier.as_str());
            if secondary.iter().any(taken) {
                return Err(ProviderError::configuration(format!(
                    "{} has two input artifacts that are both {identifier} in a build: rename {name}",
                    title(task)
                )));
            }
            let BuildSource { kind, location, version, auth } = BuildSource::of(context, input).await?;
            let source = ProjectSource::builder().r#type(kind).set_location(location).set_auth(auth);
            let source = source.source_identifier(&identifier).build().map_err(invalid)?;
            let version = version.map(|version| {
                let version = ProjectSourceVersion::builder().source_identifier(&identifier).source_version(version);
                version.build().map_err(invalid)
            });
            secondary.push((source, version.transpose()?));
        }
        Ok(Self { primary: BuildSource::of(context, primary).await?, secondary })
    }
}

/// The outputs of a build.
pub(crate) struct BuildArtifacts {
    pub(crate) primary: ProjectArtifacts,
    pub(crate) secondary: Vec<ProjectArtifacts>,
}

impl BuildArtifacts {
    /// All outputs of the action.
    pub(crate) fn of(task: &Task) -> Result<Self, ProviderError> {
        let none = || ProjectArtifacts::builder().r#type(ArtifactsType::NoArtifacts).build().map_err(invalid);
        Ok(match task.outputs.as_slice() {
            [] => Self { primary: none()?, secondary: Vec::new() },
            [one] => Self { primary: to_s3(one, None)?, secondary: Vec::new() },
            // A buildspec names the files of several artifacts by their names.
            several => Self {
                primary: none()?,
                secondary: several.iter().map(|it| to_s3(it, Some(it.name.as_str()))).collect::<Result<_, _>>()?,
            },
        })
    }
}

/// Where a build finds an input.
pub(crate) struct BuildSource {
    pub(crate) kind: SourceType,
    pub(crate) location: Option<String>,
    pub(crate) version: Option<String>,
    /// How the build signs in there, where it does not with its role.
    pub(crate) auth: Option<SourceAuth>,
}

impl BuildSource {
    /// The object of the artifact, or the repository to which it refers.
    async fn of(context: ActionContext<'_>, input: &TaskInput) -> Result<Self, ProviderError> {
        let store = context.artifact_store(&input.bucket).await?;
        Ok(match CloneReference::read(&store, input).await? {
            Some(reference) => Self {
                kind: SourceType::from(reference.source_type.as_str()),
                location: Some(reference.source_location),
                version: Some(reference.source_version),
                auth: reference.connection_arn.map(by_connection).transpose()?,
            },
            None => Self {
                kind: SourceType::S3,
                location: Some(format!("{}/{}", input.bucket, input.artifact.key)),
                version: input.pin.version.clone(),
                auth: None,
            },
        })
    }
}

fn by_connection(arn: String) -> Result<SourceAuth, ProviderError> {
    SourceAuth::builder().r#type(SourceAuthType::Codeconnections).resource(arn).build().map_err(invalid)
}

/// How a build names a further input, as in `CODEBUILD_SRC_DIR_identifier`: by the artifact's name, with `_` in place of `-`.
/// CodeBuild refuses that character, since it takes letters, digits and `_` (API, `ProjectSource.sourceIdentifier`).
///
/// What CodePipeline does with such a name is not documented. By the build log in issue 15753 of aws/aws-cdk, it hands the
/// name on as it is, past the check that StartBuild makes for everybody else, and the build gets a variable that no shell
/// can read: `$CODEBUILD_SRC_DIR_my-src` is `$CODEBUILD_SRC_DIR_my` and then `-src`. With the underscore such a build runs
/// here too, and can read its variable. Identifiers of artifacts are the outputs' names as they are, since a buildspec
/// repeats them and no limit is documented for them.
fn source_identifier(artifact: &str) -> String {
    artifact.replace('-', "_")
}

/// A ZIP in S3 under exactly the key of an output artifact.
fn to_s3(artifact: &Artifact, identifier: Option<&str>) -> Result<ProjectArtifacts, ProviderError> {
    let (path, name) = artifact.key.rsplit_once('/').unwrap_or(("", &artifact.key));
    ProjectArtifacts::builder()
        .r#type(ArtifactsType::S3)
        .location(&artifact.bucket)
        .path(path)
        .name(name)
        .namespace_type(ArtifactNamespace::None)
        .packaging(ArtifactPackaging::Zip)
        .override_artifact_name(false)
        .encryption_disabled(false)
        .set_artifact_identifier(identifier.map(str::to_owned))
        .build()
        .map_err(invalid)
}
