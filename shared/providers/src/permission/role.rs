//! The roles of a pipeline: what each must be allowed, and whom it must trust.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::{Action, Pipeline, Region};
use runtime::arn;
use serde_json::{Value, json};

use super::artifacts::copy;
use super::{Conditions, Holder, Scope, Statement, Store, Trust, merge};

/// What is asked of an installation to write policies for it.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The region of its home stack, where pipelines live.
    pub home: String,
    /// The account that it is in: 12 digits.
    pub account: String,
    /// The id of its API, if it is known.
    pub api: Option<String>,
    /// How the names of secrets for connections begin: the parameter `ConnectionSecrets`.
    pub connection_secrets: String,
    /// In which project commands run: the parameter `ComputeProject`.
    pub compute_project: String,
    /// The ARN of the worker's role.
    pub worker_role: String,
    /// The ARN of the replicator's role.
    pub replicator_role: String,
    /// The ARN of the API's role.
    pub api_role: String,
}

/// A role of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleNeeds {
    /// The role's ARN, as the declaration has it.
    pub arn: String,
    /// What it must be allowed.
    pub statements: Vec<Statement>,
    /// Whom it must trust.
    pub trust: Vec<Trusted>,
    /// What it needs besides that cannot be derived, in sentences that begin with the name of an action.
    pub beside: Vec<String>,
}

/// Somebody whom a role must trust, and under what conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trusted {
    /// Roles that assume it, with this external id.
    Roles {
        /// Functions' roles, or the pipeline's for an action's own role.
        arns: BTreeSet<String>,
        /// The ARN of the pipeline.
        external_id: String,
    },
    /// CodeBuild, for builds of these projects.
    Builds {
        /// The account of the projects.
        account: String,
        /// ARNs of projects and their builds, with `*` for what varies.
        projects: BTreeSet<String>,
    },
}

impl Trusted {
    /// As a trust policy has it.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Roles { arns, external_id } => json!({
                "Effect": "Allow", "Principal": {"AWS": arns}, "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }),
            Self::Builds { account, projects } => json!({
                "Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": projects},
                },
            }),
        }
    }
}

impl RoleNeeds {
    /// The trust policy.
    #[must_use]
    pub fn trust_policy(&self) -> Value {
        policy(self.trust.iter().map(Trusted::json))
    }

    /// The permissions as one policy.
    #[must_use]
    pub fn policy(&self) -> Value {
        policy(self.statements.iter().map(Statement::json))
    }
}

/// A policy with these statements.
pub fn policy(statements: impl IntoIterator<Item = Value>) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements.into_iter().collect::<Vec<_>>()})
}

#[derive(Default)]
struct Collected {
    statements: Vec<Statement>,
    callers: BTreeSet<String>,
    projects: BTreeSet<String>,
    beside: Vec<String>,
}

/// The roles of a pipeline, its own first.
#[must_use]
pub fn role_needs(pipeline: &Pipeline, installed: &Installed) -> Vec<RoleNeeds> {
    let own = pipeline.role_arn().as_str();
    let mut roles: BTreeMap<&str, Collected> = BTreeMap::from([(own, Collected::default())]);
    for action in pipeline.stages().iter().flat_map(|stage| stage.everything()) {
        let Some(permissions) = crate::permissions(action) else { continue };
        let role = action.role_arn.as_ref().map_or(own, |role| role.as_str());
        let scope = scope(pipeline, installed, action, role);
        if role != own {
            let assume = Statement::new(&["sts:AssumeRole"], [role.to_owned()], Conditions::new());
            roles.entry(own).or_default().statements.extend(assume);
            roles.entry(role).or_default().callers.insert(own.to_owned());
        }
        for permission in permissions.all() {
            let holder = if permission.holder == Holder::Pipeline { own } else { role };
            roles.entry(holder).or_default().statements.extend(permission.statement(&scope));
        }
        match permissions.trust {
            Some(Trust::Api) if !(action.inputs.is_empty() && action.outputs.is_empty()) => {
                roles.entry(own).or_default().callers.insert(installed.api_role.clone());
            }
            Some(Trust::Build) => {
                // A build's ARN begins as its project's does, in the account of the role that starts it.
                let builds = scope.arn("codebuild", &format!("*/{}*", installed.compute_project));
                roles.entry(role).or_default().projects.insert(builds);
            }
            _ => {}
        }
        if let Some(beside) = (permissions.beside)(&scope) {
            roles.entry(role).or_default().beside.push(format!("{}: {beside}", action.name));
        }
    }
    let copies = copies(pipeline, installed);
    let pipeline_role = roles.entry(own).or_default();
    pipeline_role.callers.insert(installed.worker_role.clone());
    if !copies.is_empty() {
        pipeline_role.callers.insert(installed.replicator_role.clone());
        pipeline_role.statements.extend(copies);
    }
    let external_id = arn::pipeline(&installed.home, &installed.account, pipeline.name().as_str());
    let needs = |arn: &str, it: Collected| {
        let callers = Trusted::Roles { arns: it.callers, external_id: external_id.clone() };
        let builds = Trusted::Builds { account: account(arn).to_owned(), projects: it.projects.clone() };
        let builds = (!it.projects.is_empty()).then_some(builds);
        RoleNeeds {
            arn: arn.to_owned(),
            statements: merge(it.statements),
            trust: [callers].into_iter().chain(builds).collect(),
            beside: it.beside,
        }
    };
    let first = roles.remove(own).map(|it| needs(own, it));
    first.into_iter().chain(roles.into_iter().map(|(arn, it)| needs(arn, it))).collect()
}

fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

fn store(pipeline: &Pipeline, home: &str, region: &str) -> Option<Store> {
    let store = pipeline.store(region, home)?;
    let key = store.encryption_key.as_ref().map(|key| key.id.clone());
    Some(Store { region: region.to_owned(), bucket: store.location.clone(), key })
}

/// What an action's permissions are derived from.
#[must_use]
pub fn scope<'a>(pipeline: &'a Pipeline, installed: &'a Installed, action: &'a Action, role: &'a str) -> Scope<'a> {
    let region = action.region.as_ref().map_or(installed.home.as_str(), Region::as_str);
    Scope {
        pipeline: pipeline.name(),
        action,
        region,
        role,
        store: store(pipeline, &installed.home, region),
        home: &installed.home,
        account: &installed.account,
        api: installed.api.as_deref(),
        connection_secrets: &installed.connection_secrets,
        compute_project: &installed.compute_project,
    }
}

/// What copying artifacts to the other regions in which they are read takes.
fn copies(pipeline: &Pipeline, installed: &Installed) -> Vec<Statement> {
    let mut statements = Vec::new();
    for action in pipeline.stages().iter().flat_map(|stage| &stage.actions) {
        let scope = scope(pipeline, installed, action, pipeline.role_arn().as_str());
        for artifact in &action.outputs {
            for region in pipeline.copy_regions(artifact, &installed.home) {
                let to = store(pipeline, &installed.home, &region);
                if let Some((from, to)) = scope.store.as_ref().zip(to) {
                    statements.extend(copy(&scope, artifact, from, &to));
                }
            }
        }
    }
    statements
}
