//! An EC2 deploy with target groups: its instances leave their groups, are deployed to and come back, batch by batch. Source:
//! CodePipeline user guide, 'Amazon EC2 action reference', `TargetGroupNameList`, `MaxBatch`, `MaxError`.
//!
//! Each batch takes three steps. Every one is a job of the action of its own, which one worker claims; only that worker
//! changes anything, and polls, which may come late or twice, only look whether the next step can begin. How far an attempt
//! is, its continuation says ([`Turn`]); what its batches are, and which one is out, its [`Plan`].
//!
//! | step | what its start does | what its polls wait for |
//! |---|---|---|
//! | take out | writes down that the batch is out, and deregisters it | that no connection is left (draining) |
//! | deploy | sends the command, or finds the one that was sent | that it has ended on each instance |
//! | bring back | registers the batch, and writes down that none is out | that the instances are healthy |
//!
//! Whatever goes wrong before the last step leads to it, and the action fails when the batch is back. An attempt that was
//! abandoned gets no more steps: the next one of the action, in whatever execution, first brings back what is out.

use aws_sdk_ssm::types::{Command, CommandInvocation, CommandInvocationStatus, CommandStatus};
use driver::Outcome;
use engine::{ActionError, Progress, Success};

use crate::ec2_command::{FAILED_SHOWN, Recipients, Request};
use crate::ec2_deploy::Deploy;
use crate::ec2_rollout_plan::{Members, Plan, PlanStore};
use crate::ec2_turn::{Step, Turn};
use crate::error::{JOB_FAILED, ProviderError};
use crate::target_groups::{Health, Standing, Target, TargetGroup, TargetGroupNames, TargetGroups, named};

/// Milliseconds that an instance has until it must be healthy, from when its batch begins to come back.
const HEALTHY_WITHIN: i64 = 600_000;
/// Milliseconds before the action's time-out in which nothing is taken out or waited for any more: what is out comes back.
const RESERVE: i64 = 180_000;

pub(crate) struct Rollout<'a> {
    deploy: &'a Deploy<'a>,
    names: &'a TargetGroupNames,
    groups: TargetGroups,
}

impl<'a> Rollout<'a> {
    pub(crate) fn new(deploy: &'a Deploy<'a>, names: &'a TargetGroupNames) -> Self {
        let groups = TargetGroups(aws_sdk_elasticloadbalancingv2::Client::new(deploy.session.config()));
        Self { deploy, names, groups }
    }

    /// Begins a step, or does so once more.
    pub(crate) async fn start(&self) -> Result<Outcome, ProviderError> {
        let turn = self.turn()?;
        let plans = PlanStore::new(self.deploy.context).await?;
        let is_first = self.deploy.context.task.continuation.is_none();
        let known = match plans.read().await {
            // Those who may not list a bucket are not told that an object is missing.
            Err(error @ ProviderError::Failed { .. }) if is_first => {
                tracing::info!(?error, "there is no plan of an earlier attempt, or none that can be read");
                None
            }
            known => known?,
        };
        let mut plan = match known {
            Some(plan) if plan.attempt == self.deploy.context.token => plan,
            earlier if is_first => Plan::make(self.deploy, &self.groups, self.names, &plans, earlier).await?,
            _ => return Err(taken_over()),
        };
        let begun = match turn.step {
            Step::BringBack => return self.bring_back(&plans, &mut plan, turn).await,
            _ if self.is_nearly_over() => Err(self.nearly_over(&plan, &turn)),
            Step::TakeOut => self.take_out(&plans, &mut plan, &turn).await,
            Step::Deploy => self.send(&plan, &turn).await,
        };
        self.or_bring_back(turn, begun)
    }

    /// Looks whether a step is done.
    pub(crate) async fn poll(&self) -> Result<Outcome, ProviderError> {
        let turn = self.turn()?;
        let plan = PlanStore::new(self.deploy.context).await?.read().await?;
        let plan = plan.filter(|plan| plan.attempt == self.deploy.context.token).ok_or_else(taken_over)?;
        let found = match turn.step {
            Step::BringBack => return self.is_healthy(&plan, turn).await,
            _ if self.is_nearly_over() => Err(self.nearly_over(&plan, &turn)),
            Step::TakeOut => self.is_drained(&plan, &turn).await,
            Step::Deploy => self.is_deployed(&plan, &turn).await,
        };
        self.or_bring_back(turn, found)
    }

