//! Where things are.

use std::path::{Path, PathBuf};

/// The folders that this crate reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// The workspace.
    pub root: PathBuf,
    /// This crate: plug-in, samples.
    pub source: PathBuf,
    /// `target/local`: everything that `local` makes.
    pub state: PathBuf,
}

impl Paths {
    /// Those of the workspace in which this crate was compiled.
    pub fn new() -> Self {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = source.parent().map_or_else(|| source.clone(), Path::to_path_buf);
        let state = root.join("target").join("local");
        Self { root, source, state }
    }

    /// The virtual environment of an emulator; all its instances share it.
    pub fn venv(&self, emulator: &str) -> PathBuf {
        self.state.join(format!("venv-{emulator}"))
    }

    /// The folder of one running emulator.
    pub fn instance(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}
