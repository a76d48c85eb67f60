//! A pipeline's pictures: as files for whoever may see its pages, and the links that show them to everybody.

use engine::Head;
use lambda_http::http::StatusCode;
use maud::{Markup, html};
use pages::{name, policy_of_picture};
use pictures::{Picture, Snapshot, TAG, badge, graph};
use pipeline::{PipelineName, StageName};
use store::Key;

use crate::address;
use crate::handler::{Asked, Console, File, SCRIPT, Screen, Shown};
use crate::screens::{acts, head};
use crate::trouble::Trouble;
use crate::version::Version;

/// The picture with this file name.
pub async fn picture(
    console: &Console,
    pipeline: &PipelineName,
    asked: &Asked<'_>,
    file: &str,
) -> Result<Shown, Trouble> {
    let picture = picture_of(asked, file)?;
    let snapshot = Snapshot::read(&console.driver, pipeline).await?;
    let body = match &picture {
        Picture::Badge(_) => badge(&snapshot, picture.stage()).ok_or(Trouble::Nowhere)?,
        Picture::Graph => graph(&snapshot),
    };
    Ok(Shown::File(File { status: StatusCode::OK, kind: "image/svg+xml", policy: policy_of_picture(), body }))
}

/// Markdown that shows a picture to everybody: `picture` in the query is its file name. Where the pictures are not public, how they
/// become so.
pub async fn markdown(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let file = if asked.get("picture").is_empty() { "badge.svg" } else { asked.get("picture") };
    let picture = picture_of(asked, file)?;
    let record = console.driver.pipeline(pipeline, None).await?;
    if let Some(stage) = picture.stage()
        && !record.pipeline.stages().iter().any(|it| it.name.as_str() == stage)
    {
        return Err(Trouble::Nowhere);
    }
    let (status, body) = match line(console, &record.head, &picture).await {
        Ok(Some(line)) => (StatusCode::OK, line),
        Ok(None) => {
            let how = publish(console, pipeline);
            (StatusCode::CONFLICT, format!("the pictures of {pipeline} are not public; this makes them so: {how}"))
        }
        Err(error) => {
            tracing::error!(%error);
            (StatusCode::SERVICE_UNAVAILABLE, "the key for links cannot be used now".to_owned())
        }
    };
    let kind = if status == StatusCode::OK { "text/markdown; charset=utf-8" } else { "text/plain; charset=utf-8" };
    Ok(Shown::File(File { status, kind, policy: "default-src 'none'".to_owned(), body: body + "\n" }))
}

fn picture_of(asked: &Asked<'_>, file: &str) -> Result<Picture, Trouble> {
    let stage = Some(asked.get("stage")).filter(|stage| !stage.is_empty());
    Picture::named(file, stage).ok_or(Trouble::Nowhere)
}

/// What shows a picture in Markdown; nothing while it is not public.
async fn line(console: &Console, head: &Head, picture: &Picture) -> Result<Option<String>, notify::MacError> {
    let link = console.public.links.make(&console.public.api, head, picture).await?;
    Ok(link.map(|link| match picture.stage() {
        Some(stage) => format!("![State of {} in {stage}]({link})", head.pipeline),
        None => format!("![State of {}]({link})", head.pipeline),
    }))
}

fn arn(console: &Console, pipeline: &PipelineName) -> String {
    runtime::arn::pipeline(console.driver.home(), &console.public.account, pipeline.as_str())
}

/// The command that makes a pipeline's pictures public.
fn publish(console: &Console, pipeline: &PipelineName) -> String {
    let arn = arn(console, pipeline);
    format!("aws codepipeline tag-resource --resource-arn {arn} --tags key={TAG},value=1")
}

/// The page about a pipeline's pictures.
pub async fn show(console: &Console, pipeline: &PipelineName, asked: &Asked<'_>) -> Result<Shown, Trouble> {
    let record = console.driver.pipeline(pipeline, None).await?;
    let found = console.driver.store().load(&[Key::Head(pipeline.clone())]).await?.pop().flatten();
    let revision = found.map_or(0, |found| found.revision);
    let mut version = Version::of_declaration(&asked.address(), &record);
    version.item(Some(revision));
    let tag = version.tag();
    if asked.known.as_ref() == Some(&tag) {
        return Ok(Shown::Same(tag));
    }
    let stages: Vec<&StageName> = record.pipeline.stages().iter().map(|stage| &stage.name).collect();
    let main = html! {
        (head(pipeline.as_str(), "badge", &html! {}, &html! {}))
        (own(pipeline, &stages))
        h2 { "For everybody" }
        (public(console, &record.head, revision).await)
    };
    Ok(Shown::Screen(Screen {
        title: format!("Badge of {pipeline}"),
        main,
        version: Some(tag),
        class: "",
        script: SCRIPT,
    }))
}

fn own(pipeline: &PipelineName, stages: &[&StageName]) -> Markup {
    let badge = address::of(pipeline.as_str(), "badge.svg");
    html! {
        h2 { "For whoever may see this page" }
        ul {
            li { a href=(badge) { "Badge" } ": the pipeline’s name and how it stands." }
            li { a href=(address::of(pipeline.as_str(), "graph.svg")) { "Graph" } ": its stages and actions, and how each stands." }
            li {
                "Badges of stages:"
                @for stage in stages { " " a href=(address::with(&badge, &[("stage", stage.as_str())])) { (name(stage.as_str())) } }
            }
        }
    }
}

/// How everybody sees the pictures: the links, or what makes them public. The tag's value is the head's revision: no two times at
/// which they are made public have the same, so that earlier links stay at an end.
async fn public(console: &Console, head: &Head, revision: u64) -> Markup {
    let arn = arn(console, &head.pipeline);
    let (badge, graph) = (line(console, head, &Picture::Badge(None)).await, line(console, head, &Picture::Graph).await);
    match (badge, graph) {
        (Ok(Some(badge)), Ok(Some(graph))) => html! {
            p { "Whoever has one of these links sees that picture: names and states, nothing else. In Markdown:" }
            @for line in [badge, graph] { pre class="text small" { code { (line) } } }
            p class="small soft" {
                "For a stage: " code { "millrace badge " (head.pipeline) " --stage NAME" } ". All links end when the tag "
                code { (TAG) } " gets another value or is removed."
            }
            p class="acts" { (acts::hide_pictures(&head.pipeline, &arn)) }
        },
        (Ok(_), Ok(_)) => html! {
            p { "Nobody sees the pictures without a login. With the tag " code { (TAG) } " they are public, for those who have a link." }
            p class="acts" { (acts::publish_pictures(&head.pipeline, &arn, revision)) }
        },
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error);
            html! { p { "The links cannot be made now: the key for them cannot be used." } }
        }
    }
}
