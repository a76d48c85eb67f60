//! Putting records into the log, though others do it at the same time, and though one may die between any two steps.
//!
//! An object is put on the condition that there is none of its number: of two writers who continue the chain from the same
//! line, one is refused, reads what the other one put, and continues from there. Only then is the tip noted in the table. Who
//! dies between the two leaves a tip that is behind, and the next writer is refused and finds out in the same way.

use std::collections::HashSet;

use async_trait::async_trait;

use crate::check::Checker;
use crate::line::{Tip, extend, lines};
use crate::record::Record;

/// After so many objects that the table did not know of, the tip is noted, so that a writer whose time is up has not found
/// its way for nothing.
const NOTED_EVERY: u32 = 100;
/// How often an object may be there when it is put, and not when it is read.
const MOST_CONTRADICTIONS: u32 = 20;

/// What a store of objects or of the tip says when it does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PortError(pub String);

/// Why records were not put into the log. Trying again is always right.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The objects' store or the tip's failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// S3 refuses an object because it exists, and does not find it.
    #[error("the object {0} of the audit log can neither be put nor read")]
    Contradiction(u64),
}

/// Where the objects are.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Puts an object unless there is one of its number; returns whether it was put.
    ///
    /// # Errors
    /// When nobody knows whether it was.
    async fn put(&self, object: u64, content: &[u8]) -> Result<bool, PortError>;

    /// The content of an object, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn get(&self, object: u64) -> Result<Option<Vec<u8>>, PortError>;
}

/// Where the last line is noted.
#[async_trait]
pub trait Tips: Send + Sync {
    /// What was noted last.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn load(&self) -> Result<Option<Tip>, PortError>;

    /// Notes a tip, unless one in a later object is noted already.
    ///
    /// # Errors
    /// When it cannot be written.
    async fn note(&self, tip: &Tip) -> Result<(), PortError>;
}

/// Puts records into the log as one object, those left out which an object already has that the table does not know of yet:
/// an earlier delivery of the same put them there. `now` tells the time as records have it.
///
/// # Errors
/// [`AppendError`]. The records may be in the log all the same.
pub async fn append(
    objects: &dyn Objects,
    tips: &dyn Tips,
    mut records: Vec<Record>,
    now: impl Fn() -> String,
) -> Result<(), AppendError> {
    let mut tip = tips.load().await?.unwrap_or_else(Tip::start);
    let (mut found, mut contradictions) = (0, 0);
    while !records.is_empty() {
        let (content, next) = extend(&tip, &records, &now());
        if objects.put(next.object, &content).await? {
            tip = next;
            break;
        }
        let Some(other) = objects.get(next.object).await? else {
            contradictions += 1;
            if contradictions > MOST_CONTRADICTIONS {
                return Err(AppendError::Contradiction(next.object));
            }
            continue;
        };
        tip = behind(tip, next.object, &other);
        let known: HashSet<String> = lines(&other).flatten().map(|line| line.record.id).collect();
        records.retain(|record| !known.contains(&record.id));
        found += 1;
        if found % NOTED_EVERY == 0 {
            tips.note(&tip).await?;
        }
    }
    Ok(tips.note(&tip).await?)
}

/// The chain's tip behind an object that somebody else put. If it does not continue the chain, no auditor made it, and the chain
/// goes on behind it without it; whoever checks the log is told.
fn behind(tip: Tip, object: u64, content: &[u8]) -> Tip {
    let mut checker = Checker::behind(&tip);
    checker.object(object, content);
    checker.tip().unwrap_or(Tip { object, ..tip })
}
