//! Versions of the functions, and the alias `live` of each, behind which they change.
//!
//! Everything that invokes a function (rules, queues, the stream, the API) does so by its alias. The template makes aliases that
//! lead to `$LATEST` and never touches them again; from then on they are moved here. So a stack that is updated changes no code
//! that runs: first a version is published of what the update has left, then traffic is shifted to it, then the old one gets
//! none any more. An alias's description says which version was before it, and when that was; see [`Note`].

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{AliasRoutingConfiguration, LastUpdateStatus, State};
use serde::{Deserialize, Serialize};

use crate::Account;
use crate::output::words;
use crate::programs::FUNCTIONS;
use crate::watch::Watch;

/// The alias by which everything invokes a function.
const LIVE: &str = "live";

/// What an alias leads to before the first version is published: what the stack was last updated to.
const LATEST: &str = "$LATEST";

/// Longer than Lambda takes to put new code in place.
const PATIENCE: Duration = Duration::from_secs(300);

/// The newest versions of a function stay, besides those that its alias leads to now and led to before: what somebody compares
/// with, and what requests of the last deployments may still run on. Older ones are removed, since Lambda counts the code of all
/// versions of an account against one quota, 75 GB. Source: Lambda developer guide, 'Lambda quotas'.
const KEPT: usize = 3;

/// How traffic goes over to new versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// How much of the traffic they get at first, in per cent.
    percent: u8,
    /// For how long, before they get all of it.
    watch: Duration,
}

impl Shift {
    /// New versions get all of the traffic at once, and nothing is watched.
    pub const ALL: Self = Self { percent: 100, watch: Duration::ZERO };

    /// A tenth, for five minutes: alarms look at whole minutes, and metrics come late.
    pub const GRADUAL: Self = Self { percent: 10, watch: Duration::from_secs(300) };

    /// `percent` of the traffic for as long as `watch`.
    #[must_use]
    pub const fn gradual(percent: u8, watch: Duration) -> Self {
        Self { percent, watch }
    }
}

impl FromStr for Shift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        let parts = text
            .split_once(':')
            .and_then(|(percent, minutes)| Some((percent.parse().ok()?, minutes.parse::<u16>().ok()?)));
        match parts {
            Some((percent @ 1..=99, minutes @ 1..=120)) => {
                Ok(Self::gradual(percent, Duration::from_secs(60 * u64::from(minutes))))
            }
            _ => Err("say `all`, or per cent and minutes with a colon between them: 10:5 (1 to 99, 1 to 120)".into()),
        }
    }
}

/// What an alias's description keeps, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// When the alias was moved, in milliseconds since 1970. All that one deployment moves has the same.
    since: u64,
    /// The version to which it led before; none after a rollback, which can be taken back only by a deployment.
    before: Option<String>,
}

/// An alias as it stands.
struct Live {
    function: String,
    version: String,
    /// Changes whenever anybody moves it.
    revision: Option<String>,
    note: Note,
}

impl Live {
    async fn read(client: &Client, function: String) -> Result<Self> {
        let alias = client.get_alias().function_name(&function).name(LIVE).send().await;
        let alias = alias.with_context(|| format!("the function {function} has no alias {LIVE}"))?;
        let note = alias.description().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let version = alias.function_version.context("an alias without a version")?;
        Ok(Self { function, version, revision: alias.revision_id, note })
    }

    /// Moves the alias: to `version`, with a part of the traffic for another one if given.
    async fn lead(&mut self, client: &Client, version: &str, part: Option<(&str, f64)>, note: &Note) -> Result<()> {
        let weights = part.map(|(version, part)| (version.to_owned(), part)).into_iter().collect();
        let weights = AliasRoutingConfiguration::builder().set_additional_version_weights(Some(weights)).build();
        let update = client.update_alias().function_name(&self.function).name(LIVE).function_version(version);
        let update = update.routing_config(weights).description(serde_json::to_string(note)?);
        let moved = update.set_revision_id(self.revision.take()).send().await;
        match moved.map_err(SdkError::into_service_error) {
            Ok(moved) => {
                self.revision = moved.revision_id;
                Ok(())
            }
            Err(error) if error.is_precondition_failed_exception() => bail!(
                "somebody else moves the alias {LIVE} of {} at the same time, and has it now: deploy again when that has ended",
                self.function
            ),
            Err(error) => Err(error).with_context(|| format!("cannot move the alias {LIVE} of {}", self.function)),
        }
    }
}

fn function_name(stack: &str, function: &str) -> String {
    format!("{stack}-{function}")
}

