//! Writes `OPERATIONS.md` from the table.

fn main() -> std::io::Result<()> {
    std::fs::write(conformance::page::PATH, conformance::page::page())
}
