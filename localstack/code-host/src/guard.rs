//! Who may send: programs on this machine, and no web page.

use tiny_http::Header;

/// A page of a commit may be opened from any other page; nothing else is for browsers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    Programs,
    Readers,
}

/// Why a request to the server at `port` is refused, if it is.
pub(crate) fn refusal(headers: &[Header], port: u16, readers: For) -> Option<&'static str> {
    let values = |name: &'static str| headers.iter().filter(move |it| it.field.equiv(name)).map(|it| it.value.as_str());
    let hosts: Vec<&str> = values("host").collect();
    let is_here =
        |host: &str| [format!("127.0.0.1:{port}"), format!("localhost:{port}")].contains(&host.to_lowercase());
    if hosts.len() != 1 || !hosts.iter().all(|host| is_here(host)) {
        return Some("The request is for another host than this machine.");
    }
    if values("origin").next().is_some() || (readers == For::Programs && values("sec-fetch-site").next().is_some()) {
        return Some("Web pages may not call this.");
    }
    None
}

/// The value of a header that is there once.
pub(crate) fn only<'a>(headers: &'a [Header], name: &'static str) -> Option<&'a str> {
    let mut values = headers.iter().filter(|it| it.field.equiv(name)).map(|it| it.value.as_str());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&str, &str)], readers: For) -> bool {
        let headers: Vec<_> = headers.iter().map(|(name, value)| Header::from_bytes(*name, *value).unwrap()).collect();
        refusal(&headers, 4590, readers).is_some()
    }

    #[test]
    fn programs_on_this_machine_may_send_and_nobody_else() {
        let here = ("Host", "127.0.0.1:4590");
        for host in ["127.0.0.1:4590", "localhost:4590", "LocalHost:4590"] {
            assert!(!refused(&[("host", host)], For::Programs), "{host}");
        }
        let foreign: &[&[(&str, &str)]] = &[
            &[],
            &[("Host", "evil.example:4590")],
            &[("Host", "127.0.0.1")],
            &[("Host", "127.0.0.1:4591")],
            &[("Host", "127.0.0.1.evil.example:4590")],
            &[here, ("Host", "evil.example")],
            &[here, ("Origin", "http://evil.example")],
            &[here, ("Origin", "null")],
        ];
        for headers in foreign {
            assert!(refused(headers, For::Programs) && refused(headers, For::Readers), "{headers:?}");
        }
        let followed = [here, ("Sec-Fetch-Site", "same-site")];
        assert!(refused(&followed, For::Programs) && !refused(&followed, For::Readers), "a link on a page");
    }
}
