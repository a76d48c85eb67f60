//! What was told, so that nothing is told twice.
//!
//! A message is *claimed* by a conditional write, sent, and noted as *sent*. Whoever finds it sent leaves it; whoever finds it claimed
//! comes again. A claim whose holder died ends by itself, and the message is sent by the next delivery.
//!
//! No receiver here recognizes a message that comes again, so a process that dies between the receiver's answer and the note leaves a
//! choice: to send again, or never. It is sent again: a line too many that Prod is broken does less harm than the missing one. So a
//! message is never lost, and comes twice only if the notifier dies, or cannot reach the table, in that moment.
//!
//! What breaks and is fixed is claimed in the same write in which the rule learns of the outcome, so that whoever dies behind it
//! leaves a claim. A message that could not be sent in time is sent later, unless a later outcome says otherwise: that something
//! broke would be a false alarm once it is fixed.

use std::sync::Arc;

use anyhow::{Result, bail};
use driver::Clock;
use store::{Expect, Key, Notice, RuleOutcome, Store, StoreError, Versioned, Write};

use crate::facts::Facts;
use crate::happenings::{About, Told};
use crate::outcome::{Outcome, news};

/// For how long a claim holds, in milliseconds: longer than the function may run, and shorter than the queue hides a message.
const LEASE: i64 = 90_000;
/// How often another notifier may come first before the queue has to deliver again.
const TRIES: usize = 5;

/// Keeps what was told.
pub struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// The right to send a message, and the revision of the item that says so.
#[derive(Debug)]
pub struct Claim(Versioned<Notice>);

impl Claim {
    /// What tells the message from others.
    pub fn id(&self) -> &str {
        &self.0.entity.id
    }
}

impl Ledger {
    /// A ledger that keeps its items in the installation's table, and measures leases by this clock.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Claims a message; none where there is nothing to send: it was sent, or the outcome that it would tell is no news.
    ///
    /// # Errors
    /// When somebody else has claimed it, and the store's: then it is to be asked again later.
    pub async fn claim(&self, facts: &Facts, told: &Told<'_>) -> Result<Option<Claim>> {
        for _ in 0..TRIES {
            match self.try_claim(facts, told).await {
                Err(error) if matches!(error.downcast_ref(), Some(StoreError::Conflict(_))) => {}
                other => return other,
            }
        }
        bail!("other notifiers were first {TRIES} times")
    }

    async fn try_claim(&self, facts: &Facts, told: &Told<'_>) -> Result<Option<Claim>> {
        let now = self.clock.now();
        let (pipeline, incarnation) = (&facts.head.pipeline, facts.head.incarnation);
        let keys = [
            Key::Notice(pipeline.clone(), incarnation, told.id.clone()),
            Key::RuleOutcome(pipeline.clone(), incarnation, told.rule.0.clone()),
        ];
        let mut found = self.store.load(&keys).await?.into_iter();
        let (found, last) = (found.next().flatten(), found.next().flatten());
        let found: Option<Versioned<Notice>> = found.map(Versioned::typed).transpose()?;
        if found.as_ref().is_some_and(|found| found.entity.sent.is_some()) {
            return Ok(None);
        }
        let last: Option<Versioned<RuleOutcome>> = last.map(Versioned::typed).transpose()?;
        if let (About::Outcome(outcome), Some(_), Some(last)) = (told.about, &found, &last)
            && last.entity.failed != outcome.failed
        {
            return Ok(None);
        }
        if found.as_ref().is_some_and(|found| found.entity.until > now) {
            bail!("another notifier is about to send the message");
        }
        let notice =
            Notice { pipeline: pipeline.clone(), incarnation, id: told.id.clone(), until: now.plus(LEASE), sent: None };
        let expect = found.as_ref().map_or(Expect::Absent, Versioned::unchanged);
        let claim = Claim(Versioned { revision: found.as_ref().map_or(1, |found| found.revision + 1), entity: notice });
        let put = Write::put(claim.0.entity.clone(), expect);
        match told.about {
            About::Outcome(outcome) if found.is_none() => {
                let Some(news) = news(last.as_ref().map(|last| &last.entity), outcome) else { return Ok(None) };
                let Outcome { number, run, failed } = outcome;
                let (pipeline, rule) = (pipeline.clone(), told.rule.0.clone());
                let known = RuleOutcome { pipeline, incarnation, rule, number, run, failed, at: now };
                let known = Write::put(known, last.as_ref().map_or(Expect::Absent, Versioned::unchanged));
                let tells = told.tells(news);
                self.store.commit([known].into_iter().chain(tells.then_some(put)).collect()).await?;
                Ok(tells.then_some(claim))
            }
            _ => {
                self.store.commit(vec![put]).await?;
                Ok(Some(claim))
            }
        }
    }

    /// Notes that a message was sent. If that fails it is logged: the message was sent, and is not to be sent again for that.
    pub async fn sent(&self, claim: Claim) {
        let now = self.clock.now();
        self.end(claim, |notice| notice.sent = Some(now)).await;
    }

    /// Gives back a claim on a message that was not sent, so that the next delivery need not wait for its end.
    pub async fn release(&self, claim: Claim) {
        let now = self.clock.now();
        self.end(claim, |notice| notice.until = now).await;
    }

    async fn end(&self, Claim(claim): Claim, change: impl FnOnce(&mut Notice)) {
        let (expect, mut notice) = (claim.unchanged(), claim.entity);
        change(&mut notice);
        if let Err(error) = self.store.commit(vec![Write::put(notice, expect)]).await {
            tracing::error!(%error, "what became of a message could not be noted");
        }
    }
}
