//! What spans say of themselves.
//!
//! Names that begin with `cicd.` and `vcs.` are OpenTelemetry's, in version 1.38 of its semantic conventions; ours begin with
//! `millrace.`. Texts are cut, so that no span comes near the 200 KB that X-Ray takes.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// Most characters of a text.
pub const LONGEST: usize = 1_024;

/// Attributes that are gathered; what is not known is left out.
#[derive(Debug, Default)]
pub struct Attributes(pub Vec<KeyValue>);

impl Attributes {
    /// Adds a text.
    #[must_use]
    pub fn text(self, key: &str, value: impl AsRef<str>) -> Self {
        self.add(key, Value::StringValue(bounded(value.as_ref())))
    }

    /// Adds a text, if it is known.
    #[must_use]
    pub fn known(self, key: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) if !value.as_ref().is_empty() => self.text(key, value),
            _ => self,
        }
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, key: &str, value: impl Into<i64>) -> Self {
        self.add(key, Value::IntValue(value.into()))
    }

    fn add(mut self, key: &str, value: Value) -> Self {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
        self
    }
}

/// The beginning of a text, which is all of it for most.
pub fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
