//! Deploying: for the first time, again, with changes, and where it fails.

use std::collections::BTreeMap;

use millrace::deploy::{Plan, apply};
use millrace::output::words;
use millrace::{Deployment, Outcome};

use crate::world::{AWAY, HOME, World};

#[tokio::test]
async fn an_installation_is_deployed_once_changed_and_shown() {
    let world = World::new("deployed").await;

    // What a dry run does: everything is taken back.
    let plan = world.plan(&world.wanted("first", &[])).await;
    let lines = plan.lines();
    assert!(lines.iter().any(|line| line == "millrace in eu-west-1 is new:"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("+ add      Table ") && line.ends_with("AWS::DynamoDB::Table")));
    assert_eq!(lines.iter().filter(|line| line.starts_with("millrace-region in ")).count(), 2);
    plan.discard().await;
    assert_eq!((world.buckets().await, world.stacks(HOME).await, world.stacks(AWAY).await), (vec![], vec![], vec![]));

    let mut said = Vec::new();
    let wanted = world.wanted("first", &[("PollSeconds", "7"), ("RolePath", "/platform/")]);
    let deployed = world.plan(&wanted).await.execute(&mut |line| said.push(line.to_owned())).await.unwrap().0;
    let places: Vec<_> =
        deployed.iter().map(|(name, region, outcome, _)| (name.as_str(), region.as_str(), *outcome)).collect();
    let created = Outcome::Created;
    assert_eq!(
        places,
        [("millrace", HOME, created), ("millrace-region", HOME, created), ("millrace-region", AWAY, created)]
    );
    assert_eq!(deployed[0].3["Regions"], "eu-west-1,us-west-2");
    assert!(said.iter().any(|line| line == "  Table (AWS::DynamoDB::Table) created"), "{said:?}");
    assert!(deployed[0].3["WorkerRoleArn"].contains(":role/platform/"), "{:?}", deployed[0].3["WorkerRoleArn"]);
    is_guarded(&world).await;

    // A second time, nothing. Parameters that are not named keep their values.
    let again = world.plan(&world.wanted("first", &[])).await;
    assert!(again.is_empty(), "{:?}", again.lines());
    again.discard().await;

    let plan = world.plan(&world.wanted("second", &[("LogLevel", "debug")])).await;
    let lines = plan.lines();
    assert!(lines.iter().any(|line| line == "  parameter LogLevel: \"info\" -> \"debug\""), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("~ change   WorkerFunction") && line.ends_with("(Code, Environment)"))
    );
    assert!(!lines.iter().any(|line| line.contains("PollSeconds") || line.contains("replace")), "{lines:?}");
    let deployed = plan.execute(&mut |_| ()).await.unwrap().0;
    let outcomes: Vec<_> = deployed.iter().map(|(.., outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Unchanged, Outcome::Unchanged]);

    // Two at once: the second finds its change set gone, and says so.
    let (one, other) = (world.wanted("third", &[]), world.wanted("third", &[("LogLevel", "warn")]));
    let (first, second) = (world.plan(&one).await, world.plan(&other).await);
    first.execute(&mut |_| ()).await.unwrap();
    let error = words(&second.execute(&mut |_| ()).await.unwrap_err());
    assert!(error.contains("somebody else has deployed the stack millrace in eu-west-1 meanwhile"), "{error}");
    assert!(
        error.contains("millrace, for arn:aws:iam::000000000000:root") && error.contains("no stack was deployed"),
        "{error}"
    );
}

/// The bucket and the stacks are as they must be.
async fn is_guarded(world: &World) {
    let (s3, bucket) = (world.account.s3(HOME), "millrace-code-000000000000-eu-west-1");
    let policy = s3.get_bucket_policy().bucket(bucket).send().await.unwrap();
    assert!(policy.policy().unwrap().contains("aws:SecureTransport"));
    let access = s3.get_public_access_block().bucket(bucket).send().await.unwrap();
    assert!(access.public_access_block_configuration().unwrap().restrict_public_buckets().unwrap());
    s3.get_bucket_encryption().bucket(bucket).send().await.unwrap();

    for (region, stack, retained) in [(HOME, "millrace", "Table"), (AWAY, "millrace-region", "Artifacts")] {
        let client = world.cloudformation(region);
        let found = client.describe_stacks().stack_name(stack).send().await.unwrap();
        assert_eq!(found.stacks()[0].enable_termination_protection(), Some(true));
        let policy = client.get_stack_policy().stack_name(stack).send().await.unwrap();
        assert!(policy.stack_policy_body().unwrap().contains(&format!("LogicalResourceId/{retained}\"")));
    }
}

