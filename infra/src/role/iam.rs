//! Roles that are made, or brought to what a pipeline needs.
//!
//! Of a role that is there, only what belongs to the pipeline changes: its inline policies that are called
//! `millrace-NUMBER-PIPELINE`, and statements that its trust policy lacks. Nothing else is taken from it: somebody else may need it.

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_iam::Client;
use percent_encoding::percent_decode_str;
use providers::permission::{Installed, RoleNeeds, Trusted, policy};
use serde_json::Value;

use super::documents::{INLINE_MOST, documents, size};
use crate::{Account, trust};

/// What is to be done, so that roles are as a pipeline needs them.
#[derive(Debug, PartialEq)]
pub struct Plan(Vec<RolePlan>);

#[derive(Debug, PartialEq)]
struct RolePlan {
    /// Its name, without the path.
    name: String,
    path: String,
    exists: bool,
    /// The trust policy that it is to have; none: it has it.
    trust: Option<Value>,
    /// Inline policies that are written, by name.
    put: Vec<(String, Value)>,
    /// Inline policies of this pipeline that are not needed any more.
    delete: Vec<String>,
    /// All of it in words.
    changes: Vec<String>,
}

impl Plan {
    /// Looks at the roles, and says what is to be changed. Nothing is changed yet.
    ///
    /// # Errors
    /// When a role is of another account, its policies are too large for it, or IAM does not let the caller look.
    pub async fn new(account: &Account, installed: &Installed, pipeline: &str, needs: &[RoleNeeds]) -> Result<Self> {
        let client = Client::new(&account.sdk(account.home()));
        let mut plans = Vec::new();
        for needs in needs {
            let owner = needs.arn.split(':').nth(4).unwrap_or_default();
            ensure!(
                owner == installed.account,
                "{} belongs to the account {owner}, and these credentials to {}: whoever administers that one makes the \
                 role with what is printed",
                needs.arn,
                installed.account
            );
            plans.push(plan_role(&client, pipeline, needs).await?);
        }
        Ok(Self(plans))
    }

    /// Each change in words; none where all is as it is to be.
    pub fn changes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|plan| &plan.changes).map(String::as_str)
    }

    /// Does what was planned.
    ///
    /// # Errors
    /// When IAM refuses: what has been done until then stays, and a new plan goes on from there.
    pub async fn carry_out(&self, account: &Account) -> Result<()> {
        let client = Client::new(&account.sdk(account.home()));
        for plan in &self.0 {
            let name = &plan.name;
            carry_out(&client, plan).await.with_context(|| format!("cannot make the role {name} what it is to be"))?;
        }
        Ok(())
    }
}

async fn plan_role(client: &Client, pipeline: &str, needs: &RoleNeeds) -> Result<RolePlan> {
    let (_, place) = needs.arn.split_once(":role/").with_context(|| format!("{} is no role's ARN", needs.arn))?;
    let (path, name) =
        place.rsplit_once('/').map_or(("/".to_owned(), place), |(path, name)| (format!("/{path}/"), name));
    let documents = documents(&needs.statements);
    let total: usize = documents.iter().map(size).sum();
    if total > INLINE_MOST {
        bail!(
            "the policies for {} have {total} characters, and a role's inline policies may have {INLINE_MOST} in all: give \
             actions roles of their own (roleArn), or make managed policies of the {} documents that are printed",
            needs.arn,
            documents.len()
        );
    }
    let named = |(index, document): (usize, Value)| (format!("millrace-{}-{pipeline}", index + 1), document);
    let wanted: Vec<(String, Value)> = documents.into_iter().enumerate().map(named).collect();
    let Some(trusts) = trust_of(client, name).await? else {
        let changes = vec![format!("create the role {} with {}", needs.arn, counted(wanted.len()))];
        let trust = Some(needs.trust_policy());
        return Ok(RolePlan {
            name: name.to_owned(),
            path,
            exists: false,
            trust,
            put: wanted,
            delete: Vec::new(),
            changes,
        });
    };
    let mut changes = Vec::new();
    let trust = added(&trusts, &needs.trust);
    if trust.is_some() {
        changes.push(format!("add to the trust policy of {}, and take nothing away", needs.arn));
    }
    let there = policies_of(client, name, pipeline).await?;
    let put: Vec<_> = wanted.iter().filter(|it| !there.contains(it)).cloned().collect();
    changes.extend(put.iter().map(|(policy, _)| format!("put the inline policy {policy} of {}", needs.arn)));
    let is_left = |policy: &String| !wanted.iter().any(|(name, _)| name == policy);
    let delete: Vec<String> = there.into_iter().map(|(policy, _)| policy).filter(is_left).collect();
    changes.extend(delete.iter().map(|policy| format!("delete the inline policy {policy} of {}", needs.arn)));
    Ok(RolePlan { name: name.to_owned(), path, exists: true, trust, put, delete, changes })
}