    fn turn(&self) -> Result<Turn, ProviderError> {
        self.deploy.context.task.continuation.as_deref().map_or_else(|| Ok(Turn::default()), Turn::parse)
    }

    /// What fails for good fails when the batch is back.
    fn or_bring_back(&self, turn: Turn, result: Result<Outcome, ProviderError>) -> Result<Outcome, ProviderError> {
        match result {
            Err(ProviderError::Failed { code, message, .. }) => {
                let failure = Some(ActionError { code: code.to_owned(), message });
                next(&Turn { failure, ..turn.brings_back(self.deploy.context.now) })
            }
            other => other,
        }
    }

    fn is_nearly_over(&self) -> bool {
        self.left().is_some_and(|left| left <= 0)
    }

    /// Milliseconds until only the reserve is left.
    fn left(&self) -> Option<i64> {
        let deadline = self.deploy.context.task.deadline?;
        Some(deadline.since(self.deploy.context.now) - RESERVE)
    }

    fn nearly_over(&self, plan: &Plan, turn: &Turn) -> ProviderError {
        let minutes = self.deploy.context.task.action.timeout_minutes();
        let (batch, batches) = (turn.batch + 1, plan.batches());
        ProviderError::failed(
            JOB_FAILED,
            format!(
                "The action was ended {} minutes before its time-out of {minutes} minutes, at batch {batch} of {batches}",
                RESERVE / 60_000
            ),
        )
    }

    async fn take_out(&self, plans: &PlanStore, plan: &mut Plan, turn: &Turn) -> Result<Outcome, ProviderError> {
        if plan.out != Some(turn.batch) {
            plan.out = Some(turn.batch);
            plans.write(plan).await?;
        }
        let mut leaving = Vec::new();
        for Members { group, targets } in &plan.groups {
            let there = self.in_group(group, targets, plan.batch(turn.batch)).await?;
            let still = there.iter().filter(|it| it.standing != Standing::Leaving).map(|it| it.target.clone());
            let still: Vec<_> = still.collect();
            if !still.is_empty() {
                self.groups.deregister(group, &still).await?;
            }
            leaving.extend(there.into_iter().map(|it| format!("{} leaves {}", it.target.instance, group.name)));
        }
        match leaving.is_empty() {
            true => next(&Turn { step: Step::Deploy, ..turn.clone() }),
            false => Ok(self.running(plan, turn, named(leaving))),
        }
    }

    /// What keeps the batch in a group: its targets, and what somebody else is taking out.
    async fn in_group(
        &self,
        group: &TargetGroup,
        targets: &[Target],
        batch: &[String],
    ) -> Result<Vec<Health>, ProviderError> {
        let mut there = self.groups.health(group).await?;
        there.retain(|it| {
            let is_planned = it.standing == Standing::Leaving || targets.contains(&it.target);
            is_planned && batch.contains(&it.target.instance)
        });
        Ok(there)
    }

    async fn is_drained(&self, plan: &Plan, turn: &Turn) -> Result<Outcome, ProviderError> {
        let mut leaving = Vec::new();
        for Members { group, targets } in &plan.groups {
            for it in self.in_group(group, targets, plan.batch(turn.batch)).await? {
                if it.standing != Standing::Leaving {
                    // Somebody has brought it back, or it has not been taken out everywhere yet.
                    return next(turn);
                }
                leaving.push(format!("{} leaves {}: {it}", it.target.instance, group.name));
            }
        }
        match leaving.is_empty() {
            true => next(&Turn { step: Step::Deploy, ..turn.clone() }),
            false => Ok(self.running(plan, turn, named(leaving))),
        }
    }

