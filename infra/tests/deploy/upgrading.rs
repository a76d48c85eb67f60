//! Upgrading: new versions behind the aliases, all at once and gradually, and back.

use std::time::Duration;

use aws_sdk_cloudwatch::types::StateValue;
use millrace::output::words;
use millrace::rollback::roll_back;
use millrace::{FUNCTIONS, Shift};

use crate::world::{HOME, World};

/// To which version the alias of each function leads.
async fn live(world: &World) -> Vec<String> {
    let lambda = aws_sdk_lambda::Client::new(&world.account.sdk(HOME));
    let mut live = Vec::new();
    for function in FUNCTIONS {
        let alias = lambda.get_alias().function_name(format!("millrace-{function}")).name("live").send().await.unwrap();
        let weights = alias.routing_config().and_then(|it| it.additional_version_weights());
        assert!(
            weights.is_none_or(std::collections::HashMap::is_empty),
            "a part of the traffic of {function} goes elsewhere"
        );
        live.push(alias.function_version.unwrap());
    }
    live
}

#[tokio::test]
async fn functions_go_over_to_new_versions_and_back() {
    let world = World::new("upgraded").await;
    world.deploy(&world.wanted("first", &[])).await;
    assert_eq!(live(&world).await, ["1"; FUNCTIONS.len()]);
    let error = roll_back(&world.account, "millrace", &mut |_| ()).await.unwrap_err();
    assert!(words(&error).contains("nothing to put back"), "{error}");

    world.deploy(&world.wanted("second", &[])).await;
    assert_eq!(live(&world).await, ["2"; FUNCTIONS.len()]);
    // Only the trigger changes here: what the last deployment did is put back, and nothing else.
    let mut third = world.wanted("second", &[]);
    let program = third.programs.get_mut("trigger").unwrap();
    *program = program.with_file_name("trigger-3");
    std::fs::write(program, "#!/bin/sh\n# the trigger, third\n").unwrap();
    world.deploy(&third).await;
    let expected = FUNCTIONS.iter().map(|function| if *function == "trigger" { "3" } else { "2" });
    assert_eq!(live(&world).await, expected.collect::<Vec<_>>());
    roll_back(&world.account, "millrace", &mut |_| ()).await.unwrap();
    assert_eq!(live(&world).await, ["2"; FUNCTIONS.len()]);
    let error = roll_back(&world.account, "millrace", &mut |_| ()).await.unwrap_err();
    assert!(words(&error).contains("rolled back already"), "{error}");

    // The stack has the newest code still: the next deployment goes forward to it.
    let plan = world.plan(&third).await;
    assert!(!plan.is_empty());
    assert!(plan.lines().iter().any(|line| line.ends_with("what their stack has: trigger")), "{:?}", plan.lines());
    plan.execute(&mut |_| ()).await.unwrap();
    assert_eq!(live(&world).await[3], "3");
    let plan = world.plan(&third).await;
    assert!(plan.is_empty(), "{:?}", plan.lines());
    plan.discard().await;
}

/// The versions of a function that Lambda has, without `$LATEST`.
async fn versions(world: &World, function: &str) -> Vec<String> {
    let lambda = aws_sdk_lambda::Client::new(&world.account.sdk(HOME));
    let listed = lambda.list_versions_by_function().function_name(format!("millrace-{function}")).send().await.unwrap();
    listed.versions().iter().filter_map(|it| it.version().map(str::to_owned)).filter(|it| it != "$LATEST").collect()
}

#[tokio::test]
async fn old_versions_are_removed_but_for_what_a_rollback_needs() {
    let world = World::new("outdated").await;
    for programs in ["1", "2", "3", "4", "5"] {
        world.deploy(&world.wanted(programs, &[])).await;
    }
    assert_eq!(versions(&world, "worker").await, ["3", "4", "5"]);
    roll_back(&world.account, "millrace", &mut |_| ()).await.unwrap();
    assert_eq!(live(&world).await, ["4"; FUNCTIONS.len()]);
    for programs in ["6", "7"] {
        world.deploy(&world.wanted(programs, &[])).await;
    }
    assert_eq!(live(&world).await, ["7"; FUNCTIONS.len()]);
    assert_eq!(versions(&world, "api").await, ["5", "6", "7"]);
    roll_back(&world.account, "millrace", &mut |_| ()).await.unwrap();
    assert_eq!(live(&world).await, ["6"; FUNCTIONS.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rings_during_a_gradual_shift_takes_it_back() {
    let world = World::new("shifted").await;
    world.deploy(&world.wanted("first", &[])).await;
    let gradually = |seconds: u64, programs: &str| {
        let shift = Some(Shift::gradual(10, Duration::from_secs(seconds)));
        millrace::deploy::Wanted { shift, ..world.wanted(programs, &[]) }
    };

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&world.account.sdk(HOME));
    let alarms = cloudwatch.describe_alarms().send().await.unwrap();
    let names = alarms.metric_alarms().iter().filter_map(|it| it.alarm_name());
    let name = names.clone().find(|it| it.contains("-PollDeadLettersAlarm")).unwrap().to_owned();
    let rings = |state: StateValue| {
        cloudwatch.set_alarm_state().alarm_name(&name).state_value(state).state_reason("a poll failed").send()
    };
    let wanted = gradually(60, "second");
    let mut said = Vec::new();
    let (deployed, ()) = tokio::join!(
        async { world.plan(&wanted).await.execute(&mut |line| said.push(line.to_owned())).await },
        async {
            // Not before the shift has begun: what rings then already is no news.
            let lambda = aws_sdk_lambda::Client::new(&world.account.sdk(HOME));
            loop {
                let alias = lambda.get_alias().function_name("millrace-sweeper").name("live").send().await.unwrap();
                if alias.routing_config().and_then(|it| it.additional_version_weights()).is_some_and(|it| it.len() == 1)
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            rings(StateValue::Alarm).await.unwrap();
        }
    );
    let error = words(&deployed.unwrap_err());
    assert!(error.contains("shifted back") && error.contains(&name), "{error}");
    assert!(error.contains("deployed: millrace in eu-west-1"), "{error}");
    assert!(said.iter().any(|line| line.contains("10 % of the traffic")), "{said:?}");
    assert_eq!(live(&world).await, ["1"; FUNCTIONS.len()]);

    // Nobody minds what rang before.
    world.deploy(&gradually(1, "second")).await;
    assert_eq!(live(&world).await, ["2"; FUNCTIONS.len()]);
}
