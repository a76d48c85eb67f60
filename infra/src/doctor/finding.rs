//! What was found, and what mends it.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Serialize;
use serde_json::json;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as it should; or it could not be looked at.
    Warning,
    /// Something does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What is right or wrong, in words.
    pub what: String,
    /// What mends it: a command, a policy statement, or words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Error => "error  ",
        };
        // One line each, whatever an answer has in it.
        write!(f, "{level} {}", self.what.replace(['\n', '\r'], " "))?;
        match &self.mend {
            Some(mend) => write!(f, "; mend: {}", mend.replace(['\n', '\r'], " ")),
            None => Ok(()),
        }
    }
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug)]
pub struct Findings {
    all: Vec<Finding>,
    /// Whether an emulator answers, which may lack what AWS has.
    pub(super) emulator: bool,
}

/// What a look at something has shown.
pub(super) enum Look<T> {
    /// It is there, and this is what its service says of it.
    Found(T),
    /// It is not there. Nothing has been said about it yet.
    Missing,
    /// Nobody knows, and why not is among the findings.
    Unknown,
}

impl<T> Look<T> {
    /// What was found, if it was.
    pub(super) fn found(self) -> Option<T> {
        match self {
            Self::Found(it) => Some(it),
            Self::Missing | Self::Unknown => None,
        }
    }
}

impl Findings {
    pub(super) fn new(emulator: bool) -> Self {
        Self { all: Vec::new(), emulator }
    }

    /// All findings.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.all
    }

    pub(super) fn ok(&mut self, what: impl Into<String>) {
        self.all.push(Finding { level: Level::Ok, what: what.into(), mend: None });
    }

    pub(super) fn warning(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.all.push(Finding { level: Level::Warning, what: what.into(), mend: Some(mend.into()) });
    }

    pub(super) fn error(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.all.push(Finding { level: Level::Error, what: what.into(), mend: Some(mend.into()) });
    }

    /// `ok` where it is fine, and otherwise an error that `mend` mends.
    pub(super) fn must(&mut self, is_fine: bool, what: impl Into<String>, mend: impl Into<String>) {
        if is_fine { self.ok(what) } else { self.error(what, mend) }
    }

    /// What a service answered about `what`. Where the caller may not look, the finding says which permission is missing,
    /// and whoever looked goes on.
    pub(super) fn look<T, E>(
        &mut self,
        what: &str,
        permission: &str,
        resource: &str,
        answer: Result<T, SdkError<E, HttpResponse>>,
    ) -> Look<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let error = match answer {
            Ok(found) => return Look::Found(found),
            Err(error) => error,
        };
        let status = error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default();
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default().to_owned();
        let is = |words: &[&str]| words.iter().any(|word| code.contains(word));
        if is(&["NotFound", "NoSuch", "DoesNotExist", "NonExistent"]) || (code.is_empty() && status == 404) {
            return Look::Missing;
        }
        if is(&["AccessDenied", "Unauthorized", "NotAuthorized", "Forbidden", "AuthorizationError"]) || status == 403 {
            let statement = json!({"Effect": "Allow", "Action": permission, "Resource": resource});
            self.warning(format!("{what} could not be looked at: you may not use {permission}"), statement.to_string());
        } else if self.emulator {
            let words = crate::output::words(&anyhow::Error::from(error));
            self.warning(
                format!("{what} could not be looked at: {words}"),
                "the emulator may not have it: look on AWS",
            );
        } else {
            let words = crate::output::words(&anyhow::Error::from(error));
            self.warning(format!("{what} could not be looked at: {words}"), "try it again");
        }
        Look::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let mut findings = Findings::new(false);
        findings.must(true, "all is well", "nothing");
        findings.error("two\nlines", "a\ncommand");
        let lines: Vec<String> = findings.all().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["ok      all is well", "error   two lines; mend: a command"]);
    }
}
