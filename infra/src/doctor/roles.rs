//! A pipeline's roles: whether they are there, trust whom they must, and may do what they must.

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use pipeline::Pipeline;
use providers::permission::{Installed, RoleNeeds, Statement, Trusted, role_needs};
use serde_json::Value;

use super::Place;
use super::finding::{Findings, Look};
use crate::role::parsed;
use crate::trust::{self, Trust};

pub(super) async fn look(place: &Place<'_>, pipeline: &Pipeline, installed: &Installed, findings: &mut Findings) {
    let client = Client::new(&place.account.sdk(place.account.home()));
    let create = format!("millrace role {} --create", pipeline.name());
    for needs in role_needs(pipeline, installed) {
        let arn = needs.arn.as_str();
        let owner = arn.split(':').nth(4).unwrap_or_default();
        if owner != place.number {
            let mend = "run `millrace role` here, and compare with what that account has";
            findings.warning(format!("the role {arn} belongs to another account, and was not looked at"), mend);
            continue;
        }
        let what = format!("the role {arn}");
        let name = arn.rsplit('/').next().unwrap_or(arn);
        let found = client.get_role().role_name(name).send().await;
        match findings.look(&what, "iam:GetRole", arn, found) {
            Look::Missing => {
                findings.error(format!("{what} does not exist"), &*create);
                continue;
            }
            Look::Unknown => {}
            Look::Found(found) => {
                let document = found.role().and_then(|role| role.assume_role_policy_document()).unwrap_or_default();
                match parsed(document) {
                    Ok(policy) => trusts(&what, &policy, &needs, findings),
                    Err(error) => {
                        findings.warning(format!("the trust policy of {what} cannot be read: {error:#}"), &*create);
                    }
                }
            }
        }
        if findings.emulator {
            let mend = "run `millrace doctor` on AWS";
            findings
                .warning(format!("whether {what} may do what its actions need cannot be checked on an emulator"), mend);
        } else {
            permissions(&client, &what, &needs, findings).await;
        }
        for beside in &needs.beside {
            findings.ok(format!("not looked at: {beside}"));
        }
    }
}

fn trusts(what: &str, policy: &Value, needs: &RoleNeeds, findings: &mut Findings) {
    for trusted in &needs.trust {
        let statement = trusted.json().to_string();
        let Trusted::Roles { arns, external_id } = trusted else {
            let trusts = trust::of_builds(policy);
            let words = if trusts { "trusts" } else { "does not trust" };
            findings.must(
                trusts,
                format!("{what} {words} codebuild.amazonaws.com, which runs builds with it"),
                statement,
            );
            continue;
        };
        for arn in arns {
            match trust::of_role(policy, arn, external_id) {
                Trust::Given => findings.ok(format!("{what} trusts {arn}")),
                Trust::ForAnyPipeline => findings.warning(
                    format!("{what} trusts {arn} without an external id: any pipeline of the installation may use it"),
                    format!("in its trust policy, in place of the statement that names it: {statement}"),
                ),
                Trust::Missing(Some(other)) => findings.error(
                    format!(
                        "{what} trusts {arn} with the external id {other} only, and this pipeline's is {external_id}"
                    ),
                    format!("in its trust policy: {statement}"),
                ),
                Trust::Missing(None) => {
                    findings.error(format!("{what} does not trust {arn}"), format!("in its trust policy: {statement}"))
                }
            }
        }
    }
}

