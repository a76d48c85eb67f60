//! Brings a stack up, runs the cases, says how they went.

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local::{Emulator, Lifetime, Options, Stack};
use testkit::collector::Collector;
use tokio::sync::Semaphore;

use crate::case::Case;
use crate::fixture::Fixture;
use crate::{cases, diagnosis, permissions};

/// Cases at a time: most of what one does is waiting.
const AT_ONCE: usize = 6;
/// No case takes longer, unless something hangs; but for what is asked of `under_fire`, for each execution.
const LIMIT: Duration = Duration::from_secs(240);
const LIMIT_EACH: Duration = Duration::from_secs(10);

/// What a case does; an error or a panic is its failure.
pub type Run = fn(Arc<Case>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A case of the suite.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What the case shows; words on the command line choose by it.
    pub name: &'static str,
    /// Whether it disturbs others, and so runs alone after them.
    pub alone: bool,
    /// The case itself.
    pub run: Run,
}

/// Runs the suite on this emulator. Arguments are as those of any test program: words that are no options choose cases by
/// their names, `--list` shows them. `forward`, `extension`: the programs of these names in `src/bin`.
#[must_use]
pub fn main(emulator: Emulator, forward: &'static str, extension: &'static str) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<Entry> = cases::ALL
        .iter()
        .filter(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str())))
        .copied()
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.iter().for_each(|case| say(&format!("{}: test", case.name)));
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(suite(emulator, [forward, extension].map(Path::new), &chosen)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("\nthe suite could not run on {}: {error:#}", emulator.name()));
            ExitCode::FAILURE
        }
    }
}

/// Returns how many cases failed.
async fn suite(emulator: Emulator, [forward, extension]: [&Path; 2], chosen: &[Entry]) -> Result<usize> {
    if chosen.is_empty() {
        say("no case has such a name");
        return Ok(0);
    }
    let began = Instant::now();
    let name = format!("e2e-{}", emulator.name());
    let enforcing = emulator == Emulator::Ministack;
    let collector = Collector::start();
    let parameters = [("TraceEndpoint".to_owned(), collector.url())].into();
    let options = Options { name: Some(name), lifetime: Lifetime::UntilExit, parameters, enforcing, say };
    let stack = Stack::up(emulator, options).await?;
    let up = began.elapsed();
    let fixture =
        Fixture::new(stack, collector, forward, extension).await.context("what all cases share could not be made")?;
    let fixture = Arc::new(fixture);
    say(&format!("\nrunning {} cases on {} (stack up after {:.1} s)", chosen.len(), emulator.name(), up.as_secs_f64()));

    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let (alone, together): (Vec<Entry>, Vec<Entry>) = chosen.iter().partition(|case| case.alone);
    let mut failed = Vec::new();
    let running: Vec<_> =
        together.into_iter().map(|entry| tokio::spawn(one(entry, fixture.clone(), turns.clone()))).collect();
    for case in running {
        failed.extend(case.await?);
    }
    for entry in alone {
        failed.extend(one(entry, fixture.clone(), turns.clone()).await);
    }
    if enforcing {
        let problems =
            permissions::problems(&fixture.stack.decisions()?, "millrace", chosen.len() == cases::ALL.len())?;
        if problems.is_empty() {
            say("test permissions ... ok");
        } else {
            say(&format!("test permissions ... FAILED\n{}", problems.into_iter().collect::<Vec<_>>().join("\n")));
            failed.push("permissions");
        }
    }
    let verdict = if failed.is_empty() { "ok".to_owned() } else { format!("FAILED: {}", failed.join(", ")) };
    say(&format!(
        "\ntest result on {}: {verdict}. {} passed; {} failed; finished in {:.1} s",
        emulator.name(),
        chosen.len().saturating_sub(failed.len()),
        failed.len(),
        began.elapsed().as_secs_f64()
    ));
    Ok(failed.len())
}

/// Runs one case; returns its name if it fails.
async fn one(entry: Entry, fixture: Arc<Fixture>, turns: Arc<Semaphore>) -> Option<&'static str> {
    let _turn = turns.acquire_owned().await;
    let case = Arc::new(Case::new(entry.name, fixture));
    let began = Instant::now();
    let asked = cases::asked_executions().ok().flatten().unwrap_or_default();
    let limit = LIMIT + LIMIT_EACH * u32::try_from(asked).unwrap_or_default();
    let ran = tokio::spawn(tokio::time::timeout(limit, (entry.run)(case.clone()))).await;
    let failure = match ran {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(format!("{error:#}")),
        Ok(Err(_)) => Some(format!("it hangs: no end after {} s", limit.as_secs())),
        Err(panic) => Some(panic_text(panic)),
    };
    let seconds = began.elapsed().as_secs_f64();
    let Some(failure) = failure else {
        say(&format!("test {} ... ok ({seconds:.1} s)", entry.name));
        return None;
    };
    let diagnosis = diagnosis::of(&case, began.elapsed()).await;
    say(&format!("test {} ... FAILED ({seconds:.1} s)\n{failure}\n{diagnosis}", entry.name));
    Some(entry.name)
}

fn panic_text(panic: tokio::task::JoinError) -> String {
    match panic.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast_ref::<&str>().map_or("it panicked", |text| text).to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

/// Test programs print; a closed pipe is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
