//! MiniStack, from PyPI, in a virtual environment of the project's own.

use anyhow::Result;

use super::{Program, python, scratch};
use crate::paths::Paths;

/// Behaviour differs between releases; this one is what the tests have seen.
/// CloudWatch's SDK speaks CBOR, which MiniStack reads with a package that it does not install itself.
const PINS: &[&str] = &["ministack==1.5.33", "cbor2==6.3.0"];

pub(super) fn install(paths: &Paths, say: fn(&str)) -> Result<Program> {
    let python = python::environment(&paths.venv("ministack"), PINS, None, say)?;
    Ok(Program {
        command: vec![python.into(), "-m".into(), "ministack".into()],
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
