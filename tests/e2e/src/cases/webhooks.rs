//! Webhooks are kept, shown without their secrets, and deleted; whoever calls one as its owner wants starts its pipeline.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{
    ListWebhookItem, WebhookAuthConfiguration, WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
};

use aws_sdk_codepipeline::types::TriggerType;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;

use crate::case::Case;
use crate::declare::{ARTIFACT, Action};
use crate::http;
use crate::wait::{PATIENCE, until};

const SECRET: &str = "a-secret-of-the-hook";

async fn listed(case: &Case, name: &str) -> Result<Option<ListWebhookItem>> {
    let mut pages = case.pipelines.list_webhooks().max_results(1).into_paginator().send();
    while let Some(page) = pages.next().await {
        let found = page?
            .webhooks
            .unwrap_or_default()
            .into_iter()
            .find(|it| it.definition().is_some_and(|definition| definition.name() == name));
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub async fn webhooks_kept(case: &Arc<Case>) -> Result<()> {
    let draft = case.draft("hooked").source().await?.stage("Ask", [Action::approval("Ask")]);
    let pipeline = draft.create().await?;
    let name = case.named("push");
    let definition = |path: &str| -> Result<_> {
        let filter = WebhookFilterRule::builder().json_path(path).match_equals("refs/heads/main").build()?;
        let definition =
            WebhookDefinition::builder().name(&name).target_pipeline(&pipeline.name).target_action("Fetch");
        let definition = definition.filters(filter).authentication(WebhookAuthenticationType::GithubHmac);
        let secret = WebhookAuthConfiguration::builder().secret_token(SECRET).build();
        Ok(definition.authentication_configuration(secret).build()?)
    };
    let put = case.pipelines.put_webhook().webhook(definition("$.ref")?).send().await?;
    let put = put.webhook.context("no webhook")?;
    assert!(!format!("{put:?}").contains(SECRET), "{put:?}");
    let found = listed(case, &name).await?.context("it is not listed")?;
    assert_eq!((found.url(), found.arn()), (put.url(), put.arn()));
    assert!(!format!("{found:?}").contains(SECRET), "{found:?}");
    case.pipelines.put_webhook().webhook(definition("$.after")?).send().await?;
    let kept = case.table_partition("WEBHOOKS").await?;
    assert!(kept.contains(&name) && kept.contains("GithubHmac") && !kept.contains(SECRET), "{kept}");
    assert!(kept.contains("changed_by") && kept.contains("source") && kept.contains("request"), "{kept}");
    let changed = listed(case, &name).await?.context("it is not listed")?;
    assert_eq!(changed.definition().context("no definition")?.filters()[0].json_path(), "$.after");
    assert_eq!(changed.url(), put.url(), "the URL stays");
    for _ in 0..2 {
        case.pipelines.delete_webhook().name(&name).send().await?;
        assert!(listed(case, &name).await?.is_none());
    }
    Ok(())
}

/// What GitHub delivers of a push to the branch `main`, in its shape.
fn push(after: &str) -> String {
    let author = json!({"name": "Mona", "email": "mona@example.com", "username": "mona"});
    let commit = json!({
        "id": after, "tree_id": "f9d2a07e9488b91af2641b26b9407fe22a451433", "distinct": true, "message": "Faster",
        "timestamp": "2026-11-26T10:00:00+01:00", "url": format!("https://github.com/octo-org/octo-repo/commit/{after}"),
        "author": author, "committer": author, "added": [], "removed": [], "modified": ["src/main.rs"],
    });
    let repository = json!({
        "id": 186853002, "name": "octo-repo", "full_name": "octo-org/octo-repo", "private": true,
        "owner": {"login": "octo-org", "id": 21031067}, "default_branch": "main", "pushed_at": 1764150000,
    });
    let body = json!({
        "ref": "refs/heads/main", "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "after": after,
        "repository": repository, "pusher": {"name": "mona", "email": "mona@example.com"},
        "sender": {"login": "mona", "id": 7}, "created": false, "deleted": false, "forced": false, "base_ref": null,
        "compare": "https://github.com/octo-org/octo-repo/compare/6113728f27ae...", "commits": [commit],
        "head_commit": commit,
    });
    body.to_string()
}

fn signed(secret: &str, body: &str) -> Result<[(&'static str, String); 2]> {
    let mut strong = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    strong.update(body.as_bytes());
    let mut weak = Hmac::<Sha1>::new_from_slice(secret.as_bytes())?;
    weak.update(body.as_bytes());
    let (strong, weak) = (hex::encode(strong.finalize().into_bytes()), hex::encode(weak.finalize().into_bytes()));
    Ok([("x-hub-signature-256", format!("sha256={strong}")), ("x-hub-signature", format!("sha1={weak}"))])
}

/// The status and the message of the answer to a delivery.
async fn deliver(url: &str, delivery: &str, headers: &[(&str, String)], body: &str) -> Result<(u16, String)> {
    let mut all = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), "GitHub-Hookshot/044aadd".to_owned()),
        ("x-github-event".to_owned(), "push".to_owned()),
        ("x-github-delivery".to_owned(), delivery.to_owned()),
    ];
    for (name, value) in headers {
        all.retain(|(known, _)| known != name);
        all.push(((*name).to_owned(), value.clone()));
    }
    let answer = http::send("POST", url, &all, Some(body.as_bytes())).await?;
    let body: Value = serde_json::from_slice(&answer.body).with_context(|| answer.text())?;
    Ok((answer.status, body["message"].as_str().unwrap_or_default().to_owned()))
}

