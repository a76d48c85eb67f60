//! The caller's own credentials, kept until shortly before they expire.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::Account;

/// How long before they expire credentials are replaced.
const EARLY: Duration = Duration::from_secs(300);
/// How long a provider may take: a program of `credential_process` may ask for something.
const PATIENCE: Duration = Duration::from_secs(20);

/// The SDK's default chain, gone through from its beginning each time it is asked: a login, or a changed profile, counts at once.
#[derive(Clone, Debug)]
pub struct Chain {
    profile: Option<String>,
    region: String,
}

impl Chain {
    /// The chain for a profile, or for what the environment says.
    #[must_use]
    pub fn new(profile: Option<&str>, region: &str) -> Self {
        Self { profile: profile.map(ToOwned::to_owned), region: region.to_owned() }
    }

    async fn load(&self) -> Result<aws_credential_types::Credentials, CredentialsError> {
        let account = Account::from_environment(self.profile.as_deref(), Some(&self.region)).await;
        let config = account.map_err(|error| CredentialsError::invalid_configuration(error.into_boxed_dyn_error()))?;
        let provider = config.sdk(&self.region).credentials_provider();
        let provider = provider.ok_or_else(|| CredentialsError::not_loaded("the chain is empty"))?;
        provider.provide_credentials().await
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

/// What a provider gave last.
#[derive(Debug)]
pub struct Credentials {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<aws_credential_types::Credentials>>,
}

impl Credentials {
    /// What to do when there are none.
    pub const NONE: &'static str = "the proxy has no valid AWS credentials: log in with `aws sso login`, set AWS_PROFILE or \
                                    --profile, or give it a role";

    /// Credentials of this provider, which is asked when they are first needed.
    pub fn new(provider: impl ProvideCredentials + 'static) -> Self {
        Self { provider: SharedCredentialsProvider::new(provider), kept: Mutex::default() }
    }

    /// Valid credentials. If new ones cannot be had, the old ones serve until they expire.
    ///
    /// # Errors
    /// When there are none, with the provider's words.
    pub async fn get(&self) -> Result<aws_credential_types::Credentials, CredentialsError> {
        let mut kept = self.kept.lock().await;
        let lives = |credentials: &aws_credential_types::Credentials, longer: Duration| {
            credentials.expiry().is_none_or(|end| end > SystemTime::now() + longer)
        };
        if let Some(credentials) = kept.as_ref().filter(|kept| lives(kept, EARLY)) {
            return Ok(credentials.clone());
        }
        let asked = timeout(PATIENCE, self.provider.provide_credentials()).await;
        match asked.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(PATIENCE))) {
            Ok(credentials) => Ok(kept.insert(credentials).clone()),
            Err(error) => match kept.as_ref().filter(|kept| lives(kept, Duration::ZERO)) {
                Some(credentials) => Ok(credentials.clone()),
                None => Err(error),
            },
        }
    }

    /// Other credentials than those that AWS has refused, if the provider has others by now.
    pub async fn instead_of(
        &self,
        refused: &aws_credential_types::Credentials,
    ) -> Option<aws_credential_types::Credentials> {
        {
            let mut kept = self.kept.lock().await;
            // Another call may have got new ones in the meantime.
            if kept.as_ref().is_some_and(|kept| same(kept, refused)) {
                *kept = None;
            }
        }
        self.get().await.ok().filter(|credentials| !same(credentials, refused))
    }
}

fn same(one: &aws_credential_types::Credentials, other: &aws_credential_types::Credentials) -> bool {
    one.access_key_id() == other.access_key_id() && one.session_token() == other.session_token()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Gives credentials whose lifetimes, in seconds, are listed, one after the other; after the last, it fails.
    #[derive(Debug)]
    struct Lifetimes(Vec<Option<u64>>, AtomicUsize);

    impl ProvideCredentials for Lifetimes {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let turn = self.1.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::ready(match self.0.get(turn) {
                Some(seconds) => {
                    let end = seconds.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
                    Ok(aws_credential_types::Credentials::new(format!("KEY{turn}"), "secret", None, end, "test"))
                }
                None => Err(CredentialsError::not_loaded("no more")),
            })
        }
    }

    async fn keys(lifetimes: &[Option<u64>], calls: usize) -> Vec<String> {
        let credentials = Credentials::new(Lifetimes(lifetimes.to_vec(), AtomicUsize::new(0)));
        let mut keys = Vec::new();
        for _ in 0..calls {
            let got = credentials.get().await;
            keys.push(got.map_or_else(|error| error.to_string(), |got| got.access_key_id().to_owned()));
        }
        keys
    }

    #[tokio::test]
    async fn credentials_are_kept_until_shortly_before_they_expire() {
        assert_eq!(keys(&[None, None], 2).await, ["KEY0", "KEY0"]);
        assert_eq!(keys(&[Some(900), None], 2).await, ["KEY0", "KEY0"]);
        assert_eq!(keys(&[Some(200), Some(900)], 3).await, ["KEY0", "KEY1", "KEY1"]);
    }

    #[tokio::test]
    async fn old_ones_serve_while_no_new_ones_can_be_had() {
        assert_eq!(keys(&[Some(200)], 2).await, ["KEY0", "KEY0"]);
        assert_ne!(keys(&[Some(0)], 2).await[1], "KEY0", "they have expired");
    }

    #[tokio::test]
    async fn refused_ones_are_replaced_once() {
        let credentials = Credentials::new(Lifetimes(vec![None, None], AtomicUsize::new(0)));
        let first = credentials.get().await.unwrap();
        let second = credentials.instead_of(&first).await.unwrap();
        assert_eq!(second.access_key_id(), "KEY1");
        let meanwhile = credentials.instead_of(&first).await.unwrap();
        assert_eq!(meanwhile.access_key_id(), "KEY1", "nobody is asked again for what was refused before");
        assert!(credentials.instead_of(&second).await.is_none());
    }
}
