//! Settings from the environment variables that the templates in `infra` give to each function.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use artifacts::ZipLimits;
use engine::Policy;
use pipeline::notification::{Rule, Topics};

use crate::arn;

/// What the names of the topics begin with to which notification rules send, where nothing is set.
pub const DEFAULT_TOPICS: &str = "millrace-";

/// A setting that is missing or makes no sense. The message names the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The variable is needed and is not set, or is empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// The variable's value cannot be used.
    #[error("the environment variable {variable} is {value:?}: it must be {expected}")]
    Invalid {
        /// The name of the environment variable.
        variable: &'static str,
        /// The value that it has.
        value: String,
        /// What it must be, to complete the message.
        expected: &'static str,
    },
}

/// What a function is told by its environment.
///
/// A variable is read when it is asked for, so that a function need not be given what it does not use. All of them are asked
/// for when the function is put together: what is missing or wrong shows at its start.
#[derive(Clone)]
pub struct Settings {
    lookup: Arc<dyn Fn(&'static str) -> Option<String> + Send + Sync>,
    region: String,
    endpoint_url: Option<String>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("region", &self.region).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for `AWS_REGION`.
    pub fn from_environment() -> Result<Self, SettingError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads settings from any lookup by variable name.
    ///
    /// # Errors
    /// As [`Settings::from_environment`].
    pub fn read(lookup: impl Fn(&'static str) -> Option<String> + Send + Sync + 'static) -> Result<Self, SettingError> {
        let mut settings = Self { lookup: Arc::new(lookup), region: String::new(), endpoint_url: None };
        let region = settings.text("AWS_REGION").or_else(|| settings.text("AWS_DEFAULT_REGION"));
        settings.region = region.ok_or(SettingError::Missing("AWS_REGION"))?;
        settings.endpoint_url = settings.text("AWS_ENDPOINT_URL");
        Ok(settings)
    }

    fn text(&self, name: &'static str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn needed(&self, name: &'static str) -> Result<String, SettingError> {
        self.text(name).ok_or(SettingError::Missing(name))
    }

    fn number(
        &self,
        variable: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        expected: &'static str,
    ) -> Result<u32, SettingError> {
        let Some(value) = self.text(variable) else { return Ok(default) };
        match u32::from_str(&value) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(SettingError::Invalid { variable, value, expected }),
        }
    }

    /// Whether a variable has the first of two values; that is what it has where nothing is set.
    fn choice(
        &self,
        variable: &'static str,
        [first, second]: [&str; 2],
        expected: &'static str,
    ) -> Result<bool, SettingError> {
        match self.text(variable) {
            None => Ok(true),
            Some(value) if value == first => Ok(true),
            Some(value) if value == second => Ok(false),
            Some(value) => Err(SettingError::Invalid { variable, value, expected }),
        }
    }

    /// `MILLRACE_TABLE`: the table's name.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn table(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_TABLE")
    }

