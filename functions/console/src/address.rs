//! Addresses of pages.

use engine::{ActionId, ExecutionId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::form_urlencoded;

/// What stays as it is in a part of a path: RFC 3986's unreserved characters.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the console begins.
pub const HOME: &str = "/console";
/// The list of pipelines.
pub const PIPELINES: &str = "/console/pipelines";
/// The page for a large screen.
pub const WALL: &str = "/console/wall";

/// A page of a pipeline; an empty `page` is its first.
pub fn of(pipeline: &str, page: &str) -> String {
    let name = utf8_percent_encode(pipeline, KEPT);
    if page.is_empty() { format!("{PIPELINES}/{name}") } else { format!("{PIPELINES}/{name}/{page}") }
}

/// Where a pipeline's definition is checked while it is typed; no page, and so apart from them.
pub fn check(pipeline: &str) -> String {
    format!("{HOME}/check/{}", utf8_percent_encode(pipeline, KEPT))
}

/// The page of an execution.
pub fn execution(pipeline: &str, id: ExecutionId) -> String {
    of(pipeline, &format!("executions/{id}"))
}

/// Where the script asks for the log of an action execution: not of the console's function, which could not read it, but of the proxy.
pub fn log(pipeline: &str, id: ActionId) -> String {
    format!("/console/log/{}/{}/{}", utf8_percent_encode(pipeline, KEPT), id.execution, id.uuid())
}

/// An address with a query; what has no value is left out.
pub fn with(address: &str, query: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    text.extend_pairs(given);
    let text = text.finish();
    if text.is_empty() { address.to_owned() } else { format!("{address}?{text}") }
}

/// The parts of a path behind `/console`, decoded.
pub fn parts(path: &str) -> Option<Vec<String>> {
    let rest = path.strip_prefix("/console")?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    let parts = rest.split('/').filter(|part| !part.is_empty());
    parts.map(|part| percent_decode_str(part).decode_utf8().ok().map(|part| part.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_what_it_was_made_of() {
        for name in ["release", "a@b", "a.b-c_d"] {
            assert_eq!(parts(&of(name, "history")).unwrap(), ["pipelines", name, "history"]);
        }
        assert_eq!(with("/x", &[("a", "1&2"), ("b", "")]), "/x?a=1%262");
        assert_eq!(parts("/console"), Some(vec![]));
        assert_eq!(parts("/consoles"), None);
        assert_eq!(parts("/console/%ff"), None);
    }
}
