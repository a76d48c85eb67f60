//! The worlds that every test run goes through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Counts, Ended};

/// Seeds for `cargo test`: fewer where nothing is optimised. CI runs a thousand by the command as well.
const SEEDS: u64 = if cfg!(debug_assertions) { 250 } else { 1_000 };

fn show(ended: &Ended, violation: &str) -> String {
    let trace = simulation::run(ended.seed, true).trace;
    let last = &trace[trace.len().saturating_sub(60)..];
    format!("seed {}: {violation}\n{}", ended.seed, last.join("\n"))
}

#[test]
fn many_worlds_keep_every_rule() {
    let next = AtomicU64::new(0);
    let total = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut counts = Counts::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= SEEDS {
                            return counts;
                        }
                        let ended = simulation::run(seed, false);
                        if let Some(violation) = &ended.violation {
                            panic!("{}", show(&ended, violation));
                        }
                        counts.add(&ended.counts);
                    }
                })
            })
            .collect();
        let mut total = Counts::default();
        for thread in threads {
            total.add(&thread.join().expect("a world broke a rule; see above"));
        }
        total
    });
    // The worlds are rough enough to mean something: all ends, and everything that can go wrong.
    for status in ["succeeded", "failed", "superseded", "cancelled"] {
        assert!(total.executions.get(status).copied().unwrap_or(0) > SEEDS / 20, "{status}: {total}");
    }
    let faults = [total.crashes, total.lost, total.doubled, total.pauses, total.conflicts];
    for count in faults.into_iter().chain([total.late_copies, total.jobs, total.polled_starts]) {
        assert!(count > SEEDS / 10, "{total}");
    }
}

#[test]
fn a_seed_makes_the_same_world_each_time() {
    for seed in 0..20 {
        let (one, other) = (simulation::run(seed, true), simulation::run(seed, true));
        assert!(one.trace.len() > 5, "seed {seed} makes a world in which nothing happens");
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

#[test]
fn watching_a_world_does_not_change_it() {
    for seed in 0..20 {
        let (seen, unseen) = (simulation::run(seed, true), simulation::run(seed, false));
        assert_eq!(seen.counts.to_string(), unseen.counts.to_string(), "seed {seed}");
    }
}
