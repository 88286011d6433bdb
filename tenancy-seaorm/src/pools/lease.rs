//! [`PooledDatabase`]: a connection to a tenant's database, for as long as it is held.

use std::fmt;
use std::sync::Arc;

use sea_orm::DatabaseConnection;
use tenancy_core::TenantContext;

use super::desk::Lease;
use super::target::{Target, TargetKind};
use super::unit::Connections;
use crate::error::{Error, ErrorKind};

/// One connection to the database that a tenant's rows are in, held until the last clone of this is dropped.
///
/// Hold it for a request or a job, not longer: it is one of the budget's connections, and its tenant may hold few.
///
/// It is one connection. While a transaction is open on it, statements beside the transaction wait for it; run them in
/// the transaction. A clone shares the connection.
#[derive(Clone)]
pub struct PooledDatabase {
    lease: Arc<Lease<Connections>>,
    context: TenantContext,
}

impl PooledDatabase {
    pub(super) fn new(lease: Lease<Connections>, context: TenantContext) -> Self {
        Self { lease: Arc::new(lease), context }
    }

    /// Returns whose rows the connection was leased for.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// Returns which configured database it leads to.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.lease.key()
    }

    /// Returns sea-orm's own connection, if the database is the tenant's own: everything in it is this tenant's.
    ///
    /// Do not keep a clone of it: what is done through one after the lease has ended waits for, or is done beside, the
    /// next holder's work, and fails once the connection is closed.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unscoped`] for a database that many tenants share, and [`ErrorKind::Inactive`] if the
    /// tenant is no longer active.
    pub fn dedicated(&self) -> Result<&DatabaseConnection, Error> {
        if self.target().kind() != TargetKind::Own {
            let hint = "other tenants' rows are in it; use a connection that is scoped";
            return Err(Error::new(ErrorKind::Unscoped, "a shared database", hint));
        }
        require_active(&self.context)?;
        Ok(self.db())
    }

    /// The raw connection, for what scopes it.
    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.lease.unit().db
    }
}

impl fmt::Debug for PooledDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledDatabase")
            .field("tenant", self.context.id())
            .field("target", self.target())
            .finish_non_exhaustive()
    }
}

pub(super) fn require_active(context: &TenantContext) -> Result<(), Error> {
    if context.is_still_active() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Inactive, "the tenant", "it is not active, and nothing may run for it"))
}
