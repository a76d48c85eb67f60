//! A row for each operation.

mod action_types;
mod control;
mod executions;
mod jobs;
mod pipelines;
mod prepare;
mod tags;
mod webhooks;

use std::future::Future;

use futures::future::BoxFuture;
use serde_json::Value;
use wire::Operation;

use crate::world::World;

/// Prepares a world, and gives the input with which the operation is then called.
pub type Case = Box<dyn for<'a> Fn(&'a World) -> BoxFuture<'a, Value>>;

/// What is tested of an operation.
pub struct Row {
    /// The operation that the row is about.
    pub operation: Operation,
    /// A call that succeeds, and JSON pointers of what its answer must hold.
    pub good: (Case, &'static [&'static str]),
    /// A call for each documented error.
    pub errors: Vec<(&'static str, Case)>,
    /// The documented errors that cannot occur here, each with the reason.
    pub never: &'static [(&'static str, &'static str)],
    /// What differs from AWS, a sentence each; the page lists them.
    pub differences: &'static [&'static str],
}

/// The rows of all operations.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(pipelines::rows());
    rows.extend(executions::rows());
    rows.extend(control::rows());
    rows.extend(action_types::rows());
    rows.extend(jobs::rows());
    rows.extend(tags::rows());
    rows.extend(webhooks::rows());
    rows.sort_by_key(|row| row.operation);
    rows
}

/// What becomes of a change that lost a race.
const LOST_RACE: &str = "a change that lost a race is decided again on what is there then; after 200 lost races the answer is ThrottlingException, which clients repeat";
/// Why `ConcurrentModificationException` does not occur.
const NO_RACE: (&str, &str) = ("ConcurrentModificationException", LOST_RACE);

/// A case that needs the world.
fn case<F>(prepare: F) -> Case
where
    F: for<'a> Fn(&'a World) -> BoxFuture<'a, Value> + 'static,
{
    Box::new(prepare)
}

/// A case that needs nothing but its input.
fn input(input: Value) -> Case {
    Box::new(move |_| {
        let input = input.clone();
        Box::pin(async move { input })
    })
}

/// The future of a case, in a box of its own.
fn later<'a>(future: impl Future<Output = Value> + Send + 'a) -> BoxFuture<'a, Value> {
    Box::pin(future)
}
