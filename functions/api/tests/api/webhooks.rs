use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::operation::put_webhook::builders::PutWebhookFluentBuilder;
use aws_sdk_codepipeline::types::{
    PipelineDeclaration, Tag, WebhookAuthConfiguration, WebhookAuthenticationType, WebhookDefinition, WebhookFilterRule,
};
use serde_json::json;

use store::Store;

use super::{in_both, refused, release};

const ARN: &str = "arn:aws:codepipeline:eu-west-1:111122223333:webhook:push";

/// A pipeline whose source is at GitHub.
pub fn github(name: &str) -> PipelineDeclaration {
    let source = json!({
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
        "configuration": {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "hunter2"},
        "outputArtifacts": [{"name": "App"}],
    });
    let plain = json!("app.zip");
    release(name, &[("/stages/0/actions", json!([source])), ("/stages/3/actions/0/configuration/ObjectKey", plain)])
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

fn filter(path: &str, text: &str) -> WebhookFilterRule {
    WebhookFilterRule::builder().json_path(path).match_equals(text).build().unwrap()
}

/// A webhook for the source of this pipeline; `change` makes it another one.
pub fn definition(
    name: &str,
    pipeline: &str,
    change: impl FnOnce(
        aws_sdk_codepipeline::types::builders::WebhookDefinitionBuilder,
    ) -> aws_sdk_codepipeline::types::builders::WebhookDefinitionBuilder,
) -> WebhookDefinition {
    let whole = WebhookDefinition::builder()
        .name(name)
        .target_pipeline(pipeline)
        .target_action("Fetch")
        .filters(filter("$.ref", "refs/heads/{Branch}"))
        .authentication(WebhookAuthenticationType::GithubHmac)
        .authentication_configuration(WebhookAuthConfiguration::builder().secret_token("hunter3").build());
    change(whole).build().unwrap()
}

pub fn put(client: &Client, definition: WebhookDefinition) -> PutWebhookFluentBuilder {
    client.put_webhook().webhook(definition)
}

#[tokio::test]
async fn a_webhook_is_put_shown_changed_and_deleted() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        let made = put(&client, definition("push", "release", |it| it)).tags(tag("team", "blue")).send().await.unwrap();
        let made = made.webhook().unwrap().clone();
        assert_eq!((made.arn(), made.tags()), (Some(ARN), &[tag("team", "blue")][..]));
        let start = "https://abc123.execute-api.eu-west-1.amazonaws.com/live/webhooks/push?key=";
        assert_eq!(made.url().strip_prefix(start).unwrap().len(), 64, "{}", made.url());
        let shown = made.definition().unwrap();
        assert_eq!(shown.filters(), [filter("$.ref", "refs/heads/{Branch}")]);
        assert_eq!(shown.authentication_configuration().unwrap().secret_token(), Some("****"));
        assert!(made.error_code().is_none() && made.last_triggered().is_none());

        let listed = client.list_webhooks().send().await.unwrap();
        assert_eq!(listed.webhooks(), std::slice::from_ref(&made));

        // What was read can be sent back: URL, secret and tags stay.
        let again = put(&client, shown.clone()).send().await.unwrap();
        assert_eq!(again.webhook(), Some(&made));
        let ranged = WebhookAuthConfiguration::builder().allowed_ip_range("192.0.2.0/24").build();
        let changed = definition("push", "release", |it| {
            it.authentication(WebhookAuthenticationType::Ip)
                .authentication_configuration(ranged.clone())
                .set_filters(Some(vec![]))
        });
        let changed = put(&client, changed).tags(tag("team", "red")).send().await.unwrap();
        let changed = changed.webhook().unwrap();
        assert_eq!((changed.url(), changed.tags()), (made.url(), &[tag("team", "red")][..]));
        assert_eq!(changed.definition().unwrap().authentication_configuration(), Some(&ranged));
        assert!(changed.definition().unwrap().filters().is_empty());

        client.delete_webhook().name("push").send().await.unwrap();
        client.delete_webhook().name("push").send().await.unwrap();
        assert!(client.list_webhooks().send().await.unwrap().webhooks().is_empty());
        let other = put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        assert_ne!(other.webhook().unwrap().url(), made.url(), "another webhook of that name has another URL");
    })
    .await;
}

