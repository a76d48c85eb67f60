//! Whether a caller may give a role to a pipeline, as AWS's services ask before they take one (`iam:PassRole`).
//!
//! Whoever can change a pipeline decides what is done under its roles. So every role of a declaration is asked about
//! whenever the declaration is stored, also one that it already had.
//!
//! IAM answers from the policies of the caller's user or role, their permissions boundary and the organization's
//! policies. It knows nothing of a session's own policy, and the only condition key that it is given is
//! `iam:PassedToService`: a statement that demands another one does not count.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::error::{DisplayErrorContext, SdkError};
use aws_sdk_iam::operation::get_role::GetRoleError;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use pipeline::RoleArn;

use crate::clients::Clients;
use crate::settings::{SettingError, Settings};

/// Policies that were written for CodePipeline's own service must do here as well.
const SERVICE: &str = "codepipeline.amazonaws.com";
/// Roles in one request: what AWS documents no limit for should not find one.
const BATCH: usize = 50;

/// Why a role may not be given to a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassRoleError {
    /// The caller may not, in the words that AWS's services use.
    #[error("User: {caller} is not authorized to perform: iam:PassRole on resource: {role} because {reason}")]
    Denied {
        /// The ARN of the caller, a user's or a session's.
        caller: String,
        /// The ARN of the role.
        role: String,
        /// Why not, to complete the message.
        reason: String,
    },
    /// IAM did not answer; trying again may help.
    #[error("IAM could not say whether {caller} may pass the pipeline's roles: {message}")]
    Unavailable {
        /// The ARN of the caller, a user's or a session's.
        caller: String,
        /// IAM's error, or why no answer came.
        message: String,
    },
}

/// Asks IAM whether callers may pass roles.
#[derive(Clone, Debug)]
pub struct PassRole {
    /// None where callers are not asked about: on an emulator.
    iam: Option<aws_sdk_iam::Client>,
    account: String,
    names: String,
}

impl PassRole {
    /// # Errors
    /// [`SettingError::Missing`] for the account; [`SettingError::Invalid`].
    pub fn new(settings: &Settings, clients: &Clients) -> Result<Self, SettingError> {
        let iam = settings.check_pass_role()?.then(|| clients.iam().clone());
        Ok(Self { iam, account: settings.account()?, names: settings.role_names() })
    }

    /// Succeeds when the installation takes each of these roles and the caller may pass each.
    ///
    /// # Errors
    /// [`PassRoleError::Denied`] with the first that stands against it; [`PassRoleError::Unavailable`].
    pub async fn check(&self, caller: &str, roles: &BTreeSet<RoleArn>) -> Result<(), PassRoleError> {
        for role in roles {
            let name = role.as_str().split_once(":role/").map_or("", |(_, name)| name);
            if !matches(&self.names, name) {
                let reason = format!("this installation takes only roles whose path and name match {}", self.names);
                return Err(denied(caller, role.as_str(), reason));
            }
        }
        match &self.iam {
            Some(iam) => self.simulate(iam, caller, roles).await,
            None => Ok(()),
        }
    }

    async fn simulate(
        &self,
        iam: &aws_sdk_iam::Client,
        caller: &str,
        roles: &BTreeSet<RoleArn>,
    ) -> Result<(), PassRoleError> {
        let Some(first) = roles.first() else {
            return Ok(());
        };
        let principal = match Principal::of(caller, &self.account) {
            // IAM has no policies of the root user to simulate, and none that could bind it.
            Principal::Root => return Ok(()),
            Principal::User => caller.to_owned(),
            Principal::AssumedRole(name) => role_arn(iam, caller, name, first).await?,
            Principal::Other => {
                let reason = "only users and roles of the pipeline's own account can pass roles";
                return Err(denied(caller, first.as_str(), reason));
            }
        };
        let service = ContextEntry::builder()
            .context_key_name("iam:PassedToService")
            .context_key_type(ContextKeyTypeEnum::String)
            .context_key_values(SERVICE)
            .build();
        let roles: Vec<&str> = roles.iter().map(RoleArn::as_str).collect();
        for some in roles.chunks(BATCH) {
            let decisions = decisions(iam, caller, &principal, &service, some).await?;
            let allowed = |role: &&str| decisions.get(*role) == Some(&PolicyEvaluationDecisionType::Allowed);
            if let Some(role) = some.iter().find(|role| !allowed(role)) {
                let reason = match decisions.get(*role) {
                    Some(PolicyEvaluationDecisionType::ExplicitDeny) => "a policy denies it explicitly",
                    _ => "no identity-based policy allows the iam:PassRole action",
                };
                return Err(denied(caller, role, reason));
            }
        }
        Ok(())
    }
}

