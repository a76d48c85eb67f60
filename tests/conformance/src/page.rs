//! The page `OPERATIONS.md`: what is tested of each operation, and what differs from AWS.

use testkit::model::model;

use crate::edges;
use crate::table::{Row, rows};

/// Where `OPERATIONS.md` is.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/OPERATIONS.md");

const HEAD: &str = "\
# CodePipeline's operations

All 44 operations of the public model, what is tested of each, and each known difference from AWS. The table in
[src/table](src/table) is what is run: each call goes over the wire through the API's handler, in AWS JSON 1.1 and in Smithy
RPC v2 CBOR, and both must answer alike. This page is written from it (`cargo run -p conformance`), and a test fails when the
two differ.

- *Constraints*: inputs beyond an edge of what the model allows (a member is missing, a text is too long, a number is too
  small), which are refused with `ValidationException` and the member's place, and inputs on the edge, which are not.
- *Errors*: the documented errors, each produced by a call with its name and status. `ValidationException` is produced by the
  constraints of every operation.
- *Never*: the documented errors that cannot occur here, with the reason.

| operation | good call | constraints | errors | never | differences from AWS |
|---|---|---|---|---|---|
";

const TAIL: &str = "
Of all operations: whatever the model does not list, but every AWS service may answer with, is `SerializationException`,
`UnknownOperationException`, `UnsupportedMediaTypeException`, `RequestEntityTooLargeException` (a body of more than 6 MB),
`ThrottlingException` (too many changes of one thing at the same time) and `InternalFailure`. A webhook's URL is the API's own
with `/webhooks/{name}?key={key}`.
";

/// The page as it must be.
pub fn page() -> String {
    let rows = rows();
    let mut page = HEAD.to_owned();
    for row in &rows {
        page.push_str(&line(row));
    }
    page + TAIL
}

fn line(row: &Row) -> String {
    let (beyond, on) = edges::counts(row.operation);
    let documented = &model().operations[row.operation.name()].errors;
    let never = row.never.iter().map(|(name, why)| format!("{name}: {why}"));
    let errors = documented.iter().filter(|name| row.never.iter().all(|(never, _)| never != name));
    let cell = |entries: Vec<String>, none: &str| {
        if entries.is_empty() { none.to_owned() } else { entries.join("; ") }
    };
    format!(
        "| {} | both protocols | {beyond} refused, {on} not | {} | {} | {} |\n",
        row.operation,
        errors.cloned().collect::<Vec<_>>().join(", "),
        cell(never.collect(), "none"),
        cell(row.differences.iter().map(|it| (*it).to_owned()).collect(), "none known"),
    )
}
