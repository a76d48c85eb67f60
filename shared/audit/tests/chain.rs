//! Chains as writers leave them, and what is found when somebody touches one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use audit::{Checker, Fault, Line, Objects, PortError, Record, Tip, Tips, What, append, extend, lines};
use proptest::prelude::*;

fn record(id: u64) -> Record {
    Record {
        id: format!("id-{id}"),
        time: "2026-11-26T15:48:05.000Z".into(),
        what: What::Call { operation: "GetPipeline".into(), result: "ok".into() },
        pipeline: Some(format!("pipeline \"{id}\" 漢\n")),
        execution: None,
        caller: Some("arn:aws:iam::111122223333:user/ada".into()),
        source: None,
        request: Some("r".into()),
    }
}

/// Objects of these sizes, and the chain's tip.
fn chain(sizes: &[usize]) -> (Vec<Vec<u8>>, Tip) {
    let (mut objects, mut tip, mut id) = (Vec::new(), Tip::start(), 0);
    for size in sizes {
        let records: Vec<_> = (0..*size)
            .map(|_| {
                id += 1;
                record(id)
            })
            .collect();
        let (object, end) = extend(&tip, &records, "2026-11-26T15:48:06.000Z");
        objects.push(object);
        tip = end;
    }
    (objects, tip)
}

fn check(objects: &[Vec<u8>], tip: &Tip) -> Vec<Fault> {
    let mut checker = Checker::whole().noted(tip.clone());
    (1..).zip(objects).for_each(|(number, object)| checker.object(number, object));
    checker.finish()
}

fn object_of(fault: &Fault) -> Option<u64> {
    match fault {
        Fault::Changed(at) | Fault::Unreadable(at) | Fault::Missing(at, ..) | Fault::Moved(at, _) => Some(at.object),
        Fault::Replaced { last, .. } => Some(last.object),
        _ => None,
    }
}

/// Sizes of a chain's objects, and the object and line of one of its lines, both from 0.
fn line() -> impl Strategy<Value = (Vec<usize>, usize, usize)> {
    let sizes = prop::collection::vec(1..5_usize, 1..5);
    sizes.prop_flat_map(|sizes| (Just(sizes.clone()), 0..sizes.len())).prop_flat_map(|(sizes, object)| {
        let line = 0..sizes[object];
        (Just(sizes), Just(object), line)
    })
}

