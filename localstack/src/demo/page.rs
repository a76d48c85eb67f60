//! Using the approval link as a person would: open the page, fill in the form, send it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use local::http;

use super::form::Form;

/// How often somebody tries again whose browser shows a failure of the server.
const TRIES: u32 = 60;

/// Approves; returns what the answering page is called. `base` is the page's public address: a link elsewhere is not
/// followed, and a form that would send the answer elsewhere is not sent.
pub(super) async fn approve(link: &str, base: &str) -> Result<String> {
    ensure!(link.starts_with(base), "the mail's link does not lead to the approval page at {base}");
    let mut sent = false;
    for _ in 0..TRIES {
        if let Some(title) = attempt(link, base, &mut sent).await? {
            return Ok(title);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the approval page has failed {TRIES} times; see: cargo run -p local -- logs")
}

/// Opens the page and sends the form once; nothing is returned when the server failed. `sent`: whether the form was sent
/// before: then the failed server may have taken it, and a page without a form says so.
async fn attempt(link: &str, base: &str, sent: &mut bool) -> Result<Option<String>> {
    let page = http::get(link).await?;
    if page.status >= 500 {
        return Ok(None);
    }
    let form = Form::read(&page.body);
    if *sent && form.is_err() {
        return Ok(Some(title(&page.body)));
    }
    ensure!(page.status == 200, "the approval page answers {}: {}", page.status, title(&page.body));
    let mut form = form?;
    for name in ["name", "approver", "who"] {
        form.fill(name, "local demo");
    }
    for name in ["comment", "summary"] {
        form.fill(name, "Approved by `local demo --yes`");
    }
    form.choose("approve")?;
    *sent = true;
    let answer = http::post_form(&target(link, &form.action, base)?, &form.fields).await?;
    if answer.status >= 500 {
        return Ok(None);
    }
    ensure!(answer.status == 200, "the form is answered with {}: {}", answer.status, title(&answer.body));
    Ok(Some(title(&answer.body)))
}

/// Where a form on the page at `link` is sent.
fn target(link: &str, action: &str, base: &str) -> Result<String> {
    let page = link.split(['?', '#']).next().unwrap_or(link);
    let target = match action {
        "" => link.split('#').next().unwrap_or(link).to_owned(),
        query if query.starts_with('?') => format!("{page}{query}"),
        absolute if absolute.contains("://") => absolute.to_owned(),
        path if path.starts_with('/') => {
            let origin_end = page.find("://").and_then(|at| page[at + 3..].find('/').map(|slash| at + 3 + slash));
            format!("{}{path}", &page[..origin_end.unwrap_or(page.len())])
        }
        sibling => format!("{}/{sibling}", page.rsplit_once('/').context("the link has no path")?.0),
    };
    ensure!(target.starts_with(base), "the page would send the answer to {target}");
    Ok(target)
}

/// The page's heading or title, for a line of output.
fn title(page: &str) -> String {
    for (open, close) in [("<h1>", "</h1>"), ("<title>", "</title>")] {
        if let Some((title, _)) = page.split_once(open).and_then(|(_, rest)| rest.split_once(close)) {
            return html_escape::decode_html_entities(title.trim()).into_owned();
        }
    }
    page.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://h:1/api/approve";

    #[test]
    fn a_form_goes_where_a_browser_would_send_it() {
        let link = "http://h:1/api/approve?t=1";
        assert_eq!(target(link, "", BASE).unwrap(), link);
        assert_eq!(target(link, "?t=2", BASE).unwrap(), "http://h:1/api/approve?t=2");
        assert_eq!(target(link, "approve", BASE).unwrap(), BASE);
        assert_eq!(target(link, "/api/approve", BASE).unwrap(), BASE);
        assert!(target(link, "http://evil/", BASE).is_err());
        assert!(target(link, "/elsewhere", BASE).is_err());
    }

    #[test]
    fn a_page_is_called_by_its_heading() {
        assert_eq!(title("<title>a</title><h1>Done &amp; dusted</h1>"), "Done & dusted");
        assert_eq!(title("plain"), "plain");
    }
}
