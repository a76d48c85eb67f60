//! The sequences that every test run plays, and that the comparison finds what differs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reference::{Counts, Sequence, Shape};

/// Sequences for `cargo test`: fewer where nothing is optimised.
const SEQUENCES: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

#[test]
fn model_and_engine_agree() {
    let mut total = Counts::default();
    for seed in 0..SEQUENCES {
        match Sequence::random(seed).check().unwrap() {
            Ok(counts) => total.add(&counts),
            Err(disagreement) => panic!("{disagreement}"),
        }
    }
    // The sequences are rich enough to mean something.
    for status in ["InProgress", "Succeeded", "Failed", "Superseded", "Cancelled", "Stopped"] {
        assert!(total.statuses.get(status).copied().unwrap_or(0) > SEQUENCES / 10, "{status}: {total}");
    }
    assert!(total.refused > SEQUENCES && total.done > 10 * SEQUENCES, "{total}");
}

#[test]
fn a_difference_is_found_and_shrunk() {
    let together = |shape: &Shape| {
        let stages = shape.stages.iter().map(|orders| vec![1; orders.len()]).collect();
        Shape { stages, ..shape.clone() }
    };
    let found = (0..100).find_map(|seed| Sequence::random(seed).check_with(together).unwrap().err()).unwrap();
    // Nothing less shows it: start, the source succeeds, and two actions of the next stage run together.
    assert_eq!(found.sequence.commands.len(), 2, "{found}");
    assert_eq!(found.sequence.shape.stages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2], "{found}");
    let text = found.to_string();
    assert!(text.contains("model: do it") && text.contains("engine: do it"), "{text}");
}
