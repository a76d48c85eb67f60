//! Webhooks are kept, shown without their secrets, and deleted.

use std::sync::Arc;

use anyhow::{Context, Result};
use aws_sdk_codepipeline::types::{
    ListWebhookItem, WebhookAuthConfiguration, WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
};

use crate::case::Case;
use crate::declare::Action;

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