    async fn send(&self, plan: &Plan, turn: &Turn) -> Result<Outcome, ProviderError> {
        let commands = self.deploy.commands();
        let comment = format!("{} batch {}", self.deploy.comment(), turn.batch + 1);
        if self.deploy.context.task.reclaimed
            && let Some(found) = commands.find(&comment).await?
        {
            return Ok(self.sent(plan, turn, &found));
        }
        let (managed, _) = self.deploy.fleet().managed().await?;
        let batch = plan.batch(turn.batch).iter().filter(|it| managed.contains(it)).cloned().collect::<Vec<_>>();
        if batch.is_empty() {
            return self.deployed(plan, turn, "", &[]).await;
        }
        let seconds = self.left().map_or(u32::MAX, |left| u32::try_from(left / 1_000).unwrap_or(1));
        let request = Request {
            script: self.deploy.script().await?,
            max_concurrency: Some(batch.len().to_string()),
            // One that fails keeps none of the others from it.
            max_errors: Some(batch.len().to_string()),
            recipients: Recipients::Named(batch),
            seconds,
        };
        let sent = commands.send(&comment, request).await?;
        Ok(self.sent(plan, turn, &sent))
    }

    fn sent(&self, plan: &Plan, turn: &Turn, command: &Command) -> Outcome {
        let report = self.deploy.commands().report(command);
        let summary = report.summary.unwrap_or_default();
        let Progress { summary, percent, .. } = self.report(plan, turn, summary);
        Outcome::Running { report: Progress { summary, percent, ..report }, poll: true, event_source: None }
    }

    async fn is_deployed(&self, plan: &Plan, turn: &Turn) -> Result<Outcome, ProviderError> {
        use CommandInvocationStatus::{Cancelled, Failed, Success, TimedOut};
        let external = self.deploy.context.task.external.as_ref().ok_or_else(|| {
            ProviderError::failed(JOB_FAILED, "Systems Manager has no command of this batch of the action")
        })?;
        let commands = self.deploy.commands();
        let command = commands.describe(&external.id).await?;
        let has_ended = matches!(
            command.status(),
            Some(CommandStatus::Success | CommandStatus::Failed | CommandStatus::TimedOut | CommandStatus::Cancelled)
        );
        if has_ended {
            let invocations = commands.invocations(&external.id).await?;
            if invocations.iter().all(|it| matches!(it.status(), Some(Success | Failed | TimedOut | Cancelled))) {
                return self.deployed(plan, turn, &external.id, &invocations).await;
            }
        }
        Ok(self.sent(plan, turn, &command))
    }

    /// The batch comes back, whatever became of it.
    async fn deployed(
        &self,
        plan: &Plan,
        turn: &Turn,
        command: &str,
        invocations: &[CommandInvocation],
    ) -> Result<Outcome, ProviderError> {
        let mut turn = turn.clone().brings_back(self.deploy.context.now);
        for instance in plan.batch(turn.batch) {
            let invocation = invocations.iter().find(|it| it.instance_id() == Some(instance.as_str()));
            match invocation.map(|it| it.status()) {
                Some(Some(CommandInvocationStatus::Success)) => {}
                Some(_) if turn.words.len() < FAILED_SHOWN => {
                    turn.fails(instance, &self.ending(command, instance).await?);
                }
                Some(_) => turn.fails(instance, ""),
                None => turn.fails(instance, &format!("{instance}: Systems Manager does not manage it any more")),
            }
        }
        next(&turn)
    }

    /// How a command failed on an instance; without its output where the role may not look at that.
    async fn ending(&self, command: &str, instance: &str) -> Result<String, ProviderError> {
        match self.deploy.commands().ending(command, instance).await {
            Err(ProviderError::Failed { message, .. }) => {
                tracing::info!(%message, instance, "the output of a failed instance cannot be looked at");
                Ok(format!("{instance}: the command {command} failed"))
            }
            other => other,
        }
    }

    async fn bring_back(&self, plans: &PlanStore, plan: &mut Plan, turn: Turn) -> Result<Outcome, ProviderError> {
        if let (Some(_), Some(external)) = (&turn.failure, &self.deploy.context.task.external)
            && let Err(error) = self.deploy.commands().cancel(&external.id).await
        {
            tracing::info!(?error, "the command goes on, or has ended");
        }
        let (mut after, mut stay_out) = (turn.clone(), Vec::new());
        for Members { group, targets } in plan.groups_of(turn.batch) {
            match self.groups.register(&group, &targets).await {
                Ok(refused) => refused.iter().for_each(|(target, words)| after.fails(&target.instance, words)),
                Err(ProviderError::Failed { message, .. }) => stay_out.push(message),
                Err(error) => return Err(error),
            }
        }
        if !stay_out.is_empty() {
            let before = turn.failure.map(|failure| format!("{}\n", failure.message)).unwrap_or_default();
            let what = "Instances are not back in their target groups; the action brings them back when it runs again";
            return Err(ProviderError::failed(JOB_FAILED, format!("{before}{what}:\n{}", stay_out.join("\n"))));
        }
        if plan.out.is_some() {
            plan.out = None;
            plans.write(plan).await?;
        }
        match &turn.failure {
            Some(failure) => {
                let message =
                    format!("{}\nThe instances of the batch are back in their target groups", failure.message);
                let error = ActionError { code: failure.code.clone(), message };
                Ok(Outcome::Failed { error, report: Progress::default() })
            }
            // Those that could not come back are known to have failed from then on.
            None if after != turn => next(&after),
            None => self.is_healthy(plan, turn).await,
        }
    }

