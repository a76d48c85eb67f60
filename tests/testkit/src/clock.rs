//! A clock that a test sets.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use driver::Clock;
use engine::Timestamp;
use uuid::Uuid;

/// Time as the test lets it pass; whoever sleeps moves it on. Random numbers are 1, 2, 3 ..., so that they are the same in
/// every run.
#[derive(Debug)]
pub struct TestClock {
    now: AtomicI64,
    /// By how many milliseconds time goes on whenever somebody looks.
    step: i64,
    drawn: AtomicU64,
}

impl TestClock {
    /// Stands still between two calls of [`Self::pass`].
    pub fn standing(at: Timestamp) -> Self {
        Self { now: AtomicI64::new(at.0), step: 0, drawn: AtomicU64::new(0) }
    }

    /// Goes on by a millisecond whenever somebody looks.
    pub fn ticking(from: Timestamp) -> Self {
        Self { step: 1, ..Self::standing(from) }
    }

    /// Puts the clock forward.
    pub fn pass(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.fetch_add(self.step, Ordering::SeqCst))
    }

    fn random(&self) -> Uuid {
        let number = u128::from(self.drawn.fetch_add(1, Ordering::SeqCst)) + 1;
        // In both halves, since an id may be made of either.
        Uuid::from_u128(number << 64 | number)
    }

    /// Whatever else goes on in the thread has its turn before time passes.
    async fn sleep(&self, duration: Duration) {
        let mut waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.pass(i64::try_from(duration.as_millis()).unwrap());
    }
}
