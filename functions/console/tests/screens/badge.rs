//! A pipeline's pictures, and the links to them.

use lambda_http::http::{StatusCode, header};
use pictures::TAG;
use pipeline::PipelineName;

use crate::world::{EVIL, World, release};

async fn tag(world: &World, name: &PipelineName, value: &str) {
    let set = |tags: &mut std::collections::BTreeMap<String, String>| {
        tags.insert(TAG.into(), value.into());
        true
    };
    assert!(world.driver.change_tags(name, set).await.unwrap());
}

#[tokio::test]
async fn whoever_may_see_a_pipeline_sees_its_pictures() {
    let world = World::new();
    let mut red = release("shop", "SUPERSEDED");
    red["stages"][1]["actions"][1]["name"] = serde_json::json!("Fail-unit");
    let name = world.create(red).await;
    for (page, shown) in [
        ("badge.svg", "shop: failed"),
        ("badge.svg?stage=Source", "shop · Source: succeeded"),
        ("graph.svg", "3 in parallel"),
    ] {
        let address = format!("/console/pipelines/shop/{page}");
        let answer = world.ask(&address, None, false).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}");
        assert!(answer.body.starts_with("<svg ") && answer.body.contains(shown), "{}", answer.body);
        let value = |name| answer.headers.iter().find(|(known, _)| *known == name).unwrap().1.as_str();
        assert_eq!(value(header::CONTENT_TYPE), "image/svg+xml");
        assert_eq!(value(header::CACHE_CONTROL), "private, no-cache");
        assert!(value(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; style-src 'sha256-"));
        let again = world.ask(&address, Some(value(header::ETAG)), false).await;
        assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
        // The release's people, revisions and messages are the pages' alone.
        for secret in ["Lift the gate", "Ada Lovelace", "3f2a9c1d5e7b", "412 failed", EVIL, "111122223333", "app-build"]
        {
            assert!(!answer.body.contains(secret), "{secret}: {}", answer.body);
        }
    }
    let known = world.ask("/console/pipelines/shop/badge.svg", None, false).await;
    let tag = known.headers.into_iter().find(|(name, _)| *name == header::ETAG).unwrap().1;
    world.clock.pass(60_000);
    world.start(&name).await;
    let same = world.ask("/console/pipelines/shop/badge.svg", Some(&tag), false).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED, "it fails again");
    for nowhere in
        ["shop/badge.svg?stage=None", "shop/badge.svg?stage=%3Cb%3E", "shop/graph.svg?stage=Source", "nobody/badge.svg"]
    {
        let answer = world.ask(&format!("/console/pipelines/{nowhere}"), None, false).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
}

#[tokio::test]
async fn a_picture_of_executions_side_by_side_is_of_the_newest() {
    let world = World::new();
    let name = world.create(release("ledger", "PARALLEL")).await;
    world.clock.pass(60_000);
    world.start(&name).await;
    let graph = world.ask("/console/pipelines/ledger/graph.svg", None, false).await;
    assert!(graph.body.contains("Release-gate: waiting for a person, Approve waiting for a person"), "{}", graph.body);
    let badge = world.ask("/console/pipelines/ledger/badge.svg", None, false).await;
    assert!(badge.body.contains("ledger: waiting"), "{}", badge.body);
}

#[tokio::test]
async fn the_page_about_the_badge_says_how_it_becomes_public_and_then_has_the_links() {
    let world = World::new();
    let name = world.create(release("shop", "SUPERSEDED")).await;
    let asked = world.page("/console/pipelines/shop/badge", "badge-own").await;
    let how = "aws codepipeline tag-resource --resource-arn arn:aws:codepipeline:eu-west-1:111122223333:shop --tags \
               key=millrace:badge,value=1";
    assert!(asked.contains("graph.svg") && !asked.contains("proof="), "{asked}");
    let value = |page: &str| {
        let body = page.split("data-op=\"TagResource\"").nth(1)?.split("data-body=\"").nth(1)?.split('"').next()?;
        let body: serde_json::Value = serde_json::from_str(&body.replace("&quot;", "\"")).unwrap();
        assert_eq!(body["resourceArn"], "arn:aws:codepipeline:eu-west-1:111122223333:shop");
        assert_eq!(body["tags"][0]["key"], TAG);
        Some(body["tags"][0]["value"].as_str().unwrap().to_owned())
    };
    let first = value(&asked).unwrap();
    let refused = world.ask("/console/pipelines/shop/badge.md", None, false).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains(how), "{}", refused.body);
    let version = world.version("/console/pipelines/shop/badge").await;
    assert_eq!(world.ask("/console/pipelines/shop/badge", Some(&version), true).await.status, StatusCode::NOT_MODIFIED);

    tag(&world, &name, &first).await;
    let page = world.page("/console/pipelines/shop/badge", "badge-public").await;
    assert!(page.contains("data-op=\"UntagResource\"") && value(&page).is_none(), "{page}");
    let begin = "![State of shop](https://api.example/live/badges/shop/";
    for file in ["badge.svg", "graph.svg"] {
        assert!(page.contains(&format!("{begin}{file}?proof=")), "{page}");
    }
    let line = |query: &'static str| world.ask(query, None, false);
    let badge = line("/console/pipelines/shop/badge.md").await;
    assert!(badge.status == StatusCode::OK && badge.body.starts_with(&format!("{begin}badge.svg?proof=")));
    let stage = line("/console/pipelines/shop/badge.md?stage=Production").await;
    assert!(
        stage.body.starts_with("![State of shop in Production](")
            && stage.body.contains("badge.svg?stage=Production&proof=")
    );
    assert!(line("/console/pipelines/shop/badge.md?picture=graph.svg").await.body.contains("/graph.svg?proof="));
    for nowhere in ["shop/badge.md?stage=None", "shop/badge.md?picture=graph.svg&stage=Source", "nobody/badge.md"] {
        assert_eq!(
            world.ask(&format!("/console/pipelines/{nowhere}"), None, false).await.status,
            StatusCode::NOT_FOUND
        );
    }
    assert!(world.driver.change_tags(&name, |tags| tags.remove(TAG).is_some()).await.unwrap());
    let second = value(&world.page("/console/pipelines/shop/badge", "badge-own").await).unwrap();
    assert_ne!(second, first, "a value that was there before would make its links good again");
    tag(&world, &name, &second).await;
    let other = line("/console/pipelines/shop/badge.md").await;
    assert_ne!(other.body, badge.body, "another value makes other links");
}
