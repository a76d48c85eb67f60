//! Revisions and triggers in people's words.

use engine::{ActionRun, Execution, Outputs, Revision, SourceRevision, StageRun, Trigger};
use maud::{Markup, html};
use pages::{name, shown};
use url::Url;

/// The variables in which sources name the author of a change, as their catalogue entries have them.
const AUTHORS: [&str; 3] = ["AuthorDisplayName", "AuthorId", "AuthorEmail"];

/// The address, if it leads to the web: anything else stays text.
pub fn web(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()))
}

/// A link to a page of somebody else's, or the text alone where the address leads nowhere.
pub fn link(address: Option<&str>, label: &Markup) -> Markup {
    match address.and_then(web) {
        Some(url) => html! { a href=(url) rel="noopener noreferrer nofollow" { (label) } },
        None => label.clone(),
    }
}

/// What a source says about a revision: connections put the commit's message into JSON. Source: CodePipeline user guide,
/// 'CodeStarSourceConnection', the output variables and revision summaries.
fn message(revision: &Revision) -> Option<String> {
    let summary = revision.summary.as_deref()?.trim();
    let message = serde_json::from_str::<serde_json::Value>(summary)
        .ok()
        .and_then(|json| json.get("CommitMessage")?.as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| summary.to_owned());
    // What only repeats the id says nothing.
    (!message.is_empty() && !message.contains(&revision.id)).then_some(message)
}

/// The first line of what is said about a revision; where nothing is, whose it is.
fn headline(found: &SourceRevision) -> Markup {
    match message(&found.revision) {
        Some(message) => html! { bdi { (shown(message.lines().next().unwrap_or_default())) } },
        None => html! { "of " (name(found.action.as_str())) },
    }
}

/// The first characters of a revision, as many as Git shows.
pub fn short(id: &str) -> String {
    let digest = id.strip_prefix("sha256:").unwrap_or(id);
    shown(digest).chars().take(7).collect()
}

/// Who made a change, as the source's action says it.
fn author(run: &ActionRun) -> Option<&str> {
    let Outputs::Inline(variables) = &run.variables else { return None };
    let named = AUTHORS.iter().find_map(|name| variables.get(*name)).map(String::as_str);
    named.filter(|author| !author.is_empty())
}

/// The revisions of an execution on one line: `3f2a9c1 Fix the gate`.
pub fn line(execution: &Execution) -> Markup {
    html! {
        @if execution.revisions.is_empty() { span class="soft" { "no revision yet" } }
        @for (index, found) in execution.revisions.iter().take(3).enumerate() {
            @if index > 0 { ", " }
            code title=(shown(&found.revision.id)) { (short(&found.revision.id)) }
            " " (headline(found))
        }
        @if execution.revisions.len() > 3 { " and " (execution.revisions.len() - 3) " more" }
    }
}

/// The change that an execution carries, with its author where the source's attempt says who that is.
pub fn change(execution: &Execution, source: Option<&StageRun>) -> Markup {
    html! {
        div class="change" {
            span class="what" {
                @if execution.rollback.is_some() { "Rolls back to " }
                @for (index, found) in execution.revisions.iter().take(3).enumerate() {
                    @if index > 0 { ", " }
                    (link(found.revision.url.as_deref(), &html! { code title=(shown(&found.revision.id)) { (short(&found.revision.id)) } }))
                    " "
                    (headline(found))
                }
                @if execution.revisions.is_empty() { span class="soft" { "no revision yet" } }
            }
            @if let Some(author) = source.and_then(|stage| stage.actions.iter().find_map(author)) { small class="soft" { "by " (name(author)) } }
        }
    }
}

/// Every revision of an execution, in full, with the author where the source's attempt says who that is.
pub fn revisions(execution: &Execution, source: Option<&StageRun>) -> Markup {
    html! {
        dl class="facts" {
            @for found in &execution.revisions {
                dt { "Revision of " (name(found.action.as_str())) }
                dd {
                    (link(found.revision.url.as_deref(), &html! { code { (shown(&found.revision.id)) } }))
                    @if let Some(message) = message(&found.revision) { (pages::text(&message)) }
                    @if let Some(author) = source.and_then(|stage| author(stage.actions.iter().find(|run| run.name == found.action)?)) { small class="soft" { "by " (name(author)) } }
                }
            }
        }
    }
}

/// The last part of an ARN, which names the person, the session or the rule.
fn who(arn: &str) -> &str {
    let tail = arn.rsplit_once(':').map_or(arn, |(_, tail)| tail);
    tail.rsplit_once('/').map_or(tail, |(_, name)| name)
}

/// Who or what started an execution.
pub fn trigger(trigger: &Trigger) -> Markup {
    let detail = trigger.detail.as_str();
    let by = html! { bdi title=(shown(detail)) { (shown(who(detail))) } };
    html! {
        @match trigger.kind.as_str() {
            "CreatePipeline" => { "creation of the pipeline" }
            "StartPipelineExecution" => { @if detail.is_empty() { "started by hand" } @else { (by) } }
            "CloudWatchEvent" => { "an event" @if !detail.is_empty() { " (" (by) ")" } }
            "Webhook" | "WebhookV2" => { "a webhook" @if !detail.is_empty() { " (" (by) ")" } }
            "PollForSourceChanges" => { "a change in the source" }
            "PutActionRevision" => { "a reported revision" }
            "AutomatedRollback" => { "an automatic rollback" }
            "ManualRollback" => { "a rollback" @if !detail.is_empty() { " by " (by) } }
            other => { (name(other)) @if !detail.is_empty() { " (" (by) ")" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_s_summary_is_its_commit_s_message() {
        let revision = |summary: &str| Revision {
            id: "0123456789abcdef".into(),
            summary: Some(summary.into()),
            url: None,
            created: None,
            change: None,
        };
        let json = r#"{"ProviderType":"GitHub","CommitMessage":"Fix the gate\n\nIt stuck."}"#;
        assert_eq!(message(&revision(json)).unwrap(), "Fix the gate\n\nIt stuck.");
        assert_eq!(message(&revision("Amazon S3 version id: 0123456789abcdef")), None, "it repeats the id");
        assert_eq!(message(&revision("{not json")).unwrap(), "{not json");
        assert_eq!(message(&revision(" ")), None);
        assert_eq!(short("sha256:0123456789"), "0123456");
    }

    #[test]
    fn addresses_that_do_not_lead_to_the_web_are_no_links() {
        assert!(web("javascript:alert(1)").is_none() && web("data:text/html,x").is_none());
        assert!(web("https://example.com/a?b=c").is_some());
        assert_eq!(who("arn:aws:sts::1:assumed-role/Dev/ada"), "ada");
        assert_eq!(who("ada"), "ada");
    }
}
