//! Who may send: programs on this machine, and no web page.
//!
//! A page can make the visitor's browser send requests to 127.0.0.1. What keeps it out:
//!
//! - its `Origin`, and `Sec-Fetch-Site`, which browsers set and pages cannot;
//! - the `Host`: a page whose own name was made to lead to 127.0.0.1 (DNS rebinding) has that name there;
//! - the content type, which [`wire::route`] checks: without asking first (`OPTIONS`), a page can only send forms and plain text.
//!
//! - for whatever a browser calls, a header of the console's own ([`CONSOLE`]): a page of another origin cannot set it without asking.
//!
//! A browser that asks first is refused as well: nothing here allows anything to another origin.

use http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};
use wire::{ApiError, Exception};

/// The names of this machine under which the proxy is called.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the console's script sends with every call.
pub const CONSOLE: HeaderName = HeaderName::from_static("x-millrace-console");

/// Refuses what does not come from a program on this machine to the proxy at `port`.
///
/// # Errors
/// `AccessDeniedException`, which says what is wrong.
pub fn check(request: &Parts, port: u16) -> Result<(), ApiError> {
    let refuse = |why: String| Err(Exception::AccessDeniedException.because(why));
    if request.uri.authority().is_some() {
        return refuse("This is no proxy for other hosts: it is CodePipeline's endpoint itself.".to_owned());
    }
    if !only(&request.headers, HOST).is_some_and(|host| is_here(host, port)) {
        return refuse(format!("The header Host must be 127.0.0.1:{port} or localhost:{port}."));
    }
    let foreign = |origin: &HeaderValue| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        !origin.is_some_and(|origin| is_here(origin, port))
    };
    if request.headers.get_all(ORIGIN).iter().any(foreign) {
        return refuse("Pages of another origin may not call this.".to_owned());
    }
    if request.headers.get_all(SEC_FETCH_SITE).iter().any(|site| site != "same-origin" && site != "none") {
        return refuse("Pages of another site may not call this.".to_owned());
    }
    let by_a_browser = request.headers.contains_key(ORIGIN) || request.headers.contains_key(SEC_FETCH_SITE);
    if by_a_browser && request.method != Method::GET && !request.headers.contains_key(CONSOLE) {
        return refuse(format!("Calls from a browser must have the header {CONSOLE}, as the console's have."));
    }
    Ok(())
}

/// The value of a header that is there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whether `host` is this machine's name with this port. The port may be left out only where it is HTTP's own.
pub fn is_here(host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    NAMES.iter().filter_map(|name| host.strip_prefix(name)).any(|rest| match rest.strip_prefix(':') {
        Some(given) => given == port.to_string(),
        None => rest.is_empty() && port == 80,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(port: u16, uri: &str, headers: &[(&str, &str)]) -> Result<(), ApiError> {
        let mut request = http::Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, port)
    }

    #[test]
    fn programs_on_this_machine_may_send() {
        for host in ["127.0.0.1:7709", "localhost:7709", "LocalHost:7709", "[::1]:7709"] {
            assert_eq!(checked(7709, "/", &[("host", host)]), Ok(()), "{host}");
            let origin = format!("http://{}", host.to_lowercase());
            let own = [("host", host), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
            let proof = ("x-millrace-console", "1");
            assert_eq!(checked(7709, "/", &[&own[..], &[proof]].concat()), Ok(()), "the console's own page, {host}");
            assert!(checked(7709, "/", &own).is_err(), "a form that somebody got onto a page of ours, {host}");
            assert!(checked(7709, "/", &own[..2]).is_err() && checked(7709, "/", &[own[0], own[2]]).is_err());
        }
        assert_eq!(checked(80, "/", &[("host", "localhost")]), Ok(()));
    }

    #[test]
    fn nobody_else_may() {
        let here = ("host", "127.0.0.1:7709");
        let refused: &[(&str, &[(&str, &str)])] = &[
            ("/", &[]),
            ("/", &[("host", "")]),
            ("/", &[("host", "127.0.0.1")]),
            ("/", &[("host", "127.0.0.1:7710")]),
            ("/", &[("host", "127.0.0.1:77091")]),
            ("/", &[("host", "127.0.0.1:07709")]),
            ("/", &[("host", "evil.example:7709")]),
            ("/", &[("host", "127.0.0.1.evil.example:7709")]),
            ("/", &[("host", "localhost.:7709")]),
            ("/", &[("host", "evil.example@127.0.0.1:7709")]),
            ("/", &[here, here]),
            ("/", &[here, ("host", "evil.example")]),
            ("http://127.0.0.1:7709/", &[here]),
            ("http://codepipeline.eu-west-1.amazonaws.com/", &[here]),
            ("/", &[here, ("origin", "null")]),
            ("/", &[here, ("origin", "")]),
            ("/", &[here, ("origin", "https://127.0.0.1:7709")]),
            ("/", &[here, ("origin", "http://127.0.0.1:8080")]),
            ("/", &[here, ("origin", "http://evil.example")]),
            ("/", &[here, ("origin", "http://127.0.0.1:7709"), ("origin", "http://evil.example")]),
            ("/", &[here, ("sec-fetch-site", "cross-site")]),
            ("/", &[here, ("sec-fetch-site", "same-site")]),
            ("/", &[here, ("sec-fetch-site", "")]),
        ];
        for (uri, headers) in refused {
            let error = checked(7709, uri, headers).unwrap_err();
            assert_eq!(error.exception, Exception::AccessDeniedException, "{uri} {headers:?}");
        }
        assert!(checked(80, "/", &[("host", "evil.example")]).is_err());
    }
}
