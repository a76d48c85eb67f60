//! Actions that cannot succeed say why, in words that name the thing, and leave nothing half done.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use local::HOME;

use crate::case::Case;
use crate::check::{deployed, fails_with};
use crate::declare::{Action, SOURCE_KEY};
use crate::zips;

/// Emulators let anybody assume any role, if only its ARN is one: they refuse this name, and CodePipeline's own pattern
/// for role ARNs takes it. What AWS says of a role that trusts nobody is held by the tests of `runtime`.
fn no_role() -> String {
    format!("arn:aws:iam::{}:role/no:role", local::ACCOUNT)
}

pub async fn failing_sources(case: &Arc<Case>) -> Result<()> {
    let nowhere = case.named("nowhere");
    let empty = case.bucket(HOME, "empty").await?;
    let plain = case.named("plain");
    case.plain_bucket(HOME, &plain).await?;
    case.put(HOME, &plain, SOURCE_KEY, zips::site()?).await?;
    let reasons: [(&str, &str, &[&str]); 3] = [
        ("bucket", &nowhere, &[&nowhere]),
        ("object", &empty, &[&empty, SOURCE_KEY]),
        ("versions", &plain, &[&plain, "versioning"]),
    ];
    try_join_all(reasons.map(|(purpose, bucket, words)| async move {
        let target = case.bucket(HOME, &format!("{purpose}-target")).await?;
        let deploy = Action::unpack("Never", &target);
        let pipeline = case.draft(purpose).source_in(bucket).stage("Deploy", [deploy]).create().await?;
        let first = pipeline.first().await?;
        fails_with(&pipeline, &first, "Fetch", "ConfigurationError", words).await?;
        deployed(case, HOME, &target, &[]).await
    }))
    .await?;
    let role = no_role();
    let draft = case.draft("role").role(&role).source().await?;
    let pipeline = draft.stage("Ask", [Action::approval("Never")]).create().await?;
    let first = pipeline.first().await?;
    fails_with(&pipeline, &first, "Fetch", "ConfigurationError", &[&role, "could not be assumed"]).await
}

/// Whoever can put the source's object can put any bytes.
pub async fn failing_zips(case: &Arc<Case>) -> Result<()> {
    let good = ("index.html", "hello");
    let objects: [(&str, Vec<u8>, &[&str]); 7] = [
        ("nozip", b"this is no zip at all".to_vec(), &["App", "not a zip"]),
        ("cut", zips::site()?.split_at(100).0.to_vec(), &["App", "not a zip"]),
        ("parent", zips::zipped(&[good, ("../../etc/passwd", "x")])?, &["App", "../../etc/passwd"]),
        ("absolute", zips::zipped(&[good, ("/etc/passwd", "x")])?, &["App", "/etc/passwd"]),
        ("backslash", zips::zipped(&[good, ("..\\windows\\system.ini", "x")])?, &["App", "windows"]),
        ("link", zips::with_link()?, &["App", "secrets", "symbolic link"]),
        ("bomb", zips::bomb()?, &["App", "zeros", "bomb"]),
    ];
    try_join_all(objects.map(|(purpose, object, words)| async move {
        let target = case.bucket(HOME, &format!("{purpose}-target")).await?;
        let deploy = Action::unpack("Unpack", &target);
        let pipeline = case.draft(purpose).source_of(object).await?.stage("Deploy", [deploy]).create().await?;
        let first = pipeline.first().await?;
        fails_with(&pipeline, &first, "Unpack", "JobFailed", words).await?;
        deployed(case, HOME, &target, &[]).await
    }))
    .await?;
    Ok(())
}

pub async fn failing_actions(case: &Arc<Case>) -> Result<()> {
    let nowhere = case.named("nowhere");
    let machine = case.machine(HOME, "echo")?;
    let no_machine = machine.replace("e2e-echo", "e2e-nothing");
    let no_topic = format!("arn:aws:sns:{HOME}:{}:{nowhere}", local::ACCOUNT);
    let failures: Vec<(&str, Action, &str, Vec<&str>)> = vec![
        ("unpack", Action::unpack("Act", &nowhere), "ConfigurationError", vec![&nowhere]),
        ("archive", Action::archive("Act", &nowhere, "a.zip"), "ConfigurationError", vec![&nowhere]),
        ("machine", Action::machine("Act", &no_machine, "{}"), "ConfigurationError", vec!["e2e-nothing"]),
        (
            "broken",
            Action::machine("Act", case.machine(HOME, "broken")?, "{}"),
            "JobFailed",
            vec!["FAILED", "Tests.Failed", "3 of 7 were red"],
        ),
        ("function", Action::function("Act", &nowhere, "-"), "ConfigurationError", vec![&nowhere]),
        ("job", Action::check("Act", "missing.html"), "JobFailed", vec!["the artifact has no missing.html"]),
        ("topic", Action::approval("Act").set("NotificationArn", &no_topic), "ConfigurationError", vec![&nowhere]),
        (
            "unbuilt",
            Action::new("Act", "Deploy", "OpsWorks").set("Stack", "s").set("App", "a").input("App"),
            "ConfigurationError",
            vec!["AWS ended OpsWorks Stacks"],
        ),
        (
            "role",
            Action::unpack("Act", &nowhere).with("roleArn", no_role()),
            "ConfigurationError",
            vec!["role/no:role", "could not be assumed"],
        ),
    ];
    try_join_all(failures.into_iter().map(|(purpose, action, code, words)| async move {
        let target = case.bucket(HOME, &format!("{purpose}-target")).await?;
        let after = Action::unpack("Never", &target);
        let draft = case.draft(purpose).source().await?;
        let pipeline =
            draft.stage("Act", [action]).stage("After", [after]).create().await.context(purpose.to_owned())?;
        let first = pipeline.first().await?;
        fails_with(&pipeline, &first, "Act", code, &words).await?;
        deployed(case, HOME, &target, &[]).await
    }))
    .await?;
    Ok(())
}