/// The functions whose alias does not lead to what the stack was last updated to: a deployment ended half way, was shifted back,
/// or was rolled back.
pub(crate) async fn behind(account: &Account, stack: &str) -> Result<Vec<String>> {
    let client = Client::new(&account.sdk(account.home()));
    let mut behind = Vec::new();
    for function in FUNCTIONS {
        let live = Live::read(&client, function_name(stack, function)).await?;
        let mut contents = Vec::new();
        for qualifier in [live.version.as_str(), LATEST] {
            let found =
                client.get_function_configuration().function_name(&live.function).qualifier(qualifier).send().await;
            contents.push(found.map(content).with_context(|| format!("cannot look at {}:{qualifier}", live.function))?);
        }
        if live.version == LATEST || contents[0] != contents[1] {
            behind.push((*function).to_owned());
        }
    }
    Ok(behind)
}

/// What makes one version another.
fn content(found: GetFunctionConfigurationOutput) -> impl PartialEq {
    let environment = found.environment.and_then(|it| it.variables).unwrap_or_default();
    let environment: BTreeMap<_, _> = environment.into_iter().collect();
    let dead_letters = found.dead_letter_config.and_then(|it| it.target_arn);
    let storage = found.ephemeral_storage.map(|it| it.size);
    (found.code_sha256, environment, found.timeout, found.memory_size, found.role, dead_letters, storage)
}