proptest! {
    #[test]
    fn one_changed_byte_is_found_in_its_object((sizes, object, _) in line(), at in any::<prop::sample::Index>(), other in 1..=255_u8) {
        let (mut objects, tip) = chain(&sizes);
        let at = at.index(objects[object].len());
        objects[object][at] ^= other;
        let faults = check(&objects, &tip);
        prop_assert!(faults.iter().any(|fault| object_of(fault) == Some(object as u64 + 1)), "{faults:?}");
    }

    #[test]
    fn one_missing_line_is_found_with_its_number((sizes, object, line) in line()) {
        let (mut objects, tip) = chain(&sizes);
        let mut kept: Vec<&[u8]> = objects[object].split_inclusive(|byte| *byte == b'\n').collect();
        let gone = Line::read(kept.remove(line).strip_suffix(b"\n").unwrap()).unwrap();
        let kept = kept.concat();
        objects[object] = kept;
        let faults = check(&objects, &tip);
        let last = gone.n == tip.line;
        let found = |fault: &Fault| match fault {
            Fault::Missing(_, first, end) => (*first..=*end).contains(&gone.n),
            Fault::Truncated { line, .. } => last && *line + 1 == gone.n,
            _ => false,
        };
        prop_assert!(faults.iter().any(found), "{faults:?}");
    }

    #[test]
    fn one_moved_line_is_found_where_it_stands((sizes, object, line) in line(), to in any::<prop::sample::Index>()) {
        let (objects, tip) = chain(&sizes);
        let mut places: Vec<(usize, Vec<u8>)> = Vec::new();
        for (number, content) in objects.iter().enumerate() {
            places.extend(content.split_inclusive(|byte| *byte == b'\n').map(|line| (number, line.to_vec())));
        }
        let from = sizes[..object].iter().sum::<usize>() + line;
        let to = to.index(places.len());
        prop_assume!(from != to);
        let mut order: Vec<_> = places.iter().map(|(_, line)| line.clone()).collect();
        let moved = order.remove(from);
        order.insert(to, moved);
        let mut altered = vec![Vec::new(); objects.len()];
        for ((number, _), line) in places.iter().zip(order) {
            altered[*number].extend(line);
        }
        let faults = check(&altered, &tip);
        prop_assert!(!faults.is_empty());
        prop_assert!(faults.iter().any(|fault| matches!(fault, Fault::Moved(..))), "{faults:?}");
        prop_assert!(!faults.iter().any(|fault| matches!(fault, Fault::Changed(_))), "{faults:?}");
    }

    #[test]
    fn a_missing_end_is_found((sizes, object, line) in line()) {
        let (mut objects, tip) = chain(&sizes);
        let kept: Vec<&[u8]> = objects[object].split_inclusive(|byte| *byte == b'\n').take(line).collect();
        let kept = kept.concat();
        objects[object] = kept;
        objects.truncate(object + usize::from(line > 0));
        let reached = (sizes[..object].iter().sum::<usize>() + line) as u64;
        prop_assert_eq!(check(&objects, &tip), [Fault::Truncated { line: reached, tip }]);
    }

    #[test]
    fn bytes_of_anybody_do_no_harm(objects in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4)) {
        let faults = check(&objects, &Tip::start());
        prop_assert!(!faults.is_empty());
    }
}

/// A log in memory, whose writers die where they are told to.
#[derive(Default)]
struct Memory {
    objects: Mutex<BTreeMap<u64, Vec<u8>>>,
    tip: Mutex<Option<Tip>>,
    /// How many steps are left until one fails: before it has taken effect, or after.
    dies: Mutex<Option<(u32, bool)>>,
}

impl Memory {
    async fn step<T>(&self, act: impl FnOnce() -> T) -> Result<T, PortError> {
        // Another writer may come in between.
        tokio::task::yield_now().await;
        let dead = || PortError("it died".into());
        let dies = {
            let mut dies = self.dies.lock().unwrap();
            match *dies {
                Some((0, after)) => {
                    *dies = None;
                    Some(after)
                }
                Some((left, after)) => {
                    *dies = Some((left - 1, after));
                    None
                }
                None => None,
            }
        };
        match dies {
            Some(false) => Err(dead()),
            Some(true) => {
                act();
                Err(dead())
            }
            None => Ok(act()),
        }
    }

    fn checked(&self) -> (Vec<Fault>, Vec<String>) {
        let objects = self.objects.lock().unwrap();
        let mut checker = Checker::whole();
        if let Some(tip) = &*self.tip.lock().unwrap() {
            checker = checker.noted(tip.clone());
        }
        let mut ids = Vec::new();
        for (number, content) in &*objects {
            checker.object(*number, content);
            ids.extend(lines(content).flatten().map(|line| line.record.id));
        }
        (checker.finish(), ids)
    }
}

#[async_trait]
impl Objects for Memory {
    async fn put(&self, object: u64, content: &[u8]) -> Result<bool, PortError> {
        self.step(|| {
            let mut objects = self.objects.lock().unwrap();
            if objects.contains_key(&object) {
                return false;
            }
            objects.insert(object, content.to_vec());
            true
        })
        .await
    }

    async fn get(&self, object: u64) -> Result<Option<Vec<u8>>, PortError> {
        self.step(|| self.objects.lock().unwrap().get(&object).cloned()).await
    }
}

#[async_trait]
impl Tips for Memory {
    async fn load(&self) -> Result<Option<Tip>, PortError> {
        self.step(|| self.tip.lock().unwrap().clone()).await
    }

