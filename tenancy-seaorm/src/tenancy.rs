//! [`Tenancy`]: the one owner of the database connection.

use sea_orm::DatabaseConnection;
use tenancy_core::TenantContext;

use crate::connection::TenantConnection;
use crate::error::Error;
use crate::policy::{Dialect, Policy};
use crate::rewrite::Rewriter;

/// The owner of a database connection, who hands out connections that see one tenant.
///
/// The raw connection is moved in and does not come out again: whoever holds it bypasses everything.
#[derive(Clone, Debug)]
pub struct Tenancy {
    db: DatabaseConnection,
    rewriter: Rewriter,
}

impl Tenancy {
    /// Takes `db`, whose statements are scoped as `policy` says.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the database is of a kind that cannot be scoped.
    pub fn new(db: DatabaseConnection, policy: Policy) -> Result<Self, Error> {
        let dialect = Dialect::of(db.get_database_backend())?;
        Ok(Self { db, rewriter: Rewriter::new(&policy, dialect) })
    }

    /// Returns a connection that sees the rows of `context`'s tenant, and global tables.
    ///
    /// Pass it where `&DatabaseConnection` went before. It refuses every statement once the tenant is no longer active,
    /// and for a tenant whose rows are placed elsewhere than in these shared tables.
    pub fn tenant(&self, context: &TenantContext) -> TenantConnection {
        TenantConnection::new(self.db.clone(), context.clone(), self.rewriter.clone())
    }

    /// Returns the rewriter that every connection of this tenancy uses.
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }
}
