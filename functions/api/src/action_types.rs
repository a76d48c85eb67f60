//! Action types: CodePipeline's own, the account's custom ones, those of third parties.

use aws_sdk_codepipeline::operation::create_custom_action_type::{
    CreateCustomActionTypeInput, CreateCustomActionTypeOutput,
};
use aws_sdk_codepipeline::operation::delete_custom_action_type::{
    DeleteCustomActionTypeInput, DeleteCustomActionTypeOutput,
};
use aws_sdk_codepipeline::operation::get_action_type::{GetActionTypeInput, GetActionTypeOutput};
use aws_sdk_codepipeline::operation::list_action_types::{ListActionTypesInput, ListActionTypesOutput};
use aws_sdk_codepipeline::operation::update_action_type::{UpdateActionTypeInput, UpdateActionTypeOutput};
use aws_sdk_codepipeline::types::ActionType;
use driver::DriveError;
use pipeline::{Region, TypeId, catalogue};
use wire::{ApiError, Operation};

use crate::app::App;
use crate::{convert, convert_types, page, tags};

/// Action types on a page.
const PAGE: usize = 50;

/// Creates a custom action type, or brings one back that was deleted.
pub async fn create(app: &App, input: CreateCustomActionTypeInput) -> Result<CreateCustomActionTypeOutput, ApiError> {
    let operation = Operation::CreateCustomActionType;
    let tags = tags::checked(input.tags.clone().unwrap_or_default(), None)?;
    let definition = convert_types::custom(input)?;
    let stored = app.driver.create_action_type(definition, tags).await.map_err(app.refusal(operation))?;
    Ok(CreateCustomActionTypeOutput::builder()
        .action_type(convert_types::shown(&stored.definition)?)
        .set_tags(Some(tags::listed(stored.tags.iter())?))
        .build())
}

/// Marks a custom action type as deleted.
pub async fn delete(app: &App, input: DeleteCustomActionTypeInput) -> Result<DeleteCustomActionTypeOutput, ApiError> {
    let id = convert_types::id("Custom", input.category, input.provider, input.version)?;
    app.driver.delete_action_type(&id).await.map_err(app.refusal(Operation::DeleteCustomActionType))?;
    Ok(DeleteCustomActionTypeOutput::builder().build())
}

/// A page of action types by owner, category, provider and version.
pub async fn list(app: &App, input: ListActionTypesInput) -> Result<ListActionTypesOutput, ApiError> {
    let operation = Operation::ListActionTypes;
    let owner = input.action_owner_filter.map(|owner| owner.as_str().to_owned());
    let region = input.region_filter.map(Region::new).transpose().map_err(convert::invalid)?;
    let scope = [owner.as_deref().unwrap_or_default(), region.as_ref().map_or("", Region::as_str)];
    let after: Option<[String; 4]> = page::position(operation, &scope, input.next_token.as_deref())?;
    let wanted = |name: &str| owner.as_deref().is_none_or(|owner| owner == name);
    let elsewhere = region.as_ref().is_some_and(|region| region.as_str() != app.driver.home());
    let mut all: Vec<([String; 4], ActionType)> = Vec::new();
    for known in catalogue::all().iter().filter(|known| wanted(known.owner) && (!elsewhere || known.runs_elsewhere())) {
        all.push((place(&known.id()), convert_types::built_in(known)?));
    }
    for owner in ["ThirdParty", "Custom"].into_iter().filter(|owner| wanted(owner) && !elsewhere) {
        for stored in app.driver.action_types(owner).await.map_err(app.refusal(operation))? {
            all.push((place(&stored.definition.id), convert_types::shown(&stored.definition)?));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rest = all.into_iter().filter(|(place, _)| after.as_ref().is_none_or(|after| place > after));
    let some: Vec<_> = rest.by_ref().take(PAGE).collect();
    let next = match (some.last(), rest.next()) {
        (Some((last, _)), Some(_)) => Some(page::token(operation, &scope, last)?),
        _ => None,
    };
    ListActionTypesOutput::builder()
        .set_action_types(Some(some.into_iter().map(|(_, shown)| shown).collect()))
        .set_next_token(next)
        .build()
        .map_err(convert::incomplete)
}

/// A type's place in the list.
fn place(id: &TypeId) -> [String; 4] {
    let (owner, version) = (id.owner.clone().unwrap_or_default(), id.version.clone().unwrap_or_default());
    [owner, id.category.clone(), id.provider.clone(), version]
}

/// The definition of a third party's action type.
pub async fn get(app: &App, input: GetActionTypeInput) -> Result<GetActionTypeOutput, ApiError> {
    let owner = input.owner.unwrap_or_default();
    let id = convert_types::id(&owner, input.category, input.provider, input.version)?;
    let stored = app.driver.action_type(&id).await.map_err(app.refusal(Operation::GetActionType))?;
    Ok(GetActionTypeOutput::builder().action_type(convert_types::declaration(stored.definition)?).build())
}

/// Sets the definition of a third party's action type. On AWS its staff registers such a type before; here nobody else
/// does, so the first definition registers it. CodePipeline's own types cannot be defined.
pub async fn update(app: &App, input: UpdateActionTypeInput) -> Result<UpdateActionTypeOutput, ApiError> {
    let refusal = app.refusal(Operation::UpdateActionType);
    let declaration = input.action_type.ok_or_else(|| convert::invalid("actionType is missing"))?;
    let definition = convert_types::declared(declaration)?;
    let id = &definition.id;
    if id.owner.as_deref() != Some("ThirdParty") || catalogue::find(id).is_some() {
        let name = format!("{} of owner {}", id.provider, id.owner.as_deref().unwrap_or_default());
        return Err(refusal(DriveError::ActionTypeNotFound(format!("an action type {name} that can be updated"))));
    }
    app.driver.put_action_type(definition).await.map_err(refusal)?;
    Ok(UpdateActionTypeOutput::builder().build())
}
