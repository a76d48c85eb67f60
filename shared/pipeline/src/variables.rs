//! Variables in the configuration of actions: `#{namespace.key}`. Source: CodePipeline user guide, 'Variables
//! reference' and 'Quotas'.

use std::collections::BTreeMap;

use crate::names::consists_of;

/// Namespace of what is known at the start of an execution: `#{codepipeline.PipelineExecutionId}`.
pub const CODEPIPELINE: &str = "codepipeline";

/// Key of the execution's id in the namespace [`CODEPIPELINE`].
pub const PIPELINE_EXECUTION_ID: &str = "PipelineExecutionId";

/// Namespace of pipeline-level variables: `#{variables.NAME}`.
pub const VARIABLES: &str = "variables";

/// Most bytes of all output variables of one action together, keys and values.
pub const MAX_OUTPUT_BYTES: usize = 122_880;

/// Most bytes of the resolved configuration of one action, keys and values.
pub const MAX_CONFIGURATION_BYTES: usize = 100 * 1024;

/// Longest name of a pipeline-level variable or an output variable. Source: CodePipeline API, `PipelineVariableName`.
const MAX_KEY_LENGTH: usize = 128;

/// A reference to a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// An action's namespace, [`CODEPIPELINE`] or [`VARIABLES`].
    pub namespace: String,
    /// The name of the variable inside its namespace.
    pub key: String,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{{{}.{}}}", self.namespace, self.key)
    }
}

/// A reference for which there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable {reference} has no value")]
pub struct Unresolved {
    /// The reference as it stands in the text.
    pub reference: Reference,
}

/// Output variables that CodePipeline would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOutputVariables {
    /// A key of a wrong form.
    #[error("{0:?} is not the name of an output variable: 1 to 128 letters, digits, @, - and _")]
    Key(String),
    /// All keys and values together have this many bytes, too many.
    #[error("the output variables have {0} bytes, and {MAX_OUTPUT_BYTES} are allowed")]
    TooLarge(usize),
}

/// The references in a text, in order, repeated ones repeated.
pub fn references(text: &str) -> Vec<Reference> {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Reference(namespace, key) => {
                Some(Reference { namespace: namespace.to_owned(), key: key.to_owned() })
            }
            Piece::Literal(_) => None,
        })
        .collect()
}

/// The names in a text that stand where a reference should: `x` in `#{x}`, which lacks a namespace. A reference is a
/// namespace and a key separated by a period, as AWS's own error says.
pub fn without_namespace(text: &str) -> Vec<&str> {
    let starts = text.match_indices("#{").map(|(at, start)| &text[at + start.len()..]);
    starts
        .filter_map(|rest| {
            let (name, rest) = rest.split_at(word(rest));
            (!name.is_empty() && rest.starts_with('}')).then_some(name)
        })
        .collect()
}

/// Replaces every reference by its value. One pass: what a value contains is not resolved again. Text that looks like
/// a reference without having its form (`#{a.b.c}`, `#{}`) stays as it is.
///
/// # Errors
/// [`Unresolved`] for the first reference for which `value` gives nothing.
pub fn resolve(text: &str, value: &mut impl FnMut(&Reference) -> Option<String>) -> Result<String, Unresolved> {
    let mut resolved = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Literal(literal) => resolved.push_str(literal),
            Piece::Reference(namespace, key) => {
                let reference = Reference { namespace: namespace.to_owned(), key: key.to_owned() };
                match value(&reference) {
                    Some(value) => resolved.push_str(&value),
                    None => return Err(Unresolved { reference }),
                }
            }
        }
    }
    Ok(resolved)
}

/// Checks the variables that an action reports.
///
/// # Errors
/// [`InvalidOutputVariables`] when a key has a wrong form or all are too large together.
pub fn check_output_variables(variables: &BTreeMap<String, String>) -> Result<(), InvalidOutputVariables> {
    if let Some(key) = variables.keys().find(|key| !is_key(key)) {
        return Err(InvalidOutputVariables::Key(key.chars().take(100).collect()));
    }
    let bytes = size(variables);
    if bytes > MAX_OUTPUT_BYTES { Err(InvalidOutputVariables::TooLarge(bytes)) } else { Ok(()) }
}

/// A resolved configuration that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration with its variables resolved has {0} bytes, and {MAX_CONFIGURATION_BYTES} are allowed")]
pub struct ConfigurationTooLarge(pub usize);

/// Checks an action's configuration after its variables are resolved.
///
/// # Errors
/// [`ConfigurationTooLarge`] when keys and values have more than [`MAX_CONFIGURATION_BYTES`] together.
pub fn check_configuration(resolved: &BTreeMap<String, String>) -> Result<(), ConfigurationTooLarge> {
    let bytes = size(resolved);
    if bytes > MAX_CONFIGURATION_BYTES { Err(ConfigurationTooLarge(bytes)) } else { Ok(()) }
}

fn size(map: &BTreeMap<String, String>) -> usize {
    map.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Whether a text can be a variable's name. Source: CodePipeline API, `OutputVariablesKey`, `PipelineVariableName`.
pub(crate) fn is_key(key: &str) -> bool {
    consists_of(key, 1..=MAX_KEY_LENGTH, b"@-_")
}

enum Piece<'a> {
    Literal(&'a str),
    Reference(&'a str, &'a str),
}

/// Cuts a text into literals and references. Every byte of the text is looked at a bounded number of times.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((namespace, key, after)) = reference_at_start(rest) {
            rest = after;
            return Some(Piece::Reference(namespace, key));
        }
        // Not a reference here, so this `#` (if it is one) is text: go on behind it.
        let skip = usize::from(rest.starts_with('#'));
        let end = rest[skip..].find("#{").map_or(rest.len(), |at| at + skip);
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Literal(literal))
    })
}

/// How many bytes at the start of a text can belong to a name.
fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || "@-_".contains(c))).unwrap_or(text.len())
}

fn reference_at_start(text: &str) -> Option<(&str, &str, &str)> {
    let inner = text.strip_prefix("#{")?;
    let (namespace, rest) = inner.split_at(word(inner));
    let rest = rest.strip_prefix('.')?;
    let (key, rest) = rest.split_at(word(rest));
    let rest = rest.strip_prefix('}')?;
    (consists_of(namespace, 1..=100, b"@-_") && is_key(key)).then_some((namespace, key, rest))
}

#[cfg(test)]
mod tests;
