//! Destroying: all of it, but for the data, and once more where it ended half way.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use millrace::destroy::Destruction;
use millrace::output::words;
use millrace::{Architecture, layer};

use crate::world::{AWAY, HOME, World};

/// What the emulator has in a region: everything that an installation makes.
async fn inventory(world: &World, region: &str) -> Vec<String> {
    let config = world.account.sdk(region);
    let mut found = Vec::new();
    let listed = aws_sdk_lambda::Client::new(&config).list_functions().send().await.unwrap();
    found.extend(listed.functions().iter().map(|it| format!("function {}", it.function_name().unwrap())));
    let listed = aws_sdk_lambda::Client::new(&config).list_layers().send().await.unwrap();
    found.extend(listed.layers().iter().map(|it| format!("layer {}", it.layer_name().unwrap())));
    let listed = aws_sdk_sqs::Client::new(&config).list_queues().send().await.unwrap();
    found.extend(listed.queue_urls().iter().map(|it| format!("queue {it}")));
    let listed = aws_sdk_dynamodb::Client::new(&config).list_tables().send().await.unwrap();
    found.extend(listed.table_names().iter().map(|it| format!("table {it}")));
    let listed = aws_sdk_iam::Client::new(&config).list_roles().send().await.unwrap();
    found.extend(listed.roles().iter().map(|it| format!("role {}", it.role_name())));
    let events = aws_sdk_eventbridge::Client::new(&config);
    let listed = events.list_rules().send().await.unwrap();
    found.extend(listed.rules().iter().map(|it| format!("rule {}", it.name().unwrap())));
    let listed = events.list_event_buses().name_prefix("millrace").send().await.unwrap();
    found.extend(listed.event_buses().iter().map(|it| format!("bus {}", it.name().unwrap())));
    let listed = aws_sdk_cloudwatchlogs::Client::new(&config).describe_log_groups().send().await.unwrap();
    found.extend(listed.log_groups().iter().map(|it| format!("log group {}", it.log_group_name().unwrap())));
    let listed = aws_sdk_cloudwatch::Client::new(&config).describe_alarms().send().await.unwrap();
    found.extend(listed.metric_alarms().iter().map(|it| format!("alarm {}", it.alarm_name().unwrap())));
    let kms = aws_sdk_kms::Client::new(&config);
    for key in kms.list_keys().send().await.unwrap().keys() {
        let id = key.key_id().unwrap();
        let metadata = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
        if metadata.deletion_date().is_none() {
            found.push(format!("key {id}"));
        }
    }
    found.extend(world.stacks(region).await.iter().map(|it| format!("stack {it}")));
    found.extend(world.buckets().await.iter().map(|it| format!("bucket {it}")));
    found
}

/// Publishes the layer twice, as `millrace layer` does.
async fn publish_layers(world: &World) {
    let lambda = aws_sdk_lambda::Client::new(&world.account.sdk(HOME));
    let zip =
        layer::zipped(b"program", &"https://abc.execute-api.eu-west-1.amazonaws.com/live".parse().unwrap()).unwrap();
    let name = layer::name("millrace", Architecture::HERE);
    for _ in 0..2 {
        layer::publish(&lambda, &name, Architecture::HERE, zip.clone()).await.unwrap();
    }
}

/// Puts two versions and a delete marker where artifacts are.
async fn store_artifacts(world: &World, region: &str) {
    let (s3, bucket) = (world.account.s3(region), world.artifacts(region).await);
    let versions = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    s3.put_bucket_versioning().bucket(&bucket).versioning_configuration(versions).send().await.unwrap();
    for body in ["one", "two"] {
        s3.put_object().bucket(&bucket).key("release/app").body(body.as_bytes().to_vec().into()).send().await.unwrap();
    }
    s3.delete_object().bucket(&bucket).key("release/app").send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_even_if_it_ends_half_way_first() {
    let world = World::new("destroyed").await;
    let before = (inventory(&world, HOME).await, inventory(&world, AWAY).await);
    world.deploy(&world.wanted("first", &[])).await;
    store_artifacts(&world, HOME).await;
    store_artifacts(&world, AWAY).await;
    publish_layers(&world).await;
    assert!(inventory(&world, HOME).await.len() > before.0.len() + 30, "the inventory sees what is there");

    let destruction = world.destruction().await;
    assert_eq!(
        destruction.stored.len(),
        9,
        "a table, three keys, the audit log, and a bucket and a key in each region"
    );
    let running = destruction.running().await.unwrap();
    assert_eq!((running.pipelines, running.executions, running.artifacts), (0, 0, 6), "{running}");

    // It ends when the home stack is gone: no stack says any more where the table is.
    let half = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        let mut stop = |line: &str| assert!(!line.starts_with("millrace-region in us-west-2"), "it ends here");
        let half = std::panic::AssertUnwindSafe(destruction.execute(false, &mut stop));
        futures::FutureExt::catch_unwind(half).await.unwrap_err();
    });
    half.await.unwrap();
    assert_eq!(world.stacks(HOME).await, Vec::<String>::new());
    assert_eq!(world.stacks(AWAY).await.len(), 1);

    let again = world.destruction().await;
    assert_eq!((again.stored.len(), again.regions.len()), (9, 2), "what the first one wrote down");
    let mut said = Vec::new();
    let left = again.execute(false, &mut |line| said.push(line.to_owned())).await.unwrap();
    assert_eq!(left.0.len(), 5, "{left:?}");
    assert!(left.0.iter().all(|line| line.contains("the key") && line.contains("is deleted at 20")), "{left:?}");
    assert!(said.iter().any(|line| line.contains("no such stack any more")), "{said:?}");
    assert_eq!((inventory(&world, HOME).await, inventory(&world, AWAY).await), before);

    let error = Destruction::find(&world.account, &world.caller, "millrace").await.err().unwrap();
    assert!(words(&error).starts_with("there is no installation millrace in eu-west-1"), "{error}");

    // Nothing is in the way of another one. An audit log in which something was written stays.
    world.deploy(&world.wanted("first", &[])).await;
    let found = world.cloudformation(HOME).describe_stacks().stack_name("millrace").send().await.unwrap();
    let log = millrace::stacks::outputs(&found.stacks()[0])["AuditBucket"].clone();
    let put = world.account.s3(HOME).put_object().bucket(&log).key("audit/1").body(b"a call".to_vec().into());
    put.if_none_match("*").send().await.unwrap();
    let left = world.destruction().await.execute(false, &mut |_| ()).await.unwrap();
    assert!(left.0.iter().any(|line| line.starts_with(&format!("the audit log {log} in eu-west-1 stays"))), "{left:?}");
    assert_eq!(world.buckets().await, [log]);
}

#[tokio::test]
async fn data_that_is_kept_is_listed() {
    let world = World::new("kept").await;
    world.deploy(&world.wanted("first", &[])).await;
    store_artifacts(&world, AWAY).await;
    let left = world.destruction().await.execute(true, &mut |_| ()).await.unwrap();
    assert_eq!(left.0.len(), 9, "{left:?}");
    assert!(left.0.iter().all(|line| line.starts_with("kept: ")), "{left:?}");
    let tables = aws_sdk_dynamodb::Client::new(&world.account.sdk(HOME)).list_tables().send().await.unwrap();
    assert_eq!(tables.table_names().len(), 1);
    let buckets = world.buckets().await;
    assert_eq!(buckets.len(), 3, "artifacts and audit log, without the code: {buckets:?}");
    assert_eq!((world.stacks(HOME).await.len(), world.stacks(AWAY).await.len()), (0, 0));
}
