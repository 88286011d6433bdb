//! The gate's error.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

/// What kept the gate from an answer, as a closed question a program can ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file is not there, or not what it should be.
    Unreadable,
    /// A file could not be written.
    Unwritable,
    /// The budgets contradict themselves, or ask for what does not exist.
    InvalidBudget,
    /// A bench program did not do what it was asked.
    BenchFailed,
    /// A plot could not be drawn.
    PlotFailed,
}

/// Why the gate has no answer: it then says so (exit code 2) instead of passing.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    reason: String,
    path: Option<PathBuf>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

type Source = Box<dyn StdError + Send + Sync>;

impl Error {
    /// Returns the error that `reason`, a lowercase fragment, describes: for programs that drive the gate.
    #[must_use]
    pub fn failed(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self::new(kind, reason)
    }

    pub(super) fn new(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), path: None, source: None }
    }

    pub(super) fn unreadable(path: &Path, source: impl Into<Source>) -> Self {
        let error = Self::new(ErrorKind::Unreadable, "a file could not be read");
        Self { path: Some(path.to_owned()), source: Some(source.into()), ..error }
    }

    pub(super) fn unwritable(path: &Path, source: impl Into<Source>) -> Self {
        let error = Self::new(ErrorKind::Unwritable, "a file could not be written");
        Self { path: Some(path.to_owned()), source: Some(source.into()), ..error }
    }

    pub(super) fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.path {
            Some(path) => write!(f, ": {}", path.display()),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
