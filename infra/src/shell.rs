//! Asking other programs.

use std::process::{Command, Stdio};

/// What `program` prints when asked, or nothing when it is not there or fails.
#[must_use]
pub fn version_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_has_no_version() {
        assert_eq!(version_of("there-is-no-such-program", &[]), None);
    }
}
