//! The link in an approval message: what it does once, and what it does not do.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use engine::Timestamp;
use notify::{Links, Ticket};
use url::Url;

use crate::case::Case;
use crate::check::fails_with;
use crate::declare::Action;
use crate::http::{self, Answer};
use crate::mail::Mailbox;
use crate::pipeline::Pipeline;

/// Sends the page's form as a browser does.
pub async fn send(link: &str, decision: &str, name: &str, comment: &str) -> Result<Answer> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("name", name)
        .append_pair("comment", comment)
        .append_pair("decision", decision)
        .finish();
    let headers = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    http::send("POST", link, &headers, Some(form.as_bytes())).await
}

async fn get(link: &str) -> Result<Answer> {
    http::send("GET", link, &[], None).await
}

/// A pipeline that waits for an approval.
async fn asking(case: &Arc<Case>, purpose: &str) -> Result<(Pipeline, String, Mailbox)> {
    let mailbox = case.mailbox(&format!("{purpose}-mail")).await?;
    let ask = Action::approval("Ask")
        .set("NotificationArn", &mailbox.topic)
        .set("CustomData", "Is <this> & that good?")
        .set("ExternalEntityLink", "https://example.com/changes?a=1&b=2");
    let pipeline =
        case.draft(purpose).source().await?.stage("Gate", [ask]).stage("End", [done(case)?]).create().await?;
    let execution = pipeline.first().await?;
    Ok((pipeline, execution, mailbox))
}

fn done(case: &Arc<Case>) -> Result<Action> {
    Ok(Action::machine("Done", case.machine(local::HOME, "echo")?, "{}"))
}

/// The approval is still to be answered, by the same token.
async fn still_asked(pipeline: &Pipeline, token: &str) -> Result<()> {
    let action = pipeline.action("Ask").await?.context("no approval")?;
    ensure!(action.token() == Some(token), "the approval changed: {action:?}");
    ensure!(action.status().is_some_and(|status| status.as_str() == "InProgress"), "the approval is over: {action:?}");
    Ok(())
}

pub async fn approval_by_link(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution, mailbox) = asking(case, "yes").await?;
    let mail = mailbox.next().await?;
    let token = mail.approval["token"].as_str().context("no token")?.to_owned();
    assert_eq!(mail.approval["externalEntityLink"], "https://example.com/changes?a=1&b=2");
    assert_eq!(pipeline.until_asked("Ask").await?.token(), Some(token.as_str()));
    assert!(mail.link.starts_with(case.stack.value("MILLRACE_APPROVAL_URL")?), "the link leads elsewhere");

    // Mail scanners and previews open links, again and again.
    for _ in 0..3 {
        let page = get(&mail.link).await?;
        assert_eq!(page.status, 200, "{}", page.text());
        safe_headers(&page);
        let text = page.text();
        let shown = ["Ask", "Gate", &pipeline.name, "Is &lt;this&gt; &amp; that good?", "example.com/changes", "<form"];
        for word in shown {
            assert!(text.contains(word), "{word:?} is not on the page");
        }
        assert!(!text.contains("<script") && !text.contains(&token), "the page runs a script or shows the token");
    }
    let head = http::send("HEAD", &mail.link, &[], None).await?;
    assert!(head.body.is_empty());
    still_asked(&pipeline, &token).await?;

    // A form that is not filled in changes nothing either.
    for (decision, name) in [("approve", ""), ("maybe", "Ada"), ("", "Ada")] {
        let refused = send(&mail.link, decision, name, "").await?;
        assert!((400..500).contains(&refused.status), "{decision:?} by {name:?}: {}", refused.status);
        safe_headers(&refused);
    }
    still_asked(&pipeline, &token).await?;

    let taken = send(&mail.link, "approve", "Ada Lovelace", "Looks good").await?;
    assert_eq!(taken.status, 200, "{}", taken.text());
    safe_headers(&taken);
    // Used, and replayed with another decision.
    for again in [get(&mail.link).await?, send(&mail.link, "reject", "Mallory", "").await?] {
        assert_eq!(again.status, 410);
        assert!(again.text().contains("Ada Lovelace"), "the page does not say who answered");
        safe_headers(&again);
    }
    pipeline.ends(&execution, "Succeeded").await?;
    let action = pipeline.action("Ask").await?.context("no approval")?;
    assert_eq!(action.summary(), Some("Looks good"));
    assert_eq!(action.last_updated_by(), Some("approval link (name given: Ada Lovelace)"));
    // A token that was used is good for nothing else, either.
    let late = case.pipelines.put_approval_result().pipeline_name(&pipeline.name).stage_name("Gate").action_name("Ask");
    let result =
        aws_sdk_codepipeline::types::ApprovalResult::builder().summary("no").status("Rejected".into()).build()?;
    let late = late.token(&token).result(result).send().await;
    let error = late.err().context("a used token is taken")?.into_service_error();
    assert!(error.is_approval_already_completed_exception(), "{error:?}");
    Ok(())
}

