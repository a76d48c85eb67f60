//! The way to the console: the proxy that a person has on their machine, in front of the stack's API.

use anyhow::{Context, Result};
use aws_credential_types::Credentials as Keys;
use e2e::Case;
use local::HOME;
use millrace::proxy::{Api, Credentials, Proxy};
use tokio::task::JoinHandle;

/// A proxy, until it is dropped.
#[derive(Debug)]
pub struct Door {
    /// Where the proxy serves the console.
    pub url: String,
    serving: JoinHandle<()>,
}

impl Door {
    /// Opens one for somebody who may do everything.
    pub async fn open(case: &Case) -> Result<Self> {
        Self::with(case, Keys::new("test", "test", None, None, "browser")).await
    }

    /// Opens one for whoever has these keys.
    pub async fn with(case: &Case, keys: Keys) -> Result<Self> {
        let api = Api::new(
            case.stack.api_url.parse().context("the API has no URL")?,
            HOME.to_owned(),
            Credentials::new(keys),
        );
        let proxy = Proxy::bind(0, api).await?.with_logs(case.stack.logs()?).with_log(|_| {});
        let url = proxy.url();
        Ok(Self { url, serving: tokio::spawn(proxy.serve(std::future::pending())) })
    }

    /// The address of a page of the console: `path` begins behind `/console`.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}/console{path}", self.url)
    }

    /// The address of a pipeline's page.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> String {
        self.page(&format!("/pipelines/{name}"))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
