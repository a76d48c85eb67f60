//! Action types between the domain's form and the API's two: the older one of custom types, the newer one of third
//! parties'.

use aws_sdk_codepipeline::operation::create_custom_action_type::CreateCustomActionTypeInput;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionConfigurationProperty, ActionConfigurationPropertyType, ActionType,
    ActionTypeArtifactDetails, ActionTypeDeclaration, ActionTypeExecutor, ActionTypeIdentifier, ActionTypePermissions,
    ActionTypeProperty, ActionTypeSettings, ActionTypeUrls, ArtifactDetails, ExecutorConfiguration, ExecutorType,
    JobWorkerExecutorConfiguration, LambdaExecutorConfiguration,
};
use pipeline::TypeId;
use pipeline::catalogue::{self, Property};
use pipeline::custom::{Counts, DefinedProperty, Definition, Executor, ExecutorKind, Urls};
use wire::ApiError;

use crate::{actions, convert};

/// A custom type as it is created.
pub fn custom(input: CreateCustomActionTypeInput) -> Result<Definition, ApiError> {
    let id = id("Custom", input.category, input.provider, input.version)?;
    let settings = input.settings;
    let property = |property: ActionConfigurationProperty| DefinedProperty {
        name: property.name,
        required: property.required,
        key: property.key,
        secret: property.secret,
        queryable: property.queryable,
        description: property.description,
        kind: property.r#type.map(|kind| kind.as_str().to_owned()),
    };
    let counts = |details: Option<ArtifactDetails>| {
        details.map_or(Ok(Counts::default()), |details| counted(details.minimum_count, details.maximum_count))
    };
    Ok(Definition {
        id,
        description: None,
        urls: settings.map_or_else(Urls::default, |settings| Urls {
            configuration: settings.third_party_configuration_url,
            entity: settings.entity_url_template,
            execution: settings.execution_url_template,
            revision: settings.revision_url_template,
        }),
        properties: input.configuration_properties.map(|all| all.into_iter().map(property).collect()),
        inputs: counts(input.input_artifact_details)?,
        outputs: counts(input.output_artifact_details)?,
        executor: None,
        allowed_accounts: None,
    })
}

/// An action type's id in the domain's form; `ValidationException` where a part of it is missing.
pub fn id(
    owner: &str,
    category: Option<ActionCategory>,
    provider: Option<String>,
    version: Option<String>,
) -> Result<TypeId, ApiError> {
    match (category, provider, version) {
        (Some(category), Some(provider), Some(version)) => Ok(TypeId {
            category: category.as_str().to_owned(),
            owner: Some(owner.to_owned()),
            provider,
            version: Some(version),
        }),
        _ => Err(convert::invalid("category, provider and version are needed")),
    }
}

fn counted(least: i32, most: i32) -> Result<Counts, ApiError> {
    let count = |count: i32| u8::try_from(count).map_err(convert::invalid);
    Ok(Counts { least: count(least)?, most: count(most)? })
}

/// A type of the account or of a third party, in the older form.
pub fn shown(definition: &Definition) -> Result<ActionType, ApiError> {
    let property = |property: &DefinedProperty| {
        ActionConfigurationProperty::builder()
            .name(&property.name)
            .required(property.required)
            .key(property.key)
            .secret(property.secret)
            .queryable(property.queryable)
            .set_description(property.description.clone())
            .set_type(property.kind.as_deref().map(ActionConfigurationPropertyType::from))
            .build()
            .map_err(convert::incomplete)
    };
    let properties = definition.properties.iter().flatten().map(property).collect::<Result<_, _>>()?;
    let urls = definition.urls.clone();
    let settings = (urls != Urls::default()).then(|| {
        ActionTypeSettings::builder()
            .set_third_party_configuration_url(urls.configuration)
            .set_entity_url_template(urls.entity)
            .set_execution_url_template(urls.execution)
            .set_revision_url_template(urls.revision)
            .build()
    });
    let details = |counts: Counts| artifacts(usize::from(counts.least), usize::from(counts.most));
    Ok(ActionType::builder()
        .id(actions::type_id(&definition.id)?)
        .set_settings(settings)
        .set_action_configuration_properties(Some(properties))
        .input_artifact_details(details(definition.inputs))
        .output_artifact_details(details(definition.outputs))
        .build())
}

/// One of CodePipeline's own types.
pub fn built_in(known: &catalogue::ActionType) -> Result<ActionType, ApiError> {
    let property = |property: &Property| {
        ActionConfigurationProperty::builder()
            .name(property.name)
            .required(property.required)
            .key(property.required)
            .secret(property.secret)
            .queryable(property.queryable)
            .build()
            .map_err(convert::incomplete)
    };
    let properties = known.configuration.iter().map(property).collect::<Result<_, _>>()?;
    Ok(ActionType::builder()
        .id(actions::type_id(&known.id())?)
        .set_action_configuration_properties(Some(properties))
        .input_artifact_details(artifacts(*known.inputs.start(), *known.inputs.end()))
        .output_artifact_details(artifacts(*known.outputs.start(), *known.outputs.end()))
        .build())
}

fn artifacts(least: usize, most: usize) -> ArtifactDetails {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    ArtifactDetails::builder().minimum_count(count(least)).maximum_count(count(most)).build()
}

