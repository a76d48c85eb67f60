//! Printing to a reader that may go away at any time (`local logs | head`), and errors in words.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stderr, stdout};

use anyhow::{Context, Result};

/// What a shell reports of a program that a closed pipe has ended: 128 and the number of SIGPIPE.
pub const CLOSED_PIPE: u8 = 141;

/// Nobody reads standard output any more. The command ends without a message.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct Closed;

/// Writes to standard output at once.
///
/// # Errors
/// [`Closed`] when its reader is gone.
pub fn print(text: Arguments<'_>) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Closed.into()),
        written => written.context("cannot print"),
    }
}

/// `println!` with an error, where that one would panic.
#[macro_export]
macro_rules! outln {
    ($($format:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($format)*))) };
}
pub use outln;

/// Writes a line to standard error. Nothing is done about a reader that is gone: there is nobody to tell.
pub fn report(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// An error with its causes. Errors of the SDKs repeat the words of their cause: each is said once.
#[must_use]
pub fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !words.ends_with(&cause) {
            words = if words.is_empty() { cause } else { format!("{words}: {cause}") };
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_its_cause_says_once() {
        let cause = anyhow::anyhow!("NotFound: no such pipeline");
        let error = cause.context("NotFound: no such pipeline").context("service error").context("cannot read it");
        assert_eq!(words(&error), "cannot read it: service error: NotFound: no such pipeline");
    }
}