#[tokio::test]
async fn the_secret_is_kept_and_never_shown() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        let made = put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        let again = put(&client, made.webhook().unwrap().definition().unwrap().clone()).send().await.unwrap();
        let listed = client.list_webhooks().send().await.unwrap();
        assert!(!format!("{made:?} {again:?} {listed:?}").contains("hunter3"));
        let kept = world.app.driver.webhook(&pipeline::WebhookName::new("push").unwrap()).await.unwrap();
        let pipeline::webhook::Authentication::GithubHmac { secret } = &kept.webhook.authentication else {
            panic!("{kept:?}");
        };
        let (owner, sealed) = (store::SecretOwner::Webhook(&kept.webhook.name), vec![secret.reveal().to_owned()]);
        assert_eq!(world.store.secrets().open(owner, sealed).await.unwrap(), ["hunter3"]);
        assert!(!format!("{kept:?}").contains("hunter3"));
        let masked = definition("new", "release", |it| {
            it.authentication_configuration(WebhookAuthConfiguration::builder().secret_token("****").build())
        });
        let (code, message) = refused!(put(&client, masked));
        assert_eq!(code, "InvalidWebhookAuthenticationParametersException", "{message}");
    })
    .await;
}

#[tokio::test]
async fn webhooks_that_are_refused() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        let config = |secret: Option<&str>, range: Option<&str>| {
            WebhookAuthConfiguration::builder()
                .set_secret_token(secret.map(Into::into))
                .set_allowed_ip_range(range.map(Into::into))
                .build()
        };
        use WebhookAuthenticationType as Kind;
        for (kind, given) in [
            (Kind::GithubHmac, config(None, None)),
            (Kind::GithubHmac, config(Some("hunter3"), Some("192.0.2.0/24"))),
            (Kind::Ip, config(None, None)),
            (Kind::Ip, config(None, Some("192.0.2.0"))),
            (Kind::Ip, config(Some("hunter3"), None)),
            (Kind::Unauthenticated, config(Some("hunter3"), None)),
            (Kind::Unauthenticated, config(None, Some("192.0.2.0/24"))),
        ] {
            let wrong =
                definition("push", "release", |it| it.authentication(kind.clone()).authentication_configuration(given));
            let (code, message) = refused!(put(&client, wrong));
            assert_eq!(code, "InvalidWebhookAuthenticationParametersException", "{kind:?}");
            assert!(message.contains("authenticationConfiguration") && !message.contains("hunter3"), "{message}");
        }
        for (filters, place) in [
            (vec![filter("ref", "main")], "filters.1.member.jsonPath"),
            (vec![filter("$.ref", "main"), filter("$.ref[", "main")], "filters.2.member.jsonPath"),
            (vec![filter("$.commits.length()", "main")], "not offered"),
            (vec![filter("$..a..b", "main")], "deep scan"),
            (vec![filter("$.ref", "{Folder}")], "(at webhook.filters.1.member)"),
            (vec![filter("$.ref", "{OAuthToken}")], "secret"),
        ] {
            let wrong = definition("push", "release", |it| it.set_filters(Some(filters)));
            let (code, message) = refused!(put(&client, wrong));
            assert_eq!(code, "InvalidWebhookFilterPatternException");
            assert!(message.contains(place), "{message}");
        }
        let six = definition("push", "release", |it| it.set_filters(Some(vec![filter("$.ref", "main"); 6])));
        assert_eq!(refused!(put(&client, six)).0, "ValidationException");
        assert_eq!(refused!(put(&client, definition("push", "gone", |it| it))).0, "PipelineNotFoundException");
        for action in ["Publish", "Nothing"] {
            let wrong = definition("push", "release", |it| it.target_action(action));
            let (code, message) = refused!(put(&client, wrong));
            assert_eq!(code, "ValidationException");
            assert!(message.contains(action), "{message}");
        }
        let tagged = put(&client, definition("push", "release", |it| it)).tags(tag("aws:name", "x"));
        assert_eq!(refused!(tagged).0, "InvalidTagsException");
        let many = (0..51).map(|number| tag(&format!("key-{number}"), "")).collect();
        let tagged = put(&client, definition("push", "release", |it| it)).set_tags(Some(many));
        assert_eq!(refused!(tagged).0, "TooManyTagsException");
        assert!(client.list_webhooks().send().await.unwrap().webhooks().is_empty(), "nothing was stored");
    })
    .await;
}