/// A type as its provider declares it, in the newer form.
pub fn declared(declaration: ActionTypeDeclaration) -> Result<Definition, ApiError> {
    let missing = |what: &str| convert::invalid(format!("actionType.{what} is missing"));
    let id = declaration.id.ok_or_else(|| missing("id"))?;
    let executor = declaration.executor.ok_or_else(|| missing("executor"))?;
    let property = |property: ActionTypeProperty| DefinedProperty {
        name: property.name,
        required: !property.optional,
        key: property.key,
        secret: property.no_echo,
        queryable: property.queryable,
        description: property.description,
        kind: None,
    };
    let counts = |details: Option<ActionTypeArtifactDetails>| {
        details.map_or(Ok(Counts::default()), |details| counted(details.minimum_count, details.maximum_count))
    };
    let urls = declaration.urls;
    Ok(Definition {
        id: TypeId {
            category: id.category.as_str().to_owned(),
            owner: Some(id.owner),
            provider: id.provider,
            version: Some(id.version),
        },
        description: declaration.description,
        urls: urls.map_or_else(Urls::default, |urls| Urls {
            configuration: urls.configuration_url,
            entity: urls.entity_url_template,
            execution: urls.execution_url_template,
            revision: urls.revision_url_template,
        }),
        properties: declaration.properties.map(|all| all.into_iter().map(property).collect()),
        inputs: counts(declaration.input_artifact_details)?,
        outputs: counts(declaration.output_artifact_details)?,
        executor: Some(executing(executor)?),
        allowed_accounts: declaration.permissions.map(|permissions| permissions.allowed_accounts),
    })
}

fn executing(executor: ActionTypeExecutor) -> Result<Executor, ApiError> {
    let configuration = executor.configuration.unwrap_or_else(|| ExecutorConfiguration::builder().build());
    let lambda = configuration.lambda_executor_configuration;
    let worker = configuration.job_worker_executor_configuration;
    let kind = match (executor.r#type, lambda, worker) {
        (ExecutorType::Lambda, Some(lambda), None) => ExecutorKind::Lambda { function: lambda.lambda_function_arn },
        (ExecutorType::JobWorker, None, Some(worker)) => {
            ExecutorKind::JobWorker { accounts: worker.polling_accounts, principals: worker.polling_service_principals }
        }
        (kind, ..) => {
            let kind = kind.as_str();
            return Err(convert::invalid(format!(
                "an executor of type {kind} needs the configuration of that type only"
            )));
        }
    };
    let policy = executor.policy_statements_template;
    if policy.as_ref().is_some_and(|policy| serde_json::from_str::<serde_json::Value>(policy).is_err()) {
        return Err(convert::invalid("executor.policyStatementsTemplate is not JSON"));
    }
    let job_timeout = executor.job_timeout.map(u32::try_from).transpose().map_err(convert::invalid)?;
    Ok(Executor { kind, policy, job_timeout })
}

/// A third party's type, in the newer form.
pub fn declaration(definition: Definition) -> Result<ActionTypeDeclaration, ApiError> {
    let property = |property: DefinedProperty| {
        ActionTypeProperty::builder()
            .name(property.name)
            .optional(!property.required)
            .key(property.key)
            .no_echo(property.secret)
            .queryable(property.queryable)
            .set_description(property.description)
            .build()
            .map_err(convert::incomplete)
    };
    let properties = definition.properties.map(|all| all.into_iter().map(property).collect::<Result<Vec<_>, _>>());
    let details = |counts: Counts| {
        ActionTypeArtifactDetails::builder()
            .minimum_count(counts.least.into())
            .maximum_count(counts.most.into())
            .build()
    };
    let urls = (definition.urls != Urls::default()).then(|| {
        ActionTypeUrls::builder()
            .set_configuration_url(definition.urls.configuration)
            .set_entity_url_template(definition.urls.entity)
            .set_execution_url_template(definition.urls.execution)
            .set_revision_url_template(definition.urls.revision)
            .build()
    });
    let permissions = definition
        .allowed_accounts
        .map(|accounts| ActionTypePermissions::builder().set_allowed_accounts(Some(accounts)).build())
        .transpose()
        .map_err(convert::incomplete)?;
    let id = ActionTypeIdentifier::builder()
        .category(ActionCategory::from(definition.id.category.as_str()))
        .owner(definition.id.owner.unwrap_or_default())
        .provider(definition.id.provider)
        .version(definition.id.version.unwrap_or_default())
        .build()
        .map_err(convert::incomplete)?;
    Ok(ActionTypeDeclaration::builder()
        .set_description(definition.description)
        .set_executor(definition.executor.map(executor).transpose()?)
        .id(id)
        .input_artifact_details(details(definition.inputs))
        .output_artifact_details(details(definition.outputs))
        .set_permissions(permissions)
        .set_properties(properties.transpose()?)
        .set_urls(urls)
        .build())
}

fn executor(executor: Executor) -> Result<ActionTypeExecutor, ApiError> {
    let (kind, configuration) = match executor.kind {
        ExecutorKind::Lambda { function } => {
            let lambda = LambdaExecutorConfiguration::builder().lambda_function_arn(function).build();
            let lambda = lambda.map_err(convert::incomplete)?;
            (ExecutorType::Lambda, ExecutorConfiguration::builder().lambda_executor_configuration(lambda))
        }
        ExecutorKind::JobWorker { accounts, principals } => {
            let worker = JobWorkerExecutorConfiguration::builder()
                .set_polling_accounts(accounts)
                .set_polling_service_principals(principals)
                .build();
            (ExecutorType::JobWorker, ExecutorConfiguration::builder().job_worker_executor_configuration(worker))
        }
    };
    ActionTypeExecutor::builder()
        .configuration(configuration.build())
        .r#type(kind)
        .set_policy_statements_template(executor.policy)
        .set_job_timeout(executor.job_timeout.and_then(|seconds| i32::try_from(seconds).ok()))
        .build()
        .map_err(convert::incomplete)
}
