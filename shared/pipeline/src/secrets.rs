//! Secret configuration values: shown as `****`, and put back where an update says `****`. Source: CodePipeline user
//! guide, 'Pipeline structure reference': the value stays as long as the stage, the action and the value keep theirs.

use std::collections::HashMap;

use crate::catalogue;
use crate::custom::Types;
use crate::declaration::{ActionDeclaration, Declaration};

/// What stands for a secret.
pub const MASK: &str = "****";

impl Declaration {
    /// The declaration with every secret configuration value replaced by [`MASK`]: the form for answers, events, logs.
    /// `types`: those of the account.
    pub fn masked(&self, types: &Types) -> Self {
        let mut masked = self.clone();
        for value in masked.secrets_mut(types) {
            MASK.clone_into(value);
        }
        masked
    }

    /// Every secret configuration value, always in the same order. `types`: those of the account.
    pub fn secrets_mut<'a>(&'a mut self, types: &'a Types) -> impl Iterator<Item = &'a mut String> {
        let actions = self.stages.iter_mut().flat_map(|stage| &mut stage.actions);
        actions.flat_map(|action| secrets_of(action, types)).map(|(_, value)| value)
    }

    /// The declaration with every [`MASK`] that stands for a secret replaced by the value that `previous` has for the
    /// same key of the action with the same name and type in the stage with the same name. Where there is none the
    /// mask stays, and validation refuses it.
    #[must_use]
    pub fn unmask_from(mut self, previous: &Self, types: &Types) -> Self {
        let known: HashMap<(&str, &str), &ActionDeclaration> = previous
            .stages
            .iter()
            .flat_map(|stage| stage.actions.iter().map(|action| ((stage.name.as_str(), action.name.as_str()), action)))
            .collect();
        for stage in &mut self.stages {
            for action in &mut stage.actions {
                let Some(before) = known.get(&(stage.name.as_str(), action.name.as_str())).copied() else { continue };
                if before.action_type_id != action.action_type_id {
                    continue;
                }
                for (key, value) in secrets_of(action, types).filter(|(_, value)| value.as_str() == MASK) {
                    if let Some(secret) = before.configuration.as_ref().and_then(|all| all.get(key)) {
                        secret.clone_into(value);
                    }
                }
            }
        }
        self
    }
}

fn secrets_of<'a>(
    action: &'a mut ActionDeclaration,
    types: &'a Types,
) -> impl Iterator<Item = (&'a String, &'a mut String)> {
    let known = catalogue::find(&action.action_type_id);
    let custom = types.find(&action.action_type_id);
    action.configuration.iter_mut().flatten().filter(move |(key, _)| match known {
        Some(known) => known.property(key).is_some_and(|property| property.secret),
        None => custom.is_some_and(|custom| custom.is_secret(key)),
    })
}

#[cfg(test)]
mod tests;
