//! What rings in an installation while new versions are tried out.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, StateValue};

use crate::Account;

/// A function, and its new version.
pub(crate) type Version = (String, String);

/// Alarms and errors since a moment.
pub(crate) struct Watch<'a> {
    client: Client,
    alias: &'a str,
    versions: &'a [Version],
    alarms: Vec<String>,
    /// What rang before anything was changed is no news.
    rang: BTreeSet<String>,
    began: SystemTime,
    emulated: bool,
}

impl<'a> Watch<'a> {
    /// Begins to watch the alarms of the installation `stack`, and the errors of these versions behind `alias`.
    pub async fn begin(account: &Account, stack: &str, alias: &'a str, versions: &'a [Version]) -> Result<Self> {
        let config = account.sdk(account.home());
        let cloudformation = aws_sdk_cloudformation::Client::new(&config);
        let mut pages = cloudformation.list_stack_resources().stack_name(stack).into_paginator().send();
        let mut alarms = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("cannot list the alarms of the stack {stack}"))?;
            let of_type = page.stack_resource_summaries.unwrap_or_default().into_iter();
            let of_type = of_type.filter(|it| it.resource_type() == Some("AWS::CloudWatch::Alarm"));
            alarms.extend(of_type.filter_map(|it| it.physical_resource_id));
        }
        let client = Client::new(&config);
        let (began, emulated) = (SystemTime::now(), account.endpoint().is_some());
        let mut watch = Self { client, alias, versions, alarms, rang: BTreeSet::new(), began, emulated };
        watch.rang = watch.ringing().await?.into_iter().map(|(name, _)| name).collect();
        Ok(watch)
    }

    /// How long to wait before looking again.
    pub const fn interval(&self) -> Duration {
        if self.emulated { Duration::from_millis(200) } else { Duration::from_secs(15) }
    }

    /// What has rung since.
    pub async fn trouble(&self) -> Result<Option<String>> {
        if let Some((name, reason)) = self.ringing().await?.into_iter().find(|(name, _)| !self.rang.contains(name)) {
            return Ok(Some(format!("the alarm {name} rings: {reason}")));
        }
        let failed = self.errors().await?;
        Ok(failed
            .first()
            .map(|((function, version), count)| format!("version {version} of {function} has failed {count} times")))
    }

    async fn ringing(&self) -> Result<Vec<(String, String)>> {
        let mut ringing = Vec::new();
        // As many as one request takes.
        for names in self.alarms.chunks(100) {
            let found =
                self.client.describe_alarms().set_alarm_names(Some(names.to_vec())).state_value(StateValue::Alarm);
            let found = found.send().await.context("cannot look at the alarms")?;
            ringing.extend(found.metric_alarms.unwrap_or_default().into_iter().map(|alarm| {
                (alarm.alarm_name.unwrap_or_default(), alarm.state_reason.unwrap_or_else(|| "no reason given".into()))
            }));
        }
        Ok(ringing)
    }

    /// The versions that have failed since, and how often.
    async fn errors(&self) -> Result<Vec<(&Version, f64)>> {
        let queries = self.versions.iter().enumerate().map(|(at, (function, version))| {
            let dimension = |name: &str, value: String| Dimension::builder().name(name).value(value).build();
            let metric = Metric::builder()
                .namespace("AWS/Lambda")
                .metric_name("Errors")
                .dimensions(dimension("FunctionName", function.clone()))
                .dimensions(dimension("Resource", format!("{function}:{}", self.alias)))
                .dimensions(dimension("ExecutedVersion", version.clone()));
            let stat = MetricStat::builder().metric(metric.build()).period(60).stat("Sum").build();
            MetricDataQuery::builder().id(format!("v{at}")).metric_stat(stat).build()
        });
        // Metrics are of whole minutes.
        let found = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from(self.began - Duration::from_secs(60)))
            .end_time(DateTime::from(SystemTime::now() + Duration::from_secs(60)))
            .send()
            .await
            .context("cannot read the metrics of the new versions")?;
        let results = found.metric_data_results.unwrap_or_default().into_iter().filter_map(|result| {
            let version = self.versions.get(result.id()?.strip_prefix('v')?.parse::<usize>().ok()?)?;
            Some((version, result.values().iter().sum::<f64>()))
        });
        Ok(results.filter(|(_, count)| *count > 0.0).collect())
    }
}
