//! What can go wrong while a test asks for a server or a database.

use std::{error::Error as StdError, fmt};

use crate::server::Rung;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// The one error of this crate; [`kind`](Self::kind) says which of a few things happened.
pub struct Error {
    kind: ErrorKind,
    message: String,
    rungs: Vec<RungFailure>,
    source: Option<Source>,
}

/// What happened, in the terms in which a caller can react.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting (an environment variable, an option) does not make sense.
    Configuration,
    /// No rung of the ladder gave a server; [`Error::rungs`] says why for each.
    NoServer,
    /// The server is there but refused or failed an operation.
    Server,
    /// The caller's own migration of a template database failed; it is the error's source.
    Migration,
    /// The application role may do more than an application may: a test on it would prove nothing.
    PowerfulRole,
    /// The files that the test processes of one run share could not be read or written.
    State,
    /// The service under test did not start, or one of the hooks of its description failed.
    Start,
    /// The access matrix is not the one that was checked in.
    Matrix,
    /// The search cannot vouch for what it did not find: a planted leak was not seen, or an operation was never exercised.
    Void,
}

/// Why one rung of the ladder gave no server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RungFailure {
    /// The rung that was tried.
    pub rung: Rung,
    /// Why it gave nothing: a lowercase fragment, without credentials.
    pub reason: String,
}

impl fmt::Display for RungFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rung, self.reason)
    }
}

impl Error {
    /// Returns what happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns why each rung of the ladder failed, in the order in which they were tried.
    ///
    /// Empty unless the kind is [`ErrorKind::NoServer`].
    #[must_use]
    pub fn rungs(&self) -> &[RungFailure] {
        &self.rungs
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), rungs: Vec::new(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn no_server(service: &str, rungs: Vec<RungFailure>) -> Self {
        let message = format!("no rung of the ladder gave a {service} server");
        Self { kind: ErrorKind::NoServer, message, rungs, source: None }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    #[cfg(feature = "check")]
    pub(crate) fn start(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Start, doing).with_source(source)
    }

    pub(crate) fn server(doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Server, doing).with_source(source)
    }

    pub(crate) fn state(doing: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::State, doing).with_source(source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut separator = ": ";
        for rung in &self.rungs {
            write!(f, "{separator}{rung}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    // `#[tokio::test] async fn … -> Result<(), Error>` prints this: the whole chain in one readable line.
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
