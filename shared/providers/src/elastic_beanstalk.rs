//! Deploy/ElasticBeanstalk: a new version of an application in one of its environments. Source: CodePipeline user guide,
//! 'AWS Elastic Beanstalk deploy action reference'; Elastic Beanstalk API, `CreateApplicationVersion`,
//! `UpdateEnvironment`, `DescribeEvents`.
//!
//! Elastic Beanstalk reads a source bundle by its key, whatever its newest version is by then. The recorded version of the
//! input artifact is therefore copied to Elastic Beanstalk's own bucket, as CodePipeline does, under a key that is the
//! attempt's own. The application version's label is the attempt's id, by which everything is found that a lost worker
//! left: the copy, the version, and the environment that it updated.
//!
//! An environment can be ready again though a deployment has failed. So a deployment succeeds only if the environment has
//! the version and reports no error since the action began.

use artifacts::Settings;
use async_trait::async_trait;
use aws_sdk_elasticbeanstalk::Client;
use aws_sdk_elasticbeanstalk::operation::create_application_version::CreateApplicationVersionError;
use aws_sdk_elasticbeanstalk::operation::create_storage_location::CreateStorageLocationError;
use aws_sdk_elasticbeanstalk::operation::describe_application_versions::DescribeApplicationVersionsError;
use aws_sdk_elasticbeanstalk::operation::describe_environments::DescribeEnvironmentsError;
use aws_sdk_elasticbeanstalk::operation::describe_events::DescribeEventsError;
use aws_sdk_elasticbeanstalk::operation::update_environment::UpdateEnvironmentError;
use aws_sdk_elasticbeanstalk::primitives::DateTime;
use aws_sdk_elasticbeanstalk::types::{EnvironmentDescription, EnvironmentStatus, EventSeverity, S3Location};
use driver::{Outcome, Task};
use engine::{External, Progress, Success};
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::{read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions, everything};
use crate::provider::{
    Correlation, Descriptor, Documentation, EntityPage, Events, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

/// Events of an environment that a failure repeats.
const MESSAGES: i32 = 3;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        events: Some(Events {
            source: "aws.elasticbeanstalk",
            detail_types: &["Elastic Beanstalk resource status change"],
            correlation: Correlation::ExternalId(changed_environment),
        }),
        entity: Some(EntityPage {
            key: "ApplicationName",
            path: "elasticbeanstalk/home?region={region}#/application/overview?applicationName={}",
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "ElasticBeanstalk")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by event or poll",
                tried: Tried::ProviderEmulator,
                differs: "An environment that reports an error since the action began makes it fail, also if it is ready.",
            },
        )
    },
    provider: &ElasticBeanstalk,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &[
                "elasticbeanstalk:CreateApplicationVersion",
                "elasticbeanstalk:DescribeApplicationVersions",
                "elasticbeanstalk:DescribeEnvironments",
                "elasticbeanstalk:DescribeEvents",
                "elasticbeanstalk:UpdateEnvironment",
            ],
            |scope| {
                let application = scope.value_or_any("ApplicationName");
                let environment = scope.value_or_any("EnvironmentName");
                [
                    format!("application/{application}"),
                    format!("applicationversion/{application}/*"),
                    format!("environment/{application}/{environment}"),
                ]
                .map(|resource| scope.arn("elasticbeanstalk", &resource))
                .into()
            },
        ),
        Permission::new(&["elasticbeanstalk:CreateStorageLocation"], everything),
        Permission::new(&["s3:GetObject", "s3:PutObject"], |scope| {
            let bucket = format!("elasticbeanstalk-{}-{}", scope.region, scope.role_account());
            vec![scope.object(&bucket, &format!("{}/*", scope.value_or_any("ApplicationName")))]
        }),
    ],
    READ_INPUTS,
])
.beside(|_| {
    Some(
        "the update of an environment changes its resources with the rights of the role: the managed policy \
         AdministratorAccess-AWSElasticBeanstalk has all of them",
    )
});

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    application_name: &'a str,
    environment_name: &'a str,
}

