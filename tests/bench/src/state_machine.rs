//! The same functions as tasks of a Step Functions state machine: what a user might take instead of a pipeline.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Map, Value, json};

/// How long an execution may take, and how often it is looked at.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(300);

/// How tasks follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each task begins when the one before it has ended.
    Chain,
    /// All tasks begin together.
    Parallel,
}

/// The definition of a machine whose tasks all call `function`.
fn definition(function: &str, tasks: usize, order: Order) -> Value {
    let task = |next: Option<String>| {
        let mut task = json!({"Type": "Task", "Resource": function});
        match next {
            Some(next) => task["Next"] = next.into(),
            None => task["End"] = true.into(),
        }
        task
    };
    match order {
        Order::Chain => {
            let states: Map<String, Value> = (0..tasks)
                .map(|number| {
                    let next = (number + 1 < tasks).then(|| format!("t{}", number + 1));
                    (format!("t{number}"), task(next))
                })
                .collect();
            json!({"StartAt": "t0", "States": states})
        }
        Order::Parallel => {
            let branch = |number: usize| {
                let name = format!("t{number}");
                json!({"StartAt": name, "States": {name: task(None)}})
            };
            let branches: Vec<Value> = (0..tasks).map(branch).collect();
            json!({"StartAt": "All", "States": {"All": {"Type": "Parallel", "Branches": branches, "End": true}}})
        }
    }
}

/// Makes a machine and runs it `times` times after a first one; returns how long each execution took, in milliseconds.
///
/// # Errors
/// When Step Functions refuses it, or an execution does not succeed.
pub async fn race(
    client: &Client,
    role: &str,
    function: &str,
    (tasks, order): (usize, Order),
    times: u32,
) -> Result<Vec<f64>> {
    let name = format!("bench-{order:?}-{tasks}");
    let definition = definition(function, tasks, order).to_string();
    let made = client.create_state_machine().name(&name).role_arn(role).definition(definition).send().await;
    let machine = made.with_context(|| format!("cannot create the state machine {name}"))?.state_machine_arn;
    let mut took = Vec::new();
    for number in 0..=times {
        let started = client.start_execution().state_machine_arn(&machine).send().await?;
        let time = wait(client, &started.execution_arn).await?;
        if number > 0 {
            took.push(time);
        }
    }
    Ok(took)
}

async fn wait(client: &Client, execution: &str) -> Result<f64> {
    let began = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let found = client.describe_execution().execution_arn(execution).send().await?;
        match found.status() {
            ExecutionStatus::Succeeded => {
                let stopped = found.stop_date().context("an execution that succeeded has an end")?;
                return Ok((stopped.as_secs_f64() - found.start_date().as_secs_f64()) * 1_000.0);
            }
            ExecutionStatus::Running if began.elapsed() < LIMIT => {}
            status => bail!("the execution {execution} is {status:?}: {found:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_one_end_and_branches_have_one_each() {
        let chain = definition("f", 3, Order::Chain);
        assert_eq!(chain["States"]["t1"], json!({"Type": "Task", "Resource": "f", "Next": "t2"}));
        assert_eq!(chain["States"]["t2"], json!({"Type": "Task", "Resource": "f", "End": true}));
        let parallel = definition("f", 3, Order::Parallel);
        let branches = parallel["States"]["All"]["Branches"].as_array().unwrap();
        assert_eq!(branches.len(), 3);
        assert!(branches.iter().all(|it| it["States"].as_object().unwrap().values().all(|task| task["End"] == true)));
    }
}