/// Has IAM simulate each statement.
async fn permissions(client: &Client, what: &str, needs: &RoleNeeds, findings: &mut Findings) {
    let mut lacking = 0;
    for statement in &needs.statements {
        let answer = client
            .simulate_principal_policy()
            .policy_source_arn(&needs.arn)
            .set_action_names(Some(statement.actions.iter().cloned().collect()))
            .set_resource_arns(Some(statement.resources.iter().cloned().collect()))
            .set_context_entries(Some(context(statement)))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await;
        let Some(results) = findings.look(what, "iam:SimulatePrincipalPolicy", &needs.arn, answer).found() else {
            return;
        };
        let mut denied: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for result in results {
            let each = result.resource_specific_results();
            let whole = [(result.eval_resource_name(), result.eval_decision())];
            let pairs: Vec<(Option<&str>, &PolicyEvaluationDecisionType)> = match each.is_empty() {
                true => whole.into(),
                false => each.iter().map(|it| (Some(it.eval_resource_name()), it.eval_resource_decision())).collect(),
            };
            for (resource, decision) in pairs {
                if *decision != PolicyEvaluationDecisionType::Allowed {
                    let resources = denied.entry(result.eval_action_name().to_owned()).or_default();
                    resources.push(resource.unwrap_or("*").to_owned());
                }
            }
        }
        for (action, resources) in denied {
            lacking += 1;
            let on = resources.join(", ");
            let missing = Statement::new(&[action.as_str()], resources, statement.conditions.clone());
            let mend = missing.map(|statement| statement.json().to_string()).unwrap_or_default();
            findings.error(format!("{what} may not use {action} on {on}"), mend);
        }
    }
    if lacking == 0 {
        findings.ok(format!("{what} may do what its actions need, as far as IAM's simulation tells"));
    }
}

/// The conditions of a statement as if they were met.
fn context(statement: &Statement) -> Vec<ContextEntry> {
    let keys = statement.conditions.values().flatten();
    let entry = |(key, values): (&String, &std::collections::BTreeSet<String>)| {
        let value = values.iter().next().cloned();
        let entry = ContextEntry::builder().context_key_name(key).context_key_type(ContextKeyTypeEnum::String);
        entry.set_context_key_values(value.map(|value| vec![value])).build()
    };
    keys.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use providers::permission::{Conditions, condition};
    use testkit::{Answer, Stub};

    use super::*;
    use crate::doctor::Level;

    fn needs(conditions: Conditions) -> RoleNeeds {
        RoleNeeds {
            arn: "arn:aws:iam::111122223333:role/pipeline".into(),
            statements: Statement::new(&["s3:GetObject"], ["arn:aws:s3:::b/*".to_owned()], conditions)
                .into_iter()
                .collect(),
            trust: Vec::new(),
            beside: Vec::new(),
        }
    }

    async fn simulated(status: u16, body: &'static str, conditions: Conditions) -> (Stub, Vec<crate::doctor::Finding>) {
        let stub = Stub::new(move |_| Answer { status, body: body.to_owned() });
        let mut findings = Findings::new(false);
        permissions(&Client::new(&stub.config()), "the role", &needs(conditions), &mut findings).await;
        (stub, findings.all().to_vec())
    }

    const DENIED: &str = "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults><member>\
        <EvalActionName>s3:GetObject</EvalActionName><EvalResourceName>arn:aws:s3:::b/*</EvalResourceName>\
        <EvalDecision>implicitDeny</EvalDecision></member></EvaluationResults></SimulatePrincipalPolicyResult>\
        </SimulatePrincipalPolicyResponse>";

    #[tokio::test]
    async fn what_iam_denies_comes_with_the_statement_that_allows_it() {
        let met = condition("StringEquals", "iam:PassedToService", ["codebuild.amazonaws.com"]);
        let (stub, found) = simulated(200, DENIED, met).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Level::Error);
        assert_eq!(found[0].what, "the role may not use s3:GetObject on arn:aws:s3:::b/*");
        let mend: Value = serde_json::from_str(found[0].mend.as_deref().unwrap()).unwrap();
        assert_eq!(mend["Action"], "s3:GetObject");
        assert_eq!(mend["Condition"]["StringEquals"]["iam:PassedToService"], "codebuild.amazonaws.com");
        let sent = &stub.requests()[0].body;
        assert!(
            sent.contains("ContextKeyName=iam%3APassedToService") && sent.contains("codebuild.amazonaws.com"),
            "{sent}"
        );
    }

    #[tokio::test]
    async fn what_iam_allows_is_fine_and_whoever_may_not_ask_is_told() {
        let allowed: &'static str = Box::leak(DENIED.replace("implicitDeny", "allowed").into_boxed_str());
        let (_, found) = simulated(200, allowed, Conditions::new()).await;
        assert!(matches!(found.as_slice(), [one] if one.level == Level::Ok), "{found:?}");
        let refused = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        let (_, found) = simulated(403, refused, Conditions::new()).await;
        assert!(matches!(found.as_slice(), [one] if one.what.contains("iam:SimulatePrincipalPolicy")), "{found:?}");
    }
}