/// What a caller is, for IAM's simulation.
#[derive(Debug, PartialEq, Eq)]
enum Principal<'a> {
    /// The account's root user, who may pass every role.
    Root,
    /// A user of the account.
    User,
    /// A session of the account's role of this name.
    AssumedRole(&'a str),
    /// Somebody of another account, a federated user, nobody.
    Other,
}

impl<'a> Principal<'a> {
    fn of(caller: &'a str, account: &str) -> Self {
        let parts: Vec<_> = caller.splitn(6, ':').collect();
        let ["arn", _, service, "", owner, resource] = parts[..] else {
            return Self::Other;
        };
        if owner != account {
            return Self::Other;
        }
        match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Self::Root,
            ("iam", Some(("user", _))) => Self::User,
            ("sts", Some(("assumed-role", session))) => {
                session.split_once('/').map_or(Self::Other, |(role, _)| Self::AssumedRole(role))
            }
            _ => Self::Other,
        }
    }
}

/// The ARN of a role by its name: a session's ARN lacks the role's path.
async fn role_arn(
    iam: &aws_sdk_iam::Client,
    caller: &str,
    name: &str,
    first: &RoleArn,
) -> Result<String, PassRoleError> {
    match iam.get_role().role_name(name).send().await {
        Ok(answer) => answer
            .role
            .map(|role| role.arn)
            .ok_or_else(|| unavailable(caller, format!("GetRole of {name} answered without a role"))),
        Err(SdkError::ServiceError(context)) if matches!(context.err(), GetRoleError::NoSuchEntityException(_)) => {
            Err(denied(caller, first.as_str(), "the caller's role does not exist any more"))
        }
        Err(error) => Err(unavailable(caller, DisplayErrorContext(&error).to_string())),
    }
}

/// IAM's decision on each role. What it decides twice, for the action and for the resource, the worse one decides.
async fn decisions(
    iam: &aws_sdk_iam::Client,
    caller: &str,
    principal: &str,
    service: &ContextEntry,
    roles: &[&str],
) -> Result<BTreeMap<String, PolicyEvaluationDecisionType>, PassRoleError> {
    let mut pages = iam
        .simulate_principal_policy()
        .policy_source_arn(principal)
        .action_names("iam:PassRole")
        .set_resource_arns(Some(roles.iter().map(ToString::to_string).collect()))
        .context_entries(service.clone())
        .into_paginator()
        .send();
    let mut decisions = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| unavailable(caller, DisplayErrorContext(&error).to_string()))?;
        for result in page.evaluation_results() {
            let whole = result.eval_resource_name().map(|name| (name, result.eval_decision()));
            let each = result.resource_specific_results().iter();
            let each = each.map(|it| (it.eval_resource_name(), it.eval_resource_decision()));
            for (role, decision) in whole.into_iter().chain(each) {
                let known = decisions.entry(role.to_owned()).or_insert_with(|| decision.clone());
                if *known == PolicyEvaluationDecisionType::Allowed {
                    *known = decision.clone();
                }
            }
        }
    }
    Ok(decisions)
}

fn denied(caller: &str, role: &str, reason: impl Into<String>) -> PassRoleError {
    let caller = if caller.is_empty() { "anonymous" } else { caller };
    PassRoleError::Denied { caller: caller.to_owned(), role: role.to_owned(), reason: reason.into() }
}

fn unavailable(caller: &str, message: String) -> PassRoleError {
    PassRoleError::Unavailable { caller: caller.to_owned(), message }
}

