//! Whether the functions' roles allow what the functions do and no more, by what an enforcing emulator has decided while the
//! cases ran.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use testkit::Template;

/// What Lambda itself does under a function's role, where the emulators ask no role: statements by their Sid, with the
/// actions that AWS documents. Source: Lambda developer guide, the managed policies `AWSLambdaBasicExecutionRole`,
/// `AWSLambdaSQSQueueExecutionRole`, `AWSLambdaDynamoDBExecutionRole`, and 'Retain records of asynchronous invocations'.
const OF_LAMBDA: &[(&str, &[&str])] = &[
    ("Log", &["logs:CreateLogStream", "logs:PutLogEvents"]),
    ("TakePolls", &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]),
    ("TakeCalls", &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]),
    ("TakeEvents", &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]),
    ("ReadStream", &["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]),
    ("ListStreams", &["dynamodb:ListStreams"]),
    ("LeaveDeadLetters", &["sqs:SendMessage"]),
];

/// Actions of statements, by role and Sid, that are needed though no case shows it.
const NOT_TRIED: &[(&str, &str, &[&str])] = &[
    // Whether somebody may pass a role is not asked on an emulator.
    ("ApiRole", "AskAboutCallers", &["iam:SimulatePrincipalPolicy", "iam:GetRole"]),
    // No webhook of the cases has a pipeline so large that it is kept in parts.
    ("WebhookRole", "ReadState", &["dynamodb:BatchGetItem"]),
    // No case waits until a job's time is over; then the sweeper takes it out of its queue.
    ("SweeperRole", "KeepState", &["dynamodb:DeleteItem"]),
];

/// A line of what the emulator has decided.
#[derive(Deserialize)]
struct Decision {
    caller: String,
    action: String,
    resource: String,
    allowed: bool,
    /// The Sids of those that would have allowed it alone.
    statements: Vec<String>,
}

/// What was used of a role.
#[derive(Default)]
struct Used {
    /// Statements without which something would have been denied.
    alone: BTreeSet<String>,
    /// Actions, by the statements that allow them.
    actions: BTreeSet<(String, String)>,
}

/// What is wrong with the roles of the functions. `complete`: whether all cases ran, so that what was not used is not needed.
///
/// # Errors
/// When a decision cannot be read.
pub fn problems(decisions: &str, stack: &str, complete: bool) -> Result<BTreeSet<String>> {
    let roles = statements();
    let (mut used, mut problems) = (BTreeMap::<&str, Used>::new(), BTreeSet::new());
    for line in decisions.lines() {
        let decision: Decision = serde_json::from_str(line).with_context(|| format!("not a decision: {line}"))?;
        let assumed = decision.caller.split('/').nth(1).unwrap_or_default();
        let Some(role) = roles.keys().find(|role| assumed.starts_with(&format!("{stack}-{role}-"))) else { continue };
        if !decision.allowed {
            problems.insert(format!("{role} does not allow {} on {}", decision.action, decision.resource));
        }
        let used = used.entry(role).or_default();
        if let [only] = &*decision.statements {
            used.alone.insert(only.clone());
        }
        used.actions.extend(decision.statements.into_iter().map(|sid| (sid, decision.action.clone())));
    }
    if complete {
        for (role, statements) in &roles {
            problems.extend(unneeded(role, statements, &used.remove(&**role).unwrap_or_default()));
        }
    }
    Ok(problems)
}

fn unneeded(role: &str, statements: &BTreeMap<String, BTreeSet<String>>, used: &Used) -> Vec<String> {
    let mut found = Vec::new();
    for (sid, actions) in statements {
        let not_tried = NOT_TRIED.iter().find(|(of, statement, _)| (*of, *statement) == (role, sid));
        let tried: BTreeSet<&String> = actions
            .iter()
            .filter(|it| !not_tried.is_some_and(|(_, _, actions)| actions.contains(&it.as_str())))
            .collect();
        if let Some((_, known)) = OF_LAMBDA.iter().find(|(known, _)| known == sid) {
            let known: BTreeSet<String> = known.iter().map(|action| (*action).to_owned()).collect();
            if *actions != known {
                found.push(format!("{sid} of {role} allows {actions:?}: Lambda needs {known:?}"));
            }
        } else if !tried.is_empty() && !used.alone.contains(sid) {
            found.push(format!("without {sid} of {role} nothing would have been denied"));
        } else {
            let idle = tried.iter().filter(|action| !used.actions.contains(&(sid.clone(), (**action).clone())));
            found.extend(idle.map(|action| format!("nobody used {action} of {sid} of {role}")));
        }
    }
    found
}

/// The actions of each statement of each function's role, by the role's logical id and the statement's Sid.
fn statements() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let template = Template::home();
    let roles = template.of_type("IAM::Role").map(|(name, role)| {
        let role = serde_json::to_value(role).unwrap_or_default();
        let statements = role["Policies"].as_array().into_iter().flatten();
        let statements = statements.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array()).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let statements = statements.map(|it| {
            let actions = it["Action"]
                .as_array()
                .map_or_else(|| [text(&it["Action"])].into(), |all| all.iter().map(text).collect());
            (text(&it["Sid"]), actions)
        });
        (name.to_owned(), statements.collect())
    });
    roles.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decided(role: &str, action: &str, allowed: bool, statements: &[&str]) -> String {
        let caller = format!("arn:aws:sts::000000000000:assumed-role/millrace-{role}-1A2B/millrace-worker");
        json!({"caller": caller, "action": action, "resource": "*", "allowed": allowed, "statements": statements})
            .to_string()
    }

    fn found(decisions: &[String], complete: bool) -> BTreeSet<String> {
        problems(&decisions.join("\n"), "millrace", complete).unwrap()
    }

    #[test]
    fn what_a_role_does_not_allow_is_named() {
        let decisions = [
            decided("WorkerRole", "sns:Publish", false, &[]),
            decided("WorkerRole", "dynamodb:GetItem", true, &["ReadState"]),
            decided("PipelineRole", "s3:GetObject", false, &[]),
        ];
        assert_eq!(found(&decisions, false), BTreeSet::from(["WorkerRole does not allow sns:Publish on *".to_owned()]));
    }

    #[test]
    fn what_nobody_used_is_named() {
        let decisions = [
            decided("ReplicatorRole", "dynamodb:GetItem", true, &["ReadState"]),
            decided("ReplicatorRole", "sts:AssumeRole", true, &["ActAsPipelines", "Other"]),
        ];
        let found = found(&decisions, true);
        assert!(found.contains("nobody used dynamodb:BatchGetItem of ReadState of ReplicatorRole"), "{found:?}");
        assert!(found.contains("without ActAsPipelines of ReplicatorRole nothing would have been denied"), "{found:?}");
        assert!(!found.iter().any(|it| it.contains("Log of ReplicatorRole")), "{found:?}");
    }
}
