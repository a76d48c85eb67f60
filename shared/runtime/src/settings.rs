//! Settings from the environment.

use std::str::FromStr;

use engine::Policy;

/// A setting that is missing or makes no sense. The message names the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The variable is needed and is not set, or is empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// The variable's value cannot be used.
    #[error("the environment variable {variable} is {value:?}: it must be {expected}")]
    Invalid {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// What a function is told by its environment.
///
/// A variable that only some functions need is asked for when it is used, so that a function need not be given what
/// it does not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    table: Option<String>,
    bus: Option<String>,
    event_bus: String,
    poll_queue_url: Option<String>,
    dead_letters_url: Option<String>,
    hmac_key: Option<String>,
    approval_url: Option<String>,
    role_names: String,
    check_pass_role: bool,
    json_on_root: bool,
    approval_links: bool,
    separate_approver: bool,
    account: Option<String>,
    region: String,
    endpoint_url: Option<String>,
    lease_seconds: u32,
    sweep_seconds: u32,
    poll_seconds: u32,
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`SettingError`] when `AWS_REGION` is missing or a number cannot be read.
    pub fn from_environment() -> Result<Self, SettingError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads settings from any lookup by variable name.
    ///
    /// # Errors
    /// As [`Settings::from_environment`].
    pub fn read(lookup: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingError> {
        let text = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let seconds = |name, default, range: std::ops::RangeInclusive<u32>, expected| match text(name) {
            None => Ok(default),
            Some(value) => match u32::from_str(&value) {
                Ok(number) if range.contains(&number) => Ok(number),
                _ => Err(SettingError::Invalid { variable: name, value, expected }),
            },
        };
        // Whether a variable has the first of two values; that is what it has where nothing is set.
        let choice = |name, [first, second]: [&str; 2], expected| match text(name) {
            None => Ok(true),
            Some(value) if value == first => Ok(true),
            Some(value) if value == second => Ok(false),
            Some(value) => Err(SettingError::Invalid { variable: name, value, expected }),
        };
        Ok(Self {
            table: text("MILLRACE_TABLE"),
            bus: text("MILLRACE_BUS"),
            event_bus: text("MILLRACE_EVENT_BUS").unwrap_or_else(|| "default".to_owned()),
            poll_queue_url: text("MILLRACE_POLL_QUEUE_URL"),
            dead_letters_url: text("MILLRACE_DEAD_LETTERS_URL"),
            hmac_key: text("MILLRACE_HMAC_KEY"),
            approval_url: text("MILLRACE_APPROVAL_URL"),
            role_names: text("MILLRACE_ROLE_NAMES").unwrap_or_else(|| "*".to_owned()),
            check_pass_role: choice("MILLRACE_PASS_ROLE", ["checked", "unchecked"], "checked or unchecked")?,
            json_on_root: !choice("MILLRACE_JSON_ON_ROOT", ["false", "true"], "true or false")?,
            approval_links: choice("MILLRACE_APPROVAL_LINKS", ["true", "false"], "true or false")?,
            separate_approver: !choice("MILLRACE_SEPARATE_APPROVER", ["false", "true"], "true or false")?,
            account: text("MILLRACE_ACCOUNT"),
            region: text("AWS_REGION")
                .or_else(|| text("AWS_DEFAULT_REGION"))
                .ok_or(SettingError::Missing("AWS_REGION"))?,
            endpoint_url: text("AWS_ENDPOINT_URL"),
            lease_seconds: seconds("MILLRACE_LEASE_SECONDS", 60, 1..=3_600, "a number of seconds from 1 to 3600")?,
            sweep_seconds: seconds("MILLRACE_SWEEP_SECONDS", 60, 1..=60, "a number of seconds from 1 to 60")?,
            poll_seconds: seconds("MILLRACE_POLL_SECONDS", 5, 1..=900, "a number of seconds from 1 to 900")?,
        })
    }

    /// `MILLRACE_TABLE`: the table's name.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn table(&self) -> Result<&str, SettingError> {
        needed(&self.table, "MILLRACE_TABLE")
    }

    /// `MILLRACE_BUS`: the bus over which functions tell each other of work.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn bus(&self) -> Result<&str, SettingError> {
        needed(&self.bus, "MILLRACE_BUS")
    }

    /// `MILLRACE_EVENT_BUS`: the bus for state-change events; `default` where nothing is set.
    pub fn event_bus(&self) -> &str {
        &self.event_bus
    }

    /// `MILLRACE_POLL_QUEUE_URL`: the queue for messages that arrive after a delay.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn poll_queue_url(&self) -> Result<&str, SettingError> {
        needed(&self.poll_queue_url, "MILLRACE_POLL_QUEUE_URL")
    }

    /// `MILLRACE_DEAD_LETTERS_URL`: the queue for events that ask for something that cannot be done.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn dead_letters_url(&self) -> Result<&str, SettingError> {
        needed(&self.dead_letters_url, "MILLRACE_DEAD_LETTERS_URL")
    }

    /// `MILLRACE_HMAC_KEY`: the KMS key that signs approval links.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn hmac_key(&self) -> Result<&str, SettingError> {
        needed(&self.hmac_key, "MILLRACE_HMAC_KEY")
    }

    /// `MILLRACE_APPROVAL_URL`: the public address of the approval page.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn approval_url(&self) -> Result<&str, SettingError> {
        needed(&self.approval_url, "MILLRACE_APPROVAL_URL")
    }

    /// `MILLRACE_ROLE_NAMES`: the pattern that the path and name of every role of a pipeline must match; see
    /// [`crate::PassRole`]. Any role where nothing is set.
    pub fn role_names(&self) -> &str {
        &self.role_names
    }

    /// `MILLRACE_PASS_ROLE`: whether callers must be allowed to pass the roles that they give to a pipeline. Always, but
    /// on an emulator, which has no policies to ask about.
    pub fn check_pass_role(&self) -> bool {
        self.check_pass_role
    }

    /// `MILLRACE_JSON_ON_ROOT`: whether the API serves AWS JSON 1.1 on `/`, where a policy cannot tell one operation from
    /// another.
    pub fn json_on_root(&self) -> bool {
        self.json_on_root
    }

    /// `MILLRACE_APPROVAL_LINKS`: whether approval messages have links by which they can be answered.
    pub fn approval_links(&self) -> bool {
        self.approval_links
    }

    /// `MILLRACE_ACCOUNT`: the account's id, for ARNs.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn account(&self) -> Result<&str, SettingError> {
        needed(&self.account, "MILLRACE_ACCOUNT")
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
    pub fn sweep_seconds(&self) -> u32 {
        self.sweep_seconds
    }

    /// The engine's periods: the lease is `MILLRACE_LEASE_SECONDS`, work that nobody took up is dispatched again after
    /// a third of it; the first poll is after `MILLRACE_POLL_SECONDS`, later ones after at most twelve times that.
    /// `MILLRACE_SEPARATE_APPROVER`: whether who approves must not be who started the execution.
    pub fn policy(&self) -> Policy {
        let milliseconds = |seconds: u32| i64::from(seconds) * 1_000;
        Policy {
            lease: milliseconds(self.lease_seconds),
            grace: milliseconds(self.lease_seconds) / 3,
            poll_first: milliseconds(self.poll_seconds),
            poll_most: milliseconds(self.poll_seconds.saturating_mul(12).min(900)),
            separate_approver: self.separate_approver,
        }
    }
}

