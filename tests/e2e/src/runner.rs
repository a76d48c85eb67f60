//! Brings a stack up, runs the cases, says how they went.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local::{Emulator, Lifetime, Options, Stack};
use testkit::collector::Collector;
use tokio::sync::Semaphore;

use crate::case::Case;
use crate::fixture::{Fixture, Programs};
use crate::{cases, diagnosis, permissions};

/// No case takes longer, unless something hangs; but for what is asked of `under_fire`, for each execution.
const LIMIT: Duration = Duration::from_secs(240);
const LIMIT_EACH: Duration = Duration::from_secs(10);

/// What a case does; an error or a panic is its failure.
pub type Run = fn(Arc<Case>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A case of a suite.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What the case shows; words on the command line choose by it.
    pub name: &'static str,
    /// Whether it disturbs others, and so runs alone after them.
    pub alone: bool,
    /// The case itself.
    pub run: Run,
}

/// Cases that share an emulator and an installation on it.
#[derive(Clone, Debug)]
pub struct Suite {
    /// On what it runs.
    pub emulator: Emulator,
    /// The name of the emulator's instance: suites of different names know nothing of each other.
    pub name: String,
    /// The cases, in the order in which they begin.
    pub cases: &'static [Entry],
    /// How many of them run at a time.
    pub at_once: usize,
    /// Programs that some cases need besides the installation's.
    pub programs: Option<Programs>,
    /// Whether all cases together use everything that the functions' roles allow.
    pub exhausts_permissions: bool,
}

/// Runs the suite of this crate on an emulator. `forward`, `extension`: the programs of these names in `src/bin`.
#[must_use]
pub fn main(emulator: Emulator, forward: &str, extension: &str) -> ExitCode {
    let suite = Suite {
        emulator,
        name: format!("e2e-{}", emulator.name()),
        cases: cases::ALL,
        // Most of what one does is waiting.
        at_once: 6,
        programs: Some(Programs { forward: forward.into(), extension: extension.into() }),
        exhausts_permissions: true,
    };
    run(suite)
}

/// Runs a suite. Arguments are as those of any test program: words that are no options choose cases by their names, `--list`
/// shows them.
#[must_use]
pub fn run(suite: Suite) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<Entry> = suite
        .cases
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
    match runtime.block_on(run_chosen(&suite, &chosen)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("\nthe suite could not run on {}: {error:#}", suite.emulator.name()));
            ExitCode::FAILURE
        }
    }
}

/// Returns how many cases failed.
async fn run_chosen(suite: &Suite, chosen: &[Entry]) -> Result<usize> {
    if chosen.is_empty() {
        say("no case has such a name");
        return Ok(0);
    }
    let began = Instant::now();
    let emulator = suite.emulator;
    let name = suite.name.clone();
    let enforcing = emulator == Emulator::Ministack;
    let collector = Collector::start();
    let parameters = [("TraceEndpoint".to_owned(), collector.url())].into();
    let options = Options { name: Some(name), lifetime: Lifetime::UntilExit, parameters, enforcing, say };
    let stack = Stack::up(emulator, options).await?;
    let up = began.elapsed();
    let fixture = Fixture::new(stack, collector, suite.programs.clone())
        .await
        .context("what all cases share could not be made")?;
    let fixture = Arc::new(fixture);
    say(&format!("\nrunning {} cases on {} (stack up after {:.1} s)", chosen.len(), emulator.name(), up.as_secs_f64()));

    let turns = Arc::new(Semaphore::new(suite.at_once));
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
        let complete = suite.exhausts_permissions && chosen.len() == suite.cases.len();
        let problems = permissions::problems(&fixture.stack.decisions()?, "millrace", complete)?;
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
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
