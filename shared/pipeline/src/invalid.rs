//! What is wrong with a declaration: every violation, each with its place and the exception AWS answers with.

use std::fmt;

/// The exception of the CodePipeline API to which a violation belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `ValidationException`: a value breaks a constraint of its shape, or the artifact stores do not fit the regions.
    Validation,
    /// `InvalidStructureException`: the pipeline as a whole.
    InvalidStructure,
    /// `InvalidStageDeclarationException`: something in one stage.
    InvalidStageDeclaration,
    /// `InvalidActionDeclarationException`: something in one action.
    InvalidActionDeclaration,
}

impl Kind {
    /// The exception's name on the wire.
    pub fn exception(self) -> &'static str {
        match self {
            Self::Validation => "ValidationException",
            Self::InvalidStructure => "InvalidStructureException",
            Self::InvalidStageDeclaration => "InvalidStageDeclarationException",
            Self::InvalidActionDeclaration => "InvalidActionDeclarationException",
        }
    }
}

/// One broken rule. Never holds the value of a configuration key, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, in the notation of AWS's own messages, which counts from 1:
    /// `pipeline.stages.2.member.actions.1.member.runOrder`.
    pub path: String,
    /// The exception that AWS answers with.
    pub kind: Kind,
    /// What is wrong, in AWS's words where they are known.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (at {})", self.kind.exception(), self.message, self.path)
    }
}

/// Everything that is wrong with a declaration; at least one violation, in the order in which AWS looks:
/// shapes first, then structure, stages, actions, artifacts, stores and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    first: Violation,
    rest: Vec<Violation>,
}

impl Invalid {
    /// None when there is nothing to report.
    pub(crate) fn new(found: Vec<Violation>) -> Option<Self> {
        let mut found = found.into_iter();
        found.next().map(|first| Self { first, rest: found.collect() })
    }

    /// The violation that the API reports.
    pub fn first(&self) -> &Violation {
        &self.first
    }

    /// All of them, the first included.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl From<Violation> for Invalid {
    fn from(first: Violation) -> Self {
        Self { first, rest: Vec::new() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for violation in &self.rest {
            write!(f, "\n{violation}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
