//! What a trust policy says of somebody who must be trusted.

use std::collections::BTreeSet;

use providers::permission::{Statement, Trusted};
use serde_json::Value;

/// Whether a trust policy lets somebody assume the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It does, for this pipeline alone.
    Given,
    /// It does for whatever pipeline: it demands no external id, or takes any.
    ForAnyPipeline,
    /// It does not; where it names them, what it demands as the external id instead.
    Missing(Option<String>),
}

/// What the policy says of one role that is to assume it with this external id.
pub(crate) fn of_role(policy: &Value, arn: &str, external_id: &str) -> Trust {
    let mut best = Trust::Missing(None);
    for statement in statements(policy).filter(|it| allows(it) && names(it, arn)) {
        let demanded = demanded(statement);
        let found = match demanded.as_slice() {
            [] => Trust::ForAnyPipeline,
            all if all.iter().any(|it| matches(it, external_id)) => match all.iter().any(|it| it == "*") {
                true => Trust::ForAnyPipeline,
                false => Trust::Given,
            },
            others => Trust::Missing(Some(others.join(", "))),
        };
        match (&best, &found) {
            (_, Trust::Given) => return found,
            (Trust::Missing(_), _) => best = found,
            _ => {}
        }
    }
    best
}

/// Whether the policy lets CodeBuild assume the role.
pub(crate) fn of_builds(policy: &Value) -> bool {
    let is_codebuild = |principal: &Value| texts(&principal["Service"]).contains(&"codebuild.amazonaws.com".to_owned());
    statements(policy).any(|statement| allows(statement) && is_codebuild(&statement["Principal"]))
}

/// Those of `wanted` that the policy does not have.
pub(crate) fn missing(policy: &Value, wanted: &[Trusted]) -> Vec<Trusted> {
    let lacking = |trusted: &Trusted| match trusted {
        Trusted::Roles { arns, external_id } => {
            let is_missing = |arn: &&String| matches!(of_role(policy, arn, external_id), Trust::Missing(_));
            let arns: BTreeSet<String> = arns.iter().filter(is_missing).cloned().collect();
            (!arns.is_empty()).then(|| Trusted::Roles { arns, external_id: external_id.clone() })
        }
        builds @ Trusted::Builds { .. } => (!of_builds(policy)).then(|| builds.clone()),
    };
    wanted.iter().filter_map(lacking).collect()
}

/// The statements of a policy, which has one or a list.
pub(crate) fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    let all: &[Value] = match &policy["Statement"] {
        Value::Array(all) => all,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    all.iter()
}

fn allows(statement: &Value) -> bool {
    let assumes = |action: &String| matches(action, "sts:AssumeRole");
    statement["Effect"] == "Allow" && texts(&statement["Action"]).iter().any(assumes)
}

/// Whether a statement's principals include a role: itself, or all of its account.
fn names(statement: &Value, arn: &str) -> bool {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let partition = arn.split(':').nth(1).unwrap_or_default();
    let root = format!("arn:{partition}:iam::{account}:root");
    let principal = &statement["Principal"];
    let all = if principal.is_string() { texts(principal) } else { texts(&principal["AWS"]) };
    all.iter().any(|it| it == "*" || it == arn || it == account || *it == root)
}

/// The external ids that a statement takes; none: it demands none.
fn demanded(statement: &Value) -> Vec<String> {
    let operators = statement["Condition"].as_object();
    let keys = operators.into_iter().flat_map(|operators| operators.values()).filter_map(Value::as_object);
    let ids = keys.flatten().filter(|(key, _)| key.eq_ignore_ascii_case("sts:ExternalId"));
    ids.flat_map(|(_, values)| texts(values)).collect()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a pattern with `*` matches.
fn matches(pattern: &str, text: &str) -> bool {
    let statement = Statement::new(&[pattern], ["*".to_owned()], std::collections::BTreeMap::new());
    statement.is_some_and(|statement| statement.names(text, ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WORKER: &str = "arn:aws:iam::111122223333:role/worker";
    const PIPELINE: &str = "arn:aws:codepipeline:eu-west-1:111122223333:shop";

    fn policy(principal: &Value, condition: &Value) -> Value {
        json!({"Statement": {
            "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition,
        }})
    }

    #[test]
    fn the_external_id_must_be_the_pipelines() {
        let of = |principal: Value, condition: Value| of_role(&policy(&principal, &condition), WORKER, PIPELINE);
        let exact = json!({"StringEquals": {"sts:ExternalId": PIPELINE}});
        assert_eq!(of(json!({"AWS": [WORKER, "x"]}), exact.clone()), Trust::Given);
        assert_eq!(of(json!({"AWS": "111122223333"}), exact.clone()), Trust::Given, "all of its account");
        let all = json!({"StringLike": {"sts:ExternalId": "arn:aws:codepipeline:*:111122223333:*"}});
        assert_eq!(of(json!({"AWS": WORKER}), all), Trust::Given);
        assert_eq!(of(json!({"AWS": WORKER}), json!({})), Trust::ForAnyPipeline);
        assert_eq!(of(json!({"AWS": WORKER}), json!({"StringLike": {"sts:ExternalId": "*"}})), Trust::ForAnyPipeline);
        let other = json!({"StringEquals": {"sts:externalid": "other"}});
        assert_eq!(of(json!({"AWS": WORKER}), other), Trust::Missing(Some("other".into())));
        assert_eq!(of(json!({"AWS": "arn:aws:iam::111122223333:role/x"}), exact), Trust::Missing(None));
        assert_eq!(of_role(&json!({}), WORKER, PIPELINE), Trust::Missing(None));
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let there = policy(&json!({"AWS": WORKER}), &json!({"StringEquals": {"sts:ExternalId": PIPELINE}}));
        let other = "arn:aws:iam::111122223333:role/api".to_owned();
        let wanted = Trusted::Roles { arns: [WORKER.to_owned(), other.clone()].into(), external_id: PIPELINE.into() };
        let expected = Trusted::Roles { arns: [other].into(), external_id: PIPELINE.into() };
        assert_eq!(missing(&there, &[wanted]), [expected]);
        let builds = Trusted::Builds { account: "1".into(), projects: BTreeSet::new() };
        assert_eq!(missing(&there, std::slice::from_ref(&builds)), std::slice::from_ref(&builds));
        assert!(missing(&policy(&json!({"Service": "codebuild.amazonaws.com"}), &json!({})), &[builds]).is_empty());
    }
}
