//! A pipeline's definition, as its author wrote it, what differs between two versions, and the way to change it.

use maud::{Markup, html};
use pages::ago;
use pipeline::PipelineName;

use crate::address;
use crate::handler::{Asked, Console, SCRIPT, Screen, Shown};
use crate::screens::difference::{self, compared, declared};
use crate::screens::head;
use crate::trouble::Trouble;
use crate::version::Version;

/// The definition of the newest version or of the one that the address names; or, where it names a second one, what differs.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let newest = console.driver.pipeline(pipeline, None).await?;
    let tag = Version::of_declaration(&asked.address(), &newest).tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let record = match number(asked, "version")? {
        None => newest.clone(),
        Some(number) => console.driver.pipeline(pipeline, Some(number)).await?,
    };
    let against = match number(asked, "against")? {
        None => None,
        Some(number) => Some(console.driver.pipeline(pipeline, Some(number)).await?),
    };
    let text = declared(&record.pipeline.masked());
    let here = address::of(pipeline.as_str(), "definition");
    let edit = address::with(&address::of(pipeline.as_str(), "edit"), &[("version", &newest.version.to_string())]);
    let edit = html! { a class="button" href=(edit) { "Edit…" } };
    let main = html! {
        (head(pipeline.as_str(), "definition", &html! { span class="chip" { "version " (newest.version) } }, &edit))
        @if newest.version > 1 { (choice(&here, newest.version, record.version, against.as_ref().map(|it| it.version))) }
        @match &against {
            Some(against) => {
                h2 { "From version " (against.version) " to version " (record.version) }
                @let label = format!("Difference between versions {} and {}", against.version, record.version);
                @match difference::between(&label, &compared(&against.pipeline), &compared(&record.pipeline)) {
                    Some(lines) => (lines),
                    None => p { "They are the same." },
                }
                p class="small soft" { "Secrets are masked, so a change of one cannot be seen here." }
            }
            None => {
                p class="soft small" {
                    "Version " (record.version) ", stored " (ago(record.stored.0, console.now())) ". Secrets are masked. "
                    @if record.version > 1 {
                        a href=(address::with(&here, &[("version", &record.version.to_string()), ("against", &(record.version - 1).to_string())])) { "What it changed" }
                    }
                }
                div class="card scroll" tabindex="0" role="region" aria-label="Definition" { pre class="mono" { code { (text) } } }
            }
        }
    };
    Ok(Shown::Screen(Screen {
        title: format!("Definition of {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: SCRIPT,
    }))
}

/// A version that the address names.
fn number(asked: &Asked<'_>, name: &str) -> Result<Option<u32>, Trouble> {
    match asked.get(name) {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_| Trouble::Nowhere),
    }
}

/// Which version is shown, and with which it is compared.
fn choice(here: &str, newest: u32, version: u32, against: Option<u32>) -> Markup {
    html! {
        form class="filter" action=(here) {
            label { "Version" input type="number" name="version" min="1" max=(newest) value=(version) required; }
            label { "Compared with" input type="number" name="against" min="1" max=(newest) value=[against]; }
            button type="submit" { "Show" }
        }
    }
}
