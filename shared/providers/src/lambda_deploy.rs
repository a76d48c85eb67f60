//! Deploy/Lambda: a function's new code, and the traffic of its alias. Source: CodePipeline user guide, 'AWS Lambda deploy
//! action reference' and 'Tutorial: Lambda function deployments with CodePipeline'; Lambda API, `UpdateFunctionCode`,
//! `PublishVersion`, `UpdateAlias`.
//!
//! The input artifact is the function's code: Lambda reads it from the store, by the version that was recorded. When the
//! update is done, a version is published, to which `lambda_traffic` moves the alias. Without an input artifact only the
//! traffic moves, to a version that was published before.
//!
//! All of this can be begun again. Code that the function has already is not updated, and Lambda publishes no second
//! version of what has not changed since the last one. How far the traffic is, the alias itself says; since when, the
//! action's external id: see [`DeployState`].

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_alias::GetAliasError;
use aws_sdk_lambda::operation::get_function_configuration::{
    GetFunctionConfigurationError, GetFunctionConfigurationOutput,
};
use aws_sdk_lambda::operation::publish_version::PublishVersionError;
use aws_sdk_lambda::operation::update_alias::UpdateAliasError;
use aws_sdk_lambda::operation::update_function_code::UpdateFunctionCodeError;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use driver::{Outcome, TaskInput};
use engine::{External, Progress, Success, Timestamp};
use serde::Deserialize;

use crate::configuration::{read, title};
use crate::console;
use crate::context::ActionContext;
use crate::error::{ClassifyError, ErrorClass, JOB_FAILED, ProviderError};
use crate::function_report::{arn, name};
use crate::lambda_traffic::{Alarms, DeployStrategy, Traffic};
use crate::permission::artifacts::READ_INPUTS;
use crate::permission::{Permission, Permissions, everything};
use crate::provider::{
    DeployTarget, Descriptor, Documentation, EntityPage, Implements, Provider, ProviderInfo, Tried, attempt_id,
};

pub(crate) const PROVIDER: Descriptor = Descriptor {
    info: ProviderInfo {
        entity: Some(EntityPage { key: "FunctionName", path: "lambda/home?region={region}#/functions/{}" }),
        deploy_target: Some(DeployTarget { key: "FunctionName", kind: "LambdaFunction" }),
        ..ProviderInfo::of(
            &[Implements::aws("Deploy", "Lambda")],
            PERMISSIONS,
            Documentation {
                file: file!(),
                ends: "by poll",
                tried: Tried::Emulators,
                differs: "The traffic moves, and the alarms are looked at, with a poll: up to a minute later than the \
                          strategy says. An action that is abandoned or timed out leaves the alias as it is. An input \
                          artifact beside PublishedTargetVersion is refused. Provisioned concurrency is not waited for.",
            },
        )
    },
    provider: &LambdaDeploy,
    token: attempt_id,
};

const PERMISSIONS: Permissions = Permissions::of(&[
    &[
        Permission::new(&["lambda:GetFunctionConfiguration"], |scope| {
            let function = arn(scope);
            vec![format!("{function}:*"), function]
        }),
        Permission::new(&["lambda:PublishVersion", "lambda:UpdateFunctionCode"], |scope| {
            if scope.action.inputs.is_empty() { Vec::new() } else { vec![arn(scope)] }
        }),
        Permission::new(&["lambda:GetAlias", "lambda:UpdateAlias"], |scope| match scope.value("FunctionAlias") {
            Some(_) => vec![arn(scope)],
            None => Vec::new(),
        }),
        // Alarms of another kind than a metric's are shown to those alone who may look at all.
        Permission::new(&["cloudwatch:DescribeAlarms"], |scope| match scope.value("Alarms") {
            Some(_) => everything(scope),
            None => Vec::new(),
        }),
    ],
    READ_INPUTS,
]);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration<'a> {
    function_name: &'a str,
    function_alias: Option<&'a str>,
    published_target_version: Option<&'a str>,
    deploy_strategy: Option<DeployStrategy>,
    #[serde(default)]
    alarms: Alarms,
}

