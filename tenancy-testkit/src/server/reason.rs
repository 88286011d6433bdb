//! Why one step towards a server failed.

use std::{error::Error as StdError, fmt};

/// A reason in words, for the list of rungs that failed: without statements, values or credentials.
pub(crate) struct Reason(String);

impl Reason {
    /// Says what was being done when `error` came.
    pub(crate) fn new(doing: &str, error: impl fmt::Display) -> Self {
        Self(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Reason {}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<crate::Error> for Reason {
    fn from(error: crate::Error) -> Self {
        // `Debug` of the crate's error is its whole chain in one line.
        Self(format!("{error:?}"))
    }
}

#[cfg(feature = "redis")]
impl From<redis::RedisError> for Reason {
    fn from(error: redis::RedisError) -> Self {
        Self(error.to_string())
    }
}

impl From<sqlx::Error> for Reason {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self(format!("the server says: {}", error.message())),
            other => Self(other.to_string()),
        }
    }
}
