//! A transaction without any scope.

use std::fmt;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use super::{Capability, audit};
use crate::conduit::Unit;
use crate::plain::Plain;
use crate::tenancy::Tenancy;

/// A transaction that sees every tenant's rows. Dropped, it is rolled back.
pub struct UnscopedTransaction(Plain<Unit>);

/// Begins a transaction without any scope, for what `reason` says.
///
/// Unlike [`unscoped`](super::unscoped), it also serves behind a pooler in transaction mode that was stated with
/// [`Tenancy::behind_transaction_pooler`]: there, none of its statements is prepared by name.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`](crate::ErrorKind::Unscoped) if `capability` is another tenancy's, or if `reason` is
/// empty; the database's error if no transaction can be begun.
///
/// # Examples
///
/// ```no_run
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use sea_orm::ConnectionTrait;
/// use tenancy_seaorm::{Policy, Tenancy, danger};
///
/// let (tenancy, capability) = Tenancy::with_capability(db, Policy::builder().build()?)?;
/// let tenancy = tenancy.behind_transaction_pooler();
/// let all = danger::unscoped_transaction(&tenancy, &capability, "nightly billing roll-up").await?;
/// all.execute_unprepared("DELETE FROM expired_sessions").await?;
/// all.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn unscoped_transaction(
    tenancy: &Tenancy,
    capability: &Capability,
    reason: &'static str,
) -> Result<UnscopedTransaction, DbErr> {
    audit(tenancy, capability, "unscoped transaction", reason)?;
    Ok(UnscopedTransaction(tenancy.plain().begin().await?))
}

impl UnscopedTransaction {
    /// Commits it.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.0.commit().await
    }

    /// Rolls it back.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.0.rollback().await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for UnscopedTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all_raw(statement).await
    }

    fn support_returning(&self) -> bool {
        self.0.support_returning()
    }
}

impl fmt::Debug for UnscopedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnscopedTransaction")
    }
}
