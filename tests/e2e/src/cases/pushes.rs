//! A push to a repository of the local stack, by the real Git.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_codepipeline::types::TriggerType;
use local::HOME;
use serde_json::{Value, json};
use tokio::process::Command;

use super::console;
use crate::case::Case;
use crate::declare::{ARTIFACT, Action};

/// Runs Git in a folder, with nothing of the user's own configuration; returns what it prints on both outputs.
async fn git<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Result<String> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for role in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{role}_NAME"), "Ann Ode").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
    }
    let output = git.output().await.context("`git` does not start")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    ensure!(output.status.success(), "git: {said}");
    Ok(said)
}

/// Writes a file, commits it with this message, and pushes the branch. Returns the commit's id, and what Git said of the push.
async fn pushed(folder: &Path, file: &str, content: &str, message: &str) -> Result<(String, String)> {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    std::fs::write(path, content)?;
    git(folder, &["add", "--all"]).await?;
    git(folder, &["commit", "--quiet", "--message", message]).await?;
    let said = git(folder, &["push", "origin", "main"]).await?;
    Ok((git(folder, &["rev-parse", "HEAD"]).await?, said))
}

/// The push, and nothing else, starts a release of the commit, which is seen in its execution, its artifact and on its page. A
/// push that changes no file of the pipeline's filter starts nothing.
pub async fn git_push_starts(case: &Arc<Case>) -> Result<()> {
    let (url, connection) = (case.stack.value("MILLRACE_GIT_URL")?, case.stack.value("MILLRACE_CONNECTION")?);
    let repository = "e2e/shop";
    let folder = case.stack.folder.join("git-push-starts");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    git(&folder, &["init", "--quiet", "--initial-branch=main"]).await?;
    git(&folder, &["remote", "add", "origin", &format!("{url}/{repository}.git")]).await?;
    let (one, said) = pushed(&folder, "site/index.html", "one", "The first").await?;
    ensure!(said.contains("remote: main: delivered as") && said.contains("answered 200 Accepted."), "{said}");

    let source = Action::new("Fetch", "Source", "CodeStarSourceConnection").output(ARTIFACT);
    let source = source.set("ConnectionArn", connection).set("FullRepositoryId", repository).set("BranchName", "main");
    let filter = json!({"branches": {"includes": ["main"]}, "filePaths": {"includes": ["site/**"]}});
    let target = case.bucket(HOME, "target").await?;
    let draft = case.draft("git").stage("Source", [source.with("namespace", "Source")]);
    let draft = draft.stage("Deploy", [Action::unpack("Site", &target)]).push_filter("Fetch", &filter);
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    let ended = pipeline.ends(&first, "Succeeded").await?;
    assert_eq!(ended.artifact_revisions()[0].revision_id(), Some(one.as_str()));

    let (_, said) = pushed(&folder, "docs/page", "words", "Only words").await?;
    ensure!(said.contains("answered 200"), "{said}");
    let message = "Serve <two> & \"three\"\n\nIt was time.";
    let (two, _) = pushed(&folder, "site/index.html", "two", message).await?;
    let started = pipeline.another(&[&first]).await?;
    let trigger = started.trigger().context("no trigger")?;
    assert_eq!(trigger.trigger_type(), Some(&TriggerType::WebhookV2));
    let detail: Value = serde_json::from_str(trigger.trigger_detail().unwrap_or_default())?;
    assert_eq!((&detail["connectionArn"], &detail["branch"]), (&json!(connection), &json!("main")), "{detail}");
    let id = started.pipeline_execution_id().context("no id")?.to_owned();
    let ended = pipeline.ends(&id, "Succeeded").await?;
    let revision = &ended.artifact_revisions()[0];
    assert_eq!((revision.revision_id(), revision.revision_summary()), (Some(two.as_str()), Some(message)));
    assert_eq!(revision.revision_url(), Some(format!("{url}/{repository}/commit/{two}").as_str()));
    assert_eq!(case.get(HOME, &target, "site/index.html").await?.0, b"two");
    assert_eq!(pipeline.executions().await?.len(), 2, "only words start nothing");

    let page = console::page(case, &format!("/pipelines/{}/executions/{id}", pipeline.name)).await?;
    let list = console::page(case, &format!("/pipelines?search={}", pipeline.name)).await?;
    let headline = "Serve &lt;two&gt; &amp; &quot;three&quot;";
    for (page, shown) in
        [(&page, two.as_str()), (&page, headline), (&page, "It was time."), (&list, headline), (&list, "Ann Ode")]
    {
        ensure!(page.contains(shown), "the page does not show {shown}: {page}");
    }
    Ok(())
}