struct LambdaDeploy;

#[async_trait]
impl Provider for LambdaDeploy {
    async fn start(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        let deploy = Deploy::new(context).await?;
        if let Some(traffic) = deploy.traffic() {
            traffic.check(context.task.reclaimed).await?;
        }
        match deploy.code {
            Some(code) if deploy.update(code).await? == Some(LastUpdateStatus::InProgress) => Ok(deploy.updating()),
            _ => deploy.go_on().await,
        }
    }

    async fn poll(&self, context: ActionContext<'_>) -> Result<Outcome, ProviderError> {
        Deploy::new(context).await?.go_on().await
    }
}

/// How far an attempt is: the version that it deploys and, once the alias sends part of its traffic there, how much and
/// since when. It is the action's external id: `shop:7`, and `shop:7@10@1795471600` for 10 percent since that second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeployState {
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) step: Option<Step>,
}

/// The percentage of an alias's traffic that a version was given last, and when that was seen first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) percent: u32,
    pub(crate) since: Timestamp,
}

impl DeployState {
    fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split('@');
        let (function, version) = parts.next()?.rsplit_once(':')?;
        let step = match (parts.next(), parts.next()) {
            (Some(percent), Some(seconds)) => {
                let since = Timestamp(seconds.parse::<i64>().ok()?.checked_mul(1_000)?);
                Some(Step { percent: percent.parse().ok()?, since })
            }
            _ => None,
        };
        Some(Self { function: function.to_owned(), version: version.to_owned(), step })
    }

    fn id(&self) -> String {
        let Self { function, version, step } = self;
        match step {
            Some(Step { percent, since }) => format!("{function}:{version}@{percent}@{}", since.0 / 1_000),
            None => format!("{function}:{version}"),
        }
    }

    pub(crate) fn report(&self, region: &str, summary: String) -> Progress {
        let url = Some(console::lambda_version(region, &self.function, &self.version));
        let percent = self.step.and_then(|step| u8::try_from(step.percent).ok());
        Progress { external: Some(External { id: self.id(), url }), summary: Some(summary), percent }
    }

    pub(crate) fn running(&self, region: &str, summary: String) -> Outcome {
        Outcome::Running { report: self.report(region, summary), poll: true, event_source: None }
    }

    pub(crate) fn succeeded(&self, region: &str, summary: String) -> Outcome {
        let done = Self { step: None, ..self.clone() };
        let report = Progress { percent: Some(100), ..done.report(region, summary) };
        let variables = [("FunctionVersion".to_owned(), self.version.clone())].into();
        Outcome::Succeeded(Success { report, variables, ..Success::default() })
    }
}

struct Deploy<'a> {
    context: ActionContext<'a>,
    configuration: Configuration<'a>,
    /// The input artifact; none where a version is deployed that was published before.
    code: Option<&'a TaskInput>,
    client: Client,
    alarms: aws_sdk_cloudwatch::Client,
}

impl<'a> Deploy<'a> {
    async fn new(context: ActionContext<'a>) -> Result<Self, ProviderError> {
        let configuration: Configuration<'_> = read(context.task)?;
        let code = code(context, &configuration)?;
        let session = context.session().await?;
        let alarms = aws_sdk_cloudwatch::Client::new(session.config());
        Ok(Self { context, configuration, code, client: session.lambda(), alarms })
    }

    /// How messages call the function.
    fn label(&self) -> String {
        format!("the function {} in {}", self.configuration.function_name, self.context.task.region)
    }