fn counted(policies: usize) -> String {
    if policies == 1 { "1 inline policy".to_owned() } else { format!("{policies} inline policies") }
}

/// The trust policy of a role; none where there is no such role.
async fn trust_of(client: &Client, name: &str) -> Result<Option<Value>> {
    match client.get_role().role_name(name).send().await {
        Ok(found) => {
            let document = found.role.and_then(|role| role.assume_role_policy_document);
            parsed(&document.unwrap_or_default())
                .with_context(|| format!("the trust policy of the role {name}"))
                .map(Some)
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_entity_exception()) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot look at the role {name} (this needs iam:GetRole)")),
    }
}

/// IAM gives out policies as parts of a URL.
pub(crate) fn parsed(document: &str) -> Result<Value> {
    let json = percent_decode_str(document).decode_utf8().context("it is not in UTF-8")?;
    serde_json::from_str(&json).context("it is not in JSON")
}

/// A trust policy with what it lacks; none where it has all.
fn added(there: &Value, wanted: &[Trusted]) -> Option<Value> {
    let missing = trust::missing(there, wanted);
    let there = trust::statements(there).cloned();
    (!missing.is_empty()).then(|| policy(there.chain(missing.iter().map(Trusted::json))))
}

/// The inline policies of a role that are this pipeline's.
async fn policies_of(client: &Client, role: &str, pipeline: &str) -> Result<Vec<(String, Value)>> {
    let listed = client.list_role_policies().role_name(role).into_paginator().items().send();
    let listed = listed.collect::<Result<Vec<_>, _>>().await;
    let listed = listed.with_context(|| format!("cannot list the inline policies of {role}"))?;
    let is_own = |name: &String| {
        let rest = name.strip_prefix("millrace-").and_then(|rest| rest.split_once('-'));
        rest.is_some_and(|(number, of)| number.parse::<u32>().is_ok() && of == pipeline)
    };
    let mut policies = Vec::new();
    for name in listed.into_iter().filter(is_own) {
        let got = client.get_role_policy().role_name(role).policy_name(&name).send().await;
        let got = got.with_context(|| format!("cannot read the inline policy {name} of {role}"))?;
        policies.push((name, parsed(&got.policy_document)?));
    }
    Ok(policies)
}

async fn carry_out(client: &Client, plan: &RolePlan) -> Result<()> {
    let RolePlan { name, path, exists, trust, put, delete, .. } = plan;
    if let Some(trust) = trust {
        if *exists {
            let update = client.update_assume_role_policy().role_name(name).policy_document(trust.to_string());
            update.send().await?;
        } else {
            let create = client.create_role().role_name(name).path(path);
            create.assume_role_policy_document(trust.to_string()).send().await?;
        }
    }
    for (policy, document) in put {
        let put = client.put_role_policy().role_name(name).policy_name(policy).policy_document(document.to_string());
        put.send().await?;
    }
    for policy in delete {
        client.delete_role_policy().role_name(name).policy_name(policy).send().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trusted() -> Trusted {
        let arns = ["arn:aws:iam::1:role/worker".to_owned()].into();
        Trusted::Roles { arns, external_id: "arn:aws:codepipeline:eu-west-1:1:shop".into() }
    }

    #[test]
    fn a_trust_policy_gets_what_it_lacks_and_keeps_what_it_has() {
        let other = json!({"Effect": "Allow", "Principal": {"AWS": "x"}, "Action": "sts:AssumeRole"});
        let there = json!({"Version": "2012-10-17", "Statement": other});
        let made = added(&there, &[trusted()]).unwrap();
        assert_eq!(made["Statement"], json!([other, trusted().json()]));
        assert_eq!(added(&made, &[trusted()]), None, "a second time there is nothing to do");
    }

    #[test]
    fn policies_are_read_as_iam_gives_them_out() {
        assert_eq!(parsed("%7B%22a%22%3A%20%22b%2Bc%22%7D").unwrap(), json!({"a": "b+c"}));
        assert!(parsed("nothing").is_err());
    }
}