#[tokio::test]
async fn what_fails_says_which_resource_was_first_and_a_failed_creation_is_made_anew() {
    let world = World::new("failing").await;
    let broken = "Resources: {Topic: {Type: AWS::SNS::Topic}, Queue: {Type: AWS::SQS::Queue, Properties: \
                  {VisibilityTimeout: 999999}}, Other: {Type: AWS::SQS::Queue, DependsOn: Queue}}";
    let deployment = |template| Deployment {
        name: "copy".into(),
        template,
        url: None,
        parameters: BTreeMap::new(),
        protected: true,
    };
    let error = words(&apply(&world.account, HOME, deployment(broken)).await.unwrap_err());
    assert!(error.contains("Queue (AWS::SQS::Queue) CREATE_FAILED: "), "{error}");
    assert_eq!(world.stacks(HOME).await, ["copy ROLLBACK_COMPLETE"]);

    let whole = "Resources: {Topic: {Type: AWS::SNS::Topic}}";
    let (outcome, _) = apply(&world.account, HOME, deployment(whole)).await.unwrap();
    assert_eq!(outcome, Outcome::Created);

    let error = words(&apply(&world.account, HOME, deployment(broken)).await.unwrap_err());
    assert!(error.contains("UPDATE_ROLLBACK_COMPLETE: Queue") && error.contains("as it was before"), "{error}");
    let (outcome, _) = apply(&world.account, HOME, deployment(whole)).await.unwrap();
    assert_eq!(outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn whoever_gives_up_a_first_deployment_takes_nothing_from_another_one() {
    let world = World::new("two-at-once").await;
    let one = world.plan(&world.wanted("first", &[])).await;
    let two = world.plan(&world.wanted("first", &[])).await;
    one.discard().await;
    two.execute(&mut |_| ()).await.unwrap();
    let mut stacks = world.stacks(HOME).await;
    stacks.sort();
    assert_eq!(stacks, ["millrace CREATE_COMPLETE", "millrace-region CREATE_COMPLETE"]);
    assert_eq!(world.stacks(AWAY).await, ["millrace-region CREATE_COMPLETE"]);
}

#[tokio::test]
async fn of_two_first_deployments_at_once_one_is_whole_and_the_other_takes_nothing_from_it() {
    let world = World::new("first-twice").await;
    let one = world.plan(&world.wanted("first", &[])).await;
    let two = world.plan(&world.wanted("first", &[])).await;
    let later = async {
        while world.stacks(HOME).await.iter().any(|it| it == "millrace REVIEW_IN_PROGRESS") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        two.execute(&mut |_| ()).await
    };
    let mut hears = |_: &str| ();
    let (first, later) = tokio::join!(one.execute(&mut hears), later);
    first.unwrap();
    let refused = words(&later.unwrap_err());
    assert!(refused.contains("somebody else has deployed the stack millrace in eu-west-1 meanwhile"), "{refused}");
    let mut stacks = world.stacks(HOME).await;
    stacks.sort();
    assert_eq!(stacks, ["millrace CREATE_COMPLETE", "millrace-region CREATE_COMPLETE"]);
    assert_eq!(world.stacks(AWAY).await, ["millrace-region CREATE_COMPLETE"]);
}

#[tokio::test]
async fn bad_input_is_refused_before_anything_is_made() {
    let world = World::new("refused").await;
    let refused = async |change: fn(&mut millrace::deploy::Wanted)| {
        let mut wanted = world.wanted("first", &[]);
        change(&mut wanted);
        match Plan::new(&world.account, &world.caller, &wanted).await {
            Ok(_) => panic!("it was planned"),
            Err(error) => words(&error),
        }
    };
    let unknown = refused(|it| _ = it.parameters.insert("PolSeconds".into(), "1".into())).await;
    assert!(unknown.ends_with("did you mean PollSeconds?"), "{unknown}");
    let own = refused(|it| _ = it.parameters.insert("CodeBucket".into(), "mine".into())).await;
    assert!(own.contains("set by the deployment itself"), "{own}");
    let name = refused(|it| it.stack = "Millrace".into()).await;
    assert!(name.contains("lower-case"), "{name}");
    let program = refused(|it| _ = it.programs.remove("worker")).await;
    assert!(program.contains("no program worker"), "{program}");
    let bad = refused(|it| _ = it.parameters.insert("PollSeconds".into(), "0".into())).await;
    assert!(bad.contains("PollSeconds"), "{bad}");
    assert_eq!((world.buckets().await, world.stacks(HOME).await), (vec![], vec![]));
}