/// The environment that an event is about. Source: Elastic Beanstalk developer guide, 'Using Elastic Beanstalk with Amazon
/// EventBridge'.
fn changed_environment(detail: &Value) -> Option<String> {
    let text = |key: &str| detail.get(key)?.as_str();
    Some(external_id(text("ApplicationName")?, text("EnvironmentName")?))
}

/// Events name no version, only the environment: an action is known by that.
fn external_id(application: &str, environment: &str) -> String {
    format!("{application}/{environment}")
}

struct ElasticBeanstalk;

#[async_trait]
impl Provider for ElasticBeanstalk {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let task = context.task;
        let environment = Environment::new(context).await?;
        let before = environment.describe().await?;
        let has_version = task.reclaimed && environment.has_version().await?;
        // While it is updated it may still show the version before.
        let is_updated = before.status() == Some(&EnvironmentStatus::Updating);
        if has_version && (is_updated || before.version_label() == Some(context.token)) {
            return Ok(environment.running(&before));
        }
        if !has_version {
            let bundle = environment.bundle().await?;
            environment.create_version(bundle).await?;
        }
        let client = &environment.client;
        let Configuration { application_name, environment_name } = environment.configuration;
        let update = client.update_environment().application_name(application_name).environment_name(environment_name);
        let updated = update.version_label(context.token).send().await;
        updated.map_err(|error| ProviderError::aws("UpdateEnvironment", environment.name(), &error))?;
        Ok(Outcome::Running { report: environment.report("Updating"), poll: true, event_source: None })
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let environment = Environment::new(context).await?;
        let now = environment.describe().await?;
        match now.status() {
            Some(EnvironmentStatus::Ready) => {}
            Some(status @ (EnvironmentStatus::Terminating | EnvironmentStatus::Terminated)) => {
                return Err(environment.failed(&format!("is {status}"), &[]));
            }
            _ => return Ok(environment.running(&now)),
        }
        let errors = environment.errors().await?;
        let runs = now.version_label().unwrap_or("no version");
        if runs != context.token {
            return Err(
                environment.failed(&format!("did not take the version {}: it runs {runs}", context.token), &errors)
            );
        }
        if !errors.is_empty() {
            return Err(environment.failed(&format!("reports errors with the version {runs}"), &errors));
        }
        let report = environment.report(&state(&now));
        Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
    }
}

/// An environment, and the attempt that deploys to it.
struct Environment<'a> {
    context: ActionContext<'a>,
    configuration: Configuration<'a>,
    client: Client,
}

