//! What the table holds of secrets: nothing that can be read.

use conformance::world::World;
use pipeline::PipelineName;
use serde_json::json;

use super::action_types::{calls_jenkins, jenkins};
use super::webhooks::{definition, github, put};
use super::{client, in_both, release};

/// Everything in the table, as it is written there.
fn table(world: &World) -> String {
    world.store.dump().iter().map(|item| item.entity.to_json().unwrap()).collect()
}

#[tokio::test]
async fn no_item_of_the_table_shows_a_secret_and_the_api_still_knows_it() {
    in_both(|world, client| async move {
        jenkins(&client, "1").send().await.unwrap();
        let changes = calls_jenkins(json!({"ProjectName": "shop", "Password": "hunter1"}));
        client.create_pipeline().pipeline(release("custom", &changes)).send().await.unwrap();
        client.create_pipeline().pipeline(github("release")).send().await.unwrap();
        put(&client, definition("push", "release", |it| it)).send().await.unwrap();
        // What is shown can be sent back: the mask stands for what is there.
        let shown = client.get_pipeline().name("release").send().await.unwrap().pipeline.unwrap();
        client.update_pipeline().pipeline(shown).send().await.unwrap();
        world.work().await;
        let kept = table(&world);
        for (key, secret) in [("Password", "hunter1"), ("OAuthToken", "hunter2"), ("GithubHmac", "hunter3")] {
            assert!(kept.contains(key) && !kept.contains(secret), "{key}");
        }
        let pipeline = world.app.driver.pipeline(&PipelineName::new("release").unwrap(), None).await.unwrap();
        assert_eq!(pipeline.version, 2);
        assert_eq!(pipeline.pipeline.stages()[0].actions[0].configuration["OAuthToken"], "hunter2");
    })
    .await;
}

#[tokio::test]
async fn secrets_of_a_declaration_in_parts_are_sealed_as_well() {
    let world = World::new();
    let client = client(&world);
    jenkins(&client, "1").send().await.unwrap();
    let configuration = json!({"ProjectName": "shop", "Password": "hunter1"});
    let action = calls_jenkins(configuration)[0].1[0].clone();
    let filled = |number: usize| {
        let mut action = action.clone();
        action["name"] = json!(format!("Call{number}"));
        action["namespace"] = json!(format!("Test{number}"));
        action["outputArtifacts"] = json!([]);
        action["configuration"]["Password"] = json!(format!("hunter1{}", "x".repeat(900)));
        action
    };
    let stage = |number: usize| {
        let actions: Vec<_> = (0..50).map(|action| filled(number * 50 + action)).collect();
        json!({"name": format!("Stage{number}"), "actions": actions})
    };
    let mut declaration = wire::to_json(&release("release", &[])).unwrap();
    declaration["stages"].as_array_mut().unwrap().extend((4..9).map(stage));
    client.create_pipeline().pipeline(wire::from_json(&declaration).unwrap()).send().await.unwrap();
    let kept = table(&world);
    assert!(world.store.dump().iter().any(|item| matches!(item.entity, store::Entity::Part(_))), "it is in parts");
    assert!(kept.contains("Password") && !kept.contains("hunter1"));
    let found = world.app.driver.pipeline(&PipelineName::new("release").unwrap(), None).await.unwrap();
    assert!(found.pipeline.stages()[4].actions[0].configuration["Password"].starts_with("hunter1"));
}
