//! Printing to a reader that may go away at any time: `local logs | head`.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stdout};

use anyhow::{Context, Result};

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
macro_rules! outln {
    ($($format:tt)*) => { $crate::output::print(format_args!("{}\n", format_args!($($format)*))) };
}
pub(crate) use outln;
