//! What a build is to do: its project, with what StartBuild overrides. Source: CodeBuild API, `StartBuild`.

use aws_sdk_codebuild::operation::start_build::StartBuildInput;
use aws_sdk_codebuild::types::{
    ArtifactsType, Build, BuildArtifacts, CloudWatchLogsConfig, EnvironmentVariable, LogsConfigStatusType,
    LogsLocation, Project, ProjectArtifacts, ProjectSource, ProjectSourceVersion, SourceType, StatusType,
};

use crate::buildspec::is_inline;
use crate::error::ApiError;
use crate::log::Place;
use crate::projects::{TIMEOUT, check_artifacts, check_sources, check_timeout, invalid};
use crate::record::now;

/// Names of a new build.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub region: String,
    pub account: String,
    pub uuid: String,
    pub number: i64,
    pub initiator: String,
}

/// A build before it runs.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub project: String,
    pub id: String,
    pub arn: String,
    pub names: Names,
    pub source: ProjectSource,
    pub source_version: Option<String>,
    /// Each with its version.
    pub secondary_sources: Vec<(ProjectSource, Option<String>)>,
    pub artifacts: ProjectArtifacts,
    pub secondary_artifacts: Vec<ProjectArtifacts>,
    pub variables: Vec<EnvironmentVariable>,
    pub timeout_in_minutes: i32,
    pub encryption_key: Option<String>,
    pub service_role: Option<String>,
    /// None where the project's log is switched off.
    pub log: Option<Place>,
}

impl Plan {
    /// Puts the overrides over the project.
    pub(crate) fn new(project: &Project, input: StartBuildInput, names: Names) -> Result<Self, ApiError> {
        let name = project.name.clone().unwrap_or_default();
        let mut source = project.source.clone().ok_or_else(|| invalid("The project has no source"))?;
        if let Some(kind) = input.source_type_override {
            source.r#type = kind;
        }
        source.location = input.source_location_override.or(source.location);
        source.buildspec = input.buildspec_override.or(source.buildspec);
        let overridden = input.secondary_sources_override.is_some();
        let secondary = input.secondary_sources_override.or_else(|| project.secondary_sources.clone());
        let secondary = secondary.unwrap_or_default();
        check_sources(&secondary)?;
        for source in std::iter::once(&source).chain(&secondary) {
            check_source(source)?;
        }
        let versions = match input.secondary_sources_version_override {
            Some(versions) => versions,
            // The project's versions are those of the project's sources.
            None if overridden => Vec::new(),
            None => project.secondary_source_versions.clone().unwrap_or_default(),
        };
        let buildspec = source.buildspec.as_deref().unwrap_or_default();
        if source.r#type == SourceType::NoSource && !is_inline(buildspec) && !buildspec.starts_with("arn:") {
            return Err(invalid("A build without a source needs an inline buildspec, or the ARN of one in S3"));
        }
        let artifacts = input.artifacts_override.or_else(|| project.artifacts.clone());
        let artifacts = artifacts.ok_or_else(|| invalid("The project has no artifacts"))?;
        let secondary_artifacts = input.secondary_artifacts_override.or_else(|| project.secondary_artifacts.clone());
        let secondary_artifacts = secondary_artifacts.unwrap_or_default();
        check_artifacts(&secondary_artifacts)?;
        for artifacts in std::iter::once(&artifacts).chain(&secondary_artifacts) {
            check_destination(artifacts)?;
        }
        check_timeout(input.timeout_in_minutes_override)?;
        let own = project.environment.as_ref().and_then(|it| it.environment_variables.clone());
        let logs = input.logs_config_override.or_else(|| project.logs_config.clone());
        let log = place(&name, &names.uuid, logs.and_then(|it| it.cloud_watch_logs));
        let id = format!("{name}:{}", names.uuid);
        Ok(Self {
            arn: format!("arn:aws:codebuild:{}:{}:build/{id}", names.region, names.account),
            id,
            source_version: input.source_version.or_else(|| project.source_version.clone()),
            secondary_sources: secondary.into_iter().map(|source| versioned(source, &versions)).collect(),
            source,
            artifacts,
            secondary_artifacts,
            variables: merged(own, input.environment_variables_override),
            timeout_in_minutes: input.timeout_in_minutes_override.or(project.timeout_in_minutes).unwrap_or(TIMEOUT),
            encryption_key: input.encryption_key_override.or_else(|| project.encryption_key.clone()),
            service_role: input.service_role_override.or_else(|| project.service_role.clone()),
            log,
            project: name,
            names,
        })
    }

    /// The build as it is described before it has run.
    pub(crate) fn build(&self, project: &Project) -> Build {
        let mut environment = project.environment.clone();
        if let Some(environment) = &mut environment {
            environment.environment_variables = Some(self.variables.clone());
        }
        let version = |(source, version): &(ProjectSource, Option<String>)| {
            let version = ProjectSourceVersion::builder()
                .source_identifier(source.source_identifier.clone()?)
                .source_version(version.clone()?);
            version.build().ok()
        };
        let region = &self.names.region;
        let logs = self.log.as_ref().map(|Place { group, stream }| {
            LogsLocation::builder()
                .group_name(group)
                .stream_name(stream)
                .deep_link(format!(
                    "https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}"
                ))
                .cloud_watch_logs_arn(format!(
                    "arn:aws:logs:{region}:{}:log-group:{group}:log-stream:{stream}",
                    self.names.account
                ))
                .build()
        });
        Build::builder()
            .id(&self.id)
            .arn(&self.arn)
            .build_number(self.names.number)
            .start_time(now())
            .build_status(StatusType::InProgress)
            .set_source_version(self.source_version.clone())
            .set_resolved_source_version(self.source_version.clone())
            .project_name(&self.project)
            .source(self.source.clone())
            .set_secondary_sources(Some(self.secondary_sources.iter().map(|(source, _)| source.clone()).collect()))
            .set_secondary_source_versions(Some(self.secondary_sources.iter().filter_map(version).collect()))
            .artifacts(BuildArtifacts::builder().build())
            .set_environment(environment)
            .set_service_role(self.service_role.clone())
            .set_logs(logs)
            .timeout_in_minutes(self.timeout_in_minutes)
            .set_queued_timeout_in_minutes(project.queued_timeout_in_minutes)
            .build_complete(false)
            .initiator(&self.names.initiator)
            .set_encryption_key(self.encryption_key.clone())
            .build()
    }
}

