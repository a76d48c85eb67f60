//! Deploy/AppConfig: a file of the input artifact becomes the configuration of an environment. Source: CodePipeline user
//! guide, 'AWS AppConfig deploy action reference'; AppConfig API, `CreateHostedConfigurationVersion`, `StartDeployment`,
//! `GetDeployment`, `StopDeployment`.
//!
//! On AWS the configuration profile has its content in CodePipeline (`codepipeline://PIPELINE`), from where AppConfig fetches
//! it. It cannot fetch anything from another pipeline engine, so the profile must be one that AppConfig hosts, and the file
//! becomes its next version.
//!
//! AppConfig has no idempotency token. The version's label is the attempt's id, which no other version of the profile can
//! have; by it the version is found again, and its deployment.
//!
//! AppConfig sends events only where somebody has associated an extension for them, so that the action is polled.

use async_trait::async_trait;
use aws_sdk_appconfig::Client;
use aws_sdk_appconfig::config::Builder;
use aws_sdk_appconfig::config::retry::RetryConfig;
use aws_sdk_appconfig::operation::create_hosted_configuration_version::CreateHostedConfigurationVersionError;
use aws_sdk_appconfig::operation::get_configuration_profile::GetConfigurationProfileError;
use aws_sdk_appconfig::operation::get_deployment::{GetDeploymentError, GetDeploymentOutput};
use aws_sdk_appconfig::operation::list_deployments::ListDeploymentsError;
use aws_sdk_appconfig::operation::list_hosted_configuration_versions::ListHostedConfigurationVersionsError;
use aws_sdk_appconfig::operation::start_deployment::StartDeploymentError;
use aws_sdk_appconfig::primitives::{Blob, DateTime};
use aws_sdk_appconfig::types::DeploymentState;
use driver::Outcome;
use engine::{External, Progress, Success};
use serde::Deserialize;

use crate::configuration::{read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::input_zip::InputZip;
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions, Scope};
use crate::provider::{Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id};

/// Longest configuration that AppConfig hosts, in bytes; an account's quota may be less. Source: AWS General Reference, 'AWS
/// AppConfig endpoints and quotas'.
const LONGEST_FILE: u64 = 4 << 20;
/// What deploys where the configuration names no strategy. Source: AppConfig user guide, 'Using predefined deployment
/// strategies'.
const USUAL_STRATEGY: &str = "AppConfig.AllAtOnce";
/// Where AppConfig itself has a profile's content. Source: AppConfig API, `CreateConfigurationProfile`, `LocationUri`.
const HOSTED: &str = "hosted";
/// Events of a deployment that a failure repeats.
const EVENTS: usize = 3;

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        entity: Some(EntityPage {
            key: "Application",
            path: "systems-manager/appconfig/applications/{}?region={region}",
        }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "AppConfig")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by poll",
                tried: Tried::MiniStack,
                differs: "The profile must be hosted by AppConfig, which cannot fetch from a pipeline that is not \
                          CodePipeline's: each action makes a version, whose label is its id. Without DeploymentStrategy \
                          it is AppConfig.AllAtOnce. An action that is abandoned or timed out does not stop its \
                          deployment.",
            },
        )
    },
    provider: &AppConfig,
    token: attempt_id,
};

/// Names of applications and the like do not occur in ARNs, only ids do.
fn id(scope: &Scope<'_>, key: &str) -> String {
    let is_id = |value: &String| {
        value.starts_with("AppConfig.")
            || (4..=7).contains(&value.len())
                && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    scope.value(key).filter(is_id).unwrap_or_else(|| "*".to_owned())
}

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(
            &[
                "appconfig:CreateHostedConfigurationVersion",
                "appconfig:GetConfigurationProfile",
                "appconfig:ListHostedConfigurationVersions",
            ],
            |scope| {
                let application = format!("application/{}", id(scope, "Application"));
                let profile = format!("{application}/configurationprofile/{}", id(scope, "ConfigurationProfile"));
                vec![scope.arn("appconfig", &application), scope.arn("appconfig", &profile)]
            },
        ),
        Permission::new(
            &["appconfig:GetDeployment", "appconfig:ListDeployments", "appconfig:StartDeployment"],
            |scope| {
                let application = format!("application/{}", id(scope, "Application"));
                let environment = format!("{application}/environment/{}", id(scope, "Environment"));
                let strategy = match scope.value("DeploymentStrategy") {
                    None => USUAL_STRATEGY.to_owned(),
                    Some(_) => id(scope, "DeploymentStrategy"),
                };
                [
                    format!("{application}/configurationprofile/{}", id(scope, "ConfigurationProfile")),
                    format!("{environment}/deployment/*"),
                    format!("deploymentstrategy/{strategy}"),
                    environment,
                    application,
                ]
                .map(|resource| scope.arn("appconfig", &resource))
                .into()
            },
        ),
    ],
    READ_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    application: &'a str,
    environment: &'a str,
    configuration_profile: &'a str,
    input_artifact_configuration_path: &'a str,
    #[serde(default = "usual_strategy")]
    deployment_strategy: &'a str,
}