/// Publishes a version of each function that has changed, and shifts the traffic to it. Returns whether there was one.
///
/// # Errors
/// When something in the installation rings while the new versions get a part of the traffic: they get none any more then.
pub(crate) async fn release(
    account: &Account,
    stack: &str,
    shift: Shift,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<bool> {
    let client = Client::new(&account.sdk(account.home()));
    let mut moving = Vec::new();
    for function in FUNCTIONS {
        let live = Live::read(&client, function_name(stack, function)).await?;
        let version = publish(&client, &live.function, account.pause()).await?;
        if version != live.version {
            moving.push((live, version));
        }
    }
    if moving.is_empty() {
        return Ok(false);
    }
    // Without a version before there is nothing from which traffic could be taken bit by bit.
    let old: Vec<_> = moving
        .iter()
        .filter(|(live, _)| live.version != LATEST)
        .map(|(live, new)| (live.function.clone(), new.clone()))
        .collect();
    if shift.percent < 100 && !old.is_empty() {
        let mut watch = Watch::begin(account, stack, LIVE, &old).await?;
        if let Some(reason) = try_out(&client, &mut moving, shift, &mut watch, say).await? {
            take_back(&client, &mut moving).await?;
            bail!(
                "the new versions were shifted back: {reason}. The old code runs as before; the stacks have their new content. Look \
                 into the functions' logs, and deploy again"
            );
        }
    }
    let since =
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or_default();
    for (live, new) in &mut moving {
        let before = Some(live.version.clone()).filter(|version| version != LATEST);
        let from = before.as_deref().map_or_else(String::new, |version| format!(" from version {version}"));
        say(&format!("  {} goes{from} to version {new}", live.function));
        let needed: Vec<_> = before.iter().chain([&*new]).cloned().collect();
        live.lead(&client, new, None, &Note { since, before }).await?;
        // What is left over does no harm, and the next deployment tries again.
        if let Err(error) = remove_old(&client, &live.function, &needed).await {
            say(&format!("  old versions of {} stay: {}", live.function, words(&error)));
        }
    }
    Ok(true)
}

/// Removes the versions of a function that are neither needed nor among the newest.
async fn remove_old(client: &Client, function: &str, needed: &[String]) -> Result<()> {
    let listed = client.list_versions_by_function().function_name(function).into_paginator().items().send();
    let listed = listed.collect::<Result<Vec<_>, _>>().await.context("cannot list them")?;
    let versions: Vec<_> = listed.into_iter().filter_map(|it| it.version).collect();
    for version in old(&versions, needed) {
        let removed = client.delete_function().function_name(function).qualifier(version.to_string()).send().await;
        match removed.map_err(SdkError::into_service_error) {
            // An alias of somebody's own leads to it.
            Err(error) if error.is_resource_conflict_exception() => {}
            removed => _ = removed.with_context(|| format!("cannot remove version {version}"))?,
        }
    }
    Ok(())
}

/// The numbers among these versions that are neither needed nor among the newest.
fn old(versions: &[String], needed: &[String]) -> Vec<u64> {
    let numbers = |of: &[String]| -> BTreeSet<u64> { of.iter().filter_map(|it| it.parse().ok()).collect() };
    let needed = numbers(needed);
    numbers(versions).into_iter().rev().skip(KEPT).filter(|version| !needed.contains(version)).collect()
}

/// Gives the new versions a part of the traffic for a while; returns what rang.
async fn try_out(
    client: &Client,
    moving: &mut [(Live, String)],
    shift: Shift,
    watch: &mut Watch<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<String>> {
    say(&format!("  new versions get {} % of the traffic for {} s", shift.percent, shift.watch.as_secs()));
    for (live, new) in moving.iter_mut().filter(|(live, _)| live.version != LATEST) {
        let (version, note) = (live.version.clone(), live.note.clone());
        live.lead(client, &version, Some((new, f64::from(shift.percent) / 100.0)), &note).await?;
    }
    let began = Instant::now();
    loop {
        if let Some(reason) = watch.trouble().await? {
            return Ok(Some(reason));
        }
        let left = shift.watch.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        tokio::time::sleep(left.min(watch.interval())).await;
    }
}

/// Gives all of the traffic to the old versions.
async fn take_back(client: &Client, moving: &mut [(Live, String)]) -> Result<()> {
    for (live, _) in moving.iter_mut().filter(|(live, _)| live.version != LATEST) {
        let (version, note) = (live.version.clone(), live.note.clone());
        live.lead(client, &version, None, &note).await?;
    }
    Ok(())
}

/// Publishes a version of what the function is now. Lambda gives the last one again if nothing has changed since.
async fn publish(client: &Client, function: &str, pause: Duration) -> Result<String> {
    let began = Instant::now();
    loop {
        let found = client.get_function_configuration().function_name(function).send().await;
        let found = found.with_context(|| format!("cannot look at the function {function}"))?;
        match found.last_update_status() {
            Some(LastUpdateStatus::Failed) => bail!(
                "Lambda cannot put the new code of {function} in place: {}",
                found.last_update_status_reason().unwrap_or("no reason given")
            ),
            Some(LastUpdateStatus::InProgress) => {}
            _ if found.state().is_some_and(|state| *state == State::Pending) => {}
            _ => break,
        }
        ensure!(began.elapsed() < PATIENCE, "Lambda still puts the new code of {function} in place");
        tokio::time::sleep(pause).await;
    }
    let published = client.publish_version().function_name(function).send().await;
    let published = published.with_context(|| format!("cannot publish a version of {function}"))?;
    published.version.context("a version without a number")
}

/// Puts back what the last deployment has moved: function, version now, version before.
///
/// # Errors
/// When there is no version before, or an alias cannot be moved; running it again goes on.
pub(crate) async fn roll_back(account: &Account, stack: &str, say: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
    let client = Client::new(&account.sdk(account.home()));
    let mut moved = last_moved(&client, stack).await?;
    for (live, before) in &mut moved {
        say(&format!("  {} goes from version {} back to version {before}", live.function, live.version));
        let note = Note { since: live.note.since, before: None };
        live.lead(&client, before, None, &note).await?;
    }
    Ok(())
}

/// What the last deployment moved and is not put back yet: each alias, and the version before.
async fn last_moved(client: &Client, stack: &str) -> Result<Vec<(Live, String)>> {
    let mut all = Vec::new();
    for function in FUNCTIONS {
        all.push(Live::read(client, function_name(stack, function)).await?);
    }
    let last = all.iter().map(|live| live.note.since).max().unwrap_or_default();
    let numbers: BTreeSet<_> = all.iter().map(|live| live.version.clone()).collect();
    let of_last = all.into_iter().filter(|live| live.note.since == last);
    let moved: Vec<_> = of_last.filter_map(|live| live.note.before.clone().map(|before| (live, before))).collect();
    ensure!(
        !moved.is_empty(),
        "there is nothing to put back: the functions run versions {}, and what was before is not known, since it was the first \
         deployment, or was rolled back already. `millrace deploy` brings the newest version",
        numbers.into_iter().collect::<Vec<_>>().join(", ")
    );
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_all_or_per_cent_and_minutes() {
        assert_eq!("all".parse(), Ok(Shift::ALL));
        assert_eq!("10:5".parse(), Ok(Shift::GRADUAL));
        for bad in ["", "10", "0:5", "100:5", "10:0", "10:121", "x:y", "10:5:1"] {
            assert!(bad.parse::<Shift>().unwrap_err().contains("10:5"), "{bad}");
        }
    }

    #[test]
    fn the_newest_versions_and_the_needed_ones_are_not_old() {
        let versions = |of: &[u64]| of.iter().map(u64::to_string).chain([LATEST.to_owned()]).collect::<Vec<_>>();
        assert_eq!(old(&versions(&[1, 2, 3]), &[]), Vec::<u64>::new());
        assert_eq!(old(&versions(&[9, 10, 11, 2, 1]), &["11".into(), "9".into()]), [2, 1]);
        assert_eq!(old(&versions(&[1, 2, 3, 4, 5, 6]), &["6".into(), "2".into()]), [3, 1], "put back, then deployed");
    }

    #[test]
    fn a_note_fits_into_a_description() {
        let note = Note { since: u64::MAX, before: Some("9".repeat(20)) };
        let text = serde_json::to_string(&note).unwrap();
        assert!(text.len() <= 256);
        assert_eq!(serde_json::from_str::<Note>(&text).unwrap(), note);
    }
}
