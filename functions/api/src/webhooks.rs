//! Webhooks: kept and shown here, and told to GitHub. What calls them comes through the function `webhook`.

use aws_sdk_codepipeline::operation::delete_webhook::{DeleteWebhookInput, DeleteWebhookOutput};
use aws_sdk_codepipeline::operation::deregister_webhook_with_third_party::{
    DeregisterWebhookWithThirdPartyInput, DeregisterWebhookWithThirdPartyOutput,
};
use aws_sdk_codepipeline::operation::list_webhooks::{ListWebhooksInput, ListWebhooksOutput};
use aws_sdk_codepipeline::operation::put_webhook::{PutWebhookInput, PutWebhookOutput};
use aws_sdk_codepipeline::operation::register_webhook_with_third_party::{
    RegisterWebhookWithThirdPartyInput, RegisterWebhookWithThirdPartyOutput,
};
use aws_sdk_codepipeline::primitives::DateTimeFormat as Format;
use aws_sdk_codepipeline::types::{
    ListWebhookItem, WebhookAuthConfiguration, WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
};
use driver::DriveError;
use pipeline::webhook::{Authentication, Filter, JsonPath, Secret, Webhook};
use pipeline::{ActionName, MASK, PipelineName, WebhookName};
use providers::{GitHubHooks, HookError};
use store::{Stored, StoredWebhook, WebhookCalls};
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::{convert, page, tags};

/// Webhooks on a page at most, and by default. Source: CodePipeline API, `ListWebhooks`.
const MOST: usize = 100;

/// Stores a webhook or changes it. `base` is the URL under which the API was called.
pub async fn put(app: &App, base: &str, input: PutWebhookInput) -> Result<PutWebhookOutput, ApiError> {
    let tags = input.tags.map(|tags| tags::checked(tags, None)).transpose()?;
    let webhook = defined(input.webhook)?;
    let stored = app.driver.put_webhook(webhook, tags).await.map_err(app.refusal(Operation::PutWebhook))?;
    let calls = app.driver.webhook_calls(&[&stored]).await.map_err(app.refusal(Operation::PutWebhook))?;
    let item = shown(app, base, &stored, calls.first().and_then(Option::as_ref))?;
    Ok(PutWebhookOutput::builder().webhook(item).build())
}

/// A page of webhooks by name.
pub async fn list(app: &App, base: &str, input: ListWebhooksInput) -> Result<ListWebhooksOutput, ApiError> {
    let operation = Operation::ListWebhooks;
    let after: Option<String> = page::position(operation, &[], input.next_token.as_deref())?;
    let size = page::size(input.max_results, MOST);
    let found = app.driver.webhooks(after.as_deref(), size).await.map_err(app.refusal(operation))?;
    let stored: Vec<_> = found.entities.into_iter().filter_map(StoredWebhook::from_entity).collect();
    let calls = app.driver.webhook_calls(&stored.iter().collect::<Vec<_>>()).await.map_err(app.refusal(operation))?;
    let webhooks = stored.iter().zip(&calls).map(|(stored, calls)| shown(app, base, stored, calls.as_ref()));
    let webhooks = webhooks.collect::<Result<Vec<_>, _>>()?;
    let next = found.next.as_ref().map(|next| page::token(operation, &[], next)).transpose()?;
    Ok(ListWebhooksOutput::builder().set_webhooks(Some(webhooks)).set_next_token(next).build())
}

/// Deletes a webhook; one that is not there is no error, as on AWS.
pub async fn delete(app: &App, input: DeleteWebhookInput) -> Result<DeleteWebhookOutput, ApiError> {
    let name = WebhookName::new(input.name.unwrap_or_default()).map_err(convert::invalid)?;
    app.driver.delete_webhook(&name).await.map_err(app.refusal(Operation::DeleteWebhook))?;
    Ok(DeleteWebhookOutput::builder().build())
}

/// Tells the third party to call a webhook, with the token of the action whose source it is.
pub async fn register(
    app: &App,
    base: &str,
    input: RegisterWebhookWithThirdPartyInput,
) -> Result<RegisterWebhookWithThirdPartyOutput, ApiError> {
    let name = named(input.webhook_name)?;
    let refusal = app.refusal(Operation::RegisterWebhookWithThirdParty);
    let (stored, action) = app.driver.third_party(&name).await.map_err(&refusal)?;
    let action = action.ok_or_else(|| refusal(DriveError::NoThirdParty(name.to_string())))?;
    let secret = app.driver.webhook_secret(&stored).await.map_err(&refusal)?;
    let hooks = GitHubHooks::of(app.web.clone(), &action).map_err(untold)?;
    hooks.register(&url(base, &stored), secret.as_ref().map(Secret::reveal)).await.map_err(untold)?;
    app.driver.note_registration(&name, true).await.map_err(refusal)?;
    Ok(RegisterWebhookWithThirdPartyOutput::builder().build())
}

/// Tells the third party to call a webhook no more. Where the pipeline is gone, nobody can be told any more.
pub async fn deregister(
    app: &App,
    base: &str,
    input: DeregisterWebhookWithThirdPartyInput,
) -> Result<DeregisterWebhookWithThirdPartyOutput, ApiError> {
    let name = named(input.webhook_name)?;
    let refusal = app.refusal(Operation::DeregisterWebhookWithThirdParty);
    let (stored, action) = app.driver.third_party(&name).await.map_err(&refusal)?;
    if let Some(action) = action {
        let hooks = GitHubHooks::of(app.web.clone(), &action).map_err(untold)?;
        hooks.deregister(&url(base, &stored)).await.map_err(untold)?;
    }
    app.driver.note_registration(&name, false).await.map_err(refusal)?;
    Ok(DeregisterWebhookWithThirdPartyOutput::builder().build())
}

/// The exception for what GitHub did not do.
fn untold(error: HookError) -> ApiError {
    match error {
        HookError::Refused(message) => Exception::ValidationException.because(message),
        HookError::Unavailable(message) => Exception::InternalFailure.because(format!("{message}: try again.")),
    }
}

/// Where a webhook is called. Its key is not in the path, which may be logged.
fn url(base: &str, stored: &StoredWebhook) -> String {
    format!("{base}/webhooks/{}?key={}", stored.webhook.name, stored.key.reveal())
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
fn shown(
    app: &App,
    base: &str,
    stored: &StoredWebhook,
    calls: Option<&WebhookCalls>,
) -> Result<ListWebhookItem, ApiError> {
    let StoredWebhook { webhook, tags, .. } = stored;
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
        .url(url(base, stored))
        .arn(runtime::arn::webhook(app.driver.home(), &app.account, webhook.name.as_str()))
        .set_tags(Some(tags::listed(tags.iter())?));
    let item = item.set_last_triggered(calls.and_then(|calls| calls.triggered).map(convert::time));
    let item = match calls.and_then(|calls| calls.error.as_ref()) {
        Some(error) => {
            let at = convert::time(error.at).fmt(Format::DateTime).unwrap_or_default();
            item.error_code(&error.code).error_message(format!("{} ({at})", error.message))
        }
        None if webhook.authentication == Authentication::Unauthenticated => {
            item.error_code("Unauthenticated").error_message(
                "A warning: whoever knows the URL can start the pipeline. GITHUB_HMAC and IP ask for a proof.",
            )
        }
        None => item,
    };
    item.build().map_err(convert::incomplete)
}