    /// `MILLRACE_BUS`: the bus over which functions tell each other of work.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn bus(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_BUS")
    }

    /// `MILLRACE_EVENT_BUS`: the bus for state-change events; `default` where nothing is set.
    pub fn event_bus(&self) -> String {
        self.text("MILLRACE_EVENT_BUS").unwrap_or_else(|| "default".to_owned())
    }

    /// `MILLRACE_POLL_QUEUE_URL`: the queue for messages that arrive after a delay.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn poll_queue_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_POLL_QUEUE_URL")
    }

    /// `MILLRACE_TRIGGER_QUEUE_URL`: the queue of what may start pipelines.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn trigger_queue_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_TRIGGER_QUEUE_URL")
    }

    /// `MILLRACE_DEAD_LETTERS_URL`: the queue for events that ask for something that cannot be done.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn dead_letters_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_DEAD_LETTERS_URL")
    }

    /// `MILLRACE_AUDIT_QUEUE_URL`: the queue for calls that belong in the audit log.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn audit_queue_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_AUDIT_QUEUE_URL")
    }

    /// `MILLRACE_INSTALLATION`: the name of the home stack, by which metrics tell installations apart.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn installation(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_INSTALLATION")
    }

    /// `MILLRACE_TRACE_ENDPOINT`: where traces of executions go: `xray`, or the URL of a collector. Nowhere where nothing is set.
    pub fn trace_endpoint(&self) -> Option<String> {
        self.text("MILLRACE_TRACE_ENDPOINT")
    }

    /// `MILLRACE_AUDIT_BUCKET`: the bucket of the audit log.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn audit_bucket(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_AUDIT_BUCKET")
    }

    /// `MILLRACE_HMAC_KEY`: the KMS key that signs approval links.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn hmac_key(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_HMAC_KEY")
    }

    /// `MILLRACE_SECRETS_KEY`: the KMS key that encrypts secrets in the table.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn secrets_key(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_SECRETS_KEY")
    }

    /// `MILLRACE_APPROVAL_URL`: the public address of the approval page.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn approval_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_APPROVAL_URL")
    }

    /// `MILLRACE_ROLE_NAMES`: the pattern that the path and name of every role of a pipeline must match; see
    /// [`crate::PassRole`]. Any role where nothing is set.
    pub fn role_names(&self) -> String {
        self.text("MILLRACE_ROLE_NAMES").unwrap_or_else(|| "*".to_owned())
    }

    /// `MILLRACE_PASS_ROLE`: whether callers must be allowed to pass the roles that they give to a pipeline. Always, but
    /// on an emulator, which has no policies to ask about.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn check_pass_role(&self) -> Result<bool, SettingError> {
        self.choice("MILLRACE_PASS_ROLE", ["checked", "unchecked"], "checked or unchecked")
    }

    /// `MILLRACE_JSON_ON_ROOT`: whether the API serves AWS JSON 1.1 on `/`, where a policy cannot tell one operation from
    /// another.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn json_on_root(&self) -> Result<bool, SettingError> {
        Ok(!self.choice("MILLRACE_JSON_ON_ROOT", ["false", "true"], "true or false")?)
    }

    /// `MILLRACE_APPROVAL_LINKS`: whether approval messages have links by which they can be answered.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn approval_links(&self) -> Result<bool, SettingError> {
        self.choice("MILLRACE_APPROVAL_LINKS", ["true", "false"], "true or false")
    }

    /// `MILLRACE_SEPARATE_APPROVER`: whether who approves must not be who started the execution.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn separate_approver(&self) -> Result<bool, SettingError> {
        Ok(!self.choice("MILLRACE_SEPARATE_APPROVER", ["false", "true"], "true or false")?)
    }

    /// `MILLRACE_ACCOUNT`: the account's id, for ARNs.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn account(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_ACCOUNT")
    }

    /// `MILLRACE_ARTIFACT_ACCOUNT`: the account that owns the artifact stores, where that is another one.
    pub fn artifact_account(&self) -> Option<String> {
        self.text("MILLRACE_ARTIFACT_ACCOUNT")
    }

    /// `MILLRACE_API_ID`: the id of the API through which the function is called.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn api_id(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_API_ID")
    }

    /// `MILLRACE_API_URL`: the address of the API, behind which its paths begin.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn api_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_API_URL")
    }

    /// `AWS_REGION`: the home region, in which pipelines live.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// `AWS_ENDPOINT_URL`: where an emulator answers; none on AWS.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoint_url.as_deref()
    }

    /// `MILLRACE_SWEEP_SECONDS`: how often the sweeper sweeps inside its invocation of one minute.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn sweep_seconds(&self) -> Result<u32, SettingError> {
        self.number("MILLRACE_SWEEP_SECONDS", 60, 1..=60, "a number of seconds from 1 to 60")
    }

    /// `MILLRACE_ZIP_ENTRIES`, `MILLRACE_ZIP_MEBIBYTES`, `MILLRACE_ZIP_RATIO`: what a zip may be that an action looks into.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn zip_limits(&self) -> Result<ZipLimits, SettingError> {
        let number = |variable, default: u64| {
            let default = u32::try_from(default).unwrap_or(u32::MAX);
            self.number(variable, default, 1..=1_000_000, "a number from 1 to 1000000")
        };
        let usual = ZipLimits::default();
        Ok(ZipLimits {
            entries: number("MILLRACE_ZIP_ENTRIES", usual.entries as u64)? as usize,
            total_bytes: u64::from(number("MILLRACE_ZIP_MEBIBYTES", usual.total_bytes >> 20)?) << 20,
            ratio: number("MILLRACE_ZIP_RATIO", usual.ratio)?.into(),
        })
    }

    /// `MILLRACE_CONNECTION_SECRETS`: how the names of the secrets begin, in AWS Secrets Manager, that hold the tokens of
    /// connections to hosts of code; a name ends with the connection's id, the last part of its ARN.
    pub fn connection_secrets(&self) -> String {
        self.text("MILLRACE_CONNECTION_SECRETS").unwrap_or_else(|| "millrace/connections/".to_owned())
    }

    /// `MILLRACE_NOTIFY_TOPICS`: how the names of the topics begin, in the installation's own region and account, to which
    /// notification rules may send.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for the account.
    pub fn notify_topics(&self) -> Result<Topics, SettingError> {
        let names = self.text("MILLRACE_NOTIFY_TOPICS").unwrap_or_else(|| DEFAULT_TOPICS.to_owned());
        Ok(Topics { start: arn::topic(self.region(), &self.account()?, &names) })
    }

    /// `MILLRACE_NOTIFY_SECRETS`: how the names of the secrets begin, in AWS Secrets Manager, that hold the addresses of chats'
    /// webhooks; a name ends with the chat's name in the rules.
    pub fn notify_secrets(&self) -> String {
        self.text("MILLRACE_NOTIFY_SECRETS").unwrap_or_else(|| "millrace/chats/".to_owned())
    }

    /// `MILLRACE_NOTIFY_RULE`: the notification rule of all pipelines that have none of their own in its place, if there is one.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn notify_rule(&self) -> Result<Option<Rule>, SettingError> {
        let variable = "MILLRACE_NOTIFY_RULE";
        let topics = self.notify_topics()?;
        let Some(value) = self.text(variable) else { return Ok(None) };
        match value.parse() {
            Ok(rule) if topics.check(&rule).is_ok() => Ok(Some(rule)),
            _ => Err(SettingError::Invalid {
                variable,
                value,
                expected: "a notification rule to a topic that it may send to",
            }),
        }
    }

    /// `MILLRACE_NOTIFY_QUEUE_URL`: the queue of what notification rules may have to tell.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn notify_queue_url(&self) -> Result<String, SettingError> {
        self.needed("MILLRACE_NOTIFY_QUEUE_URL")
    }

    /// `MILLRACE_CONSOLE_URL`: where people have the console, as messages name it; none where they have none.
    pub fn console_url(&self) -> Option<String> {
        self.text("MILLRACE_CONSOLE_URL").map(|url| url.trim_end_matches('/').to_owned())
    }

    /// `MILLRACE_COMPUTE_PROJECT`: the CodeBuild project, in each region, in whose builds Commands actions and the like run.
    pub fn compute_project(&self) -> String {
        self.text("MILLRACE_COMPUTE_PROJECT").unwrap_or_else(|| "millrace-compute".to_owned())
    }

    /// The engine's periods: the lease is `MILLRACE_LEASE_SECONDS`, work that nobody took up is dispatched again after
    /// a third of it; the first poll is after `MILLRACE_POLL_SECONDS`, later ones after at most twelve times that.
    ///
    /// # Errors
    /// [`SettingError::Invalid`].
    pub fn policy(&self) -> Result<Policy, SettingError> {
        let lease = self.number("MILLRACE_LEASE_SECONDS", 60, 1..=3_600, "a number of seconds from 1 to 3600")?;
        let poll = self.number("MILLRACE_POLL_SECONDS", 5, 1..=900, "a number of seconds from 1 to 900")?;
        let milliseconds = |seconds: u32| i64::from(seconds) * 1_000;
        Ok(Policy {
            lease: milliseconds(lease),
            grace: milliseconds(lease) / 3,
            poll_first: milliseconds(poll),
            poll_most: milliseconds(poll.saturating_mul(12).min(900)),
            separate_approver: self.separate_approver()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(values: &[(&'static str, &'static str)]) -> Result<Settings, SettingError> {
        let values: BTreeMap<_, _> = values.iter().copied().collect();
        Settings::read(move |name| values.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn defaults_are_the_engine_s_own() {
        let settings = read(&[("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(settings.policy().unwrap(), Policy::default());
        assert_eq!(settings.event_bus(), "default");
        assert_eq!(settings.role_names(), "*");
        assert!(settings.check_pass_role().unwrap(), "a function that is told nothing checks");
        assert!(!settings.json_on_root().unwrap());
        assert_eq!(settings.region(), "eu-west-1");
    }

    #[test]
    fn what_is_missing_is_named_when_it_is_used() {
        let settings = read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_BUS", "  ")]).unwrap();
        assert_eq!(settings.table().unwrap_err().to_string(), "the environment variable MILLRACE_TABLE is not set");
        assert_eq!(settings.bus(), Err(SettingError::Missing("MILLRACE_BUS")));
        assert_eq!(read(&[]).unwrap_err(), SettingError::Missing("AWS_REGION"));
    }

    #[test]
    fn only_the_word_itself_switches_the_check_of_passed_roles_off() {
        let read =
            |value| read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_PASS_ROLE", value)]).unwrap().check_pass_role();
        assert!(read("checked").unwrap());
        assert!(!read("unchecked").unwrap());
        assert!(read("no").unwrap_err().to_string().contains("checked or unchecked"));
    }

    #[test]
    fn numbers_are_checked() {
        for value in ["0", "-1", "soon", "61"] {
            let settings = read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_SWEEP_SECONDS", value)]).unwrap();
            let text = settings.sweep_seconds().unwrap_err().to_string();
            assert!(
                text.contains("MILLRACE_SWEEP_SECONDS") && text.contains(value) && text.contains("1 to 60"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_zip_may_be_follows_the_settings() {
        let home = ("AWS_REGION", "eu-west-1");
        assert_eq!(read(&[home]).unwrap().zip_limits().unwrap(), ZipLimits::default());
        let given = [("MILLRACE_ZIP_ENTRIES", "7"), ("MILLRACE_ZIP_MEBIBYTES", "3"), ("MILLRACE_ZIP_RATIO", "10")];
        let settings = read(&[home, given[0], given[1], given[2]]).unwrap();
        assert_eq!(settings.zip_limits().unwrap(), ZipLimits { entries: 7, total_bytes: 3 << 20, ratio: 10 });
        for (variable, _) in given {
            let error = read(&[home, (variable, "0")]).unwrap().zip_limits().unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains("1 to 1000000"), "{error}");
        }
    }

    #[test]
    fn who_may_approve_follows_the_settings() {
        let home = ("AWS_REGION", "eu-west-1");
        let settings = read(&[home]).unwrap();
        assert!(settings.approval_links().unwrap() && !settings.policy().unwrap().separate_approver);
        let settings = read(&[home, ("MILLRACE_APPROVAL_LINKS", "false"), ("MILLRACE_SEPARATE_APPROVER", "true")]);
        let settings = settings.unwrap();
        assert!(!settings.approval_links().unwrap() && settings.policy().unwrap().separate_approver);
        let off = read(&[home, ("MILLRACE_APPROVAL_LINKS", "off"), ("MILLRACE_SEPARATE_APPROVER", "off")]).unwrap();
        let errors = [off.approval_links().unwrap_err(), off.policy().unwrap_err()].map(|error| error.to_string());
        for (error, variable) in errors.iter().zip(["MILLRACE_APPROVAL_LINKS", "MILLRACE_SEPARATE_APPROVER"]) {
            assert!(error.contains(variable) && error.contains("true or false"), "{error}");
        }
    }

    #[test]
    fn periods_follow_the_settings() {
        let settings =
            read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_LEASE_SECONDS", "6"), ("MILLRACE_POLL_SECONDS", "1")]);
        let policy = settings.unwrap().policy().unwrap();
        let expected =
            Policy { lease: 6_000, grace: 2_000, poll_first: 1_000, poll_most: 12_000, separate_approver: false };
        assert_eq!(policy, expected);
    }
}