#[tokio::test]
async fn three_hundred_webhooks_are_listed_by_pages_and_no_more_are_possible() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        for number in 0..300 {
            put(&client, definition(&format!("push-{number:03}"), "release", |it| it)).send().await.unwrap();
        }
        let (code, message) = refused!(put(&client, definition("push", "release", |it| it)));
        assert_eq!(code, "LimitExceededException");
        assert!(message.contains("300"), "{message}");
        put(&client, definition("push-007", "release", |it| it)).send().await.unwrap();
        let (mut names, mut token, mut sizes) = (Vec::new(), None, Vec::new());
        loop {
            let page = client.list_webhooks().set_next_token(token).send().await.unwrap();
            sizes.push(page.webhooks().len());
            names.extend(page.webhooks().iter().map(|it| it.definition().unwrap().name().to_owned()));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(sizes, [100; 3]);
        assert_eq!(names, (0..300).map(|number| format!("push-{number:03}")).collect::<Vec<_>>());
        let page = client.list_webhooks().max_results(7).send().await.unwrap();
        assert_eq!(page.webhooks().len(), 7);
        let foreign = refused!(client.list_pipelines().next_token(page.next_token().unwrap()));
        assert_eq!(foreign.0, "InvalidNextTokenException");
        assert_eq!(refused!(client.list_webhooks().next_token("nonsense")).0, "InvalidNextTokenException");
    })
    .await;
}

const HOOKS: &str = "https://api.github.com/repos/us/app/hooks";

#[tokio::test]
async fn github_is_told_to_call_a_webhook_and_to_call_it_no_more() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        let made = put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        let url = made.webhook().unwrap().url().to_owned();
        let (listed, added) = (format!("GET {HOOKS}?per_page=100&page=1"), format!("POST {HOOKS}"));
        let (hook, removed) = (format!("PATCH {HOOKS}/7"), format!("DELETE {HOOKS}/7"));
        let others = json!([{"id": 3, "config": {"url": "https://example.com"}}, {"id": 4, "config": {}}]);
        world.aws.on(&listed, 200, others.to_string());
        world.aws.on(&added, 201, "{}");
        let register = || client.register_webhook_with_third_party().webhook_name("push");
        let deregister = || client.deregister_webhook_with_third_party().webhook_name("push");
        register().send().await.unwrap();
        let [call] = &world.aws.calls(&added)[..] else { panic!("{:?}", world.aws.operations()) };
        assert_eq!(call.header("authorization"), "Bearer hunter2", "the action's own token");
        assert_eq!(call.header("content-type"), "application/json");
        let config = json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "hunter3"});
        let expected = json!({"name": "web", "active": true, "events": ["push"], "config": config});
        assert_eq!(call.json(), expected);

        // Once more, as after an answer that was lost: the hook is known by its URL.
        let ours = json!([{"id": 3, "config": {"url": "https://example.com"}}, {"id": 7, "config": {"url": url}}]);
        world.aws.on(&listed, 200, ours.to_string());
        world.aws.on(&hook, 200, "{}");
        register().send().await.unwrap();
        assert_eq!(world.aws.calls(&added).len(), 1);
        assert_eq!(world.aws.calls(&hook)[0].json(), json!({"active": true, "events": ["push"], "config": config}));

        world.aws.on(&removed, 204, "");
        deregister().send().await.unwrap();
        assert_eq!(world.aws.calls(&removed)[0].header("authorization"), "Bearer hunter2");
        world.aws.on(&listed, 200, others.to_string());
        deregister().send().await.unwrap();
        assert_eq!(world.aws.calls(&removed).len(), 1, "what is not there is not removed");

        // Its pipeline is gone, and with it the token.
        client.delete_pipeline().name("release").send().await.unwrap();
        deregister().send().await.unwrap();
        let (code, _) = refused!(register());
        assert_eq!(code, "ValidationException");
    })
    .await;
}

#[tokio::test]
async fn what_github_refuses_is_said_in_its_words_and_without_secrets() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        let listed = format!("GET {HOOKS}?per_page=100&page=1");
        let register = || client.register_webhook_with_third_party().webhook_name("push");
        for (status, body, words) in [
            (401, json!({"message": "Bad credentials"}), "Bad credentials"),
            (404, json!({"message": "Not Found"}), "admin:repo_hook"),
            (200, json!({"odd": true}), "cannot be read"),
            // Not a fault of the server, for which clients would ask again and again.
            (503, json!({"message": "Unicorn"}), "Unicorn"),
            (503, json!({}), "try again later"),
        ] {
            world.aws.on(&listed, status, body.to_string());
            let (code, message) = refused!(register());
            assert_eq!(code, "ValidationException");
            assert!(message.contains(words) && !message.contains("hunter"), "{message}");
        }
        world.aws.on(&listed, 200, "[]");
        world.aws.on(&format!("POST {HOOKS}"), 422, json!({"message": "Validation Failed"}).to_string());
        let (code, message) = refused!(register());
        assert_eq!(code, "ValidationException");
        assert!(message.contains("Validation Failed"), "{message}");
        // A full page may not be the last one.
        let page: Vec<_> = (0..100).map(|id| json!({"id": id, "config": {"url": format!("https://{id}")}})).collect();
        world.aws.on(&listed, 200, json!(page).to_string());
        world.aws.on(&format!("GET {HOOKS}?per_page=100&page=2"), 200, "[]");
        assert!(refused!(register()).1.contains("Validation Failed"));
        assert_eq!(world.aws.calls(&format!("GET {HOOKS}?per_page=100&page=2")).len(), 1);
    })
    .await;
}

