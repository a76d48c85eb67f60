//! The networks in which actions run on managed compute.
//!
//! CodeBuild takes a VPC from a project and from nowhere else. Actions with a `VpcId` run in a project of their own,
//! `NAME-VPCID`, and EKS actions with `Subnets` in `NAME-CLUSTERNAME` (`infra/compute-vpc.yaml`). It is not made by the action:
//! a project must have a role, and whoever may start its builds would have that role's rights.

use std::collections::BTreeSet;

use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::operation::batch_get_projects::BatchGetProjectsError;
use aws_sdk_codebuild::types::VpcConfig;
use driver::Task;

use crate::configuration::{items, missing};
use crate::error::{ClassifyError, ErrorClass, ProviderError};

/// The network in which an action runs.
pub(crate) struct Network {
    /// What its project has behind the name of the usual one.
    pub(crate) suffix: String,
    /// None: that of the subnets.
    vpc: Option<String>,
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
}

impl Network {
    /// The network of three configuration values, of which either all are there or none.
    ///
    /// # Errors
    /// When only some are.
    pub(crate) fn of_vpc(
        task: &Task,
        [vpc, subnets, security_groups]: [Option<&str>; 3],
    ) -> Result<Option<Self>, ProviderError> {
        let all = [("VpcId", vpc), ("Subnets", subnets), ("SecurityGroupIds", security_groups)];
        let Some([vpc, subnets, security_groups]) = together(task, all)? else { return Ok(None) };
        let vpc = vpc.trim().to_owned();
        Ok(Some(Self {
            suffix: vpc.clone(),
            vpc: Some(vpc),
            subnets: items(subnets).map(str::to_owned).collect(),
            security_groups: items(security_groups).map(str::to_owned).collect(),
        }))
    }

    /// The same for a cluster, whose actions name no VPC.
    ///
    /// # Errors
    /// When only one of both is there.
    pub(crate) fn of_cluster(
        task: &Task,
        cluster: &str,
        [subnets, security_groups]: [Option<&str>; 2],
    ) -> Result<Option<Self>, ProviderError> {
        let all = [("Subnets", subnets), ("SecurityGroupIds", security_groups)];
        let Some([subnets, security_groups]) = together(task, all)? else { return Ok(None) };
        Ok(Some(Self {
            suffix: cluster.to_owned(),
            vpc: None,
            subnets: items(subnets).map(str::to_owned).collect(),
            security_groups: items(security_groups).map(str::to_owned).collect(),
        }))
    }

    /// Whether the project's builds run in just this network.
    pub(crate) async fn check(&self, client: &Client, project: &str, region: &str) -> Result<(), ProviderError> {
        let found = client.batch_get_projects().names(project).send().await;
        let found = found.map_err(|error| ProviderError::aws("BatchGetProjects", project, &error))?;
        let Some(config) = found.projects().first().map(|it| it.vpc_config().cloned()) else {
            return Err(ProviderError::configuration(format!(
                "CodeBuild takes a VPC from a project only, and {region} has no project {project}: deploy \
                 infra/compute-vpc.yaml with {self}"
            )));
        };
        let found = config.as_ref().map(Self::of);
        let is_asked_for = |found: &Self| {
            (self.vpc.is_none() || self.vpc == found.vpc)
                && (&self.subnets, &self.security_groups) == (&found.subnets, &found.security_groups)
        };
        if found.as_ref().is_some_and(is_asked_for) {
            return Ok(());
        }
        let found = found.map_or_else(|| "no VPC".to_owned(), |found| found.to_string());
        Err(ProviderError::configuration(format!(
            "the builds of the project {project} run in {found}, and the action is to run in {self}: deploy \
             infra/compute-vpc.yaml with these"
        )))
    }

    fn of(config: &VpcConfig) -> Self {
        Self {
            suffix: String::new(),
            vpc: config.vpc_id().map(str::to_owned),
            subnets: config.subnets().iter().cloned().collect(),
            security_groups: config.security_group_ids().iter().cloned().collect(),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        if let Some(vpc) = &self.vpc {
            write!(f, "VpcId {vpc}, ")?;
        }
        write!(f, "Subnets {}, SecurityGroupIds {}", list(&self.subnets), list(&self.security_groups))
    }
}

/// The values of keys that go together; none where no key has one.
fn together<'a, const N: usize>(
    task: &Task,
    all: [(&str, Option<&'a str>); N],
) -> Result<Option<[&'a str; N]>, ProviderError> {
    if all.iter().all(|(_, value)| value.is_none()) {
        return Ok(None);
    }
    if let Some((key, _)) = all.iter().find(|(_, value)| value.is_none()) {
        let names = all.map(|(key, _)| key).join(", ");
        return Err(ProviderError::configuration(format!("{}: {names} go together", missing(task, key))));
    }
    Ok(Some(all.map(|(_, value)| value.unwrap_or_default())))
}

impl ClassifyError for BatchGetProjectsError {
    fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::InvalidInputException(_) => Some(ErrorClass::Configuration),
            _ => None,
        }
    }
}
