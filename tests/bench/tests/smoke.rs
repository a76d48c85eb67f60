//! The bench itself works: with little effort, every figure is there and possible.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use bench::{Effort, measure};
use local::Emulator;

#[tokio::test]
async fn every_figure_is_measured() {
    let effort = Effort {
        name: "bench-smoke",
        events: 10,
        repeat: 1,
        chain: 4,
        groups: vec![3],
        counted: 2,
        parallel: 5,
        race: 3,
        sizes: vec![3, 6],
        past: vec![10, 30],
        at_once: 4,
        calls: 5,
    };
    let report = measure(Emulator::Ministack, &effort, Path::new(env!("CARGO_BIN_EXE_bench"))).await.unwrap();
    println!("{report}");
    assert!((2.0..2_000.0).contains(&report.floor), "{report}");
    let value = |figure: &str| report.row(figure).unwrap().value;
    for figure in ["gap, one action after another", "gap, fan-out to 3: last"] {
        assert!((0.0..2_000.0).contains(&value(figure)), "{report}");
    }
    // One more than the budget: on a busy machine a claim may run out and be made again.
    assert!((1.0..=3.0).contains(&value("writes, synchronous action")), "{report}");
    assert!((2.0..=4.0).contains(&value("writes, asynchronous action")), "{report}");
    let together = value("5 parallel actions: Step Functions, 1 s");
    assert!((1_000.0..60_000.0).contains(&together), "{report}");
    for figure in ["3 Lambda actions one after another, each", "5 Lambda actions in parallel"] {
        assert!((1.0..60_000.0).contains(&value(figure)), "{report}");
    }
    for figure in [
        "gap in a pipeline of 6 actions",
        "gap, 30 past executions",
        "GetPipelineState",
        "4 at once: time an execution",
        "page with 30 past executions: history",
    ] {
        assert!((0.0..30_000.0).contains(&value(figure)), "{report}");
    }
    assert!(value("(StartPipelineExecution, 8 at a time)") > 0.1, "{report}");
    assert!(value(&format!("(package of worker, profile {})", local::PROFILE)) > 0.5, "{report}");
}
