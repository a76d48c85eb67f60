//! `cargo run --release -p simulation -- --seeds 10000`: runs many worlds; the first that breaks a rule is shown.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use simulation::Counts;

/// Lines of a failing world's trace that are shown without `--trace`.
const SHOWN: usize = 400;

/// Runs simulated worlds, each from its own seed, and stops at the first that breaks a rule.
#[derive(Parser)]
struct Arguments {
    /// How many worlds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed; with it alone, only its world.
    #[arg(long)]
    seed: Option<u64>,
    /// Shows all that happened in the first world, or all of a failing one.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.unwrap_or(0);
    let single = arguments.seed.is_some() && !std::env::args().any(|argument| argument.starts_with("--seeds"));
    let seeds = if single { 1 } else { arguments.seeds };
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(u64::MAX);
    let total = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut counts = Counts::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Smaller seeds are finished, so that the same seed is shown however many threads there are.
                    if seed >= first.saturating_add(seeds) || seed > failed.load(Ordering::Relaxed) {
                        break;
                    }
                    let ended = simulation::run(seed, false);
                    counts.add(&ended.counts);
                    if ended.violation.is_some() {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
                total.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&counts);
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let failed = failed.into_inner();
    // Whoever reads may go away (`| head`): the exit status says it as well.
    let mut out = std::io::stdout();
    if failed != u64::MAX || arguments.trace {
        let seed = if failed == u64::MAX { first } else { failed };
        let ended = simulation::run(seed, true);
        let skipped = if arguments.trace { 0 } else { ended.trace.len().saturating_sub(SHOWN) };
        _ = writeln!(
            out,
            "seed {seed}{}",
            if skipped > 0 { format!(" ({skipped} lines before these)") } else { String::new() }
        );
        for line in &ended.trace[skipped..] {
            _ = writeln!(out, "{line}");
        }
        if let Some(violation) = ended.violation {
            _ = writeln!(out, "\nVIOLATION with seed {seed}: {violation}");
            _ = writeln!(out, "again: cargo run --release -p simulation -- --seed {seed} --trace");
            return ExitCode::FAILURE;
        }
    }
    let total = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    _ = writeln!(out, "{seeds} worlds from seed {first}, no violation, {seconds:.1} s: {total}");
    ExitCode::SUCCESS
}
