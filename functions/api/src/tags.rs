//! Tags of pipelines, webhooks and custom action types.

use std::collections::BTreeMap;

use aws_sdk_codepipeline::operation::list_tags_for_resource::{ListTagsForResourceInput, ListTagsForResourceOutput};
use aws_sdk_codepipeline::operation::tag_resource::{TagResourceInput, TagResourceOutput};
use aws_sdk_codepipeline::operation::untag_resource::{UntagResourceInput, UntagResourceOutput};
use aws_sdk_codepipeline::types::Tag;
use driver::DriveError;
use pipeline::notification::{self, Topics};
use pipeline::{PipelineName, TypeId, WebhookName};
use wire::{ApiError, Exception, Operation};

use crate::app::App;
use crate::{convert, page};

/// Tags of one resource at most. Source: CodePipeline user guide, 'Tagging resources'. The lengths of keys (128) and
/// values (256) are constraints of the model.
const MOST: usize = 50;
/// Tags on a page at most, and by default. Source: CodePipeline API, `ListTagsForResource`.
const PAGE: usize = 100;
/// Longest name of an action type in an ARN: the owner, the category, a provider of 35 characters, a version of 9.
const MOST_NAME: usize = 100;
/// What keys and values may hold besides letters, digits and spaces. Source: as above.
const OTHERS: &str = "_.:/=+-@";

/// Adds tags to a resource; those with the same key are replaced.
pub async fn tag(app: &App, input: TagResourceInput) -> Result<TagResourceOutput, ApiError> {
    let operation = Operation::TagResource;
    let resource = resource(app, operation, input.resource_arn)?;
    let topics = matches!(resource, Resource::Pipeline(_)).then_some(&app.topics);
    let new = checked(input.tags.unwrap_or_default(), topics)?;
    let add = |tags: &mut BTreeMap<String, String>| {
        tags.extend(new.clone());
        !are_too_many(tags)
    };
    match resource.change(app, add).await.map_err(app.refusal(operation))? {
        true => Ok(TagResourceOutput::builder().build()),
        false => Err(too_many()),
    }
}

/// Removes tags; those that are not there need no removing.
pub async fn untag(app: &App, input: UntagResourceInput) -> Result<UntagResourceOutput, ApiError> {
    let operation = Operation::UntagResource;
    let resource = resource(app, operation, input.resource_arn)?;
    let keys = input.tag_keys.unwrap_or_default();
    keys.iter().try_for_each(|key| key_checked(key))?;
    let remove = |tags: &mut BTreeMap<String, String>| {
        tags.retain(|key, _| !keys.contains(key));
        true
    };
    resource.change(app, remove).await.map_err(app.refusal(operation))?;
    Ok(UntagResourceOutput::builder().build())
}

/// A page of tags by key.
pub async fn list(app: &App, input: ListTagsForResourceInput) -> Result<ListTagsForResourceOutput, ApiError> {
    let operation = Operation::ListTagsForResource;
    let arn = input.resource_arn.clone().unwrap_or_default();
    let resource = resource(app, operation, input.resource_arn)?;
    let scope = [arn.as_str()];
    let after: Option<String> = page::position(operation, &scope, input.next_token.as_deref())?;
    let size = page::size(input.max_results, PAGE);
    let tags = resource.tags(app).await.map_err(app.refusal(operation))?;
    let mut rest = tags.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
    let some: Vec<_> = rest.by_ref().take(size).collect();
    let next = match (some.last(), rest.next()) {
        (Some((last, _)), Some(_)) => Some(page::token(operation, &scope, last)?),
        _ => None,
    };
    Ok(ListTagsForResourceOutput::builder().set_tags(Some(listed(some.into_iter())?)).set_next_token(next).build())
}

/// Tags in the API's form.
pub fn listed<'a>(tags: impl Iterator<Item = (&'a String, &'a String)>) -> Result<Vec<Tag>, ApiError> {
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build().map_err(convert::incomplete)).collect()
}

