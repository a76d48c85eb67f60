//! Where the crate finds its sources and puts what it makes.

use std::path::{Path, PathBuf};

/// The folders that this crate reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    /// The root of the workspace.
    pub root: PathBuf,
    /// This crate's folder: plug-in, samples, requirements.
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

    /// The packages of a virtual environment: exact versions with their hashes.
    pub fn requirements(&self, name: &str) -> PathBuf {
        self.source.join("requirements").join(format!("{name}.txt"))
    }

    /// The folder of one running emulator.
    pub fn instance(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}
