//! What whoever brings a stack up may choose.

use std::collections::BTreeMap;

use millrace::output::report;

/// How long an emulator lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until [`crate::down`] stops it, also beyond the end of this process.
    #[default]
    Detached,
    /// As long as the [`crate::Stack`] that started it, or its process if that ends sooner, however it ends.
    UntilExit,
}

/// Options for [`crate::Stack::up`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which instance: emulators of different names know nothing of each other. None is the user's own, on the usual port.
    pub name: Option<String>,
    /// How long the emulator lives, if it has to be started.
    pub lifetime: Lifetime,
    /// Parameters of `infra/home.yaml`, over those that this crate sets.
    pub parameters: BTreeMap<String, String>,
    /// Whether permissions and signatures are checked as on AWS, where the emulator can: see [`crate::Stack::decisions`].
    pub enforcing: bool,
    /// Receives progress messages, a line at a time.
    pub say: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self { name: None, lifetime: Lifetime::Detached, parameters: BTreeMap::new(), enforcing: false, say: report }
    }
}
