use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::types::Tag;

use super::{in_both, refused, release};

const ARN: &str = "arn:aws:codepipeline:eu-west-1:111122223333:release";

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

async fn all(client: &Client) -> Vec<(String, String)> {
    let found = client.list_tags_for_resource().resource_arn(ARN).send().await.unwrap();
    found.tags().iter().map(|it| (it.key().to_owned(), it.value().to_owned())).collect()
}

#[tokio::test]
async fn tags_are_set_listed_and_removed() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).tags(tag("team", "blue")).send().await.unwrap();
        let add = client.tag_resource().resource_arn(ARN).tags(tag("team", "red")).tags(tag("Größe", "a b/c=d"));
        add.send().await.unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(all(&client).await, [pair("Größe", "a b/c=d"), pair("team", "red")]);
        let remove = client.untag_resource().resource_arn(ARN).tag_keys("team").tag_keys("not there");
        remove.send().await.unwrap();
        assert_eq!(all(&client).await, [pair("Größe", "a b/c=d")]);
        let page = client.list_tags_for_resource().resource_arn(ARN).max_results(1).send().await.unwrap();
        assert_eq!(page.next_token(), None);
    })
    .await;
}

#[tokio::test]
async fn tags_are_listed_by_pages() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        let many = (0..50).map(|number| tag(&format!("key-{number:02}"), "")).collect();
        client.tag_resource().resource_arn(ARN).set_tags(Some(many)).send().await.unwrap();
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let page = client.list_tags_for_resource().resource_arn(ARN).max_results(20).set_next_token(token);
            let page = page.send().await.unwrap();
            keys.extend(page.tags().iter().map(|it| it.key().to_owned()));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(keys, (0..50).map(|number| format!("key-{number:02}")).collect::<Vec<_>>());
        let (code, _) = refused!(client.list_tags_for_resource().resource_arn(ARN).next_token("nonsense"));
        assert_eq!(code, "InvalidNextTokenException");

        let (code, message) = refused!(client.tag_resource().resource_arn(ARN).tags(tag("one-more", "")));
        assert_eq!(code, "TooManyTagsException");
        assert!(message.contains("50"), "{message}");
        assert_eq!(all(&client).await.len(), 50, "nothing was stored");
        client.tag_resource().resource_arn(ARN).tags(tag("key-00", "changed")).send().await.unwrap();
        assert_eq!(all(&client).await[0].1, "changed", "a tag that is there may be changed");
    })
    .await;
}

#[tokio::test]
async fn tags_that_are_refused() {
    in_both(|_world, client| async move {
        let create = |tags: Vec<Tag>| client.create_pipeline().pipeline(release("release", &[])).set_tags(Some(tags));
        let many: Vec<Tag> = (0..51).map(|number| tag(&format!("key-{number}"), "")).collect();
        assert_eq!(refused!(create(many)).0, "TooManyTagsException");
        for wrong in
            [vec![tag("aws:name", "x")], vec![tag("AWS:name", "x")], vec![tag("a?b", "x")], vec![tag("a", "x\n")]]
        {
            assert_eq!(refused!(create(wrong.clone())).0, "InvalidTagsException", "{wrong:?}");
        }
        assert_eq!(refused!(create(vec![tag("a", "x"), tag("a", "y")])).0, "InvalidTagsException");
        for long in [tag(&"k".repeat(129), "x"), tag("k", &"v".repeat(257)), tag("", "x")] {
            assert_eq!(refused!(create(vec![long])).0, "ValidationException");
        }
        assert_eq!(refused!(client.get_pipeline().name("release")).0, "PipelineNotFoundException");
        create(vec![tag(&"k".repeat(128), &"v".repeat(256))]).send().await.unwrap();
        let reserved = client.untag_resource().resource_arn(ARN).tag_keys("aws:name");
        assert_eq!(refused!(reserved).0, "InvalidTagsException");
    })
    .await;
}

#[tokio::test]
async fn notification_rules_are_kept_or_refused_with_what_is_wrong() {
    in_both(|_world, client| async move {
        let rule = |name: &str, value: &str| tag(&format!("millrace:notify:{name}"), value);
        let topic = "breaks to arn:aws:sns:eu-west-1:111122223333:millrace-team";
        let create = |tag: Tag| client.create_pipeline().pipeline(release("release", &[])).tags(tag);
        for (wrong, said) in [
            (rule("team", "brakes to slack/a"), "in the tag 'millrace:notify:team' has as its word 1 'brakes'"),
            (rule("team", "breaks to arn:aws:sns:eu-west-1:111122223333:team"), "sends only to topics"),
            (rule("", "breaks to slack/a"), "is not under a key of the form"),
        ] {
            let (code, message) = refused!(create(wrong.clone()));
            assert_eq!(code, "InvalidTagsException");
            assert!(message.contains(said), "{message}");
        }
        create(rule("team", topic)).send().await.unwrap();
        let put = |tags: Vec<Tag>| client.tag_resource().resource_arn(ARN).set_tags(Some(tags));
        assert_eq!(refused!(put(vec![rule("other", "nothing at all")])).0, "InvalidTagsException");
        let many = (0..10).map(|number| rule(&number.to_string(), "every to slack/a")).collect();
        let (code, message) = refused!(put(many));
        assert_eq!(code, "TooManyTagsException");
        assert!(message.contains("at most 10 notification rules"), "{message}");
        put((1..10).map(|number| rule(&number.to_string(), "every to slack/a")).collect()).send().await.unwrap();
        assert_eq!(all(&client).await.len(), 10);
        let one = client.untag_resource().resource_arn(ARN).tag_keys("millrace:notify:team");
        one.send().await.unwrap();
        assert_eq!(all(&client).await.len(), 9);
    })
    .await;
}

#[tokio::test]
async fn resources_that_are_refused() {
    in_both(|_world, client| async move {
        client.create_pipeline().pipeline(release("release", &[])).send().await.unwrap();
        for (arn, expected, said) in [
            (
                "arn:aws:codepipeline:eu-west-1:111122223333:gone",
                "ResourceNotFoundException",
                "The account with id '111122223333' does not include a pipeline with the name 'gone'",
            ),
            ("arn:aws:codepipeline:eu-west-2:111122223333:release", "ResourceNotFoundException", "region eu-west-1"),
            (
                "arn:aws:codepipeline:eu-west-1:999988887777:release",
                "ResourceNotFoundException",
                "account 111122223333",
            ),
            ("arn:aws:codepipeline:eu-west-1:111122223333:webhook:gone", "ResourceNotFoundException", "'gone'"),
            ("arn:aws:codepipeline:eu-west-1:a-word:111122223333:release", "InvalidArnException", "account id"),
            ("arn:aws:s3:eu-west-1:111122223333:release", "ValidationException", "resourceArn"),
            ("release", "ValidationException", "resourceArn"),
        ] {
            for (code, message) in [
                refused!(client.list_tags_for_resource().resource_arn(arn)),
                refused!(client.tag_resource().resource_arn(arn).tags(tag("a", "b"))),
                refused!(client.untag_resource().resource_arn(arn).tag_keys("a")),
            ] {
                assert_eq!(code, expected, "{arn}");
                assert!(message.contains(said), "{arn}: {message}");
            }
        }
    })
    .await;
}
