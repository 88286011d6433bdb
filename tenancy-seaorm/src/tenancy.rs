//! [`Tenancy`]: the one owner of the database connection.

use std::fmt;
use std::sync::Arc;

use sea_orm::{DatabaseConnection, DatabaseConnectionType};
use tenancy_core::TenantContext;

use crate::connection::TenantConnection;
use crate::danger::Capability;
use crate::error::{Error, ErrorKind};
use crate::policy::{Dialect, Policy};
use crate::rewrite::Rewriter;

/// The owner of a database connection, who hands out connections that see one tenant.
///
/// The raw connection is moved in and does not come out again: whoever holds it bypasses everything.
#[derive(Clone)]
pub struct Tenancy {
    db: DatabaseConnection,
    rewriter: Rewriter,
    /// What its capability, if one was made, points to.
    seal: Arc<()>,
}

/// The connection is left out: it knows the database's address.
impl fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenancy").field("dialect", &self.rewriter.dialect()).finish_non_exhaustive()
    }
}

impl Tenancy {
    /// Takes `db`, whose statements are scoped as `policy` says.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the database is of a kind that cannot be scoped,
    /// or not connected.
    pub fn new(db: DatabaseConnection, policy: Policy) -> Result<Self, Error> {
        if matches!(db.inner, DatabaseConnectionType::Disconnected) {
            return Err(Error::new(ErrorKind::Policy, "a connection", "connect to a database first"));
        }
        let dialect = Dialect::of(db.get_database_backend())?;
        Ok(Self { db, rewriter: Rewriter::new(&policy, dialect), seal: Arc::new(()) })
    }

    /// Takes `db` like [`Tenancy::new`], and makes the one capability to go around its scope.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the database is of a kind that cannot be scoped,
    /// or not connected.
    pub fn with_capability(db: DatabaseConnection, policy: Policy) -> Result<(Self, Capability), Error> {
        let tenancy = Self::new(db, policy)?;
        let capability = Capability { seal: Arc::clone(&tenancy.seal) };
        Ok((tenancy, capability))
    }

    /// Returns a connection that sees the rows of `context`'s tenant, and global tables.
    ///
    /// Pass it where `&DatabaseConnection` went before. It refuses every statement once the tenant is no longer active,
    /// and for a tenant whose rows are placed elsewhere than in these shared tables.
    pub fn tenant(&self, context: &TenantContext) -> TenantConnection {
        TenantConnection::new(self.db.clone(), context.clone(), self.rewriter.clone())
    }

    pub(crate) fn granted(&self, capability: &Capability) -> bool {
        Arc::ptr_eq(&self.seal, &capability.seal)
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Returns the rewriter that every connection of this tenancy uses.
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }
}
