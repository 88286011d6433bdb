//! [`Error`] and [`ErrorKind`].

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a statement was refused, or what a database said with its values removed.
///
/// `Display` names the construct and the way out. It never holds SQL text, bound values or row data; the only words
/// taken from a statement are names of tables, columns and functions.
///
/// Inside sea-orm the error travels in a [`DbErr`]; [`Error::of`] finds it again.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    construct: Cow<'static, str>,
    hint: Cow<'static, str>,
}

/// The category of an [`Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text could not be read as one statement of the connection's dialect.
    Unparsable,
    /// The statement is too long, too deeply nested or too long a chain of operators.
    TooComplex,
    /// A kind of statement that is never scoped: DDL, COPY, SET, transaction control and so on.
    StatementNotAllowed,
    /// A construct inside an allowed statement whose scoping is not certain.
    ConstructNotAllowed,
    /// A table, view or schema that the policy does not know.
    UnknownTable,
    /// A write to a global table that was not declared writable.
    ReadOnlyTable,
    /// A function that is not on the allow-list.
    FunctionNotAllowed,
    /// A predicate that may fail on, and so tell about, another tenant's rows.
    LeakyPredicate,
    /// A row or value that belongs to another tenant.
    ForeignTenant,
    /// An attempt to change the tenant column.
    TenantColumn,
    /// An upsert whose conflict target does not keep tenants apart.
    ConflictTarget,
    /// The number or the form of bound parameters does not fit the text.
    Parameters,
    /// The policy contradicts itself or does not fit the tenant.
    Policy,
    /// The tenant is not active any more.
    Inactive,
    /// Unscoped access was asked for without the right to it.
    Unscoped,
    /// The tenant's rows are not where this connection reaches: its schema, shard or database is unknown.
    Placement,
    /// A connection that is in no state to serve, such as one whose last operation was interrupted.
    Connection,
    /// A database error; its values have been removed.
    Database,
    /// An operation over many tenants ran out of time.
    TimedOut,
    /// A database that the service's configuration does not name.
    UnknownDatabase,
    /// A database that could not be connected to.
    Unavailable,
    /// No connection was free in time, or too many requests wait for one.
    Exhausted,
}

impl ErrorKind {
    /// Returns the kind's name in `snake_case`, as logs and the `rewrite` example print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unparsable => "unparsable",
            Self::TooComplex => "too_complex",
            Self::StatementNotAllowed => "statement_not_allowed",
            Self::ConstructNotAllowed => "construct_not_allowed",
            Self::UnknownTable => "unknown_table",
            Self::ReadOnlyTable => "read_only_table",
            Self::FunctionNotAllowed => "function_not_allowed",
            Self::LeakyPredicate => "leaky_predicate",
            Self::ForeignTenant => "foreign_tenant",
            Self::TenantColumn => "tenant_column",
            Self::ConflictTarget => "conflict_target",
            Self::Parameters => "parameters",
            Self::Policy => "policy",
            Self::Inactive => "inactive",
            Self::Unscoped => "unscoped",
            Self::Placement => "placement",
            Self::Connection => "connection",
            Self::Database => "database",
            Self::TimedOut => "timed_out",
            Self::UnknownDatabase => "unknown_database",
            Self::Unavailable => "unavailable",
            Self::Exhausted => "exhausted",
        }
    }
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        construct: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Arc::new(Inner { kind, construct: construct.into(), hint: hint.into() }))
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the construct that was refused, such as `TRUNCATE` or `table "invoices"`.
    pub fn construct(&self) -> &str {
        &self.0.construct
    }

    /// Returns what to do instead.
    pub fn hint(&self) -> &str {
        &self.0.hint
    }

    /// Finds the refusal that `error` carries, if this crate made it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sea_orm::DbErr;
    /// use tenancy_seaorm::Error;
    ///
    /// assert!(Error::of(&DbErr::RecordNotUpdated).is_none());
    /// ```
    pub fn of(error: &DbErr) -> Option<&Self> {
        let (DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime)) = error else {
            return None;
        };
        let RuntimeErr::SqlxError(error) = runtime else { return None };
        match &**error {
            sqlx::Error::Configuration(source) => source.downcast_ref(),
            _ => None,
        }
    }
}

/// A refused statement reaches callers as [`DbErr::Query`]; [`Error::of`] gives the typed error back.
impl From<Error> for DbErr {
    fn from(error: Error) -> Self {
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Configuration(Box::new(error)))))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.construct, self.0.hint)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("construct", &self.0.construct)
            .field("hint", &self.0.hint)
            .finish()
    }
}

impl StdError for Error {}

/// Names from a statement are shown, but never more of them than a name holds.
pub(crate) fn shown(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$' | ' '))
        .take(64)
        .collect()
}
