//! [`Held`]: a connection that is closed unless somebody says that it is clean.

use std::ops::{Deref, DerefMut};

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{PgConnection, Postgres};

/// A connection outside of its pool. Dropped, it is closed at once, without another byte to the server: what stands
/// in its buffer is not sent, and nobody gets it again.
pub(crate) struct Held(Option<PoolConnection<Postgres>>);

impl Held {
    pub(crate) fn new(conn: PoolConnection<Postgres>) -> Self {
        Self(Some(conn))
    }

    /// Gives the connection back to its pool, which needs a runtime.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect(HELD)
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect(HELD)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(conn.detach());
        }
    }
}

const HELD: &str = "a connection is held until it is dropped or given back";