#[tokio::test]
async fn only_github_is_told() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("s3", &[])).send().await.unwrap();
        let plain = definition("s3", "s3", |it| it.set_filters(Some(vec![filter("$.ref", "main")])));
        put(&client, plain).send().await.unwrap();
        let register = |name: &str| client.register_webhook_with_third_party().webhook_name(name);
        let deregister = |name: &str| client.deregister_webhook_with_third_party().webhook_name(name);
        assert_eq!(refused!(register("gone")).0, "WebhookNotFoundException");
        assert_eq!(refused!(deregister("gone")).0, "WebhookNotFoundException");
        let (code, message) = refused!(register("s3"));
        assert_eq!(code, "ValidationException");
        assert!(message.contains("GitHub"), "{message}");
        assert_eq!(refused!(deregister("s3")).0, "ValidationException");
        assert_eq!(refused!(client.register_webhook_with_third_party()).0, "ValidationException");
    })
    .await;
}

#[tokio::test]
async fn what_became_of_calls_is_shown() {
    in_both(|world, client| async move {
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        let open = |it: aws_sdk_codepipeline::types::builders::WebhookDefinitionBuilder| {
            it.authentication(WebhookAuthenticationType::Unauthenticated)
                .authentication_configuration(WebhookAuthConfiguration::builder().build())
        };
        let warned = put(&client, definition("open", "release", open)).send().await.unwrap();
        let warned = warned.webhook().unwrap().clone();
        assert_eq!(warned.error_code(), Some("Unauthenticated"));
        assert!(warned.error_message().unwrap().contains("whoever knows the URL"), "{warned:?}");
        let driver = &world.app.driver;
        let stored = driver.webhook(&pipeline::WebhookName::new("push").unwrap()).await.unwrap();
        driver.note_webhook_error(&stored, "InvalidSignature", "A call was not signed.").await.unwrap();
        let shown = async || client.list_webhooks().send().await.unwrap().webhooks()[1].clone();
        let refused = shown().await;
        assert_eq!((refused.error_code(), refused.last_triggered()), (Some("InvalidSignature"), None));
        assert!(refused.error_message().unwrap().starts_with("A call was not signed. (20"), "{refused:?}");
        driver.note_webhook_triggered(&stored, "push#1", "1").await.unwrap();
        let triggered = shown().await;
        assert!(triggered.error_code().is_none() && triggered.last_triggered().is_some(), "{triggered:?}");
        let again = put(&client, triggered.definition().unwrap().clone()).send().await.unwrap();
        assert_eq!(again.webhook().unwrap().last_triggered(), triggered.last_triggered());
        client.delete_webhook().name("push").send().await.unwrap();
        put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        assert!(shown().await.last_triggered().is_none(), "another webhook of that name was not called yet");
    })
    .await;
}

#[tokio::test]
async fn webhooks_have_tags() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(github("push")).send().await.unwrap();
        put(&client, definition("push", "push", |it| it)).tags(tag("team", "blue")).send().await.unwrap();
        client.tag_resource().resource_arn(ARN).tags(tag("level", "1")).send().await.unwrap();
        client.untag_resource().resource_arn(ARN).tag_keys("team").send().await.unwrap();
        let found = client.list_tags_for_resource().resource_arn(ARN).send().await.unwrap();
        assert_eq!(found.tags(), [tag("level", "1")]);
        let listed = client.list_webhooks().send().await.unwrap();
        assert_eq!(listed.webhooks()[0].tags(), [tag("level", "1")]);
        let pipeline = client.list_tags_for_resource().resource_arn(ARN.replace("webhook:", "")).send().await.unwrap();
        assert!(pipeline.tags().is_empty(), "a pipeline of that name is another thing");
        let many = (0..50).map(|number| tag(&format!("key-{number}"), "")).collect();
        let more = client.tag_resource().resource_arn(ARN).set_tags(Some(many));
        assert_eq!(refused!(more).0, "TooManyTagsException");
        client.delete_webhook().name("push").send().await.unwrap();
        for (code, _) in [
            refused!(client.list_tags_for_resource().resource_arn(ARN)),
            refused!(client.tag_resource().resource_arn(ARN).tags(tag("a", "b"))),
            refused!(client.untag_resource().resource_arn(ARN).tag_keys("a")),
        ] {
            assert_eq!(code, "ResourceNotFoundException");
        }
    })
    .await;
}
