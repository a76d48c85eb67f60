//! A notifier that dies between any two of its steps: nothing is lost, and nothing comes twice but what it had sent and not noted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use engine::Timestamp;
use store::{Due, Key, Listing, MemoryStore, Page, Store, StoreError, Versioned, Write};
use testkit::Aws;

use super::world::*;

/// Steps that a process may still take.
#[derive(Clone)]
struct Life(Arc<AtomicUsize>);

impl Life {
    /// Whether it takes one more.
    fn step(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

/// A store that nobody reaches any more who has died.
struct Mortal {
    store: Arc<MemoryStore>,
    life: Life,
}

impl Mortal {
    fn alive(&self) -> Result<(), StoreError> {
        if self.life.step() { Ok(()) } else { Err(StoreError::Unavailable("dead".into())) }
    }
}

#[async_trait]
impl Store for Mortal {
    async fn load(&self, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StoreError> {
        self.alive()?;
        self.store.load(keys).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.alive()?;
        self.store.commit(writes).await
    }

    async fn list(&self, listing: &Listing, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.alive()?;
        self.store.list(listing, after, limit).await
    }

    async fn due(&self, shard: u64, from: Timestamp, to: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        self.store.due(shard, from, to, limit).await
    }
}

/// Receivers that a dead process does not reach.
fn receivers(life: &Life) -> Aws {
    let (aws, life) = (aws(), life.clone());
    aws.reply("Publish", move |_| {
        let taken = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";
        let status = if life.step() { 200 } else { 500 };
        (status, [].into(), taken.as_bytes().to_vec())
    });
    aws
}

fn sent(aws: &Aws) -> usize {
    aws.calls("Publish").iter().filter(|call| call.status == 200).count()
}

/// Lets a notifier die after each number of steps, then has others take the same message; returns how many lines came in each world,
/// by that number.
fn deaths(rule: &str, gate: bool, event: impl Fn(&World) -> String) -> Vec<(usize, usize)> {
    let mut came = Vec::new();
    for steps in 0.. {
        let world = World::new(&[("team", rule)], gate);
        let event = event(&world);
        let life = Life(Arc::new(AtomicUsize::new(steps)));
        let mortal = Mortal { store: world.store.clone(), life: life.clone() };
        let before = receivers(&life);
        let _ = deliver(&notifier(Arc::new(mortal), &world.clock, &before), &event);
        let died = life.0.load(Ordering::SeqCst) == 0;
        // The message comes again when the queue has hidden it for three minutes, and for good measure twice.
        world.clock.pass(180_000);
        for _ in 0..2 {
            world.deliver(&event).unwrap();
        }
        came.push((sent(&before), world.lines().len()));
        if !died {
            return came;
        }
    }
    unreachable!("the number of steps has no end")
}

fn assert_told(came: &[(usize, usize)]) {
    let twice: Vec<usize> = (0..came.len()).filter(|steps| came[*steps].0 + came[*steps].1 != 1).collect();
    assert!(came.len() >= 5, "{came:?}");
    // The last two worlds: it died after the note, and it did not die.
    let [unnoted] = twice[..] else { panic!("{came:?}") };
    assert_eq!(came[unnoted], (1, 1), "sent, not noted, and sent again: {came:?}");
    assert_eq!(came[unnoted - 1], (0, 1), "dead before it sent: {came:?}");
    assert_eq!(came.last(), Some(&(1, 0)), "{came:?}");
}

#[test]
fn what_broke_is_told_wherever_the_notifier_dies() {
    let rule = format!("breaks to {TOPIC}");
    assert_told(&deaths(&rule, false, |world| ended(&world.first(true))));
    let rule = format!("breaks in Deploy to {TOPIC}");
    assert_told(&deaths(&rule, false, |world| stage_ended(&world.stage(world.first(true).id, 1, 1))));
}

#[test]
fn who_is_waited_for_hears_of_it_wherever_the_notifier_dies() {
    let rule = format!("waits to {TOPIC}");
    assert_told(&deaths(&rule, true, |world| asked(&world.stage(world.first(false).id, 1, 1))));
}

#[test]
fn two_notifiers_that_have_the_same_message_send_one() {
    let world = World::new(&[("team", &format!("breaks to {TOPIC}"))], false);
    let event = ended(&world.first(true));
    // The first has claimed the message, and dies before it sends.
    let life = Life(Arc::new(AtomicUsize::new(3)));
    let mortal = Mortal { store: world.store.clone(), life: life.clone() };
    let _ = deliver(&notifier(Arc::new(mortal), &world.clock, &receivers(&life)), &event);
    assert_eq!(life.0.load(Ordering::SeqCst), 0);
    let error = format!("{:#}", world.deliver(&event).unwrap_err());
    assert!(error.contains("another notifier is about to send the message"), "{error}");
    world.clock.pass(90_000);
    assert_eq!(world.deliver(&event).unwrap(), 1);
}