async fn put(case: &Case, name: &str, pipeline: &str, change: impl FnOnce(Definition) -> Definition) -> Result<String> {
    let filter = WebhookFilterRule::builder().json_path("$.ref").match_equals("refs/heads/main").build()?;
    let definition = WebhookDefinition::builder().name(name).target_pipeline(pipeline).target_action("Fetch");
    let definition = change(definition.filters(filter)).build()?;
    let put = case.pipelines.put_webhook().webhook(definition).send().await?;
    Ok(put.webhook.context("no webhook")?.url)
}

type Definition = aws_sdk_codepipeline::types::builders::WebhookDefinitionBuilder;

fn hmac(definition: Definition) -> Definition {
    let configuration = WebhookAuthConfiguration::builder().secret_token(SECRET).build();
    definition.authentication(WebhookAuthenticationType::GithubHmac).authentication_configuration(configuration)
}

pub async fn webhooks_start(case: &Arc<Case>) -> Result<()> {
    let target = case.bucket(local::HOME, "target").await?;
    let keep = Action::archive("Keep", &target, "kept.zip");
    let pipeline = case.draft("pushed").source().await?.stage("Deploy", [keep]).create().await?;
    let first = pipeline.first().await?;
    pipeline.ends(&first, "Succeeded").await?;
    let name = case.named("push");
    let url = put(case, &name, &pipeline.name, hmac).await?;
    assert!(url.starts_with(&case.stack.api_url), "{url}");

    // Whoever cannot sign starts nothing, and the owner hears of it.
    let (one, two) = (push(&"1".repeat(40)), push(&"2".repeat(40)));
    assert_eq!(deliver(&url, "d0", &signed("wrong", &one)?, &one).await?.0, 403);
    assert_eq!(deliver(&url, "d0", &[], &one).await?.0, 403);
    let shown = listed(case, &name).await?.context("it is not listed")?;
    assert_eq!((shown.error_code(), shown.last_triggered()), (Some("InvalidSignature"), None), "{shown:?}");
    let stranger = format!("{}?key=0", url.split('?').next().unwrap_or_default());
    assert_eq!(deliver(&stranger, "d0", &signed(SECRET, &one)?, &one).await?.0, 404);
    let ping = [signed(SECRET, &one)?.to_vec(), vec![("x-github-event", "ping".to_owned())]].concat();
    assert_eq!(deliver(&url, "d0", &ping, &one).await?.0, 200);

    // A push starts the pipeline.
    assert_eq!(deliver(&url, "d1", &signed(SECRET, &one)?, &one).await?, (200, "Accepted.".to_owned()));
    let started = pipeline.another(&[&first]).await?;
    let trigger = started.trigger().context("no trigger")?;
    assert_eq!(trigger.trigger_type(), Some(&TriggerType::Webhook));
    let shown = listed(case, &name).await?.context("it is not listed")?;
    assert_eq!(trigger.trigger_detail(), shown.arn(), "the webhook's ARN");
    assert!(shown.error_code().is_none() && shown.last_triggered().is_some(), "{shown:?}");
    let second = started.pipeline_execution_id().context("no id")?.to_owned();
    pipeline.ends(&second, "Succeeded").await?;

    // The same delivery, under its id and under another one, starts nothing; the next push, as a form and with the weaker
    // signature, does.
    for id in ["d1", "d2"] {
        let (status, message) = deliver(&url, id, &signed(SECRET, &one)?, &one).await?;
        assert!(status == 200 && message.contains("before"), "{status} {message}");
    }
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &two).finish();
    let [_, weak] = signed(SECRET, &form)?;
    let kind = ("content-type", "application/x-www-form-urlencoded".to_owned());
    assert_eq!(deliver(&url, "d3", &[weak, kind], &form).await?.0, 200);
    let third = pipeline.another(&[&first, &second]).await?;
    pipeline.ends(third.pipeline_execution_id().context("no id")?, "Succeeded").await?;
    assert_eq!(pipeline.executions().await?.len(), 3);

    // By address, and by nothing but the URL.
    let ranged = |range: &'static str| {
        move |definition: Definition| {
            let configuration = WebhookAuthConfiguration::builder().allowed_ip_range(range).build();
            definition.authentication(WebhookAuthenticationType::Ip).authentication_configuration(configuration)
        }
    };
    let url = put(case, &case.named("far"), &pipeline.name, ranged("192.0.2.0/24")).await?;
    assert_eq!(deliver(&url, "d4", &[], &one).await?.0, 403);
    let url = put(case, &case.named("near"), &pipeline.name, ranged("127.0.0.0/8")).await?;
    assert_eq!(deliver(&url, "d5", &[], &one).await?.0, 200);
    let open = case.named("open");
    let anybody = |definition: Definition| {
        let configuration = WebhookAuthConfiguration::builder().build();
        definition
            .authentication(WebhookAuthenticationType::Unauthenticated)
            .authentication_configuration(configuration)
    };
    let url = put(case, &open, &pipeline.name, anybody).await?;
    let shown = listed(case, &open).await?.context("it is not listed")?;
    assert_eq!(shown.error_code(), Some("Unauthenticated"), "a warning");
    assert_eq!(deliver(&url, "d6", &[], &one).await?.0, 200);
    let five = || async { Ok((pipeline.executions().await?.len() == 5).then_some(())) };
    until(PATIENCE, || "two webhooks did not start it".to_owned(), five).await?;
    Ok(())
}

