//! Statements as policies that IAM takes.

use std::collections::BTreeSet;

use providers::permission::{Statement, policy};
use serde_json::Value;

/// Characters of a managed policy, of which IAM counts no white space. Source: IAM user guide, 'IAM and AWS STS quotas'.
pub(super) const MANAGED_MOST: usize = 6_144;
/// Characters of all inline policies of a role. Source: as above.
pub(super) const INLINE_MOST: usize = 10_240;

/// The size of a policy, as IAM counts it.
pub(super) fn size(policy: &Value) -> usize {
    policy.to_string().chars().filter(|character| !character.is_whitespace()).count()
}

/// Policies that say all statements, none larger than a managed policy may be. A statement that is too large by itself
/// becomes several, each on some of its resources.
pub(super) fn documents(statements: &[Statement]) -> Vec<Value> {
    let mut documents = Vec::new();
    let mut current: Vec<Value> = Vec::new();
    for statement in statements.iter().flat_map(parts) {
        let statement = statement.json();
        current.push(statement.clone());
        if size(&policy(current.clone())) > MANAGED_MOST && current.len() > 1 {
            current.pop();
            documents.push(policy(std::mem::take(&mut current)));
            current.push(statement);
        }
    }
    if !current.is_empty() {
        documents.push(policy(current));
    }
    documents
}

fn parts(statement: &Statement) -> Vec<Statement> {
    if size(&policy([statement.json()])) <= MANAGED_MOST || statement.resources.len() < 2 {
        return vec![statement.clone()];
    }
    let half = statement.resources.len() / 2;
    let of = |resources: BTreeSet<String>| Statement { resources, ..statement.clone() };
    let all = statement.resources.iter().cloned();
    let (first, second) = (of(all.clone().take(half).collect()), of(all.skip(half).collect()));
    parts(&first).into_iter().chain(parts(&second)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(action: &str, resources: usize) -> Statement {
        let resources = (0..resources).map(|n| format!("arn:aws:s3:::a-bucket-with-a-name/object-{n:04}"));
        Statement::new(&[action], resources, std::collections::BTreeMap::new()).unwrap()
    }

    #[test]
    fn what_is_too_large_is_split_and_nothing_is_lost() {
        assert_eq!(documents(&[]), Vec::<Value>::new());
        let small = [statement("s3:GetObject", 3), statement("s3:PutObject", 3)];
        assert_eq!(documents(&small).len(), 1);
        let large = [statement("s3:GetObject", 300), statement("s3:PutObject", 90), statement("s3:ListBucket", 1)];
        let split = documents(&large);
        assert!(split.len() > 2, "{}", split.len());
        let mut found = BTreeSet::new();
        for document in &split {
            assert!(size(document) <= MANAGED_MOST, "{}", size(document));
            for statement in document["Statement"].as_array().unwrap() {
                let action = statement["Action"].as_str().unwrap();
                let resources = statement["Resource"].as_array().cloned();
                for resource in resources.unwrap_or_else(|| vec![statement["Resource"].clone()]) {
                    assert!(found.insert(format!("{action} {resource}")), "twice");
                }
            }
        }
        assert_eq!(found.len(), 391);
    }

    #[test]
    fn white_space_does_not_count() {
        assert_eq!(size(&serde_json::json!({"a": "b c"})), r#"{"a":"bc"}"#.len());
    }
}