    async fn note(&self, tip: &Tip) -> Result<(), PortError> {
        self.step(|| {
            let mut noted = self.tip.lock().unwrap();
            if noted.as_ref().is_none_or(|noted| noted.object < tip.object) {
                *noted = Some(tip.clone());
            }
        })
        .await
    }
}

async fn put(log: &Memory, ids: &[u64]) -> bool {
    let records = ids.iter().map(|id| record(*id)).collect();
    append(log, log, records, || "2026-11-26T15:48:06.000Z".into()).await.is_ok()
}

#[tokio::test]
async fn whoever_dies_between_two_steps_leaves_a_chain_that_the_next_one_continues() {
    // A writer that goes on behind an object of which the table does not know takes five steps.
    for before in [false, true] {
        for step in 0..5 {
            for after in [false, true] {
                let log = Memory::default();
                assert!(put(&log, &[1, 2]).await);
                if before {
                    *log.dies.lock().unwrap() = Some((2, false));
                    assert!(!put(&log, &[3]).await, "its object is there, and the tip is behind");
                }
                *log.dies.lock().unwrap() = Some((step, after));
                let done = put(&log, &[4, 5]).await;
                *log.dies.lock().unwrap() = None;
                assert!(done || put(&log, &[4, 5]).await, "the same batch again");
                assert!(put(&log, &[6]).await);
                let (faults, ids) = log.checked();
                assert_eq!(faults, [], "step {step}, after it: {after}");
                let mut expected = vec!["id-1", "id-2", "id-4", "id-5", "id-6"];
                if before {
                    expected.insert(2, "id-3");
                }
                // Only one who dies when all is done, and nobody knows it, is repeated.
                let mut once = ids.clone();
                once.dedup();
                let doubled = ids.len() - once.len();
                assert!(doubled == 0 || (after && doubled == 2), "{ids:?}");
                once.sort();
                once.dedup();
                assert_eq!(once, expected);
            }
        }
    }
}

#[tokio::test]
async fn a_batch_that_is_there_is_not_put_again_where_the_table_does_not_know_of_it() {
    let log = Memory::default();
    *log.dies.lock().unwrap() = Some((2, false));
    assert!(!put(&log, &[1, 2]).await);
    assert!(log.tip.lock().unwrap().is_none() && log.objects.lock().unwrap().len() == 1);
    assert!(put(&log, &[1, 2]).await);
    let (faults, ids) = log.checked();
    assert_eq!((faults, ids.len()), (vec![], 2));
    assert_eq!(log.tip.lock().unwrap().as_ref().map(|tip| tip.line), Some(2));
}

#[tokio::test]
async fn many_writers_at_once_make_one_chain() {
    let log = Memory::default();
    let writers = (0..20).map(|writer| {
        let log = &log;
        async move {
            for batch in 0..5 {
                let id = writer * 100 + batch * 10;
                assert!(put(log, &[id, id + 1]).await);
            }
        }
    });
    futures_all(writers.collect()).await;
    let (faults, mut ids) = log.checked();
    assert_eq!(faults, []);
    assert_eq!(log.objects.lock().unwrap().len(), 100);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

/// Runs futures side by side, a step of each in turn.
async fn futures_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn an_object_that_no_auditor_made_is_left_behind_and_found() {
    let log = Memory::default();
    assert!(put(&log, &[1]).await);
    log.objects.lock().unwrap().insert(2, b"anything\n".to_vec());
    let (forged, _) = extend(&Tip::start(), &[record(99)], "now");
    log.objects.lock().unwrap().insert(3, forged);
    assert!(put(&log, &[2]).await);
    let (faults, ids) = log.checked();
    assert_eq!(ids, ["id-1", "id-99", "id-2"]);
    let found: Vec<_> = faults.iter().filter_map(object_of).collect();
    assert!(found.contains(&2) && found.contains(&3), "{faults:?}");
    assert_eq!(log.tip.lock().unwrap().as_ref().map(|tip| (tip.object, tip.line)), Some((4, 2)));
}