fn usual_strategy() -> &'static str {
    USUAL_STRATEGY
}

struct AppConfig;

#[async_trait]
impl Provider for AppConfig {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        let left = if context.task.reclaimed { deploy.version().await? } else { None };
        let version = match left {
            Some(version) => {
                if let Some(number) = deploy.deployment().await? {
                    return Ok(deploy.begun(number));
                }
                version
            }
            None => deploy.create_version().await?,
        };
        deploy.start(version).await
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        let number = context.task.external.as_ref().and_then(|external| external.id.rsplit('/').next()?.parse().ok());
        let number = match number {
            Some(number) => number,
            None => deploy.deployment().await?.ok_or_else(|| {
                ProviderError::failed(JOB_FAILED, format!("{} has no deployment of this action", deploy.label()))
            })?,
        };
        deploy.look_at(number).await
    }
}

/// A deployment to an environment.
struct Deploy<'a> {
    context: ActionContext<'a>,
    configuration: Configuration<'a>,
    client: Client,
}

impl<'a> Deploy<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration = read(context.task)?;
        let client = Client::new(context.session().await?.config());
        Ok(Self { context, configuration, client })
    }

    /// How messages call the environment.
    fn label(&self) -> String {
        let Configuration { application, environment, .. } = &self.configuration;
        format!("the environment {environment} of the application {application}")
    }

    /// How messages call the configuration profile.
    fn profile(&self) -> String {
        let Configuration { application, configuration_profile, .. } = &self.configuration;
        format!("the configuration profile {configuration_profile} of the application {application}")
    }

    /// Makes the file the next version of the profile; its number.
    async fn create_version(&self) -> Result<i32, ProviderError> {
        let Configuration { application, configuration_profile, input_artifact_configuration_path: path, .. } =
            self.configuration;
        let profile = self.client.get_configuration_profile().application_id(application);
        let profile = profile.configuration_profile_id(configuration_profile).send().await;
        let profile = profile.map_err(|error| ProviderError::aws("GetConfigurationProfile", self.profile(), &error))?;
        let location = profile.location_uri().unwrap_or_default();
        if location != HOSTED {
            return Err(ProviderError::configuration(format!(
                "{} has its content at {location}: Millrace deploys to profiles that AppConfig hosts (location {HOSTED})",
                self.profile()
            )));
        }
        let content = self.content(path).await?;
        let create = self.client.create_hosted_configuration_version().application_id(application);
        let create = create.configuration_profile_id(configuration_profile).content_type(content_type(path));
        let created = create.content(Blob::new(content)).version_label(self.context.token).send().await;
        match created {
            Ok(created) => Ok(created.version_number),
            Err(error) => {
                // A version with this label may be this attempt's, of a call whose answer got lost.
                let conflict = error.as_service_error().is_some_and(|error| error.is_conflict_exception());
                let refused = ProviderError::aws("CreateHostedConfigurationVersion", self.profile(), &error);
                let own = if conflict { self.version().await? } else { None };
                own.ok_or(refused)
            }
        }
    }

    async fn content(&self, path: &str) -> Result<Vec<u8>, ProviderError> {
        let task = self.context.task;
        let input = task.inputs.first().ok_or_else(|| {
            ProviderError::configuration(format!("{} needs an input artifact with the file {path}", title(task)))
        })?;
        let store = self.context.artifact_store(&input.bucket).await?;
        let content = InputZip::open(self.context, &store, input).await?.zip.read(path, LONGEST_FILE).await?;
        Ok(content.to_vec())
    }

    /// The number of the version that was made for this attempt.
    async fn version(&self) -> Result<Option<i32>, ProviderError> {
        let Configuration { application, configuration_profile, .. } = self.configuration;
        let list = self.client.list_hosted_configuration_versions().application_id(application);
        let list = list.configuration_profile_id(configuration_profile).version_label(self.context.token);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| ProviderError::aws("ListHostedConfigurationVersions", self.profile(), &error))?;
            let own = page.items().iter().find(|it| it.version_label() == Some(self.context.token));
            if let Some(own) = own {
                return Ok(Some(own.version_number()));
            }
        }
        Ok(None)
    }

    /// The number of this attempt's deployment, which none from before its request is.
    async fn deployment(&self) -> Result<Option<i32>, ProviderError> {
        let Configuration { application, environment, .. } = self.configuration;
        let since = DateTime::from_millis(self.context.earliest_start().0);
        let list = self.client.list_deployments().application_id(application).environment_id(environment);
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| ProviderError::aws("ListDeployments", self.label(), &error))?;
            let own = page.items().iter().find(|it| it.version_label() == Some(self.context.token));
            if let Some(own) = own {
                return Ok(Some(own.deployment_number()));
            }
            // The newest come first.
            if page.items().last().and_then(|it| it.started_at()).is_some_and(|started| *started < since) {
                break;
            }
        }
        Ok(None)
    }

    async fn start(&self, version: i32) -> Result<Outcome, ProviderError> {
        let Configuration { application, environment, configuration_profile, deployment_strategy, .. } =
            self.configuration;
        // An answer that got lost does not say whether there is a deployment: the next start looks for it.
        let once = Builder::new().retry_config(RetryConfig::disabled());
        let started = self
            .client
            .start_deployment()
            .application_id(application)
            .environment_id(environment)
            .configuration_profile_id(configuration_profile)
            .configuration_version(version.to_string())
            .deployment_strategy_id(deployment_strategy)
            .description(format!("Millrace action execution {}", self.context.token))
            .customize()
            .config_override(once)
            .send()
            .await;
        match started {
            Ok(started) => Ok(self.begun(started.deployment_number)),
            Err(error) => {
                let busy = error.as_service_error().is_some_and(StartDeploymentError::is_conflict_exception);
                let refused = ProviderError::aws("StartDeployment", self.label(), &error);
                // An environment has one deployment at a time, which may be this attempt's, by a worker thought lost.
                let own = if busy { self.deployment().await? } else { None };
                own.map(|number| self.begun(number)).ok_or(refused)
            }
        }
    }

    async fn look_at(&self, number: i32) -> Result<Outcome, ProviderError> {
        let Configuration { application, environment, .. } = self.configuration;
        let get = self.client.get_deployment().application_id(application).environment_id(environment);
        let found = get.deployment_number(number).send().await;
        let found = found.map_err(|error| {
            ProviderError::aws("GetDeployment", format!("deployment {number} to {}", self.label()), &error)
        })?;
        let report = self.report(number, Some(&found));
        match found.state() {
            Some(DeploymentState::Complete) => Ok(Outcome::Succeeded(Success { report, ..Success::default() })),
            Some(state @ (DeploymentState::RolledBack | DeploymentState::Reverted)) => {
                let mut message = format!("Deployment {number} to {} ended as {state}", self.label());
                // The newest come first.
                for event in found.event_log().iter().filter_map(|event| event.description()).take(EVENTS) {
                    message = format!("{message}\n{event}");
                }
                Err(ProviderError::Failed { code: JOB_FAILED, message, report })
            }
            _ => Ok(running(report)),
        }
    }

    fn begun(&self, number: i32) -> Outcome {
        running(self.report(number, None))
    }

    fn report(&self, number: i32, found: Option<&GetDeploymentOutput>) -> Progress {
        let Configuration { application, environment, .. } = self.configuration;
        let id = format!("application/{application}/environment/{environment}/deployment/{number}");
        let url = console::appconfig_environment(&self.context.task.region, application, environment);
        let percent = found.and_then(|it| it.percentage_complete());
        let summary = found.and_then(|it| it.state()).map(|state| match percent {
            Some(percent) => format!("Deployment {number} is {state}, {percent:.0} percent"),
            None => format!("Deployment {number} is {state}"),
        });
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage, and `as` saturates")]
        let percent = percent.map(|percent| percent.min(100.0) as u8);
        Progress { external: Some(External { id, url: Some(url) }), summary, percent }
    }
}

