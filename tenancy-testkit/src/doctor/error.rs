//! What can keep the doctor from examining.

use std::{error::Error as StdError, fmt};

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why a database could not be examined; [`kind`](Self::kind) says which of a few things happened.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

/// What happened, in the terms in which a caller can react.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The declarations could not be read, or declare nothing.
    Declarations,
    /// The baseline could not be read or written.
    Baseline,
    /// The database could not be connected to.
    Connection,
    /// There is no role of this name.
    UnknownRole,
    /// The connection's role bypasses row-level security and no other role was named to be examined (KIT-03).
    PowerfulRole,
    /// The server did not answer a question.
    Server,
}

impl Error {
    /// Returns what happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The server's message alone: its detail may hold values, and the statement is the doctor's own.
    pub(crate) fn server(doing: &str, error: sqlx::Error) -> Self {
        Self::sqlx(ErrorKind::Server, doing, error)
    }

    pub(crate) fn connection(error: sqlx::Error) -> Self {
        Self::sqlx(ErrorKind::Connection, "the database could not be connected to", error)
    }

    fn sqlx(kind: ErrorKind, doing: &str, error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::new(kind, doing).with_source(error.message().to_owned()),
            // It may repeat the URL, and with it the password.
            sqlx::Error::Configuration(_) => Self::new(kind, "the URL is not a PostgreSQL URL"),
            other => Self::new(kind, doing).with_source(other),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    // A test that returns it prints this: the whole chain in one readable line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
