//! Sessions under the roles of pipelines and actions.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::identity::IdentityCache;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use engine::ActionError;

use crate::arn;
use crate::clients::Clients;
use crate::session::Session;
use crate::settings::{SettingError, Settings};

/// Credentials are renewed this long before they expire.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// Above this number the expired ones are forgotten.
const CACHE_SIZE: usize = 256;
/// Source: STS API, `AssumeRole`, `RoleSessionName`.
const SESSION_NAME_MOST: usize = 64;

/// Under whose rights something is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The ARN of the pipeline's service role.
    pub pipeline_role: String,
    /// The ARN of the action's own role, assumed from the pipeline's; none where it names none.
    pub action_role: Option<String>,
    /// The name of the pipeline. CloudTrail shows it as the session's name, and its ARN is the external id, so that a
    /// role's trust policy can name the one pipeline that may use it.
    pub pipeline: String,
}

impl Identity {
    /// The role whose rights the session has.
    pub fn role(&self) -> &str {
        self.chained().unwrap_or(&self.pipeline_role)
    }

    fn chained(&self) -> Option<&str> {
        self.action_role.as_deref().filter(|role| *role != self.pipeline_role)
    }

    fn of_the_pipeline(&self) -> Self {
        Self { action_role: None, ..self.clone() }
    }
}

/// Makes a session name of any text: letters, digits and `_+=,.@-`, 2 to 64 characters. Source: STS API, `AssumeRole`.
fn session_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) { c } else { '-' })
        .take(SESSION_NAME_MOST)
        .collect();
    while name.len() < 2 {
        name.push('-');
    }
    name
}

/// Why a role could not be assumed. Says which role, and STS's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// STS refuses, and will refuse again.
    #[error("the role {role} could not be assumed: {code}: {message}")]
    Refused {
        /// The ARN of the role.
        role: String,
        /// STS's code, for example `AccessDenied`.
        code: String,
        /// The message of STS's error.
        message: String,
    },
    /// STS could not be reached or was too busy; trying later may help.
    #[error("the role {role} could not be assumed now: {message}")]
    Unavailable {
        /// The ARN of the role.
        role: String,
        /// STS's error, or why no answer came.
        message: String,
    },
}

impl RoleError {
    /// Why the action fails because of this; none when it is worth trying again. The code is CodePipeline's
    /// `PermissionError` or `ConfigurationError`. Source: CodePipeline API, `FailureDetails`.
    pub fn action_error(&self) -> Option<ActionError> {
        match self {
            Self::Refused { code, .. } => {
                let kind = if code.starts_with("AccessDenied") { "PermissionError" } else { "ConfigurationError" };
                Some(ActionError { code: kind.to_owned(), message: self.to_string() })
            }
            Self::Unavailable { .. } => None,
        }
    }

