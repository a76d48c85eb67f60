//! Who causes a change. Whatever is written while a request or an event is dealt with carries it, as log lines carry the
//! span they are in: no layer in between has to hand it on, and none can forget to.

use std::future::Future;

use serde::{Deserialize, Serialize};

tokio::task_local! {
    static CURRENT: ChangeOrigin;
}

/// Who causes a change. The table keeps it of each item's last one, in the attribute `changed_by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeOrigin {
    /// The ARN of who signed the request; of an approval by link, that it was one; otherwise the function that does its work.
    pub caller: String,
    /// The address from which the request came.
    pub source: Option<String>,
    /// The id of the request, or of the function's invocation.
    pub request: String,
}

impl ChangeOrigin {
    /// Does something on behalf of this origin.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// On whose behalf something is being done.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }
}
