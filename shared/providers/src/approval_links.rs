//! The links on which approvals are answered.

use notify::{LinkError, Links, ReviewLink, Ticket};
use runtime::{Clients, SettingError, Settings};

/// Makes the links: the one thing that is done with the function's own rights.
pub(crate) struct ApprovalLinks {
    /// The region in which pipelines live.
    home: String,
    /// What makes the links to the page on which approvals are answered; none where links are off.
    signer: Option<LinkSigner>,
}

struct LinkSigner {
    /// The base URL of the approval page, to which the link's parameters are added.
    page: String,
    links: Links,
    /// Whether a link can approve as well as reject.
    approves: bool,
}

impl ApprovalLinks {
    pub(crate) fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let signer = match settings.approval_links()? {
            false => None,
            true => Some(LinkSigner {
                page: settings.approval_url()?,
                links: Links::new(clients.kms().clone(), settings.hmac_key()?),
                approves: !settings.separate_approver()?,
            }),
        };
        Ok(Self { home: settings.region().to_owned(), signer })
    }

    /// The region in which pipelines live.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// The link to the page of an approval; none where links are off.
    pub(crate) async fn review(&self, ticket: &Ticket) -> Result<Option<ReviewLink>, LinkError> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let address = signer.links.make(&signer.page, ticket).await?;
        Ok(Some(ReviewLink { address, approves: signer.approves }))
    }
}
