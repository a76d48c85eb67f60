//! What the batches of an EC2 deploy with target groups are, and which of them is out of its groups. It is kept in the
//! artifact store, one object for each action, so that it is known who has to come back also when nothing is left of the
//! attempt that took them out.
//!
//! An attempt makes its plan before it takes anything out, and changes nothing of it but what is out: before the instances
//! leave, and after they are back.

use artifacts::{Bucket, Encryption, artifact_key};
use bytes::Bytes;
use engine::Pin;
use pipeline::{ArtifactName, InvalidName};
use serde::{Deserialize, Serialize};

use crate::configuration::store;
use crate::context::ActionContext;
use crate::ec2_command::MOST_NAMED;
use crate::ec2_deploy::Deploy;
use crate::error::{CONFIGURATION_ERROR, JOB_FAILED, ProviderError};
use crate::permission::artifacts::{LIST, SEAL, key_of_store, of_store};
use crate::permission::{Permission, Scope};
use crate::target_groups::{Standing, Target, TargetGroup, TargetGroupNames, TargetGroups};

/// Longest plan in bytes: 500 instances on some ports of 100 groups.
const LONGEST: u64 = 8 << 20;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// The attempt that made it.
    pub(crate) attempt: String,
    /// All instances, in the order in which their turns come.
    pub(crate) instances: Vec<String>,
    /// How many of them make a batch.
    pub(crate) batch_size: usize,
    /// The groups with the targets in them that are these instances.
    pub(crate) groups: Vec<Members>,
    /// The batch that is out of the groups, or about to leave.
    pub(crate) out: Option<usize>,
}

/// What of the instances a group had.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Members {
    pub(crate) group: TargetGroup,
    pub(crate) targets: Vec<Target>,
}

impl Plan {
    /// Makes the attempt's plan, when everything that can be wrong has been looked at.
    pub(crate) async fn make(
        deploy: &Deploy<'_>,
        service: &TargetGroups,
        names: &TargetGroupNames,
        plans: &PlanStore,
        earlier: Option<Self>,
    ) -> Result<Self, ProviderError> {
        if let Some(earlier) = earlier {
            earlier.bring_back_left(service, plans).await?;
        }
        deploy.script().await?;
        let fleet = deploy.fleet();
        let (mut instances, _) = fleet.found().await?;
        instances.sort();
        let mut groups = Vec::new();
        for name in &names.0 {
            let group = service.find(name).await?;
            let all = service.health(&group).await?.into_iter();
            let targets: Vec<_> = all
                .filter(|it| it.standing != Standing::Leaving && instances.binary_search(&it.target.instance).is_ok())
                .map(|it| it.target)
                .collect();
            if targets.is_empty() {
                return Err(fleet.refused(format!("none of them is registered in the target group {name}")));
            }
            groups.push(Members { group, targets });
        }
        let most = deploy.configuration.max_batch.map_or(MOST_NAMED, |it| it.0.of(instances.len()));
        let plan = Self {
            attempt: deploy.context.token.to_owned(),
            instances,
            batch_size: most.clamp(1, MOST_NAMED),
            groups,
            out: None,
        };
        plans.write(&plan).await?;
        // Without it, nothing that is out could come back.
        plans.read().await?;
        Ok(plan)
    }

    /// Brings back what an attempt before this one left out.
    async fn bring_back_left(mut self, service: &TargetGroups, plans: &PlanStore) -> Result<(), ProviderError> {
        let Some(out) = self.out else { return Ok(()) };
        for Members { group, targets } in self.groups_of(out) {
            match service.register(&group, &targets).await {
                Ok(refused) => refused.iter().for_each(|(_, words)| tracing::info!(%words, "it stays out")),
                Err(ProviderError::Failed { code, message, .. }) if code == CONFIGURATION_ERROR => {
                    tracing::info!(%message, "its group has gone, or takes no more");
                }
                Err(error) => return Err(error),
            }
        }
        self.out = None;
        plans.write(&self).await
    }

    pub(crate) fn batches(&self) -> usize {
        self.instances.len().div_ceil(self.batch_size.max(1))
    }

    pub(crate) fn batch(&self, number: usize) -> &[String] {
        self.instances.chunks(self.batch_size.max(1)).nth(number).unwrap_or_default()
    }

