//! Pictures of a pipeline: for everybody while it has the tag, for nobody after that.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials as Keys;
use aws_sdk_codepipeline::types::Tag;
use local::{ACCOUNT, Emulator, HOME};
use millrace::badge::Arguments;
use millrace::proxy::{Api, Credentials};

use crate::case::Case;
use crate::declare::Action;
use crate::http::{self, Answer};

/// With it a pipeline's pictures are public.
const TAG: &str = "millrace:badge";

/// Makes the pictures of a pipeline public, looks at them without a login, and ends that.
pub async fn badges(case: &Arc<Case>) -> Result<()> {
    let keep = |name: &str| anyhow::Ok(Action::machine(name, case.machine(HOME, "echo")?, "{}"));
    let pipeline = case.draft("shown").source().await?.stage("Prod", [keep("Keep")?]).create().await?;
    pipeline.ends(&pipeline.first().await?, "Succeeded").await?;
    let beside = case.draft("beside").source().await?.stage("Prod", [keep("Keep")?]).mode("PARALLEL");
    let beside = beside.create().await?;
    beside.ends(&beside.first().await?, "Succeeded").await?;

    let keys = Credentials::new(Keys::new("test", "test", None, None, "e2e"));
    let api = Api::new(case.stack.api_url.parse()?, HOME.to_owned(), keys);
    let asked = |name: &str, stage: Option<&str>, graph| Arguments {
        pipeline: name.to_owned(),
        stage: stage.map(str::to_owned),
        graph,
    };
    let badge = asked(&pipeline.name, None, false);
    let error = badge.line(&api).await.err().context("it is not public yet")?.to_string();
    ensure!(error.contains("tag-resource") && error.contains(TAG), "{error}");
    let error = asked("nobody", None, false).line(&api).await.err().context("there is none")?.to_string();
    ensure!(error == "there is no pipeline nobody", "{error}");

    for name in [&pipeline.name, &beside.name] {
        tag(case, name, "1").await?;
    }
    for (arguments, title) in [
        (badge.clone(), format!("<title id=\"t\">{}: succeeded</title>", pipeline.name)),
        (asked(&pipeline.name, Some("Prod"), false), format!("{} · Prod: succeeded</title>", pipeline.name)),
        (asked(&pipeline.name, None, true), "Prod: succeeded.</desc>".to_owned()),
        (asked(&beside.name, None, true), "Prod: succeeded.</desc>".to_owned()),
    ] {
        let shown = get(&link(&arguments.line(&api).await?)?).await?;
        ensure!(
            shown.status == 200 && shown.text().contains(&title),
            "{arguments:?}: {} {}",
            shown.status,
            shown.text()
        );
        ensure!(shown.header("content-type") == "image/svg+xml", "{:?}", shown.headers);
        ensure!(shown.header("cache-control") == "public, max-age=60", "{:?}", shown.headers);
    }

    let link = link(&badge.line(&api).await?)?;
    let unproven = link.split('?').next().unwrap_or_default();
    for bad in [unproven.to_owned(), link.replace("proof=", "proof=A"), link.replace("badge.svg", "graph.svg")] {
        let refused = get(&bad).await?;
        ensure!((refused.status, refused.text().as_str()) == (404, "There is nothing at this address.\n"), "{bad}");
    }
    // LocalStack asks nobody for a signature.
    let graph = format!("/console/pipelines/{}/graph.svg", pipeline.name);
    let signed = ["/console", "/console/wall", &graph];
    for page in signed.into_iter().filter(|_| case.stack.emulator == Emulator::Ministack) {
        let unsigned = get(&format!("{}{page}", case.stack.api_url)).await?;
        ensure!(unsigned.status == 403, "{page} answers {} to who has not signed", unsigned.status);
    }

    tag(case, &pipeline.name, "2").await?;
    ensure!(get(&link).await?.status == 404, "another value ends the links");
    let renewed = self::link(&badge.line(&api).await?)?;
    ensure!(get(&renewed).await?.status == 200, "those that are made then are good");
    case.pipelines.untag_resource().resource_arn(arn(&pipeline.name)).tag_keys(TAG).send().await?;
    for link in [&link, &renewed] {
        ensure!(get(link).await?.status == 404, "without the tag none is");
    }
    Ok(())
}

fn arn(pipeline: &str) -> String {
    format!("arn:aws:codepipeline:{HOME}:{ACCOUNT}:{pipeline}")
}

async fn tag(case: &Case, pipeline: &str, value: &str) -> Result<()> {
    let tag = Tag::builder().key(TAG).value(value).build()?;
    case.pipelines.tag_resource().resource_arn(arn(pipeline)).tags(tag).send().await?;
    Ok(())
}

/// The address in a line of Markdown.
fn link(line: &str) -> Result<String> {
    let link = line.rsplit_once("](").and_then(|(_, link)| link.strip_suffix(')'));
    Ok(link.with_context(|| line.to_owned())?.to_owned())
}

async fn get(url: &str) -> Result<Answer> {
    http::send("GET", url, &[], None).await
}
