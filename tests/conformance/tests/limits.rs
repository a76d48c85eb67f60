//! The README's limits are those of the code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use artifacts::ZipLimits;
use engine::Policy;
use pipeline::catalogue::{self, rules};
use pipeline::{custom, limits, variables, webhook};

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(",")
}

/// Minutes as the table writes them.
fn time(minutes: u32) -> String {
    match (minutes / 60, minutes / 60 / 24) {
        (1, _) => "1 hour".to_owned(),
        (hours, days) if days > 1 => format!("{} days", hours / 24),
        (hours, _) => format!("{hours} hours"),
    }
}

fn action(category: &str, provider: &str) -> u32 {
    let known = catalogue::all().iter().find(|known| known.category == category && known.provider == provider);
    known.unwrap().default_timeout_minutes
}

fn rule(provider: &str) -> &'static rules::RuleType {
    rules::all().iter().find(|known| known.provider == provider).unwrap()
}

#[test]
fn the_readme_says_what_the_code_does() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let (_, section) = readme.split_once("## Limits and time-outs").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let zip = ZipLimits::default();
    let policy = Policy::default();
    let lambda =
        catalogue::all().iter().find(|known| known.provider == "Lambda" && known.category == "Invoke").unwrap();
    let range = |range: std::ops::RangeInclusive<usize>| format!("{} to {}", range.start(), range.end());
    for row in [
        format!("| stages | {} |", range(limits::STAGES)),
        format!(
            "| actions | {} in a stage, {} in a pipeline |",
            range(limits::ACTIONS_IN_STAGE),
            limits::ACTIONS_IN_PIPELINE
        ),
        format!("| variables, triggers | {} each |", limits::VARIABLES),
        format!(
            "| {} keys of 50 characters, values of {}; with its variables resolved {} bytes |",
            limits::CONFIGURATION_KEYS,
            grouped(catalogue::MAX_VALUE_LENGTH as u64),
            grouped(variables::MAX_CONFIGURATION_BYTES as u64)
        ),
        format!("| configuration of a rule | values of {} characters |", grouped(rules::MAX_VALUE_LENGTH as u64)),
        format!("| output variables of an action | {} bytes |", grouped(variables::MAX_OUTPUT_BYTES as u64)),
        format!("QUEUED and PARALLEL mode | {} |", limits::CONCURRENT_EXECUTIONS),
        format!("tags of a resource | {}, {}, 50 |", custom::MOST_TYPES, webhook::MOST),
        format!("| an approval waits | {} |", time(action("Approval", "Manual"))),
        format!(
            "`timeoutInMinutes`: {} to {} |",
            limits::TIMEOUT_MINUTES.start(),
            grouped((*limits::TIMEOUT_MINUTES.end()).into())
        ),
        format!(
            "| a Lambda action or rule runs | {}, and {} minutes without a sign of life |",
            time(lambda.default_timeout_minutes),
            lambda.silence_timeout_minutes.unwrap()
        ),
        format!("| a Step Functions action runs | {} |", time(action("Invoke", "StepFunctions"))),
        format!("| an S3 action runs | {} |", time(action("Deploy", "S3"))),
        format!("| a source of another kind runs | {} |", time(action("Source", "CodeCommit"))),
        format!(
            "| an action on a stack set, or on its instances, runs | {} |",
            time(action("Deploy", "CloudFormationStackSet"))
        ),
        format!("| an ECS action runs | {} |", time(action("Deploy", "ECS"))),
        format!("| an Elastic Beanstalk action runs | {} |", time(action("Deploy", "ElasticBeanstalk"))),
        format!("| a Lambda deploy runs | {} |", time(action("Deploy", "Lambda"))),
        format!("| an AppConfig action, or an EC2 action, runs | {} |", time(action("Deploy", "AppConfig"))),
        format!("| an action of a custom type runs | {} |", time(catalogue::CUSTOM_TIMEOUT_MINUTES)),
        format!(
            "CloudWatchAlarm rule watches | {}, {} |",
            time(rule("DeploymentWindow").default_timeout_minutes),
            time(rule("CloudWatchAlarm").default_timeout_minutes)
        ),
        format!("| a VariableCheck rule | {} |", time(rule("VariableCheck").default_timeout_minutes)),
        format!("an offered job is acknowledged | {} s |", policy.lease / 1_000),
        format!(
            "| {} s; up to {} times that, 15 minutes at most |",
            policy.poll_first / 1_000,
            policy.poll_most / policy.poll_first
        ),
        format!("| a request to the API | {} MiB |", wire::MAX_BODY >> 20),
        format!("all its files unpacked | {} MiB each;", grouped(zip.total_bytes >> 20)),
        format!("| its files and directories | {} |", grouped(zip.entries as u64)),
        format!("from 16 MiB on | {} |", zip.ratio),
    ] {
        assert!(section.contains(&row), "the README lacks {row}");
    }
    assert_eq!(rule("LambdaInvoke").default_timeout_minutes, lambda.default_timeout_minutes);
    assert_eq!(rule("LambdaInvoke").silence_timeout_minutes, lambda.silence_timeout_minutes);
}
