//! Sessions of tenants.

use sea_orm::DbErr;
use tenancy_core::TenantContext;

use super::place::Place;
use super::{Tenancy, elsewhere};
use crate::conduit::{Link, LinkKind};
use crate::connection::{TenantConnection, TenantSession, inactive};
use crate::error::{Error, ErrorKind};
use crate::schema::SchemaName;
use crate::session::SessionStats;
use crate::wire::{Pinned, Settings};

impl Tenancy {
    /// Returns a connection that is pinned for one request or job: told once who the tenant is, and where its tables
    /// are, and good for any number of statements and transactions.
    ///
    /// A tenant gets the connection that it had before when that is free, without a round trip; another one takes one.
    /// Dropped, the connection waits for the tenant's next session. One that is not known to be clean (a future was
    /// dropped before the server had answered, a task panicked, statements ran past the scope) is closed and never
    /// used again; one whose last statement failed, or whose transaction was left open, is cleaned first.
    ///
    /// Statements run one at a time. While a transaction is open on it, the session itself refuses statements.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`](crate::ErrorKind::Placement) if the tenant's rows are elsewhere or its schema
    /// does not exist; [`ErrorKind::Inactive`](crate::ErrorKind::Inactive) if the tenant is not active;
    /// [`ErrorKind::Connection`](crate::ErrorKind::Connection) if there is a pooler in transaction mode, or if the
    /// database is not PostgreSQL; sea-orm's own errors if no connection is to be had.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tenancy: tenancy_seaorm::Tenancy, context: tenancy_core::TenantContext) -> Result<(), sea_orm::DbErr> {
    /// use sea_orm::{ConnectionTrait, TransactionTrait};
    ///
    /// let session = tenancy.session(&context).await?;
    /// session.execute_unprepared("UPDATE orders SET total = 0").await?;
    /// let transaction = session.begin().await?;
    /// transaction.execute_unprepared("DELETE FROM orders WHERE total = 0").await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session(&self, context: &TenantContext) -> Result<TenantSession, DbErr> {
        self.session_at(context, Place::on_the_default_server(context).ok_or_else(elsewhere)?).await
    }

    pub(crate) async fn session_at(
        &self,
        context: &TenantContext,
        place: Place<'_>,
    ) -> Result<TenantSession, DbErr> {
        if !context.is_still_active() {
            return Err(inactive().into());
        }
        self.pinned(context, place).await
    }

    pub(super) async fn pinned(
        &self,
        context: &TenantContext,
        place: Place<'_>,
    ) -> Result<TenantSession, DbErr> {
        let shelf = self.shelf.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Connection, "a session", "sessions need PostgreSQL; use Tenancy::tenant")
        })?;
        if self.pooler {
            return Err(crate::session::pooled("a session").into());
        }
        let (settings, way) = match place {
            Place::Row => (Settings::of(context), &self.rows),
            Place::Schema(schema) => {
                (self.schema_settings(context, SchemaName::new(schema)?), &self.schemas.way)
            }
        };
        let schema = settings.schema.clone();
        let pinned = Pinned::new(shelf.take(settings).await.map_err(crate::scrub::scrub)?, 0);
        let connection = TenantConnection::new(Link::new(way, LinkKind::Pinned(pinned)), context.clone());
        Ok(connection.within_schema(schema))
    }

    /// Returns what sessions cost so far, or `None` where there are none: sessions need PostgreSQL.
    #[must_use]
    pub fn session_stats(&self) -> Option<SessionStats> {
        self.shelf.as_ref().map(|shelf| shelf.stats())
    }
}
