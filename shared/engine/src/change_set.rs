//! Which actions make a change set of CloudFormation, and which execute it.

use pipeline::Action;

/// A change set of CloudFormation, as configurations name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangeSetName<'a> {
    stack: &'a str,
    name: &'a str,
    region: Option<&'a str>,
}

/// The change set that an action makes; none if it makes none. Source: CodePipeline user guide, 'AWS CloudFormation deploy
/// action reference', `ActionMode`.
pub(crate) fn makes_change_set(action: &Action) -> Option<ChangeSetName<'_>> {
    change_set(action, "CHANGE_SET_REPLACE")
}

/// The change set that an action executes; none if it executes none.
pub(crate) fn executes_change_set(action: &Action) -> Option<ChangeSetName<'_>> {
    change_set(action, "CHANGE_SET_EXECUTE")
}

fn change_set<'a>(action: &'a Action, mode: &str) -> Option<ChangeSetName<'a>> {
    let value = |key: &str| action.configuration.get(key).map(String::as_str);
    let is_it = action.type_id.provider == "CloudFormation" && value("ActionMode") == Some(mode);
    is_it.then_some(())?;
    let region = action.region.as_ref().map(|region| region.as_str());
    Some(ChangeSetName { stack: value("StackName")?, name: value("ChangeSetName")?, region })
}