fn versioned(source: ProjectSource, versions: &[ProjectSourceVersion]) -> (ProjectSource, Option<String>) {
    let version = versions.iter().find(|it| Some(it.source_identifier.as_str()) == source.source_identifier.as_deref());
    (source, version.map(|it| it.source_version.clone()))
}

/// What this host can fetch.
fn check_source(source: &ProjectSource) -> Result<(), ApiError> {
    match source.r#type {
        SourceType::NoSource => Ok(()),
        SourceType::S3 => match source.location.as_deref().and_then(crate::cloud::bucket_and_key) {
            Some((_, key)) if !key.ends_with('/') => Ok(()),
            _ => Err(invalid(format!(
                "The location of an S3 source is bucket/key of a ZIP, not {:?}; this build host takes no folders",
                source.location.as_deref().unwrap_or_default()
            ))),
        },
        ref other => {
            Err(invalid(format!("This build host has no sources of type {other}: override it with S3 or NO_SOURCE")))
        }
    }
}

fn check_destination(artifacts: &ProjectArtifacts) -> Result<(), ApiError> {
    match artifacts.r#type {
        ArtifactsType::NoArtifacts => Ok(()),
        ArtifactsType::S3 if artifacts.location.as_ref().is_some_and(|it| !it.is_empty()) => Ok(()),
        ArtifactsType::S3 => Err(invalid("The location of S3 artifacts, their bucket, is required")),
        ref other => Err(invalid(format!(
            "This build host writes no artifacts of type {other}: override it with S3 or NO_ARTIFACTS"
        ))),
    }
}

/// The project's variables with those of the start, which win by name.
fn merged(own: Option<Vec<EnvironmentVariable>>, over: Option<Vec<EnvironmentVariable>>) -> Vec<EnvironmentVariable> {
    let over = over.unwrap_or_default();
    let mut merged = own.unwrap_or_default();
    merged.retain(|it| over.iter().all(|other| other.name != it.name));
    merged.extend(over);
    merged
}

/// Source: CodeBuild API, `CloudWatchLogsConfig`: without a group it is `/aws/codebuild/PROJECT`; a stream's name is a
/// prefix.
fn place(project: &str, uuid: &str, config: Option<CloudWatchLogsConfig>) -> Option<Place> {
    let default = || format!("/aws/codebuild/{project}");
    let Some(config) = config else { return Some(Place { group: default(), stream: uuid.to_owned() }) };
    (config.status == LogsConfigStatusType::Enabled).then(|| Place {
        group: config.group_name.unwrap_or_else(default),
        stream: config.stream_name.map_or_else(|| uuid.to_owned(), |prefix| format!("{prefix}/{uuid}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starts_variables_win_by_name() {
        let variable =
            |name: &str, value: &str| EnvironmentVariable::builder().name(name).value(value).build().unwrap();
        let merged = merged(Some(vec![variable("A", "1"), variable("B", "1")]), Some(vec![variable("B", "2")]));
        assert_eq!(merged, [variable("A", "1"), variable("B", "2")]);
    }

    #[test]
    fn a_log_has_its_usual_place_unless_the_project_says_otherwise() {
        let usual = place("app", "id", None).unwrap();
        assert_eq!((usual.group.as_str(), usual.stream.as_str()), ("/aws/codebuild/app", "id"));
        let config = CloudWatchLogsConfig::builder().status(LogsConfigStatusType::Disabled).build().unwrap();
        assert!(place("app", "id", Some(config)).is_none());
    }
}
