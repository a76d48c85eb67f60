//! The action types that CodePipeline itself offers: artifact counts, configuration keys, output variables, time-outs.
//! Those that have a provider in the crate `providers` are run; an action of another type is accepted, and fails with that
//! reason when it is started. Source: CodePipeline user guide, 'Action structure reference', 'Valid
//! input and output artifacts for each action type' and 'Quotas'; 'Variables reference' for the output variables.

use std::ops::RangeInclusive;

use crate::declaration::TypeId;

pub mod rules;
mod table;
mod value;

pub use value::ValueKind;

/// Artifact counts of an action type that the catalogue does not know, read and made: a custom action's upper limits.
/// Source: CodePipeline user guide, 'Valid input and output artifacts for each action type'.
pub const CUSTOM_ARTIFACTS: RangeInclusive<usize> = 0..=5;

/// Minutes until an action of a custom type fails. Source: CodePipeline user guide, 'Quotas'.
pub const CUSTOM_TIMEOUT_MINUTES: u32 = 24 * 60;

/// Longest value of a configuration key, in characters, where the catalogue says nothing else.
/// Source: CodePipeline API, `ActionConfigurationValue`.
pub const MAX_VALUE_LENGTH: usize = 1000;

/// What CodePipeline documents of one of its action types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionType {
    /// `Source`, `Build`, `Test`, `Deploy`, `Approval`, `Invoke` or `Compute`.
    pub category: &'static str,
    /// `AWS` or `ThirdParty`; types of the owner `Custom` are in [`crate::custom`].
    pub owner: &'static str,
    /// The provider's name in AWS's spelling, for example `S3`.
    pub provider: &'static str,
    /// The version of the type; `1` for all of them today.
    pub version: &'static str,
    /// How many artifacts an action of this type reads.
    pub inputs: RangeInclusive<usize>,
    /// How many artifacts it makes.
    pub outputs: RangeInclusive<usize>,
    /// The keys of its configuration.
    pub configuration: &'static [Property],
    /// What some values of these keys require in addition.
    pub needs: &'static [Need],
    /// Whether keys that `configuration` does not have pass. They do where the list is not known to be complete: no
    /// type that is built, and most of those that are not yet.
    pub other_keys: bool,
    /// Which output variables it makes.
    pub variables: OutputVariables,
    /// Minutes after which an action fails that has not ended, whatever it reports.
    pub default_timeout_minutes: u32,
    /// Minutes of silence after which it fails, where that is counted apart: each reply that it is still in progress
    /// starts them anew. Only Lambda invoke actions have this.
    pub silence_timeout_minutes: Option<u32>,
    /// Only in pipelines of type V2.
    pub v2_only: bool,
}

/// A configuration key of an action type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, in AWS's spelling.
    pub name: &'static str,
    /// Whether a declaration without it is refused.
    pub required: bool,
    /// Whether its value is shown as `****`.
    pub secret: bool,
    /// Whether jobs can be polled by its value.
    pub queryable: bool,
    /// Longest value in characters, as declared. What variables make of it is bounded by
    /// [`crate::variables::check_configuration`].
    pub max_length: usize,
    /// What its value may be.
    pub kind: ValueKind,
}

impl Property {
    /// The same key with values of this kind.
    pub(crate) const fn of(self, kind: ValueKind) -> Self {
        Self { kind, ..self }
    }
}

/// What an action needs when one of its configuration keys has a certain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The configuration key whose value matters.
    pub key: &'static str,
    /// Its value, in any case.
    pub value: &'static str,
    /// What the declaration must have as well when the key has that value.
    pub needed: Needed,
}

/// What [`Need`] can demand of an action's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Another configuration key of the same action.
    Key(&'static str),
    /// At least one input artifact.
    InputArtifact,
}

/// The output variables of an action type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputVariables {
    /// These and no others; possibly none.
    Fixed(&'static [&'static str]),
    /// Whatever the action reports, for example a Lambda function's own.
    Open,
}

impl ActionType {
    /// The type's id as a declaration writes it.
    pub fn id(&self) -> TypeId {
        TypeId {
            category: self.category.to_owned(),
            owner: Some(self.owner.to_owned()),
            provider: self.provider.to_owned(),
            version: Some(self.version.to_owned()),
        }
    }

    /// Whether an action of this type can run in another region than its pipeline. Source: CodePipeline user guide,
    /// 'Add a cross-Region action'.
    pub fn runs_elsewhere(&self) -> bool {
        self.category != "Source" && self.owner == "AWS"
    }

    /// A configuration key by name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.configuration.iter().find(|property| property.name == name)
    }
}

/// The action type with this id, if CodePipeline itself offers it.
pub fn find(id: &TypeId) -> Option<&'static ActionType> {
    table::TYPES.iter().find(|known| {
        known.provider == id.provider
            && known.category == id.category
            && id.owner.as_deref() == Some(known.owner)
            && id.version.as_deref() == Some(known.version)
    })
}

/// Every action type that CodePipeline itself offers.
pub fn all() -> &'static [ActionType] {
    table::TYPES
}

/// How long a declared value of a configuration key may be, in characters.
pub fn max_value_length(id: &TypeId, key: &str) -> usize {
    find(id).and_then(|known| known.property(key)).map_or(MAX_VALUE_LENGTH, |property| property.max_length)
}

#[cfg(test)]
mod tests;
