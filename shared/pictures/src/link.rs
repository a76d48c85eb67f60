//! Links that show a picture to anybody.
//!
//! A pipeline has public pictures while it has the tag [`TAG`]. What KMS proves (HMAC-SHA-256) is the pipeline, which pipeline of
//! that name, the tag's value, and what the picture shows: so a link is good for one picture, and removing or changing the tag, or
//! deleting the pipeline, ends all links. There is no date in it: pictures in a README are meant to stay.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine::Head;
use notify::{MAC_LENGTH, MacError, Macs, message};
use percent_encoding::percent_decode_str;
use pipeline::{PipelineName, StageName};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

/// The tag with which a pipeline's pictures are public, whatever its value. Another value ends the links that were made before.
pub const TAG: &str = "millrace:badge";

/// Stands at the beginning of what is proven: such a proof is good for nothing else, and none of another purpose for a picture.
const PURPOSE: &str = "millrace badge link";
const VERSION: &str = "1";
/// When more proofs than this are known to be right, all are forgotten.
const MOST_KNOWN: usize = 1_000;

/// What there is to see of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Name and state, of the pipeline or of one of its stages.
    Badge(Option<StageName>),
    /// Its stages and actions.
    Graph,
}

impl Picture {
    /// The picture with this file name, of the stage that the query names, if it names one. Nothing if there is none.
    #[must_use]
    pub fn named(file: &str, stage: Option<&str>) -> Option<Self> {
        match (file, stage) {
            ("badge.svg", stage) => Some(Self::Badge(stage.map(StageName::new).transpose().ok()?)),
            ("graph.svg", None) => Some(Self::Graph),
            _ => None,
        }
    }

    /// The last part of its path.
    #[must_use]
    pub const fn file(&self) -> &'static str {
        match self {
            Self::Badge(_) => "badge.svg",
            Self::Graph => "graph.svg",
        }
    }

    /// The stage that it is of; none where it is of the pipeline.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::Badge(stage) => stage.as_ref().map(StageName::as_str),
            Self::Graph => None,
        }
    }
}

/// A link as it was asked for. Nothing in it is true because it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicLink {
    /// Whose picture it is.
    pub pipeline: PipelineName,
    /// The badge, of the pipeline or a stage, or the graph.
    pub picture: Picture,
    /// The HMAC that came with it, not compared yet.
    proof: Vec<u8>,
}

impl PublicLink {
    /// What a path behind `/badges/` and a query ask for; nothing if they are no link. Parameters that are not ours are passed
    /// over, but none of ours may be there twice.
    pub fn read<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (pipeline, file) = path.split_once('/')?;
        let pipeline = percent_decode_str(pipeline).decode_utf8().ok()?;
        let (mut stage, mut proof) = (None, None);
        for (name, value) in query {
            let place = match name {
                "stage" => &mut stage,
                "proof" => &mut proof,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let proof = BASE64_URL_SAFE_NO_PAD.decode(proof?).ok().filter(|proof| proof.len() == MAC_LENGTH)?;
        Some(Self { pipeline: PipelineName::new(&*pipeline).ok()?, picture: Picture::named(file, stage)?, proof })
    }
}

/// Makes links to public pictures, and checks those that come back.
#[derive(Debug)]
pub struct PublicLinks {
    macs: Macs,
    /// Digests of proofs that are right, with what they prove: that never changes. Only what KMS has found right is in here, so
    /// strangers cannot fill it.
    known: Mutex<HashSet<[u8; 32]>>,
}

impl PublicLinks {
    /// Links by this key.
    #[must_use]
    pub fn new(macs: Macs) -> Self {
        Self { macs, known: Mutex::default() }
    }

    /// A link behind the API's address; nothing while the pipeline has no public pictures.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn make(&self, api: &str, head: &Head, picture: &Picture) -> Result<Option<String>, MacError> {
        let Some(proven) = proven(head, picture) else { return Ok(None) };
        let proof = BASE64_URL_SAFE_NO_PAD.encode(self.macs.make(proven).await?);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(picture.stage().map(|stage| ("stage", stage))).append_pair("proof", &proof);
        // What a pipeline's name may hold means nothing in a path.
        Ok(Some(format!("{api}/badges/{}/{}?{}", head.pipeline, picture.file(), query.finish())))
    }

    /// Whether a link is good for a pipeline, if there is one of its name. It takes the same whether there is none, whether it
    /// has no public pictures, or whether the proof is wrong.
    ///
    /// # Errors
    /// [`MacError`].
    pub async fn verify(&self, link: &PublicLink, head: Option<&Head>) -> Result<bool, MacError> {
        let proven = head.and_then(|head| proven(head, &link.picture));
        let is_public = proven.is_some();
        let proven = proven.unwrap_or_else(|| message(&[PURPOSE, VERSION, "none"]));
        let digest: [u8; 32] = Sha256::new().chain_update(&proven).chain_update(&link.proof).finalize().into();
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return Ok(is_public);
        }
        let is_right = self.macs.verify(proven, &link.proof).await? && is_public;
        if is_right {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(digest);
        }
        Ok(is_right)
    }
}

/// What a link's proof is of; nothing while the pipeline has no public pictures.
fn proven(head: &Head, picture: &Picture) -> Option<Vec<u8>> {
    let value = head.tags.get(TAG)?;
    let incarnation = head.incarnation.to_string();
    let stage = picture.stage().unwrap_or_default();
    Some(message(&[PURPOSE, VERSION, head.pipeline.as_str(), &incarnation, value, picture.file(), stage]))
}
