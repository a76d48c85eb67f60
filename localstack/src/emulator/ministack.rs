//! MiniStack, from PyPI, in a virtual environment of the project's own.

use std::path::PathBuf;

use anyhow::Result;

use super::{Program, python, scratch};
use crate::paths::Paths;

/// Installs MiniStack unless it is there; returns the Python that has it.
pub(super) fn install(paths: &Paths, say: fn(&str)) -> Result<PathBuf> {
    python::environment(&paths.venv("ministack"), &[paths.requirements("ministack")], None, say)
}

pub(super) fn program(paths: &Paths, say: fn(&str)) -> Result<Program> {
    Ok(Program {
        command: vec![install(paths, say)?.into(), "-m".into(), "ministack".into()],
        environment: Vec::new(),
        per_instance: |port, folder| {
            vec![
                ("GATEWAY_PORT", port.to_string().into()),
                ("BIND_HOST", "127.0.0.1".into()),
                // Addresses that it hands out (queue URLs) must be those at which it listens.
                ("MINISTACK_HOST", "127.0.0.1".into()),
                ("TMPDIR", scratch(folder).into()),
            ]
        },
    })
}
