//! Signed links to the approval page.
//!
//! A link says which approval it answers; whoever has it may answer, once, until it expires. KMS signs (HMAC-SHA-256)
//! everything that is shown or decided because of the link, so nobody can make one, or turn one into another.

use std::fmt;

use aws_sdk_kms::Client;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine::{ActionId, ApprovalToken, Timestamp};
use url::Url;
use uuid::Uuid;

use crate::mac::{MAC_LENGTH, MacError, Macs, message};

/// Stands at the beginning of what is signed: a signature for one purpose is good for no other.
const PURPOSE: &str = "millrace approval link";
const VERSION: &str = "1";
/// No name in a pipeline is longer. Source: CodePipeline user guide, 'Quotas'.
const NAME_MOST: usize = 100;

/// What a link is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The attempt at the approval action.
    pub action_id: ActionId,
    /// The secret that an answer must name; good for one answer.
    pub token: ApprovalToken,
    /// Until when the link is good.
    pub expires: Timestamp,
    /// The pipeline's name, which the page and the log show.
    pub pipeline: String,
    /// The stage's name.
    pub stage: String,
    /// The approval action's name.
    pub action: String,
}

/// Without the token, which is a secret.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("action_id", &self.action_id)
            .field("expires", &self.expires)
            .field("pipeline", &self.pipeline)
            .field("stage", &self.stage)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// Why there is no link, or why one is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not have the form of a link.
    #[error("this is not an approval link")]
    Malformed,
    /// The signature is not ours for what the link says.
    #[error("the link's signature does not belong to it")]
    Forged,
    /// It is ours, and its time is over.
    #[error("the link expired")]
    Expired(Box<Ticket>),
    /// The base address is not a web address.
    #[error("{0:?} is not an address to which a link can lead")]
    Base(String),
    /// KMS could not be asked; trying later may help.
    #[error(transparent)]
    Unavailable(#[from] MacError),
}

/// Makes links that KMS signs, and checks those that come back.
#[derive(Clone, Debug)]
pub struct Links {
    macs: Macs,
}

impl Links {
    /// Links signed by this KMS key (of type HMAC_256).
    pub fn new(client: Client, key: impl Into<String>) -> Self {
        Self { macs: Macs::new(client, key) }
    }

    /// A link to the page at `base`.
    ///
    /// # Errors
    /// [`LinkError::Base`], [`LinkError::Unavailable`].
    pub async fn make(&self, base: &str, ticket: &Ticket) -> Result<String, LinkError> {
        let mut link = Url::parse(base).map_err(|_| LinkError::Base(base.to_owned()))?;
        let mac = self.macs.make(ticket.signed()).await?;
        link.query_pairs_mut()
            .clear()
            .append_pair("v", VERSION)
            .append_pair("id", &ticket.action_id.to_string())
            .append_pair("token", &ticket.token.to_string())
            .append_pair("until", &ticket.expires.0.to_string())
            .append_pair("pipeline", &ticket.pipeline)
            .append_pair("stage", &ticket.stage)
            .append_pair("action", &ticket.action)
            .append_pair("mac", &BASE64_URL_SAFE_NO_PAD.encode(mac));
        Ok(link.into())
    }

    /// What a link is about, from the parameters of its query, if it is good. Parameters that are not ours are
    /// passed over (mail programs add some): the signature covers all that matter.
    ///
    /// # Errors
    /// [`LinkError::Malformed`], [`LinkError::Forged`], [`LinkError::Expired`], [`LinkError::Unavailable`].
    pub async fn verify<'a>(
        &self,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<Ticket, LinkError> {
        let (ticket, mac) = parse(query).ok_or(LinkError::Malformed)?;
        if !self.macs.verify(ticket.signed(), &mac).await? {
            return Err(LinkError::Forged);
        }
        if ticket.expires <= now {
            return Err(LinkError::Expired(Box::new(ticket)));
        }
        Ok(ticket)
    }
}

