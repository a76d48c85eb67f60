//! What an API's URL tells: where it answers, its region, and how IAM policies name it.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The base URL of the API, as the home stack's output `ApiUrl` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl {
    base: String,
    host: String,
}

/// Why a text is not the URL of an API.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the URL of the API ({1}): it is the home stack's output ApiUrl")]
pub struct NotAnApiUrl(String, &'static str);

impl ApiUrl {
    /// The environment variable that may hold it.
    pub const VARIABLE: &'static str = "MILLRACE_API_URL";

    /// Where a path of the API answers; the path begins with `/`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Its host, with the port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region that the host names. A domain of one's own names none, nor does an emulator.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.gateway().map(|(_, region)| region)
    }

    /// What a policy must allow so that `path` can be called with this method. API Gateway masks the account in its messages, and
    /// the host does not tell it, so it is `*`.
    #[must_use]
    pub fn arn(&self, region: &str, method: &str, path: &str) -> String {
        let partition = match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        // A private API's host is `{api}-{VPC endpoint}`. Behind any other host, both can be anything.
        let stage = self.base.split('/').nth(3).filter(|stage| !stage.is_empty());
        let (api, stage) = match (self.gateway(), stage) {
            (Some((api, _)), Some(stage)) => (api.split("-vpce-").next().unwrap_or(api), stage),
            _ => ("*", "*"),
        };
        format!("arn:{partition}:execute-api:{region}:*:{api}/{stage}/{method}{path}")
    }

    /// The API's id and region in `{id}.execute-api.{region}.amazonaws.com`.
    fn gateway(&self) -> Option<(&str, &str)> {
        let mut labels = self.host.split('.');
        match (labels.next()?, labels.next()?, labels.next()?, labels.next()?) {
            (api, "execute-api", region, "amazonaws" | "vpce") => Some((api, region)),
            _ => None,
        }
    }
}

impl FromStr for ApiUrl {
    type Err = NotAnApiUrl;

    fn from_str(text: &str) -> Result<Self, NotAnApiUrl> {
        let wrong = |why| Err(NotAnApiUrl(text.to_owned(), why));
        let base = text.trim_end_matches('/');
        let Ok(uri) = base.parse::<Uri>() else {
            return wrong("it is no URL");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return wrong("it does not begin with https://");
        };
        if uri.query().is_some() || text.contains('#') || authority.as_str().contains('@') {
            return wrong("it has more than host and path");
        }
        // A session token would be sent for everybody to read.
        let here = ["127.0.0.1", "localhost", "[::1]"].contains(&authority.host());
        if scheme != "https" && !(scheme == "http" && here) {
            return wrong("only emulators on this machine are reached without https");
        }
        Ok(Self { base: base.to_owned(), host: authority.as_str().to_ascii_lowercase() })
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_api_gateway_tells_region_and_arn() {
        let url: ApiUrl = "https://abc123.execute-api.eu-west-1.amazonaws.com/live/".parse().unwrap();
        assert_eq!(url.region(), Some("eu-west-1"));
        assert_eq!(url.at("/x"), "https://abc123.execute-api.eu-west-1.amazonaws.com/live/x");
        let arn = url.arn("eu-west-1", "POST", "/pipelines/a/GetPipeline");
        assert_eq!(arn, "arn:aws:execute-api:eu-west-1:*:abc123/live/POST/pipelines/a/GetPipeline");
        let china: ApiUrl = "https://abc.execute-api.cn-north-1.amazonaws.com.cn/live".parse().unwrap();
        assert!(
            china
                .arn(china.region().unwrap(), "POST", "/")
                .starts_with("arn:aws-cn:execute-api:cn-north-1:*:abc/live/")
        );
        let private: ApiUrl = "https://abc-vpce-0a1b.execute-api.eu-west-1.amazonaws.com/live".parse().unwrap();
        assert!(private.arn("eu-west-1", "POST", "/").contains(":abc/live/"));
    }

    #[test]
    fn other_hosts_tell_neither() {
        for text in ["https://pipelines.example.com", "http://127.0.0.1:4566/restapis/abc/live/_user_request_"] {
            let url: ApiUrl = text.parse().unwrap();
            assert_eq!(url.region(), None, "{text}");
            assert_eq!(url.arn("eu-west-1", "POST", "/x"), "arn:aws:execute-api:eu-west-1:*:*/*/POST/x");
        }
    }

    #[test]
    fn what_is_no_url_of_an_api_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "URL"),
            ("abc", "https://"),
            ("/live", "https://"),
            ("https://", "URL"),
            ("ftp://example.com/live", "without https"),
            ("http://example.com/live", "without https"),
            ("http://127.0.0.1.example.com/live", "without https"),
            ("https://me:secret@example.com/live", "more than"),
            ("https://example.com/live?x=y", "more than"),
            ("https://example.com/live#x", ""),
        ] {
            let error = text.parse::<ApiUrl>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("output ApiUrl"), "{text}: {error}");
        }
    }
}
