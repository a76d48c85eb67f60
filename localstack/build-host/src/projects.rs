//! Projects: what CreateProject and UpdateProject say, checked. Source: CodeBuild API, `CreateProject`, `UpdateProject`.

use aws_sdk_codebuild::operation::create_project::CreateProjectInput;
use aws_sdk_codebuild::operation::update_project::UpdateProjectInput;
use aws_sdk_codebuild::types::{Project, ProjectArtifacts, ProjectSource};

use crate::error::{ApiError, Exception};
use crate::record::now;

/// Minutes that a project without a time-out gives its builds, and the limits. Source: CodeBuild API, `CreateProject`,
/// `timeoutInMinutes`.
pub(crate) const TIMEOUT: i32 = 60;
const TIMEOUTS: std::ops::RangeInclusive<i32> = 5..=2160;

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    Exception::InvalidInputException.because(message)
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| invalid(format!("{name} is required")))
}

/// `[A-Za-z0-9][A-Za-z0-9\-_]{1,149}`, the API's pattern.
fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let good = (2..=150).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'))
        && name.bytes().next().is_some_and(plain);
    if good {
        return Ok(());
    }
    Err(invalid(format!(
        "Project name {name:?} is invalid: 2 to 150 letters, digits, '-' and '_', of which the first is a letter or digit"
    )))
}

/// Each secondary source and artifact has an identifier of its own.
fn check_identifiers<'a>(what: &str, identifiers: impl Iterator<Item = Option<&'a str>>) -> Result<(), ApiError> {
    let mut seen = Vec::new();
    for identifier in identifiers {
        let identifier = required(identifier, &format!("The identifier of a secondary {what}"))?;
        if seen.contains(&identifier) {
            return Err(invalid(format!("{what} identifier {identifier:?} is there twice")));
        }
        seen.push(identifier);
    }
    Ok(())
}

/// Identifiers of secondary sources become parts of names of variables and folders: letters, digits and underscores, fewer
/// than 128. Source: CodeBuild API, `ProjectSource.sourceIdentifier`.
pub(crate) fn check_sources(secondary: &[ProjectSource]) -> Result<(), ApiError> {
    for identifier in secondary.iter().filter_map(ProjectSource::source_identifier) {
        let good = (1..128).contains(&identifier.len())
            && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good {
            return Err(invalid(format!(
                "source identifier {identifier:?} is invalid: letters, digits and '_', fewer than 128"
            )));
        }
    }
    check_identifiers("source", secondary.iter().map(ProjectSource::source_identifier))
}

/// Artifacts' identifiers are only compared with those in a buildspec, and the API gives no pattern for them.
pub(crate) fn check_artifacts(secondary: &[ProjectArtifacts]) -> Result<(), ApiError> {
    check_identifiers("artifact", secondary.iter().map(ProjectArtifacts::artifact_identifier))
}

pub(crate) fn check_timeout(minutes: Option<i32>) -> Result<(), ApiError> {
    match minutes {
        Some(minutes) if !TIMEOUTS.contains(&minutes) => {
            Err(invalid(format!("Invalid timeout {minutes}: it must be from 5 to 2160 minutes")))
        }
        _ => Ok(()),
    }
}

/// A new project; what it needs is checked.
pub(crate) fn create(input: CreateProjectInput, arn: String) -> Result<Project, ApiError> {
    let name = required(input.name, "name")?;
    check_name(&name)?;
    required(input.service_role.as_ref(), "serviceRole")?;
    let time = now();
    let project = Project::builder()
        .name(name)
        .arn(arn)
        .set_description(input.description)
        .source(required(input.source, "source")?)
        .set_secondary_sources(input.secondary_sources)
        .set_source_version(input.source_version)
        .set_secondary_source_versions(input.secondary_source_versions)
        .artifacts(required(input.artifacts, "artifacts")?)
        .set_secondary_artifacts(input.secondary_artifacts)
        .set_cache(input.cache)
        .environment(required(input.environment, "environment")?)
        .set_service_role(input.service_role)
        .timeout_in_minutes(input.timeout_in_minutes.unwrap_or(TIMEOUT))
        .set_queued_timeout_in_minutes(input.queued_timeout_in_minutes)
        .set_encryption_key(input.encryption_key)
        .set_tags(input.tags)
        .set_vpc_config(input.vpc_config)
        .set_logs_config(input.logs_config)
        .set_file_system_locations(input.file_system_locations)
        .set_build_batch_config(input.build_batch_config)
        .set_concurrent_build_limit(input.concurrent_build_limit)
        .set_auto_retry_limit(input.auto_retry_limit)
        .created(time)
        .last_modified(time)
        .build();
    check(project)
}

/// The project with what the input names put in its place; the rest stays.
pub(crate) fn update(mut project: Project, input: UpdateProjectInput) -> Result<Project, ApiError> {
    macro_rules! replace {
        ($($member:ident),+ $(,)?) => {$(
            if input.$member.is_some() {
                project.$member = input.$member;
            }
        )+};
    }
    replace!(
        description,
        source,
        secondary_sources,
        source_version,
        secondary_source_versions,
        artifacts,
        secondary_artifacts,
        cache,
        environment,
        service_role,
        timeout_in_minutes,
        queued_timeout_in_minutes,
        encryption_key,
        tags,
        vpc_config,
        logs_config,
        file_system_locations,
        build_batch_config,
        concurrent_build_limit,
        auto_retry_limit,
    );
    project.last_modified = Some(now());
    check(project)
}

fn check(project: Project) -> Result<Project, ApiError> {
    check_sources(project.secondary_sources())?;
    check_artifacts(project.secondary_artifacts())?;
    check_timeout(project.timeout_in_minutes)?;
    Ok(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_identifiers_follow_the_api() {
        for name in ["ab", "A-b_c", "0x"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a", "-ab", "a b", "a/b", &"a".repeat(151)] {
            assert_eq!(check_name(name).unwrap_err().exception, Exception::InvalidInputException, "{name}");
        }
        let sources = |identifiers: &[Option<&str>]| {
            let source = |identifier: &Option<&str>| {
                let source = ProjectSource::builder().r#type(aws_sdk_codebuild::types::SourceType::S3);
                source.set_source_identifier(identifier.map(str::to_owned)).build().unwrap()
            };
            check_sources(&identifiers.iter().map(source).collect::<Vec<_>>())
        };
        assert!(sources(&[Some("a_1"), Some("b")]).is_ok());
        for bad in [&[None][..], &[Some("../x")], &[Some("a-b")], &[Some("a"), Some("a")], &[Some("")]] {
            assert!(sources(bad).is_err(), "{bad:?}");
        }
        assert!(check_identifiers("artifact", [Some("a-b"), Some("b")].into_iter()).is_ok());
        assert!(check_timeout(Some(4)).is_err() && check_timeout(Some(5)).is_ok() && check_timeout(None).is_ok());
    }
}