impl Ticket {
    /// The bytes that the proof covers: the purpose, so that no other link's proof fits, and every member.
    fn signed(&self) -> Vec<u8> {
        let (id, token, expires) = (self.action_id.to_string(), self.token.to_string(), self.expires.0.to_string());
        let parts = [PURPOSE, VERSION, &id, &token, &expires, &self.pipeline, &self.stage, &self.action];
        message(&parts)
    }
}

fn parse<'a>(query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<(Ticket, Vec<u8>)> {
    const NAMES: [&str; 8] = ["v", "id", "token", "until", "pipeline", "stage", "action", "mac"];
    let mut values: [Option<&str>; 8] = [None; 8];
    for (name, value) in query {
        if let Some(place) = NAMES.iter().position(|known| *known == name) {
            // Of a value given twice, one reader takes the first and another the last.
            if values[place].replace(value).is_some() {
                return None;
            }
        }
    }
    let [Some(version), Some(id), Some(token), Some(until), Some(pipeline), Some(stage), Some(action), Some(mac)] =
        values
    else {
        return None;
    };
    if version != VERSION || [pipeline, stage, action].iter().any(|name| name.is_empty() || name.len() > NAME_MOST) {
        return None;
    }
    let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok().filter(|mac| mac.len() == MAC_LENGTH)?;
    let ticket = Ticket {
        action_id: id.parse().ok()?,
        token: ApprovalToken(Uuid::try_parse(token).ok()?),
        expires: Timestamp(until.parse().ok()?),
        pipeline: pipeline.to_owned(),
        stage: stage.to_owned(),
        action: action.to_owned(),
    };
    Some((ticket, mac))
}

#[cfg(test)]
mod tests {
    use engine::ExecutionId;
    use testkit::{Answer, Stub, kms};

    use super::*;

    const BASE: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/live/approve";
    const NOW: Timestamp = Timestamp(1_795_441_779_208);

    fn ticket() -> Ticket {
        Ticket {
            action_id: ExecutionId::from_random(Uuid::from_u128(7)).action(2, 0, 1),
            token: ApprovalToken(Uuid::from_u128(9)),
            expires: NOW.plus(1),
            pipeline: "release".into(),
            stage: "Gate".into(),
            action: "Ask".into(),
        }
    }

    fn links(stub: &Stub) -> Links {
        Links::new(Client::new(&stub.config()), "key-1")
    }

    fn query(link: &str) -> Vec<(String, String)> {
        Url::parse(link).unwrap().query_pairs().into_owned().collect()
    }

    async fn verify(links: &Links, query: &[(String, String)], now: Timestamp) -> Result<Ticket, LinkError> {
        links.verify(query.iter().map(|(name, value)| (name.as_str(), value.as_str())), now).await
    }

    #[tokio::test]
    async fn a_link_leads_back_to_its_ticket() {
        let links = links(&kms());
        let link = links.make(BASE, &ticket()).await.unwrap();
        assert!(link.starts_with(&format!("{BASE}?v=1&")) && link.len() < 500, "{link}");
        assert_eq!(verify(&links, &query(&link), NOW).await, Ok(ticket()));
        let mut decorated = query(&link);
        decorated.push(("utm_source".into(), "mail".into()));
        assert_eq!(verify(&links, &decorated, NOW).await, Ok(ticket()));
    }

    #[tokio::test]
    async fn the_longest_names_still_make_a_short_link() {
        let long = Ticket { pipeline: "p".repeat(100), stage: "s".repeat(100), action: "@".repeat(100), ..ticket() };
        let link = links(&kms()).make(BASE, &long).await.unwrap();
        assert!(link.len() < 1_000, "{}", link.len());
        assert!(long.signed().len() < 4_096, "KMS signs no more");
    }

