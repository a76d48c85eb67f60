//! Running other programs, with errors that repeat their output.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How much of a program's output an error repeats, in lines.
const TAIL: usize = 20;

/// Runs `command` to its end. `what` completes "cannot ...".
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot {what}: `{program}` does not start"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!("cannot {what}: `{program}` {}\n{}", output.status, tail(&String::from_utf8_lossy(&said)));
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_failed_and_what_the_program_said() {
        let error =
            run(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]), "do it").unwrap_err().to_string();
        assert!(error.starts_with("cannot do it: `sh`"), "{error}");
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_tail_is_the_last_lines() {
        let text: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert!(tail(&text).starts_with("80\n") && tail(&text).ends_with("99"));
    }
}