fn running(report: Progress) -> Outcome {
    Outcome::Running { report, poll: true, event_source: None }
}

/// What a file holds, by its name. Source: AppConfig user guide, 'Creating a freeform configuration profile'.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("json") => "application/json",
        Some("yaml" | "yml") => "application/x-yaml",
        _ => "text/plain",
    }
}

/// What all operations can answer.
macro_rules! classify {
    ($($error:ident: $($retryable:ident)* / $($configuration:ident)*;)*) => {$(
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                match self {
                    Self::InternalServerException(_) => Some(ErrorClass::Retryable),
                    $(Self::$retryable(_) => Some(ErrorClass::Retryable),)*
                    Self::BadRequestException(_) | Self::ResourceNotFoundException(_) => {
                        Some(ErrorClass::Configuration)
                    }
                    $(Self::$configuration(_) => Some(ErrorClass::Configuration),)*
                    _ => None,
                }
            }
        }
    )*};
}

classify! {
    // A conflict is another version that is being made.
    CreateHostedConfigurationVersionError: ConflictException / PayloadTooLargeException ServiceQuotaExceededException;
    GetConfigurationProfileError: /;
    GetDeploymentError: /;
    ListDeploymentsError: /;
    ListHostedConfigurationVersionsError: /;
    // A conflict is another deployment: it may take hours, and this one would then undo it.
    StartDeploymentError: /;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_what_it_holds() {
        for (path, expected) in [
            ("flags.json", "application/json"),
            ("conf/app.YAML", "application/x-yaml"),
            ("app.yml", "application/x-yaml"),
            ("json", "text/plain"),
            ("app.properties", "text/plain"),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }
}
