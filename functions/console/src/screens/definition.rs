//! A pipeline's definition, as its author wrote it, and a way to change it.

use maud::{Markup, html};
use pages::{ago, shown};
use pipeline::PipelineName;

use crate::handler::{Asked, Console, Screen, Shown};
use crate::screens::{acts, head};
use crate::trouble::Trouble;
use crate::version::Version;

/// The declaration of a version, its difference from the one before, and the way to edit it.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let record = console.driver.pipeline(pipeline, None).await?;
    let mut version = Version::of(&asked.address());
    version.text(&record.head.incarnation.to_string());
    version.item(Some(record.version.into()));
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let declared = serde_json::to_string_pretty(&record.pipeline.masked()).unwrap_or_default();
    let main = html! {
        (head(pipeline.as_str(), "definition", &facts(record.version), &acts::update(&record.pipeline, record.version, &declared)))
        p class="soft small" { "Version " (record.version) ", stored " (ago(record.stored.0, console.now())) ". Secrets are masked; where a mask stays, the secret stays." }
        div class="card scroll" { pre class="text" { code { (shown(&declared)) } } }
    };
    Ok(Shown::Screen(Screen { title: format!("Definition of {pipeline}"), main, version: Some(tag), class: "" }))
}

fn facts(version: u32) -> Markup {
    html! { span class="chip" { "version " (version) } }
}