pub async fn rejection_by_link(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution, mailbox) = asking(case, "no").await?;
    let mail = mailbox.next().await?;
    let taken = send(&mail.link, "reject", "Grace", "The colours are wrong").await?;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(send(&mail.link, "approve", "Grace", "").await?.status, 410);
    fails_with(&pipeline, &execution, "Ask", "JobFailed", &["Rejected", "The colours are wrong"]).await
}

pub async fn link_forged_or_expired(case: &Arc<Case>) -> Result<()> {
    let (pipeline, execution, mailbox) = asking(case, "forged").await?;
    let (other, _, others) = asking(case, "other").await?;
    let mail = mailbox.next().await?;
    let others_mail = others.next().await?;
    let token = pipeline.until_asked("Ask").await?.token.context("no token")?;
    let others_token = other.until_asked("Ask").await?.token.context("no token")?;

    let genuine: Vec<(String, String)> = Url::parse(&mail.link)?.query_pairs().into_owned().collect();
    let foreign: Vec<(String, String)> = Url::parse(&others_mail.link)?.query_pairs().into_owned().collect();
    for place in 0..genuine.len() {
        let (name, value) = &genuine[place];
        let of_another = foreign.iter().find(|(found, other)| found == name && other != value);
        let turned: String = value.chars().map(|c| if c == 'a' { 'b' } else { c }).rev().collect();
        let longer = value.parse::<i64>().map_or(turned, |number| (number + 1).to_string());
        let mut forged = genuine.clone();
        forged[place].1 = of_another.map_or(longer, |(_, other)| other.clone());
        refused(&with_query(&mail.link, &forged)?, &[403, 404]).await?;
    }
    let without = genuine.split_last().context("an empty link")?.1;
    refused(&with_query(&mail.link, without)?, &[404]).await?;
    let twice = [&genuine[..], &foreign[..]].concat();
    refused(&with_query(&mail.link, &twice)?, &[403, 404]).await?;

    // Ours, and over: signed by the stack's own key, for this very approval.
    let id = pipeline.action("Ask").await?.context("no approval")?.action_execution_id.context("no id")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let ticket = Ticket {
        action_id: id.parse().context("not an action execution id")?,
        token: token.parse()?,
        expires: Timestamp(i64::try_from(now)? - 1),
        pipeline: pipeline.name.clone(),
        stage: "Gate".into(),
        action: "Ask".into(),
    };
    let links = Links::new(case.kms.clone(), case.stack.value("MILLRACE_HMAC_KEY")?);
    let expired = links.make(case.stack.value("MILLRACE_APPROVAL_URL")?, &ticket).await?;
    refused(&expired, &[410]).await?;

    still_asked(&pipeline, &token).await?;
    still_asked(&other, &others_token).await?;
    // After all this the genuine link does what it is for.
    assert_eq!(send(&mail.link, "approve", "Ada", "").await?.status, 200);
    pipeline.ends(&execution, "Succeeded").await?;
    Ok(())
}

/// A link opens nothing once its approval was answered in the console, or its pipeline deleted.
pub async fn link_of_what_is_gone(case: &Arc<Case>) -> Result<()> {
    let (deleted, _, mailbox) = asking(case, "deleted").await?;
    let mail = mailbox.next().await?;
    assert_eq!(get(&mail.link).await?.status, 200);
    case.pipelines.delete_pipeline().name(&deleted.name).send().await?;
    refused(&mail.link, &[410]).await?;

    let (answered, execution, mailbox) = asking(case, "answered").await?;
    let mail = mailbox.next().await?;
    let token = answered.until_asked("Ask").await?.token.context("no token")?;
    let result =
        aws_sdk_codepipeline::types::ApprovalResult::builder().summary("fine").status("Approved".into()).build()?;
    let put = case.pipelines.put_approval_result().pipeline_name(&answered.name).stage_name("Gate").action_name("Ask");
    assert!(put.token(token).result(result).send().await?.approved_at().is_some());
    refused(&mail.link, &[410]).await?;
    answered.ends(&execution, "Succeeded").await?;
    Ok(())
}

/// Reading and answering are both refused, with a page that says so.
async fn refused(link: &str, statuses: &[u16]) -> Result<()> {
    for answer in [get(link).await?, send(link, "approve", "Mallory", "").await?] {
        ensure!(statuses.contains(&answer.status), "{} instead of {statuses:?} for {link}", answer.status);
        ensure!(answer.text().contains("<h1"), "no page for {link}");
        safe_headers(&answer);
    }
    Ok(())
}

fn with_query(link: &str, query: &[(String, String)]) -> Result<String> {
    let mut url = Url::parse(link)?;
    url.query_pairs_mut().clear().extend_pairs(query);
    Ok(url.into())
}

/// Against caches, frames, scripts, and the link leaking to where the page leads.
fn safe_headers(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.header("content-type"));
    let policy = answer.header("content-security-policy");
    for rule in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
        assert!(policy.contains(rule), "{rule} is not in {policy:?}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}