/// Whether a text matches a pattern of IAM's kind: `*` stands for any characters, `/` among them, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The place after the last `*`, and how much of the text it stands for so far.
    let (mut star, mut p, mut t) = (None, 0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                p += 1;
                star = Some((p, t));
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, taken)) = star else {
                    return false;
                };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use testkit::{Answer, Request, Stub};

    use super::*;

    const ACCOUNT: &str = "111122223333";
    const ADA: &str = "arn:aws:iam::111122223333:user/people/ada";
    const RELEASE: &str = "arn:aws:iam::111122223333:role/pipelines/release";
    const DEPLOY: &str = "arn:aws:iam::111122223333:role/pipelines/deploy";

    fn check(stub: &Stub, names: &'static str) -> PassRole {
        let settings = Settings::read(|name| match name {
            "AWS_REGION" => Some("eu-west-1".into()),
            "MILLRACE_ACCOUNT" => Some(ACCOUNT.into()),
            "MILLRACE_ROLE_NAMES" => Some(names.into()),
            _ => None,
        });
        PassRole::new(&settings.unwrap(), &Clients::from_config(stub.config())).unwrap()
    }

    fn roles(arns: &[&str]) -> BTreeSet<RoleArn> {
        arns.iter().map(|arn| RoleArn::new(*arn).unwrap()).collect()
    }

    /// IAM, which lets everybody pass every role but those that are named, and knows the role `ops/Deployer`.
    fn iam(refused: &'static [(&'static str, &'static str)]) -> Stub {
        Stub::new(move |request| {
            if request.body.contains("Action=GetRole") {
                return get_role(request);
            }
            let asked = decoded(request);
            let results: String = [RELEASE, DEPLOY]
                .into_iter()
                .filter(|role| asked.contains(role))
                .map(|role| {
                    let refused = refused.iter().find(|(it, _)| *it == role);
                    let decision = refused.map_or("allowed", |(_, decision)| decision);
                    format!(
                        "<member><EvalActionName>iam:PassRole</EvalActionName><EvalDecision>{decision}</EvalDecision>\
                         <EvalResourceName>{role}</EvalResourceName></member>"
                    )
                })
                .collect();
            answer(&results)
        })
    }

    fn answer(results: &str) -> Answer {
        Answer::ok(format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults>{results}\
             </EvaluationResults><IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult>\
             </SimulatePrincipalPolicyResponse>"
        ))
    }

    fn get_role(request: &Request) -> Answer {
        if request.body.contains("RoleName=Deployer") {
            return Answer::ok(
                "<GetRoleResponse><GetRoleResult><Role><Path>/ops/</Path><RoleName>Deployer</RoleName><RoleId>A</RoleId>\
                 <Arn>arn:aws:iam::111122223333:role/ops/Deployer</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
                 </Role></GetRoleResult></GetRoleResponse>",
            );
        }
        Answer {
            status: 404,
            body: "<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>no</Message></Error>\
                   </ErrorResponse>"
                .to_owned(),
        }
    }

    fn decoded(request: &Request) -> String {
        request.body.replace("%3A", ":").replace("%2F", "/")
    }

    #[tokio::test]
    async fn who_may_pass_each_role_is_let_through() {
        let stub = iam(&[]);
        check(&stub, "*").check(ADA, &roles(&[RELEASE, DEPLOY])).await.unwrap();
        let requests = stub.requests();
        assert_eq!(requests.len(), 1, "one request for all roles");
        let asked = decoded(&requests[0]);
        for part in [
            "PolicySourceArn=arn:aws:iam::111122223333:user/people/ada",
            "ActionNames.member.1=iam:PassRole",
            "ContextKeyName=iam:PassedToService",
            "member.1=codepipeline.amazonaws.com",
        ] {
            assert!(asked.contains(part), "{part} is missing in {asked}");
        }
    }

    #[tokio::test]
    async fn who_may_not_pass_a_role_is_refused_in_aws_s_words() {
        for (decision, reason) in [
            ("implicitDeny", "no identity-based policy allows the iam:PassRole action"),
            ("explicitDeny", "a policy denies it explicitly"),
        ] {
            let stub =
                iam(if decision == "implicitDeny" { &[(DEPLOY, "implicitDeny")] } else { &[(DEPLOY, "explicitDeny")] });
            let error = check(&stub, "*").check(ADA, &roles(&[RELEASE, DEPLOY])).await.unwrap_err();
            let expected = format!(
                "User: {ADA} is not authorized to perform: iam:PassRole on resource: {DEPLOY} because {reason}"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn a_decision_on_the_resource_counts_and_no_decision_is_a_refusal() {
        let specific = Stub::new(|_| {
            answer(&format!(
                "<member><EvalActionName>iam:PassRole</EvalActionName><EvalResourceName>{RELEASE}</EvalResourceName>\
                 <EvalDecision>allowed</EvalDecision><ResourceSpecificResults><member>\
                 <EvalResourceName>{RELEASE}</EvalResourceName><EvalResourceDecision>implicitDeny</EvalResourceDecision>\
                 </member></ResourceSpecificResults></member>"
            ))
        });
        for stub in [specific, Stub::new(|_| answer(""))] {
            let error = check(&stub, "*").check(ADA, &roles(&[RELEASE])).await.unwrap_err();
            assert!(matches!(error, PassRoleError::Denied { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_session_is_judged_by_its_role_whose_path_iam_tells() {
        let stub = iam(&[]);
        let caller = "arn:aws:sts::111122223333:assumed-role/Deployer/ada";
        check(&stub, "*").check(caller, &roles(&[RELEASE])).await.unwrap();
        let asked = decoded(&stub.requests()[1]);
        assert!(asked.contains("PolicySourceArn=arn:aws:iam::111122223333:role/ops/Deployer"), "{asked}");
        let gone = "arn:aws:sts::111122223333:assumed-role/Gone/ada";
        let error = check(&stub, "*").check(gone, &roles(&[RELEASE])).await.unwrap_err();
        assert!(error.to_string().contains("does not exist any more"), "{error}");
    }

    #[tokio::test]
    async fn the_root_user_may_and_strangers_may_not() {
        let stub = iam(&[]);
        check(&stub, "*").check("arn:aws:iam::111122223333:root", &roles(&[RELEASE])).await.unwrap();
        for caller in [
            "",
            "arn:aws:iam::999999999999:root",
            "arn:aws:iam::999999999999:user/ada",
            "arn:aws:sts::999999999999:assumed-role/Deployer/ada",
            "arn:aws:sts::111122223333:federated-user/ada",
            "arn:aws:iam::111122223333:rootless",
        ] {
            let error = check(&stub, "*").check(caller, &roles(&[RELEASE])).await.unwrap_err();
            assert!(matches!(&error, PassRoleError::Denied { role, .. } if role == RELEASE), "{caller}: {error:?}");
        }
        assert!(stub.requests().is_empty(), "nothing of that is for IAM to say");
    }

    #[tokio::test]
    async fn an_installation_takes_only_the_roles_that_it_names() {
        let stub = iam(&[]);
        let bounded = check(&stub, "pipelines/*");
        bounded.check(ADA, &roles(&[RELEASE])).await.unwrap();
        for role in ["arn:aws:iam::111122223333:role/admin", "arn:aws:iam::111122223333:role/x/pipelines/release"] {
            let error = bounded.check(ADA, &roles(&[RELEASE, role])).await.unwrap_err();
            assert!(error.to_string().contains(role) && error.to_string().contains("pipelines/*"), "{error}");
        }
        // Nobody is above that, and it holds on an emulator as well.
        let unchecked = PassRole { iam: None, ..bounded };
        let admin = roles(&["arn:aws:iam::111122223333:role/admin"]);
        let refused = unchecked.check("arn:aws:iam::111122223333:root", &admin).await;
        assert!(matches!(refused, Err(PassRoleError::Denied { .. })));
        unchecked.check("", &roles(&[RELEASE])).await.unwrap();
    }

    #[tokio::test]
    async fn an_iam_that_does_not_answer_allows_nothing() {
        let stub = Stub::new(|_| Answer { status: 500, body: "<ErrorResponse/>".to_owned() });
        let error = check(&stub, "*").check(ADA, &roles(&[RELEASE])).await.unwrap_err();
        assert!(matches!(error, PassRoleError::Unavailable { .. }), "{error:?}");
    }

    #[test]
    fn patterns_match_as_iam_s_do() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a/*", "a/b/c", true),
            ("a/*", "b/a/c", false),
            ("*-prod", "x-prod-prod", true),
            ("*-prod", "x-prod-", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a-b-b-c", true),
            ("abc", "abcd", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