    fn traffic(&self) -> Option<Traffic<'_>> {
        Some(Traffic {
            client: &self.client,
            cloudwatch: &self.alarms,
            region: &self.context.task.region,
            now: self.context.now,
            function: self.configuration.function_name,
            alias: self.configuration.function_alias?,
            strategy: self.configuration.deploy_strategy.unwrap_or_default(),
            alarms: &self.configuration.alarms,
        })
    }

    /// Gives the function the code of the artifact, if it has another one; how far Lambda is with that.
    async fn update(&self, code: &TaskInput) -> Result<Option<LastUpdateStatus>, ProviderError> {
        let recorded = recorded(code);
        if recorded.is_some() && self.describe(None).await?.code_sha256.as_deref() == recorded {
            return Ok(None);
        }
        let object = self.context.artifact_store(&code.bucket).await?.find(&code.artifact.key, &code.pin).await?;
        let update = self.client.update_function_code().function_name(self.configuration.function_name);
        let update = update.s3_bucket(&code.bucket).s3_key(&code.artifact.key);
        let updated = update.set_s3_object_version(object.version_id).send().await;
        let updated = updated.map_err(|error| ProviderError::aws("UpdateFunctionCode", self.label(), &error))?;
        Ok(updated.last_update_status)
    }

    fn updating(&self) -> Outcome {
        let summary = Some(format!("Lambda updates the code of {}", self.name()));
        Outcome::Running { report: Progress { summary, ..Progress::default() }, poll: true, event_source: None }
    }

    /// Goes on from where the attempt is, as far as that goes without waiting.
    async fn go_on(&self) -> Result<Outcome, ProviderError> {
        let region = &self.context.task.region;
        let known = self.context.task.external.as_ref().and_then(|external| DeployState::parse(&external.id));
        let state = match known {
            Some(state) => state,
            None => match self.version().await? {
                Ok(version) => DeployState { function: self.name().to_owned(), version, step: None },
                Err(waiting) => return Ok(waiting),
            },
        };
        if state.step.is_none()
            && let Some(why) = self.not_active(&state.version).await?
        {
            return Ok(state.running(region, why));
        }
        match self.traffic() {
            Some(traffic) => traffic.shift(state).await,
            None => Ok(state.succeeded(region, format!("Version {} is published", state.version))),
        }
    }

    fn name(&self) -> &str {
        name(self.configuration.function_name)
    }

    /// The version to be deployed, or that it cannot be published yet.
    async fn version(&self) -> Result<Result<String, Outcome>, ProviderError> {
        let Some(code) = self.code else {
            return Ok(Ok(self.configuration.published_target_version.unwrap_or_default().to_owned()));
        };
        let latest = self.describe(None).await?;
        match latest.last_update_status() {
            Some(LastUpdateStatus::InProgress) => return Ok(Err(self.updating())),
            Some(LastUpdateStatus::Failed) => {
                let reason = latest.last_update_status_reason().unwrap_or("Lambda gives no reason");
                let message = format!("Lambda could not update the code of {}: {reason}", self.label());
                return Err(ProviderError::failed(JOB_FAILED, message));
            }
            _ => {}
        }
        if let (Some(recorded), Some(there)) = (recorded(code), latest.code_sha256())
            && recorded != there
        {
            let message = format!("The code of {} was changed by somebody else before it was published", self.label());
            return Err(ProviderError::failed(JOB_FAILED, message));
        }
        let publish = self.client.publish_version().function_name(self.configuration.function_name);
        // Whatever has come between is not published.
        let published = publish.set_code_sha256(latest.code_sha256).send().await;
        let published = published.map_err(|error| ProviderError::aws("PublishVersion", self.label(), &error))?;
        let version = published.version.ok_or_else(|| {
            ProviderError::Retryable(format!("PublishVersion: Lambda's answer has no version of {}", self.label()))
        })?;
        Ok(Ok(version))
    }

    /// Why a version cannot be invoked yet; nothing when it can.
    async fn not_active(&self, version: &str) -> Result<Option<String>, ProviderError> {
        let found = self.describe(Some(version)).await?;
        let reason = found.state_reason().unwrap_or("Lambda gives no reason");
        match found.state() {
            Some(State::Pending) => Ok(Some(format!("Version {version} of {} is pending: {reason}", self.name()))),
            Some(State::Failed) => {
                let message = format!("Version {version} of {} cannot be invoked: {reason}", self.label());
                Err(ProviderError::failed(JOB_FAILED, message))
            }
            _ => Ok(None),
        }
    }

    async fn describe(&self, version: Option<&str>) -> Result<GetFunctionConfigurationOutput, ProviderError> {
        let describe = self.client.get_function_configuration().function_name(self.configuration.function_name);
        let found = describe.set_qualifier(version.map(str::to_owned)).send().await;
        found.map_err(|error| {
            let version = version.map(|version| format!("version {version} of ")).unwrap_or_default();
            ProviderError::aws("GetFunctionConfiguration", format!("{version}{}", self.label()), &error)
        })
    }
}

