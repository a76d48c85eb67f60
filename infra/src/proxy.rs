//! A door on this machine for CodePipeline's clients: it signs what they send for API Gateway, and passes it on.
//!
//! Clients of CodePipeline sign for `codepipeline` and send AWS JSON 1.1 to `/`. Millrace's API wants signatures for
//! `execute-api`, and keeps `/` closed, where no policy could tell one operation from another. Between the two stands this
//! server on 127.0.0.1: it takes away the client's signature, puts the caller's own in its place, and sends the request to the
//! path of its pipeline or its operation. It keeps nothing but credentials, open connections, and which log some actions have.
//!
//! People see the console through it: what they open below `/console` is read from the API, signed in the same way, and what they do
//! there are calls like any other.
//!
//! Whoever can connect to it acts with the caller's rights, so `guard` refuses what comes from a web page of anybody else's.
//!
//! - `server`: connections, limits, and a line in the log for each call.
//! - `guard`: who may send.
//! - `api`: the way to the API and back: which path, what is sent, what is handed on.
//! - `console`: the way to the console's pages, and what is shown in their place.
//! - `log`: the log of an action, for the console's panel.
//! - `gateway`: API Gateway's own errors in words for clients.
//! - `credentials`, [`runtime::signed`]: in whose name.
//! - `url`: what an API's URL tells.

mod api;
mod console;
mod credentials;
mod gateway;
mod guard;
mod log;
mod server;
mod url;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{outln, report, words};
use crate::{Account, Installation};

pub use api::Api;
pub use credentials::{Chain, Credentials};
pub use log::{CloudWatch, Logs};
pub use server::Proxy;
pub use url::ApiUrl;

/// The port where the proxy listens if no other is named. The layer's functions use it too.
pub const PORT: u16 = 7709;

/// What `millrace proxy` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port to listen on, at 127.0.0.1; 0 for a free one.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Where the API answers: the home stack's output ApiUrl. Without it, CloudFormation is asked.
    #[arg(long, env = ApiUrl::VARIABLE)]
    api_url: Option<ApiUrl>,
}

impl Args {
    /// The region of the API, if its URL names one.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.api_url.as_ref()?.region()
    }

    /// Serves until it is interrupted or terminated.
    ///
    /// # Errors
    /// When there are no credentials, no API, or the port is taken.
    pub async fn run(&self, account: &Account, profile: Option<&str>, stack: &str) -> Result<ExitCode> {
        let url = match &self.api_url {
            Some(url) => url.clone(),
            None => Installation::find(account, stack).await?.output("ApiUrl")?.parse()?,
        };
        let credentials = Credentials::new(Chain::new(profile, account.home()));
        // Better now than at the first call, whose client would have to show it.
        credentials.get().await.with_context(|| format!("there are no AWS credentials: {}", Credentials::HOW))?;
        let region = url.region().unwrap_or(account.home()).to_owned();
        let proxy = Proxy::bind(self.port, Api::new(url.clone(), region, credentials)).await?;
        let proxy = proxy.with_logs(Logs::new(CloudWatch::new(account.clone())));
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        outln!("export AWS_ENDPOINT_URL_CODEPIPELINE={}", proxy.url())?;
        report(&format!("CodePipeline's clients are led to {url}; end with Ctrl-C"));
        report(&format!("the console: {}", proxy.console_url()));
        proxy
            .serve(async move {
                tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
            })
            .await;
        Ok(ExitCode::SUCCESS)
    }
}

/// An error of the SDK with its causes, each said once.
fn said(error: impl std::error::Error + Send + Sync + 'static) -> String {
    words(&anyhow::Error::new(error))
}