    /// The groups of a batch, with its targets in them; those without any are left out.
    pub(crate) fn groups_of(&self, number: usize) -> Vec<Members> {
        let batch = self.batch(number);
        let of = |members: &Members| {
            let targets = members.targets.iter().filter(|target| batch.contains(&target.instance)).cloned().collect();
            Members { group: members.group.clone(), targets }
        };
        self.groups.iter().map(of).filter(|members| !members.targets.is_empty()).collect()
    }
}

/// Where an action's plan lies.
pub(crate) struct PlanStore {
    bucket: Bucket,
    key: String,
    encryption: Encryption,
}

/// As what plans lie in the artifact store.
fn name() -> Result<ArtifactName, InvalidName> {
    ArtifactName::new("TargetGroups")
}

/// What keeping plans takes, where there are target groups. Plans are of all executions, whatever role their actions have.
pub(crate) const KEEP_PLANS: &[Permission] = &[
    Permission::new(&["s3:GetObject", "s3:PutObject"], plans).of_pipeline(),
    Permission::new(LIST, |scope| {
        let store = scope.store.as_ref().filter(|_| !plans(scope).is_empty());
        store.map(|store| scope.object(&store.bucket, "")).into_iter().collect()
    })
    .of_pipeline(),
    Permission::new(SEAL, |scope| plans(scope).first().and_then(|_| key_of_store(scope)).into_iter().collect())
        .when(of_store)
        .of_pipeline(),
];

fn plans(scope: &Scope<'_>) -> Vec<String> {
    let store = scope.store.as_ref().filter(|_| scope.value("TargetGroupNameList").is_some());
    store.zip(name().ok()).map(|(store, name)| scope.artifact(&store.bucket, &name)).into_iter().collect()
}

impl PlanStore {
    /// In the artifact store of the action's region, which is the pipeline's.
    pub(crate) async fn new(context: ActionContext<'_>) -> Result<Self, ProviderError> {
        let task = context.task;
        let (bucket, encryption) = store(task)?;
        let bucket = context.pipeline_artifact_store(&task.region, bucket).await?;
        let name = name().map_err(|error| ProviderError::failed(JOB_FAILED, error.to_string()))?;
        let key = artifact_key(&task.pipeline, &name, &format!("{}/{}", task.stage, task.action.name));
        Ok(Self { bucket, key, encryption })
    }

    /// The plan that was made last, if there is one.
    pub(crate) async fn read(&self) -> Result<Option<Plan>, ProviderError> {
        match self.bucket.read(&self.key, &Pin::default(), LONGEST).await {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                let place = format!("s3://{}/{}", self.bucket.name(), self.key);
                ProviderError::failed(JOB_FAILED, format!("{place} is no plan of an EC2 deploy: {error}"))
            }),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn write(&self, plan: &Plan) -> Result<(), ProviderError> {
        let text = serde_json::to_vec(plan).map_err(|error| ProviderError::failed(JOB_FAILED, error.to_string()))?;
        self.bucket.put_artifact(&self.key, Bytes::from(text), &self.encryption).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_its_own_targets_of_each_group() {
        let target = |instance: &str, port| Target { instance: instance.into(), port: Some(port), quic_server: None };
        let group = |name: &str, targets| Members {
            group: TargetGroup { name: name.into(), arn: format!("arn:{name}") },
            targets,
        };
        let plan = Plan {
            attempt: "a".into(),
            instances: ["i-1", "i-2", "i-3"].map(str::to_owned).into(),
            batch_size: 2,
            groups: vec![
                group("web", vec![target("i-1", 80), target("i-3", 80), target("i-2", 80)]),
                group("api", vec![target("i-2", 81), target("i-2", 82)]),
            ],
            out: None,
        };
        assert_eq!((plan.batches(), plan.batch(0), plan.batch(1)), (2, &plan.instances[..2], &plan.instances[2..]));
        assert!(plan.batch(2).is_empty());
        let first = plan.groups_of(0);
        assert_eq!(first[0].targets, [target("i-1", 80), target("i-2", 80)]);
        assert_eq!(first[1].targets, [target("i-2", 81), target("i-2", 82)]);
        assert_eq!(plan.groups_of(1), [group("web", vec![target("i-3", 80)])]);
    }
}