    fn from_sts(role: &str, error: &SdkError<AssumeRoleError>) -> Self {
        let role = role.to_owned();
        let SdkError::ServiceError(context) = error else {
            return Self::Unavailable { role, message: DisplayErrorContext(error).to_string() };
        };
        let code = context.err().code().unwrap_or("Unknown").to_owned();
        let message = context.err().message().unwrap_or("STS gave no reason").to_owned();
        // An expired token is the function's own: another process has another.
        let passing = context.raw().status().is_server_error()
            || ["Throttling", "RequestLimitExceeded", "ExpiredToken", "RequestExpired"]
                .iter()
                .any(|prefix| code.starts_with(prefix));
        if passing {
            Self::Unavailable { role, message: format!("{code}: {message}") }
        } else {
            Self::Refused { role, code, message }
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Credentials>>>;

/// Assumes roles with the pipeline's ARN as the external id, and remembers their credentials until shortly before they
/// expire.
#[derive(Clone)]
pub struct Roles {
    inner: Arc<Inner>,
}

struct Inner {
    config: SdkConfig,
    home: String,
    account: String,
    artifact_account: String,
    slots: Mutex<HashMap<Identity, Slot>>,
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roles")
    }
}

impl Roles {
    /// Sessions for the pipelines of this account and of the configuration's region, made with the configuration's
    /// credentials.
    pub fn new(config: &SdkConfig, account: &str) -> Self {
        let home = config.region().map_or_else(String::new, ToString::to_string);
        let account = account.to_owned();
        let artifact_account = account.clone();
        let inner = Inner { config: config.clone(), home, account, artifact_account, slots: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The same for the account of the settings, where artifacts may be in another.
    ///
    /// # Errors
    /// [`SettingError::Missing`] for the account.
    pub fn of(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let config = clients.config().clone();
        let (home, account) = (settings.region().to_owned(), settings.account()?);
        let artifact_account = settings.artifact_account().unwrap_or_else(|| account.clone());
        Ok(Self { inner: Arc::new(Inner { config, home, account, artifact_account, slots: Mutex::default() }) })
    }

    /// The account that the pipelines are in.
    pub fn account(&self) -> &str {
        &self.inner.account
    }

    /// The account that owns the artifact stores.
    pub fn artifact_account(&self) -> &str {
        &self.inner.artifact_account
    }

    /// A session in a region. Its role has been assumed when this returns.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn session(&self, identity: &Identity, region: &str) -> Result<Session, RoleError> {
        self.credentials(identity).await?;
        let provider = AssumedRole { roles: self.clone(), identity: identity.clone() };
        let config = self
            .inner
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(provider))
            // The slots are the cache.
            .identity_cache(IdentityCache::no_cache())
            .build();
        Ok(Session::new(config))
    }

    /// The credentials of a session: the pipeline's role from the function's own, the action's role from those of the
    /// pipeline's.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn credentials(&self, identity: &Identity) -> Result<Credentials, RoleError> {
        let pipeline = self.cached(&identity.of_the_pipeline(), &self.inner.config, &identity.pipeline_role).await?;
        match identity.chained() {
            None => Ok(pipeline),
            Some(role) => self.cached(identity, &self.with(pipeline), role).await,
        }
    }

    /// Credentials with no more rights than the policy gives, to be handed to somebody else: at least 15 minutes.
    ///
    /// # Errors
    /// [`RoleError`].
    pub async fn limited(
        &self,
        identity: &Identity,
        policy: &str,
        duration: Duration,
    ) -> Result<Credentials, RoleError> {
        let base = match identity.chained() {
            None => self.inner.config.clone(),
            Some(_) => self.with(self.credentials(&identity.of_the_pipeline()).await?),
        };
        self.assume(&base, identity.role(), &identity.pipeline, Some((policy, duration))).await
    }

    fn with(&self, credentials: Credentials) -> SdkConfig {
        let provider = SharedCredentialsProvider::new(credentials);
        self.inner.config.to_builder().credentials_provider(provider).identity_cache(IdentityCache::no_cache()).build()
    }

    async fn cached(&self, identity: &Identity, base: &SdkConfig, role: &str) -> Result<Credentials, RoleError> {
        let slot = self.slot(identity);
        let mut known = slot.lock().await;
        if let Some(credentials) = known.as_ref().filter(|credentials| fresh(credentials)) {
            return Ok(credentials.clone());
        }
        let credentials = self.assume(base, role, &identity.pipeline, None).await?;
        *known = Some(credentials.clone());
        Ok(credentials)
    }

    /// Who asks for the same session waits for the one that already assumes the role.
    fn slot(&self, identity: &Identity) -> Slot {
        let mut slots = self.inner.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CACHE_SIZE {
            // A slot that is locked is in use.
            slots.retain(|_, slot| slot.try_lock().map_or(true, |known| known.as_ref().is_some_and(fresh)));
        }
        slots.entry(identity.clone()).or_default().clone()
    }

    async fn assume(
        &self,
        base: &SdkConfig,
        role: &str,
        pipeline: &str,
        limits: Option<(&str, Duration)>,
    ) -> Result<Credentials, RoleError> {
        let mut request = aws_sdk_sts::Client::new(base)
            .assume_role()
            .role_arn(role)
            .role_session_name(session_name(pipeline))
            .external_id(arn::pipeline(&self.inner.home, &self.inner.account, pipeline));
        if let Some((policy, duration)) = limits {
            let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
            request = request.policy(policy).duration_seconds(seconds);
        }
        let answer = request.send().await.map_err(|error| RoleError::from_sts(role, &error))?;
        let Some(given) = answer.credentials else {
            return Err(RoleError::Unavailable {
                role: role.to_owned(),
                message: "STS gave no credentials".to_owned(),
            });
        };
        let expiration = SystemTime::try_from(given.expiration).ok();
        Ok(Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            expiration,
            "AssumeRole",
        ))
    }
}

