//! Notification rules: whether what they tell reaches somebody.

use aws_sdk_codepipeline::Client;
use pipeline::PipelineName;
use pipeline::notification::{Chat, Rule, Target, rules};
use runtime::PipelinePath;

use super::finding::{Findings, Look};
use super::{Place, notifications};

/// Where the secrets of chats lie unless the parameter `NotifySecrets` says otherwise: its default in the template.
const SECRETS: &str = "millrace/chats/";

/// The installation's own rule, which holds for every pipeline that has none in its place.
pub(super) async fn of_installation(place: &Place<'_>, findings: &mut Findings) {
    let Some(rule) = place.installation.parameter("NotifyRule").filter(|rule| !rule.is_empty()) else { return };
    match rule.parse::<Rule>() {
        Ok(rule) => receiver(place, "the parameter NotifyRule", &rule.target, findings).await,
        Err(error) => findings.error(
            format!("the parameter NotifyRule {error}: the notifier does not start"),
            "deploy with another value of NotifyRule",
        ),
    }
}

/// The rules of a pipeline. One that is only in a file has none yet.
pub(super) async fn of_pipeline(place: &Place<'_>, pipeline: &PipelineName, findings: &mut Findings) {
    let Ok(api) = place.installation.output("ApiUrl") else { return };
    let home = place.account.home();
    let config = aws_sdk_codepipeline::config::Builder::from(&place.account.sdk(home)).endpoint_url(api);
    let path = PipelinePath::new(api, pipeline.as_str(), "ListTagsForResource");
    let arn = runtime::arn::pipeline(home, place.number, pipeline.as_str());
    let request = Client::from_conf(config.build()).list_tags_for_resource().resource_arn(&arn);
    let (partition, number) = (runtime::arn::partition(home), place.number);
    let resource =
        format!("arn:{partition}:execute-api:{home}:{number}:*/live/POST/pipelines/{pipeline}/ListTagsForResource");
    let what = format!("the tags of the pipeline {pipeline}");
    let found = request.customize().interceptor(path).send().await;
    let Some(found) = findings.look(&what, "execute-api:Invoke", &resource, found).found() else { return };
    let tags = found.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
    for (name, rule) in rules(&tags, None) {
        receiver(place, &format!("the notification rule {name}"), &rule.target, findings).await;
    }
}

async fn receiver(place: &Place<'_>, rule: &str, target: &Target, findings: &mut Findings) {
    match target {
        Target::Topic(arn) => {
            let what = format!("the topic {arn} of {rule}");
            let region = arn.split(':').nth(3).unwrap_or(place.account.home());
            notifications::topic(place, region, (&what, arn), "what happens", findings).await;
        }
        Target::Chat(chat, name) => {
            let start = place.installation.parameter("NotifySecrets").unwrap_or(SECRETS);
            secret(place, rule, *chat, &format!("{start}{name}"), findings).await;
        }
    }
}

/// The secret that holds the address of a chat. Its value is not read: whoever has it can write there.
async fn secret(place: &Place<'_>, rule: &str, chat: Chat, name: &str, findings: &mut Findings) {
    let (home, number) = (place.account.home(), place.number);
    let arn = format!("arn:{}:secretsmanager:{home}:{number}:secret:{name}-*", runtime::arn::partition(home));
    let what = format!("the secret {name} of {rule}");
    let client = aws_sdk_secretsmanager::Client::new(&place.account.sdk(home));
    let found = client.describe_secret().secret_id(name).send().await;
    let address = match chat {
        Chat::Slack => "https://hooks.slack.com/services/...",
        Chat::Teams => "URL-OF-THE-WORKFLOW",
    };
    match findings.look(&what, "secretsmanager:DescribeSecret", &arn, found) {
        Look::Found(found) if found.deleted_date().is_some() => findings.error(
            format!("{what} is being deleted: nobody is told"),
            format!("aws secretsmanager restore-secret --region {home} --secret-id {name}"),
        ),
        Look::Found(_) => findings.ok(format!("{what} is there")),
        Look::Missing => findings.error(
            format!("{what} does not exist: nobody is told"),
            format!("aws secretsmanager create-secret --region {home} --name {name} --secret-string {address}"),
        ),
        Look::Unknown => {}
    }
}
