//! Database errors without the values in them.
//!
//! A database's messages quote rows: `Key (email)=(x@y.z) already exists`. Such a row may be another tenant's, and
//! the message ends up in responses, logs and traces.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use sea_orm::sqlx::error::{DatabaseError, ErrorKind as Category};
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// A database's error, of which only the code is shown.
///
/// It stands in a [`DbErr`] where sqlx's own error stood; [`DbErr::sql_err`] works as before. [`DatabaseFault::of`]
/// finds it, and [`DatabaseFault::unscrubbed`] gives the original for a log that tenants cannot read.
pub struct DatabaseFault {
    original: Box<dyn DatabaseError>,
    message: String,
}

impl DatabaseFault {
    /// Finds the database's error that `error` carries, if it came through a tenant's connection.
    pub fn of(error: &DbErr) -> Option<&Self> {
        let (DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime)) = error else {
            return None;
        };
        let RuntimeErr::SqlxError(error) = runtime else { return None };
        let sqlx::Error::Database(error) = &**error else { return None };
        let error: &dyn StdError = error.as_ref();
        error.downcast_ref()
    }

    /// Returns the original, with values that may be another tenant's.
    pub fn unscrubbed(&self) -> &dyn DatabaseError {
        self.original.as_ref()
    }

    fn new(original: Box<dyn DatabaseError>) -> Self {
        let what = match original.kind() {
            Category::UniqueViolation => "a unique key is taken",
            Category::ForeignKeyViolation => "a foreign key does not match",
            Category::NotNullViolation => "a required value is missing",
            Category::CheckViolation => "a check constraint failed",
            _ => "the database refused the statement",
        };
        let message = match original.code() {
            Some(code) if code.len() <= 8 => format!("{what} ({code})"),
            _ => what.to_owned(),
        };
        Self { original, message }
    }
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseFault").field(&self.message).finish()
    }
}

impl StdError for DatabaseFault {}

impl DatabaseError for DatabaseFault {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.original.code()
    }

    /// sea-orm tells unique violations by the driver's own error type, and reads only the code and number from it.
    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.original.as_error()
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self.original.as_error_mut()
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn is_transient_in_connect_phase(&self) -> bool {
        self.original.is_transient_in_connect_phase()
    }

    fn kind(&self) -> Category {
        self.original.kind()
    }
}

/// Takes the values out of a database's error.
pub(crate) fn scrub(error: DbErr) -> DbErr {
    match error {
        DbErr::Conn(runtime) => DbErr::Conn(scrub_runtime(runtime)),
        DbErr::Exec(runtime) => DbErr::Exec(scrub_runtime(runtime)),
        DbErr::Query(runtime) => DbErr::Query(scrub_runtime(runtime)),
        other => other,
    }
}

fn scrub_runtime(error: RuntimeErr) -> RuntimeErr {
    let RuntimeErr::SqlxError(error) = error else { return error };
    if !matches!(*error, sqlx::Error::Database(_)) {
        return RuntimeErr::SqlxError(error);
    }
    match Arc::try_unwrap(error) {
        Ok(sqlx::Error::Database(original)) => {
            let fault = Box::new(DatabaseFault::new(original));
            RuntimeErr::SqlxError(Arc::new(sqlx::Error::Database(fault)))
        }
        Ok(other) => RuntimeErr::SqlxError(Arc::new(other)),
        // Somebody else holds the original, which cannot be wrapped then: only the fact remains.
        Err(_) => RuntimeErr::Internal("the database refused the statement".to_owned()),
    }
}