impl<'a> Environment<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration = read(context.task)?;
        Ok(Self { context, configuration, client: Client::new(context.session().await?.config()) })
    }

    /// How messages call it.
    fn name(&self) -> String {
        let Configuration { application_name, environment_name } = self.configuration;
        format!("the environment {environment_name} of the application {application_name}")
    }

    async fn describe(&self) -> Result<EnvironmentDescription, ProviderError> {
        let Configuration { application_name, environment_name } = self.configuration;
        let found = self.client.describe_environments().application_name(application_name);
        let found = found.environment_names(environment_name).include_deleted(false).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeEnvironments", self.name(), &error))?;
        found.environments.unwrap_or_default().into_iter().next().ok_or_else(|| {
            ProviderError::configuration(format!("DescribeEnvironments of {} failed: there is none", self.name()))
        })
    }

    async fn has_version(&self) -> Result<bool, ProviderError> {
        let found = self.client.describe_application_versions().application_name(self.configuration.application_name);
        let found = found.version_labels(self.context.token).send().await;
        let found = found.map_err(|error| ProviderError::aws("DescribeApplicationVersions", self.name(), &error))?;
        Ok(!found.application_versions().is_empty())
    }

    /// Copies the input artifact to where Elastic Beanstalk keeps bundles.
    async fn bundle(&self) -> Result<S3Location, ProviderError> {
        let (context, task) = (self.context, self.context.task);
        let input = task
            .inputs
            .first()
            .ok_or_else(|| ProviderError::configuration(format!("{} needs an input artifact", title(task))))?;
        let location = self.client.create_storage_location().send().await;
        let location = location.map_err(|error| ProviderError::aws("CreateStorageLocation", &task.region, &error))?;
        let bucket = location.s3_bucket.ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, "CreateStorageLocation: Elastic Beanstalk's answer names no bucket")
        })?;
        let source = context.artifact_store(&input.bucket).await?.find(&input.artifact.key, &input.pin).await?;
        let key = format!("{}/{}.zip", self.configuration.application_name, context.token);
        context.bucket(&bucket).await?.copy(&source, &key, &Settings::default()).await?;
        Ok(S3Location::builder().s3_bucket(bucket).s3_key(key).build())
    }

    async fn create_version(&self, bundle: S3Location) -> Result<(), ProviderError> {
        let Task { pipeline, id, .. } = self.context.task;
        let create = self.client.create_application_version();
        let create = create.application_name(self.configuration.application_name).version_label(self.context.token);
        let create = create.description(format!("Pipeline {pipeline}, execution {}", id.execution));
        let created = create.source_bundle(bundle).send().await;
        created.map_err(|error| ProviderError::aws("CreateApplicationVersion", self.name(), &error))?;
        Ok(())
    }

    /// What the environment reports as errors since the action began, the newest first.
    async fn errors(&self) -> Result<Vec<String>, ProviderError> {
        let Configuration { application_name, environment_name } = self.configuration;
        let events = self.client.describe_events().application_name(application_name);
        let events = events.environment_name(environment_name).severity(EventSeverity::Error).max_records(MESSAGES);
        let events = events.start_time(DateTime::from_millis(self.context.requested().0)).send().await;
        let events = events.map_err(|error| ProviderError::aws("DescribeEvents", self.name(), &error))?;
        Ok(events.events.unwrap_or_default().into_iter().filter_map(|event| event.message).collect())
    }

    fn report(&self, state: &str) -> Progress {
        let Configuration { application_name, environment_name } = self.configuration;
        let url = console::beanstalk_environment(&self.context.task.region, application_name, environment_name);
        let id = external_id(application_name, environment_name);
        Progress {
            external: Some(External { id, url: Some(url) }),
            summary: Some(format!("Version {}: {state}", self.context.token)),
            percent: None,
        }
    }

    fn running(&self, now: &EnvironmentDescription) -> Outcome {
        Outcome::Running { report: self.report(&state(now)), poll: true, event_source: None }
    }

    fn failed(&self, how: &str, errors: &[String]) -> ProviderError {
        let Configuration { environment_name, .. } = self.configuration;
        let mut message = format!("The environment {environment_name} {how}");
        for error in errors {
            message = format!("{message}\n{error}");
        }
        ProviderError::Failed { code: JOB_FAILED, message, report: self.report("Failed") }
    }
}

/// Status and health of an environment, for people.
fn state(now: &EnvironmentDescription) -> String {
    let status = now.status().map_or("-", EnvironmentStatus::as_str);
    match now.health() {
        Some(health) => format!("{status}, health {health}"),
        None => status.to_owned(),
    }
}

impl ClassifyError for CreateApplicationVersionError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InsufficientPrivilegesException(_) => Some(ErrorClass::Permission),
            Self::TooManyApplicationsException(_) | Self::TooManyApplicationVersionsException(_) => {
                Some(ErrorClass::Configuration)
            }
            _ => None,
        }
    }
}

impl ClassifyError for UpdateEnvironmentError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InsufficientPrivilegesException(_) => Some(ErrorClass::Permission),
            Self::TooManyBucketsException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for CreateStorageLocationError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InsufficientPrivilegesException(_) => Some(ErrorClass::Permission),
            Self::TooManyBucketsException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}

impl ClassifyError for DescribeApplicationVersionsError {}
impl ClassifyError for DescribeEnvironmentsError {}
impl ClassifyError for DescribeEventsError {}