    #[tokio::test]
    async fn no_part_of_a_link_can_be_changed() {
        let links = links(&kms());
        let good = query(&links.make(BASE, &ticket()).await.unwrap());
        let other = ExecutionId::from_random(Uuid::from_u128(8 << 100)).action(2, 0, 1).to_string();
        let token = Uuid::from_u128(10).to_string();
        let mac = BASE64_URL_SAFE_NO_PAD.encode([0; 32]);
        for (name, value) in [
            ("id", other.as_str()),
            ("token", token.as_str()),
            ("until", "1995441779208"),
            ("pipeline", "release2"),
            ("stage", "Gate2"),
            ("action", "Ask2"),
            ("mac", mac.as_str()),
        ] {
            let mut changed = good.clone();
            changed.iter_mut().find(|(key, _)| key == name).unwrap().1 = value.to_owned();
            assert_eq!(verify(&links, &changed, NOW).await, Err(LinkError::Forged), "{name}");
        }
    }

    #[tokio::test]
    async fn what_has_not_the_form_of_a_link_does_not_reach_kms() {
        let stub = kms();
        let links = links(&stub);
        let good = query(&links.make(BASE, &ticket()).await.unwrap());
        for name in ["v", "id", "token", "until", "pipeline", "stage", "action", "mac"] {
            let missing: Vec<_> = good.iter().filter(|(key, _)| key != name).cloned().collect();
            assert_eq!(verify(&links, &missing, NOW).await, Err(LinkError::Malformed), "without {name}");
            let mut double = good.clone();
            double.push((name.to_owned(), "x".to_owned()));
            assert_eq!(verify(&links, &double, NOW).await, Err(LinkError::Malformed), "two of {name}");
            let mut nonsense = good.clone();
            nonsense.iter_mut().find(|(key, _)| key == name).unwrap().1 = "\u{0}<é>".repeat(50);
            assert_eq!(verify(&links, &nonsense, NOW).await, Err(LinkError::Malformed), "nonsense as {name}");
        }
        assert_eq!(verify(&links, &[], NOW).await, Err(LinkError::Malformed));
        assert_eq!(stub.requests().len(), 1, "only the link's making");
    }

    #[tokio::test]
    async fn names_cannot_flow_into_each_other() {
        let left = Ticket { pipeline: "a".into(), stage: "bc".into(), ..ticket() };
        let right = Ticket { pipeline: "ab".into(), stage: "c".into(), ..ticket() };
        assert_ne!(left.signed(), right.signed());
        let tricky = Ticket { pipeline: "a;2:bc".into(), ..ticket() };
        assert_ne!(tricky.signed(), Ticket { pipeline: "a".into(), stage: "bc".into(), ..ticket() }.signed());
    }

    #[tokio::test]
    async fn a_link_expires_and_a_forged_one_does_not_even_do_that() {
        let links = links(&kms());
        let good = query(&links.make(BASE, &ticket()).await.unwrap());
        assert_eq!(verify(&links, &good, NOW.plus(1)).await, Err(LinkError::Expired(Box::new(ticket()))));
        let mut forged = good;
        forged.iter_mut().find(|(key, _)| key == "stage").unwrap().1 = "Other".into();
        assert_eq!(verify(&links, &forged, NOW.plus(1)).await, Err(LinkError::Forged));
    }

    #[tokio::test]
    async fn a_fault_of_kms_is_no_forgery() {
        let stub = Stub::new(|_| Answer { status: 400, body: r#"{"__type":"DisabledException"}"#.into() });
        let links = links(&stub);
        let good = query(&self::links(&kms()).make(BASE, &ticket()).await.unwrap());
        let error = verify(&links, &good, NOW).await.unwrap_err();
        assert!(matches!(&error, LinkError::Unavailable(it) if it.key == "key-1"), "{error:?}");
        assert!(!error.to_string().contains(&ticket().token.to_string()), "a token is a secret");
        assert!(matches!(links.make(BASE, &ticket()).await, Err(LinkError::Unavailable(_))));
        assert_eq!(links.make("/approve", &ticket()).await, Err(LinkError::Base("/approve".into())));
    }
}