/// Tags that may be set, by key. `topics`: to which those of a pipeline may send that are notification rules; nothing else may have
/// such tags.
///
/// # Errors
/// `InvalidTagsException`, `TooManyTagsException`.
pub fn checked(tags: Vec<Tag>, topics: Option<&Topics>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut checked = BTreeMap::new();
    for Tag { key, value, .. } in tags {
        key_checked(&key)?;
        if !value.chars().all(allowed) {
            return Err(invalid(format!(
                "The value of tag '{key}' holds other characters than letters, digits, spaces and {OTHERS}"
            )));
        }
        notification::check_tag(&key, &value, topics).map_err(|error| invalid(error.to_string()))?;
        if checked.insert(key.clone(), value).is_some() {
            return Err(invalid(format!("The tag '{key}' is given twice.")));
        }
    }
    if are_too_many(&checked) { Err(too_many()) } else { Ok(checked) }
}

fn key_checked(key: &str) -> Result<(), ApiError> {
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        return Err(invalid(format!("The tag '{key}' begins with aws:, which is reserved.")));
    }
    if key.chars().all(allowed) {
        Ok(())
    } else {
        Err(invalid(format!("The tag '{key}' holds other characters than letters, digits, spaces and {OTHERS}")))
    }
}

fn allowed(character: char) -> bool {
    character.is_alphanumeric() || character == ' ' || OTHERS.contains(character)
}

fn invalid(message: String) -> ApiError {
    Exception::InvalidTagsException.because(message)
}

fn are_too_many(tags: &BTreeMap<String, String>) -> bool {
    tags.len() > MOST || notification::are_too_many(tags)
}

fn too_many() -> ApiError {
    Exception::TooManyTagsException.because(format!(
        "A resource has at most {MOST} tags, and a pipeline among them at most {} notification rules.",
        notification::MOST
    ))
}

/// What an ARN can name that has tags.
enum Resource {
    Pipeline(PipelineName),
    Webhook(WebhookName),
    ActionType(TypeId),
}

impl Resource {
    async fn tags(&self, app: &App) -> Result<BTreeMap<String, String>, DriveError> {
        Ok(match self {
            Self::Pipeline(name) => app.driver.pipeline_head(name).await?.tags,
            Self::Webhook(name) => app.driver.webhook(name).await?.tags,
            Self::ActionType(id) => app.driver.action_type(id).await?.tags,
        })
    }

    async fn change(
        &self,
        app: &App,
        change: impl Fn(&mut BTreeMap<String, String>) -> bool + Send + Sync,
    ) -> Result<bool, DriveError> {
        match self {
            Self::Pipeline(name) => app.driver.change_tags(name, change).await,
            Self::Webhook(name) => app.driver.change_webhook_tags(name, change).await,
            Self::ActionType(id) => app.driver.change_type_tags(id, change).await,
        }
    }
}

/// The pipeline, webhook or custom action type that an ARN names, whether or not it exists.
fn resource(app: &App, operation: Operation, arn: Option<String>) -> Result<Resource, ApiError> {
    let arn = arn.unwrap_or_default();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "codepipeline", region, account, name] = parts[..] else {
        return Err(Exception::InvalidArnException
            .because("The resource ARN must have the form arn:aws:codepipeline:region:account:pipeline"));
    };
    let numbered = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if !numbered || [partition, region, name].contains(&"") {
        return Err(Exception::InvalidArnException.because("The resource ARN has an empty part or a wrong account id."));
    }
    let home = app.driver.home();
    let custom = runtime::arn::action_type_id(&arn, home, &app.account);
    // What is longer than such an id can be is none.
    if let Some(id) = custom.filter(|id| id.owner.as_deref() == Some("Custom") && name.len() <= MOST_NAME) {
        return Ok(Resource::ActionType(id));
    }
    let pipeline = || PipelineName::new(runtime::arn::pipeline_name(&arn, home, &app.account)?).ok();
    let webhook = || WebhookName::new(runtime::arn::webhook_name(&arn, home, &app.account)?).ok();
    pipeline().map(Resource::Pipeline).or_else(|| webhook().map(Resource::Webhook)).ok_or_else(|| {
        let short: String = name.chars().take(100).collect();
        Exception::ResourceNotFoundException.because(format!(
            "{operation}: region {home} and account {} have no pipeline, webhook or custom action type '{short}'",
            app.account
        ))
    })
}
