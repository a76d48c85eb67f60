//! What every operation works with.

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use driver::{DriveError, Driver};
use pipeline::PipelineName;
use pipeline::notification::Topics;
use runtime::{CallLog, DEFAULT_TOPICS, JobIds, PassRole, Roles};
use wire::{ApiError, Operation};

use crate::errors;

/// The driver, and what is to be known of the installation.
pub struct App {
    /// The one way in which anything changes.
    pub driver: Driver,
    /// The account's id, for ARNs and messages.
    pub account: String,
    /// The roles of pipelines, for the credentials of jobs.
    pub roles: Roles,
    /// The ids under which jobs are given out.
    pub job_ids: JobIds,
    /// Whether callers may give pipelines their roles.
    pub pass_role: PassRole,
    /// For requests to hosts of code.
    pub(crate) web: SharedHttpClient,
    /// Where calls are noted.
    pub(crate) calls: CallLog,
    /// The emulator's address, where there is no AWS.
    pub(crate) endpoint: Option<String>,
    /// To which topics notification rules may send.
    pub(crate) topics: Topics,
    /// Whether `/` is served, on which AWS JSON 1.1 names the operation in a header only.
    pub(crate) root: bool,
}

impl App {
    /// The API over this driver, in this account, with these roles, this to ask who may pass them, these ids of jobs, this to
    /// note calls, and this to reach hosts of code.
    pub fn new(
        driver: Driver,
        account: &str,
        roles: Roles,
        pass_role: PassRole,
        job_ids: JobIds,
        calls: CallLog,
        web: SharedHttpClient,
    ) -> Self {
        let topics = Topics { start: runtime::arn::topic(driver.home(), account, DEFAULT_TOPICS) };
        let account = account.to_owned();
        Self { topics, driver, account, roles, job_ids, pass_role, calls, web, endpoint: None, root: false }
    }

    /// The same behind an emulator's address instead of AWS's, if there is one.
    #[must_use]
    pub fn on(self, endpoint: Option<&str>) -> Self {
        Self { endpoint: endpoint.map(ToOwned::to_owned), ..self }
    }

    /// The same with `/` served or not. There, a policy cannot tell one operation from another.
    #[must_use]
    pub fn with_root(self, root: bool) -> Self {
        Self { root, ..self }
    }

    /// The same with notification rules that may send to other topics.
    #[must_use]
    pub fn with_topics(self, topics: Topics) -> Self {
        Self { topics, ..self }
    }

    /// The ARN of a pipeline.
    pub fn arn(&self, name: &PipelineName) -> String {
        runtime::arn::pipeline(self.driver.home(), &self.account, name.as_str())
    }

    /// The exception with which an operation answers an error.
    pub fn refusal(&self, operation: Operation) -> impl Fn(DriveError) -> ApiError {
        move |error| errors::exception(&self.account, operation, error)
    }
}
