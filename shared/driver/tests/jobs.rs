//! Queues of jobs over the in-memory store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use driver::Driver;
use engine::{ExecutionId, Job, Queue, Timestamp};
use futures::executor::block_on;
use pipeline::TypeId;
use pipeline::custom::Definition;
use store::{Expect, Listing, MemoryStore, Store, Write};
use testkit::{Outbox, TestClock, setup};
use uuid::Uuid;

/// A job's entry may stay behind when its action is over: whoever polls next removes it.
#[test]
fn an_entry_that_stands_for_nothing_is_removed_by_the_next_poll() {
    let (store, outbox) = (Arc::new(MemoryStore::new()), Arc::new(Outbox::default()));
    let driver = Driver::new(setup(&store, &outbox, &Arc::new(TestClock::standing(Timestamp(0)))));
    let id = TypeId {
        category: "Build".into(),
        owner: Some("Custom".into()),
        provider: "Jenkins".into(),
        version: Some("1".into()),
    };
    let definition = Definition { id: id.clone(), ..Definition::default() };
    block_on(driver.create_action_type(definition, [].into())).unwrap();
    let queue = Queue { type_id: id.clone(), query: None };
    let action = ExecutionId::from_random(Uuid::from_u128(1)).action(1, 0, 1);
    let entry = Job { queue: queue.clone(), queued: Timestamp(0), action, free: Timestamp(0) };
    block_on(store.commit(vec![Write::put(entry, Expect::Absent)])).unwrap();
    let waiting = || block_on(store.list(&Listing::Jobs(queue.clone()), None, 10)).unwrap().entities.len();
    assert_eq!(waiting(), 1);
    assert!(block_on(driver.poll_jobs(&id, None, 1)).unwrap().is_empty());
    assert_eq!(waiting(), 0);
}
