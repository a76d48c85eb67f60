//! From a link to its picture.

use driver::{DriveError, Driver};
use lambda_http::http::{HeaderMap, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use pages::policy_of_picture;
use pictures::{Picture, PublicLink, PublicLinks, Snapshot, badge, graph};
use sha2::{Digest, Sha256};

/// For how long anybody may keep a picture without asking again, in seconds. It bounds how late a picture is, and what a README
/// that many read costs.
const FRESH: u32 = 60;
/// Most bytes of a path: two names and what is between them, percent-encoded.
const LARGEST_PATH: usize = 400;

/// Shows pictures to whoever has a link that is good.
pub struct Door {
    driver: Driver,
    links: PublicLinks,
}

/// Why there is no picture.
enum Trouble {
    /// The link is not good, or not any more. Strangers are not told more.
    Nothing,
    /// It could not be looked at; trying later may help.
    Later,
}

impl Door {
    /// Pictures of what this driver reads, behind these links.
    pub fn new(driver: Driver, links: PublicLinks) -> Self {
        Self { driver, links }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When no answer can be made at all.
    pub async fn open(&self, request: &Request) -> anyhow::Result<Response<Body>> {
        Ok(match self.picture(request).await {
            Ok(picture) => shown(request.headers(), picture)?,
            Err(Trouble::Nothing) => told(StatusCode::NOT_FOUND, "There is nothing at this address.\n")?,
            Err(Trouble::Later) => told(StatusCode::SERVICE_UNAVAILABLE, "This cannot be looked at now.\n")?,
        })
    }

    async fn picture(&self, request: &Request) -> Result<String, Trouble> {
        let (parameters, query) = (request.path_parameters(), request.query_string_parameters());
        let path = parameters.first("proxy").filter(|path| path.len() <= LARGEST_PATH).unwrap_or_default();
        let link = PublicLink::read(path, query.iter()).ok_or(Trouble::Nothing)?;
        let head = match self.driver.pipeline_head(&link.pipeline).await {
            Ok(head) => Some(head),
            Err(DriveError::PipelineNotFound(_)) => None,
            Err(error) => return Err(later(&error)),
        };
        if !self.links.verify(&link, head.as_ref()).await.map_err(|error| later(&error))? {
            return Err(Trouble::Nothing);
        }
        let snapshot = Snapshot::read(&self.driver, &link.pipeline).await.map_err(|error| match error {
            // It has just been deleted.
            DriveError::PipelineNotFound(_) => Trouble::Nothing,
            error => later(&error),
        })?;
        match &link.picture {
            // The stage may have gone with an update.
            picture @ Picture::Badge(_) => badge(&snapshot, picture.stage()).ok_or(Trouble::Nothing),
            Picture::Graph => Ok(graph(&snapshot)),
        }
    }
}

fn later(error: &dyn std::error::Error) -> Trouble {
    tracing::error!(%error);
    Trouble::Later
}

/// The picture, or that it is the one that is known.
fn shown(headers: &HeaderMap, picture: String) -> anyhow::Result<Response<Body>> {
    let digest = hex::encode(&Sha256::digest(&picture)[..12]);
    let tag = format!("\"{digest}\"");
    let response = Response::builder()
        .header(header::ETAG, &tag)
        .header(header::CACHE_CONTROL, format!("public, max-age={FRESH}"))
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Who keeps pictures for others may have made the tag a weak one, and may know several.
    if known.split(',').any(|it| it.trim().trim_start_matches("W/") == tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).body(Body::Empty)?);
    }
    let response = response
        .header(header::CONTENT_TYPE, "image/svg+xml")
        .header(header::CONTENT_SECURITY_POLICY, policy_of_picture())
        // Sites of others are what it is for.
        .header("cross-origin-resource-policy", "cross-origin");
    Ok(response.body(Body::from(picture))?)
}

fn told(status: StatusCode, words: &'static str) -> anyhow::Result<Response<Body>> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(response.body(Body::from(words))?)
}
