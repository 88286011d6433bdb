//! A session's connection without any scope.

use sea_orm::DbErr;

use super::{Capability, audit};
use crate::conduit::Conduit;
use crate::connection::TenantSession;
use crate::error::{Error, ErrorKind};
use crate::tenancy::Tenancy;

/// A session's connection without any scope, for as long as the session is borrowed.
#[derive(Debug)]
pub struct UnscopedSession<'a>(&'a TenantSession);

/// Returns `session`'s connection without any scope, for what `reason` says: an advisory lock, or a temporary table.
///
/// The connection is closed when the session ends, whatever was done with it: nobody can know what it was.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`] if `capability` is another tenancy's, or if `reason` is empty, or if `session` is
/// not one that [`Tenancy::session`] gave.
pub async fn unscoped_session<'a>(
    tenancy: &Tenancy,
    capability: &Capability,
    session: &'a TenantSession,
    reason: &'static str,
) -> Result<UnscopedSession<'a>, DbErr> {
    audit(tenancy, capability, "unscoped session", reason)?;
    let Some(pinned) = session.inner().pinned() else {
        return Err(Error::new(ErrorKind::Unscoped, "a connection of the pool", "take a session").into());
    };
    pinned.taint().await?;
    Ok(UnscopedSession(session))
}

#[async_trait::async_trait]
impl sea_orm::ConnectionTrait for UnscopedSession<'_> {
    fn get_database_backend(&self) -> sea_orm::DbBackend {
        sea_orm::DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: sea_orm::Statement) -> Result<sea_orm::ExecResult, DbErr> {
        self.0.inner().execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<sea_orm::ExecResult, DbErr> {
        self.execute_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)).await
    }

    async fn query_one_raw(
        &self,
        statement: sea_orm::Statement,
    ) -> Result<Option<sea_orm::QueryResult>, DbErr> {
        self.0.inner().query_one(statement).await
    }

    async fn query_all_raw(&self, statement: sea_orm::Statement) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
        self.0.inner().query_all(statement).await
    }
}
