//! Webhooks. They are kept and shown here; calls to them are the trigger's.

use aws_sdk_codepipeline::operation::delete_webhook::{DeleteWebhookInput, DeleteWebhookOutput};
use aws_sdk_codepipeline::operation::deregister_webhook_with_third_party::{
    DeregisterWebhookWithThirdPartyInput, DeregisterWebhookWithThirdPartyOutput,
};
use aws_sdk_codepipeline::operation::list_webhooks::{ListWebhooksInput, ListWebhooksOutput};
use aws_sdk_codepipeline::operation::put_webhook::{PutWebhookInput, PutWebhookOutput};
use aws_sdk_codepipeline::operation::register_webhook_with_third_party::{
    RegisterWebhookWithThirdPartyInput, RegisterWebhookWithThirdPartyOutput,
};
use aws_sdk_codepipeline::types::{
    ListWebhookItem, WebhookAuthConfiguration, WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
};
use pipeline::webhook::{Authentication, Filter, JsonPath, Secret, Webhook};
use pipeline::{ActionName, MASK, PipelineName, WebhookName};
use store::{Entity, StoredWebhook};
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::{convert, page, tags};

/// Webhooks on a page at most, and by default. Source: CodePipeline API, `ListWebhooks`.
const MOST: usize = 100;

/// Stores a webhook or changes it. `base` is the URL under which the API was called.
pub async fn put(app: &App, base: &str, input: PutWebhookInput) -> Result<PutWebhookOutput, ApiError> {
    let tags = input.tags.map(tags::checked).transpose()?;
    let webhook = defined(input.webhook)?;
    let stored = app.driver.put_webhook(webhook, tags).await.map_err(app.refusal(Operation::PutWebhook))?;
    Ok(PutWebhookOutput::builder().webhook(shown(app, base, &stored)?).build())
}

/// A page of webhooks by name.
pub async fn list(app: &App, base: &str, input: ListWebhooksInput) -> Result<ListWebhooksOutput, ApiError> {
    let operation = Operation::ListWebhooks;
    let after: Option<String> = page::position(operation, &[], input.next_token.as_deref())?;
    let size = page::size(input.max_results, MOST);
    let found = app.driver.webhooks(after.as_deref(), size).await.map_err(app.refusal(operation))?;
    let mut webhooks = Vec::with_capacity(found.entities.len());
    for entity in &found.entities {
        if let Entity::Webhook(stored) = entity {
            webhooks.push(shown(app, base, stored)?);
        }
    }
    let next = found.next.as_ref().map(|next| page::token(operation, &[], next)).transpose()?;
    Ok(ListWebhooksOutput::builder().set_webhooks(Some(webhooks)).set_next_token(next).build())
}

/// Deletes a webhook; one that is not there is no error, as on AWS.
pub async fn delete(app: &App, input: DeleteWebhookInput) -> Result<DeleteWebhookOutput, ApiError> {
    let name = WebhookName::new(input.name.unwrap_or_default()).map_err(convert::invalid)?;
    app.driver.delete_webhook(&name).await.map_err(app.refusal(Operation::DeleteWebhook))?;
    Ok(DeleteWebhookOutput::builder().build())
}

/// Notes that the third party is to be told to call a webhook.
pub async fn register(
    app: &App,
    input: RegisterWebhookWithThirdPartyInput,
) -> Result<RegisterWebhookWithThirdPartyOutput, ApiError> {
    let name = named(input.webhook_name)?;
    let refusal = app.refusal(Operation::RegisterWebhookWithThirdParty);
    app.driver.register_webhook(&name, true).await.map_err(refusal)?;
    Ok(RegisterWebhookWithThirdPartyOutput::builder().build())
}

/// Takes back the wish that [`register`] noted.
pub async fn deregister(
    app: &App,
    input: DeregisterWebhookWithThirdPartyInput,
) -> Result<DeregisterWebhookWithThirdPartyOutput, ApiError> {
    let name = named(input.webhook_name)?;
    let refusal = app.refusal(Operation::DeregisterWebhookWithThirdParty);
    app.driver.register_webhook(&name, false).await.map_err(refusal)?;
    Ok(DeregisterWebhookWithThirdPartyOutput::builder().build())
}

/// The model does not require the name, but nothing can be done without one.
fn named(name: Option<String>) -> Result<WebhookName, ApiError> {
    let name = name.ok_or_else(|| convert::invalid("webhookName is missing"))?;
    WebhookName::new(name).map_err(convert::invalid)
}

/// The definition in an input, in the domain's form.
fn defined(webhook: Option<WebhookDefinition>) -> Result<Webhook, ApiError> {
    let given = webhook.ok_or_else(|| convert::invalid("webhook is missing"))?;
    let configuration = given.authentication_configuration;
    let (secret, range) = configuration.map_or((None, None), |it| (it.secret_token, it.allowed_ip_range));
    let filter = |(index, given): (usize, WebhookFilterRule)| match JsonPath::new(given.json_path) {
        Ok(json_path) => Ok(Filter { json_path, match_equals: given.match_equals }),
        Err(error) => Err(Exception::InvalidWebhookFilterPatternException
            .because(format!("{error} (at webhook.filters.{}.member.jsonPath)", index + 1))),
    };
    Ok(Webhook {
        name: WebhookName::new(given.name).map_err(convert::invalid)?,
        target_pipeline: PipelineName::new(given.target_pipeline).map_err(convert::invalid)?,
        target_action: ActionName::new(given.target_action).map_err(convert::invalid)?,
        filters: given.filters.into_iter().enumerate().map(filter).collect::<Result<_, _>>()?,
        authentication: Authentication::new(given.authentication.as_str(), secret.map(Secret::new), range.as_deref())
            .map_err(|error| {
            Exception::InvalidWebhookAuthenticationParametersException.because(error.to_string())
        })?,
    })
}

/// A webhook as answers show it: its secret masked.
fn shown(app: &App, base: &str, stored: &StoredWebhook) -> Result<ListWebhookItem, ApiError> {
    let StoredWebhook { webhook, key, registered, tags, .. } = stored;
    let configuration = WebhookAuthConfiguration::builder();
    let configuration = match &webhook.authentication {
        Authentication::GithubHmac { .. } => configuration.secret_token(MASK),
        Authentication::Ip { range } => configuration.allowed_ip_range(range.to_string()),
        Authentication::Unauthenticated => configuration,
    };
    let filters = webhook.filters.iter().map(|filter| {
        WebhookFilterRule::builder()
            .json_path(filter.json_path.as_str())
            .set_match_equals(filter.match_equals.clone())
            .build()
            .map_err(convert::incomplete)
    });
    let definition = WebhookDefinition::builder()
        .name(webhook.name.as_str())
        .target_pipeline(webhook.target_pipeline.as_str())
        .target_action(webhook.target_action.as_str())
        .set_filters(Some(filters.collect::<Result<_, _>>()?))
        .authentication(WebhookAuthenticationType::from(webhook.authentication.kind()))
        .authentication_configuration(configuration.build())
        .build()
        .map_err(convert::incomplete)?;
    let item = ListWebhookItem::builder()
        .definition(definition)
        .url(format!("{base}/webhooks/{}?key={}", webhook.name, key.reveal()))
        .arn(runtime::arn::webhook(app.driver.home(), &app.account, webhook.name.as_str()))
        .set_tags(Some(tags::listed(tags.iter())?));
    let item = if *registered {
        item.error_code("NotRegistered").error_message(
            "Millrace does not tell GitHub by itself yet: enter the URL there, with the webhook's secret token.",
        )
    } else {
        item
    };
    item.build().map_err(convert::incomplete)
}