    async fn is_healthy(&self, plan: &Plan, mut turn: Turn) -> Result<Outcome, ProviderError> {
        let mut waiting = Vec::new();
        for Members { group, targets } in plan.groups_of(turn.batch) {
            let there = self.groups.health(&group).await?;
            for target in targets.into_iter().filter(|it| !turn.failed.contains(&it.instance)) {
                let words = match there.iter().find(|it| it.target == target) {
                    Some(it) if it.standing == Standing::Serving => continue,
                    Some(it) => format!("{} in {} is {it}", target.instance, group.name),
                    None => format!("{} is not registered in {}", target.instance, group.name),
                };
                waiting.push((target.instance, words));
            }
        }
        if !waiting.is_empty() && self.deploy.context.now.since(turn.since) < HEALTHY_WITHIN {
            return Ok(self.running(plan, &turn, named(waiting.into_iter().map(|(_, words)| words))));
        }
        for (instance, words) in waiting {
            turn.fails(&instance, &words);
        }
        self.settle(plan, turn)
    }

    /// What follows when a batch is back.
    fn settle(&self, plan: &Plan, turn: Turn) -> Result<Outcome, ProviderError> {
        let all = plan.instances.len();
        let failed = turn.failed_before + turn.failed.len();
        let allowed = self.deploy.configuration.max_error.map_or(0, |it| it.0.of(all));
        let done = all.min((turn.batch + 1) * plan.batch_size);
        if failed > allowed {
            let rest = match all - done {
                0 => String::new(),
                rest => format!(", and {rest} were not tried"),
            };
            let mut message = format!("{failed} of {all} instances failed{rest}; MaxError allows {allowed} to fail");
            turn.words.iter().for_each(|words| message = format!("{message}\n{words}"));
            let report = self.report(plan, &turn, format!("{failed} of {done} instances failed"));
            return Err(ProviderError::Failed { code: JOB_FAILED, message, report });
        }
        if done < all {
            let Turn { batch, words, .. } = turn;
            return next(&Turn { batch: batch + 1, failed_before: failed, words, ..Turn::default() });
        }
        let summary = match failed {
            0 => format!("{all} of {all} instances are done"),
            _ => {
                let first = turn.words.first().and_then(|words| words.lines().next()).unwrap_or_default();
                format!("{all} of {all} instances are done, {failed} of them failed, first {first}")
            }
        };
        let report = Progress { summary: Some(summary), percent: Some(100), external: None };
        Ok(Outcome::Succeeded(Success { report, ..Success::default() }))
    }

    fn report(&self, plan: &Plan, turn: &Turn, words: String) -> Progress {
        let before = turn.batch * plan.batch_size * 100 / plan.instances.len().max(1);
        let summary = match plan.batches() {
            1 => words,
            batches => format!("Batch {} of {batches}: {words}", turn.batch + 1),
        };
        Progress { external: None, summary: Some(summary), percent: u8::try_from(before).ok() }
    }

    fn running(&self, plan: &Plan, turn: &Turn, words: String) -> Outcome {
        Outcome::Running { report: self.report(plan, turn, words), poll: true, event_source: None }
    }
}

fn taken_over() -> ProviderError {
    let why = "The plan of this attempt is not in the artifact store any more: another execution of the action has made \
               its own since, and brought back what was out";
    ProviderError::failed(JOB_FAILED, why)
}

/// The action goes on with another step.
fn next(turn: &Turn) -> Result<Outcome, ProviderError> {
    Ok(Outcome::Continue { token: turn.token()?, report: Progress::default() })
}
