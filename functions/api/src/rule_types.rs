//! The rule types that stage conditions can have.

use aws_sdk_codepipeline::operation::list_rule_types::{ListRuleTypesInput, ListRuleTypesOutput};
use aws_sdk_codepipeline::types::{
    ArtifactDetails, RuleCategory, RuleConfigurationProperty, RuleConfigurationPropertyType, RuleOwner, RuleType,
    RuleTypeId, RuleTypeSettings,
};
use pipeline::catalogue::rules;
use wire::ApiError;

use crate::convert;

/// All rule types: owner and region filter nothing out, as all are AWS's and each is in every region.
pub fn list(_: ListRuleTypesInput) -> Result<ListRuleTypesOutput, ApiError> {
    let types = rules::all().iter().map(shown).collect::<Result<_, _>>()?;
    ListRuleTypesOutput::builder().set_rule_types(Some(types)).build().map_err(convert::incomplete)
}

fn shown(known: &rules::RuleType) -> Result<RuleType, ApiError> {
    let id = RuleTypeId::builder()
        .category(RuleCategory::from(rules::CATEGORY))
        .owner(RuleOwner::from(rules::OWNER))
        .provider(known.provider)
        .version(rules::VERSION)
        .build()
        .map_err(convert::incomplete)?;
    let properties = known.configuration.iter().map(|property| {
        RuleConfigurationProperty::builder()
            .name(property.name)
            .required(property.required)
            .key(true)
            .secret(false)
            .queryable(false)
            .r#type(RuleConfigurationPropertyType::from(property.kind.api_name()))
            .build()
            .map_err(convert::incomplete)
    });
    let count = |number: &usize| i32::try_from(*number).unwrap_or(i32::MAX);
    let inputs =
        ArtifactDetails::builder().minimum_count(count(known.inputs.start())).maximum_count(count(known.inputs.end()));
    Ok(RuleType::builder()
        .id(id)
        .settings(RuleTypeSettings::builder().set_entity_url_template(known.entity_url.map(Into::into)).build())
        .set_rule_configuration_properties(Some(properties.collect::<Result<_, _>>()?))
        .input_artifact_details(inputs.build())
        .build())
}
