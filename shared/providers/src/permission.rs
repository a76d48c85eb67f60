//! What IAM must allow an action: said by each provider in its descriptor, as actions, the resources that the
//! configuration names, and conditions. `millrace role` makes policies of it, `millrace doctor` has IAM simulate it, and the
//! tests of the providers compare it with what is asked of AWS.
//!
//! A variable in the configuration (`#{...}`) can have any value, so it is a `*` in a resource.

pub(crate) mod artifacts;
mod role;
mod scope;
mod statement;

pub use artifacts::copy;
pub use role::{Installed, RoleNeeds, Trusted, policy, role_needs, scope};
pub(crate) use scope::starred;
pub use scope::{Scope, Store};
pub use statement::{Conditions, Statement, condition, merge};

/// Actions that are allowed together on the same resources.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// As IAM writes them, for example `s3:GetObject`.
    pub actions: &'static [&'static str],
    /// What it is allowed on; nothing where the configuration has no use for it.
    pub on: fn(&Scope<'_>) -> Vec<String>,
    /// Under what conditions; none where it is empty.
    pub when: fn(&Scope<'_>) -> Conditions,
    /// Whose role needs it.
    pub holder: Holder,
}

/// Whose role needs a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The action's own, where it has one; otherwise the pipeline's.
    Action,
    /// The pipeline's, also where the action has its own.
    Pipeline,
}

impl Permission {
    pub(crate) const fn new(actions: &'static [&'static str], on: fn(&Scope<'_>) -> Vec<String>) -> Self {
        Self { actions, on, when: |_| Conditions::new(), holder: Holder::Action }
    }

    /// Under these conditions only.
    pub(crate) const fn when(self, when: fn(&Scope<'_>) -> Conditions) -> Self {
        Self { when, ..self }
    }

    /// Of the pipeline's role.
    pub(crate) const fn of_pipeline(self) -> Self {
        Self { holder: Holder::Pipeline, ..self }
    }

    /// As a statement; none where the configuration has no use for it.
    #[must_use]
    pub fn statement(&self, scope: &Scope<'_>) -> Option<Statement> {
        Statement::new(self.actions, (self.on)(scope), (self.when)(scope))
    }
}

/// All that a provider says about its actions' roles.
#[derive(Clone, Copy, Debug)]
pub struct Permissions {
    /// Its own permissions, and lists that it shares with others.
    pub lists: &'static [&'static [Permission]],
    /// Who beside the worker must be trusted by the role.
    pub trust: Option<Trust>,
    /// What the role needs besides that no configuration tells, in a sentence.
    pub beside: fn(&Scope<'_>) -> Option<&'static str>,
}

/// Who beside the worker assumes a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The API assumes the pipeline's role, for artifacts that job workers and functions read and write.
    Api,
    /// CodeBuild runs builds with the action's role.
    Build,
}

impl Permissions {
    pub(crate) const fn of(lists: &'static [&'static [Permission]]) -> Self {
        Self { lists, trust: None, beside: |_| None }
    }

    pub(crate) const fn trusting(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    pub(crate) const fn beside(self, beside: fn(&Scope<'_>) -> Option<&'static str>) -> Self {
        Self { beside, ..self }
    }

    /// The permissions of all lists, in their order.
    pub fn all(&self) -> impl Iterator<Item = &'static Permission> + use<> {
        self.lists.iter().flat_map(|list| list.iter())
    }
}

/// Resources of a permission that no resource can narrow.
pub(crate) fn everything(_: &Scope<'_>) -> Vec<String> {
    vec!["*".to_owned()]
}

/// To pass a role to a service.
pub(crate) const PASS_ROLE: &[&str] = &["iam:PassRole"];

/// Only to this service. Source: IAM user guide, `iam:PassedToService`.
pub(crate) fn passed_to(service: &str) -> Conditions {
    condition("StringEquals", "iam:PassedToService", [service])
}