fn fresh(credentials: &Credentials) -> bool {
    credentials.expiry().is_some_and(|expiry| expiry > SystemTime::now() + MARGIN)
}

/// Gives a session's clients their credentials, newly assumed where they are about to expire.
#[derive(Debug)]
struct AssumedRole {
    roles: Roles,
    identity: Identity,
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.roles.credentials(&self.identity).await.map_err(CredentialsError::provider_error)
        })
    }
}

#[cfg(test)]
mod tests {
    use testkit::{Answer, Stub};

    use super::*;

    const ACCOUNT: &str = "123456789012";
    const PIPELINE: &str = "arn:aws:iam::123456789012:role/pipeline";
    const ACTION: &str = "arn:aws:iam::123456789012:role/action";

    fn identity(action: Option<&str>) -> Identity {
        Identity {
            pipeline_role: PIPELINE.to_owned(),
            action_role: action.map(str::to_owned),
            pipeline: "shop".to_owned(),
        }
    }

    /// STS that names in each key the role which it is for.
    fn sts(expires: &'static str) -> Stub {
        Stub::new(move |request| {
            let role = if request.body.contains("role%2Faction") { "ACTION" } else { "PIPELINE" };
            Answer::ok(format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                 <AccessKeyId>{role}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
                 <SessionToken>token</SessionToken><Expiration>{expires}</Expiration></Credentials>\
                 </AssumeRoleResult></AssumeRoleResponse>"
            ))
        })
    }

    fn refusal(status: u16, code: &'static str) -> Stub {
        Stub::new(move |_| Answer {
            status,
            body: format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>the words of STS</Message></Error></ErrorResponse>"
            ),
        })
    }

    #[tokio::test]
    async fn the_action_s_role_is_assumed_from_the_pipeline_s_each_with_the_pipeline_s_arn() {
        let stub = sts("2999-01-01T00:00:00Z");
        let roles = Roles::new(&stub.config(), ACCOUNT);
        let credentials = roles.credentials(&identity(Some(ACTION))).await.unwrap();
        assert_eq!(credentials.access_key_id(), "ACTION");
        let requests = stub.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[0].header("authorization").contains("Credential=FUNCTION/"), "{:?}", requests[0]);
        assert!(requests[1].header("authorization").contains("Credential=PIPELINE/"), "{:?}", requests[1]);
        for request in &requests {
            // Only this pipeline's ARN opens a role that demands it.
            let external_id = "ExternalId=arn%3Aaws%3Acodepipeline%3Aeu-west-1%3A123456789012%3Ashop";
            assert!(request.body.contains(external_id), "{}", request.body);
            assert!(request.body.contains("RoleSessionName=shop&"), "{}", request.body);
        }
    }

    #[tokio::test]
    async fn credentials_are_remembered_until_shortly_before_they_expire() {
        let lasting = sts("2999-01-01T00:00:00Z");
        let roles = Roles::new(&lasting.config(), ACCOUNT);
        roles.credentials(&identity(None)).await.unwrap();
        roles.credentials(&identity(None)).await.unwrap();
        roles.credentials(&identity(Some(PIPELINE))).await.unwrap();
        assert_eq!(lasting.requests().len(), 1, "the same role is not chained to itself");
        let other = Identity { pipeline: "other".to_owned(), ..identity(None) };
        roles.credentials(&other).await.unwrap();
        assert_eq!(lasting.requests().len(), 2, "another pipeline has another external id");

        let expiring = sts("2020-01-01T00:00:00Z");
        let roles = Roles::new(&expiring.config(), ACCOUNT);
        roles.credentials(&identity(None)).await.unwrap();
        roles.credentials(&identity(None)).await.unwrap();
        assert_eq!(expiring.requests().len(), 2);
    }

    #[tokio::test]
    async fn many_at_once_assume_a_role_once() {
        let stub = sts("2999-01-01T00:00:00Z");
        let roles = Roles::new(&stub.config(), ACCOUNT);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let roles = roles.clone();
                tokio::spawn(async move { roles.credentials(&identity(None)).await.unwrap() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stub.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_session_signs_for_its_region_with_its_role() {
        let stub = sts("2999-01-01T00:00:00Z");
        let roles = Roles::new(&stub.config(), ACCOUNT);
        let session = roles.session(&identity(None), "us-west-2").await.unwrap();
        // The stub's answer makes no sense to SNS; only the request matters.
        let _ = session.sns().publish().topic_arn("arn").message("m").send().await;
        let sent = stub.requests().pop().unwrap();
        let signature = sent.header("authorization");
        assert!(signature.contains("Credential=PIPELINE/") && signature.contains("/us-west-2/sns/"), "{signature}");
    }

    #[tokio::test]
    async fn limited_credentials_carry_the_policy_and_are_not_shared() {
        let stub = sts("2999-01-01T00:00:00Z");
        let roles = Roles::new(&stub.config(), ACCOUNT);
        let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
        roles.limited(&identity(Some(ACTION)), policy, Duration::from_secs(900)).await.unwrap();
        let requests = stub.requests();
        assert!(!requests[0].body.contains("Policy="), "the pipeline's role itself is not limited");
        assert!(requests[1].body.contains("Policy=%7B") && requests[1].body.contains("DurationSeconds=900"));
        roles.credentials(&identity(Some(ACTION))).await.unwrap();
        assert_eq!(stub.requests().len(), 3, "limited credentials do not serve the session");
    }

    #[tokio::test]
    async fn a_refusal_names_the_role_and_fails_the_action() {
        let roles = Roles::new(&refusal(403, "AccessDenied").config(), ACCOUNT);
        let error = roles.credentials(&identity(None)).await.unwrap_err();
        let failure = error.action_error().unwrap();
        assert_eq!(failure.code, "PermissionError");
        assert!(failure.message.contains(PIPELINE) && failure.message.contains("the words of STS"), "{failure:?}");

        let roles = Roles::new(&refusal(400, "ValidationError").config(), ACCOUNT);
        let error = roles.credentials(&identity(None)).await.unwrap_err();
        assert_eq!(error.action_error().unwrap().code, "ConfigurationError");
    }

    #[tokio::test]
    async fn what_passes_is_worth_trying_again() {
        for stub in [refusal(500, "InternalFailure"), refusal(400, "Throttling"), refusal(403, "ExpiredTokenException")]
        {
            let roles = Roles::new(&stub.config(), ACCOUNT);
            let error = roles.credentials(&identity(None)).await.unwrap_err();
            assert!(matches!(&error, RoleError::Unavailable { role, .. } if role == PIPELINE), "{error:?}");
            assert_eq!(error.action_error(), None);
        }
    }

    #[test]
    fn any_text_makes_a_session_name() {
        assert_eq!(session_name("shop 1/é"), "shop-1--");
        assert_eq!(session_name(""), "--");
        assert_eq!(session_name(&"x".repeat(100)).len(), 64);
    }
}
