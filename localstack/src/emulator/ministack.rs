//! MiniStack, from PyPI, in a virtual environment of the project's own.

use std::path::PathBuf;

use anyhow::Result;

use super::{Program, python, scratch};
use crate::paths::Paths;

/// The file in an instance's folder with what MiniStack allowed and denied.
pub(crate) const DECISIONS: &str = "decisions.jsonl";

/// Installs MiniStack unless it is there; returns the Python that has it.
pub(super) fn install(paths: &Paths, say: fn(&str)) -> Result<PathBuf> {
    python::environment(&paths.venv("ministack"), &[paths.requirements("ministack")], None, say)
}

/// `enforcing`: it checks permissions and writes down what it decided, by a script of ours.
pub(super) fn program(paths: &Paths, enforcing: bool, say: fn(&str)) -> Result<Program> {
    let python = install(paths, say)?.into();
    let script = paths.source.join("ministack/enforcing.py");
    Ok(Program {
        command: if enforcing { vec![python, script.into()] } else { vec![python, "-m".into(), "ministack".into()] },
        environment: vec![("AUTH", enforcing.to_string().into())],
        per_instance: |port, folder| {
            vec![
                ("GATEWAY_PORT", port.to_string().into()),
                ("BIND_HOST", "127.0.0.1".into()),
                // Addresses that it hands out (queue URLs) must be those at which it listens.
                ("MINISTACK_HOST", "127.0.0.1".into()),
                ("TMPDIR", scratch(folder).into()),
                ("DECISIONS", folder.join(DECISIONS).into()),
            ]
        },
    })
}
