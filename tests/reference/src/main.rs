//! `cargo run --release -p reference -- --sequences 100000`: plays random sequences of commands on the model and on the
//! engine; the first on which they differ is shown, shrunk, with both histories.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use reference::{Counts, Sequence};

/// Plays random sequences of commands on the reference model and on the engine.
#[derive(Parser)]
struct Arguments {
    /// How many sequences to play.
    #[arg(long, default_value_t = 10_000)]
    sequences: u64,
    /// The seed of the first sequence; the others follow it.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> Result<ExitCode> {
    let Arguments { sequences, seed: first } = Arguments::parse();
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(u64::MAX);
    let total = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        let play = || -> Result<()> {
            let mut counts = Counts::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                // Smaller seeds are finished, so that the same seed is shown however many threads there are.
                if seed >= first.saturating_add(sequences) || seed > failed.load(Ordering::Relaxed) {
                    total.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(&counts);
                    return Ok(());
                }
                match Sequence::random(seed).check()? {
                    Ok(count) => counts.add(&count),
                    Err(_) => _ = failed.fetch_min(seed, Ordering::Relaxed),
                }
            }
        };
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(play)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let failed = failed.into_inner();
    // Whoever reads may go away (`| head`): the exit status says it as well.
    let mut out = std::io::stdout();
    if failed != u64::MAX
        && let Err(disagreement) = Sequence::random(failed).check()?
    {
        _ = writeln!(out, "{disagreement}");
        _ = writeln!(out, "again: cargo run --release -p reference -- --sequences 1 --seed {failed}");
        return Ok(ExitCode::FAILURE);
    }
    let total = total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = begun.elapsed().as_secs_f64();
    _ = writeln!(out, "{sequences} sequences from seed {first}, model and engine agree, {seconds:.1} s: {total}");
    Ok(ExitCode::SUCCESS)
}