/// The commit of a push is the revision that the source at GitHub must use. GitHub itself cannot be reached from here, so the
/// action fails.
pub async fn webhooks_name_the_commit(case: &Arc<Case>) -> Result<()> {
    let kind = json!({"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"});
    let source = Action::new("Fetch", "Source", "GitHub").with("actionTypeId", kind).output(ARTIFACT);
    let source = source.set("Owner", "octo-org").set("Repo", "octo-repo").set("Branch", "main");
    let source = source.set("OAuthToken", "ghp_of_nobody").set("PollForSourceChanges", "false");
    let draft = case.draft("commit").stage("Source", [source]).stage("Ask", [Action::approval("Ask")]);
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    let url = put(case, &case.named("commit"), &pipeline.name, hmac).await?;
    let body = push("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c");
    assert_eq!(deliver(&url, "d1", &signed(SECRET, &body)?, &body).await?.0, 200);
    let started = pipeline.another(&[&first]).await?;
    let kept = case.table_partition(&format!("E#{}", started.pipeline_execution_id().context("no id")?)).await?;
    assert!(kept.contains("COMMIT_ID") && kept.contains("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"), "{kept}");
    assert!(kept.contains(":webhook:") && !kept.contains(SECRET), "on whose behalf: {kept}");
    Ok(())
}

/// What a host delivers to a connection starts the pipelines that read its repository, once, with the pushed commit. The host
/// itself cannot be reached from here, so the action fails.
pub async fn connections_start(case: &Arc<Case>) -> Result<()> {
    let id = case.named("connection");
    let arn = format!("arn:aws:codestar-connections:{}:{}:connection/{id}", local::HOME, local::ACCOUNT);
    let kind = json!({"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"});
    let source = Action::new("Fetch", "Source", "CodeStarSourceConnection").with("actionTypeId", kind).output(ARTIFACT);
    let source =
        source.set("ConnectionArn", &arn).set("FullRepositoryId", "Octo-Org/octo-repo").set("BranchName", "main");
    let draft = case.draft("connected").stage("Source", [source]).stage("Ask", [Action::approval("Ask")]);
    let pipeline = draft.create().await?;
    let first = pipeline.first().await?;
    let secrets = aws_sdk_secretsmanager::Client::new(&case.stack.sdk(local::HOME));
    let name = format!("millrace/connections/{id}/deliveries");
    secrets.create_secret().name(name).secret_string(SECRET).send().await?;
    let url = format!("{}/webhooks/connections/{id}", case.stack.api_url);
    let body = push("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c");
    assert_eq!(deliver(&url, "d1", &signed("wrong", &body)?, &body).await?.0, 403);
    assert_eq!(deliver(&url.replace(&id, "none"), "d1", &signed(SECRET, &body)?, &body).await?.0, 404);
    assert_eq!(deliver(&url, "d1", &signed(SECRET, &body)?, &body).await?, (200, "Accepted.".to_owned()));
    let started = pipeline.another(&[&first]).await?;
    let trigger = started.trigger().context("no trigger")?;
    assert_eq!(trigger.trigger_type(), Some(&TriggerType::Webhook));
    let detail: Value = serde_json::from_str(trigger.trigger_detail().unwrap_or_default())?;
    assert_eq!((&detail["connectionArn"], &detail["branch"]), (&json!(arn), &json!("main")), "{detail}");
    let kept = case.table_partition(&format!("E#{}", started.pipeline_execution_id().context("no id")?)).await?;
    assert!(kept.contains("COMMIT_ID") && kept.contains("0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"), "{kept}");
    let (status, message) = deliver(&url, "d2", &signed(SECRET, &body)?, &body).await?;
    assert!(status == 200 && message.contains("before"), "{status} {message}");
    assert_eq!(pipeline.executions().await?.len(), 2);
    Ok(())
}