fn needed<'a>(value: &'a Option<String>, variable: &'static str) -> Result<&'a str, SettingError> {
    value.as_deref().ok_or(SettingError::Missing(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&'static str, &str)]) -> Result<Settings, SettingError> {
        Settings::read(|name| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_are_the_engine_s_own() {
        let settings = read(&[("AWS_REGION", "eu-west-1")]).unwrap();
        assert_eq!(settings.policy(), Policy::default());
        assert_eq!(settings.event_bus(), "default");
        assert_eq!(settings.role_names(), "*");
        assert!(settings.check_pass_role(), "a function that is told nothing checks");
        assert!(!settings.json_on_root());
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
        let read = |value| read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_PASS_ROLE", value)]);
        assert!(read("checked").unwrap().check_pass_role());
        assert!(!read("unchecked").unwrap().check_pass_role());
        assert!(read("no").unwrap_err().to_string().contains("checked or unchecked"));
    }

    #[test]
    fn numbers_are_checked() {
        for value in ["0", "-1", "soon", "61"] {
            let error = read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_SWEEP_SECONDS", value)]).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("MILLRACE_SWEEP_SECONDS") && text.contains(value) && text.contains("1 to 60"),
                "{text}"
            );
        }
    }

    #[test]
    fn who_may_approve_follows_the_settings() {
        let home = ("AWS_REGION", "eu-west-1");
        let settings = read(&[home]).unwrap();
        assert!(settings.approval_links() && !settings.policy().separate_approver);
        let settings = read(&[home, ("MILLRACE_APPROVAL_LINKS", "false"), ("MILLRACE_SEPARATE_APPROVER", "true")]);
        let settings = settings.unwrap();
        assert!(!settings.approval_links() && settings.policy().separate_approver);
        for variable in ["MILLRACE_APPROVAL_LINKS", "MILLRACE_SEPARATE_APPROVER"] {
            let error = read(&[home, (variable, "off")]).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains("true or false"), "{error}");
        }
    }

    #[test]
    fn periods_follow_the_settings() {
        let settings =
            read(&[("AWS_REGION", "eu-west-1"), ("MILLRACE_LEASE_SECONDS", "6"), ("MILLRACE_POLL_SECONDS", "1")]);
        let policy = settings.unwrap().policy();
        let expected =
            Policy { lease: 6_000, grace: 2_000, poll_first: 1_000, poll_most: 12_000, separate_approver: false };
        assert_eq!(policy, expected);
    }
}