/// The artifact to be deployed, where the configuration names no version instead.
fn code<'a>(
    context: ActionContext<'a>,
    configuration: &Configuration<'_>,
) -> Result<Option<&'a TaskInput>, ProviderError> {
    let code = context.task.inputs.first();
    let wrong = |why: String| Err(ProviderError::configuration(why));
    match (code, configuration.published_target_version, configuration.function_alias) {
        (_, Some(_), None) => wrong("PublishedTargetVersion needs a value for FunctionAlias".to_owned()),
        (_, _, None) if configuration.deploy_strategy.is_some() => {
            wrong("DeployStrategy needs a value for FunctionAlias".to_owned())
        }
        (None, None, _) => {
            wrong(format!("{} needs an input artifact or a value for PublishedTargetVersion", title(context.task)))
        }
        (Some(_), Some(_), _) => wrong(format!(
            "{} has an input artifact and a value for PublishedTargetVersion: it deploys one of them",
            title(context.task)
        )),
        (None, Some(version), _) if !version.bytes().all(|digit| digit.is_ascii_digit()) => {
            wrong(format!("PublishedTargetVersion is {version:?}: it must be the number of a published version"))
        }
        (code, ..) => Ok(code),
    }
}

/// The SHA-256 of an artifact as Lambda writes that of a function's code, if it was recorded.
fn recorded(code: &TaskInput) -> Option<&str> {
    code.pin.sha256.as_deref().or(code.artifact.pin.sha256.as_deref())
}

/// What all operations can answer.
macro_rules! classify {
    ($($error:ident: $($retryable:ident)* / $($configuration:ident)*;)*) => {$(
        impl ClassifyError for $error {
            fn class(&self) -> Option<ErrorClass> {
                match self {
                    Self::ServiceException(_) | Self::TooManyRequestsException(_) => Some(ErrorClass::Retryable),
                    $(Self::$retryable(_) => Some(ErrorClass::Retryable),)*
                    Self::InvalidParameterValueException(_) | Self::ResourceNotFoundException(_) => {
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
    GetAliasError: /;
    GetFunctionConfigurationError: /;
    // Another update is under way, or has come between.
    PublishVersionError: PreconditionFailedException ResourceConflictException / CodeStorageExceededException;
    UpdateAliasError: PreconditionFailedException ResourceConflictException /;
    UpdateFunctionCodeError: PreconditionFailedException ResourceConflictException / CodeStorageExceededException
        CodeSigningConfigNotFoundException CodeVerificationFailedException InvalidCodeSignatureException;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_from_its_id() {
        let since = Timestamp(1_795_471_600_000);
        for step in [None, Some(Step { percent: 10, since })] {
            let state = DeployState { function: "shop".into(), version: "7".into(), step };
            assert_eq!(DeployState::parse(&state.id()), Some(state));
        }
        for other in ["shop", "shop:7@x@1", "shop:7@10@x", &format!("shop:7@10@{}", i64::MAX)] {
            assert_eq!(DeployState::parse(other), None, "{other}");
        }
    }
}
