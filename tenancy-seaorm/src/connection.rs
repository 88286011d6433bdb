//! [`TenantConnection`]: a connection, or a transaction, that sees one tenant.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement,
    StatementBuilder, StreamTrait, TransactionError, TransactionOptions, TransactionSession,
    TransactionTrait,
};
use tenancy_core::TenantContext;

use crate::conduit::{Conduit, Link, Rows, Unit};
use crate::error::{Error, ErrorKind};
use crate::schema::SchemaName;
use crate::scrub::scrub;
use crate::stream::TenantStream;
use crate::value::TenantValue;

/// A sea-orm connection whose every statement is limited to one tenant, or refused.
///
/// It goes where `&DatabaseConnection` or `&DatabaseTransaction` went, wherever the tenant's rows are: in shared
/// tables, in a schema or in a database of its own. Behind it is a pool, one pinned connection, or a transaction.
#[derive(Clone)]
pub struct TenantConnection<C = Link> {
    inner: C,
    context: TenantContext,
    /// What unqualified names of the tenant's tables are qualified with.
    schema: Option<SchemaName>,
    /// Whether the tenant's rows are where `inner` reaches.
    placed: bool,
}

/// A transaction, or a savepoint in one, that sees one tenant.
pub type TenantTransaction = TenantConnection<Unit>;

/// A [`TenantConnection`] whose statements all run on one connection, which was told the tenant once.
///
/// Dropped, the connection waits for the tenant's next session, if it is known to be clean; see
/// [`Tenancy::session`](crate::Tenancy::session).
pub type TenantSession = TenantConnection;

impl<C> TenantConnection<C> {
    #[inline]
    pub(crate) fn new(inner: C, context: TenantContext) -> Self {
        Self { inner, context, schema: None, placed: true }
    }

    #[cfg(feature = "postgres")]
    #[must_use]
    pub(crate) fn within_schema(self, schema: Option<SchemaName>) -> Self {
        Self { schema, ..self }
    }

    #[must_use]
    pub(crate) fn misplaced(mut self) -> Self {
        self.placed = false;
        self
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn inner(&self) -> &C {
        &self.inner
    }

    /// Nothing runs for a tenant that is not active, or whose rows are elsewhere.
    fn serves(&self) -> Result<(), Error> {
        if !self.context.is_still_active() {
            return Err(inactive());
        }
        if !self.placed {
            return Err(crate::tenancy::elsewhere());
        }
        Ok(())
    }

    fn within<T>(&self, inner: T) -> TenantConnection<T> {
        TenantConnection {
            inner,
            context: self.context.clone(),
            schema: self.schema.clone(),
            placed: self.placed,
        }
    }
}

impl<C: Conduit> TenantConnection<C> {
    /// Where the statement stands: it is moved as seldom as can be.
    fn scope(&self, statement: &mut Statement) -> Result<(), Error> {
        self.serves()?;
        let values = &mut statement.values.get_or_insert_with(|| sea_orm::Values(Vec::new())).0;
        let tenant = TenantValue::of(&self.context);
        let rewriter = self.inner.rewriter().ok_or_else(lawless)?;
        rewriter.rewrite_in(&mut statement.sql, values, &tenant, self.schema.as_ref())
    }
}

/// Whoever makes a tenant's connection gives it a rewriter; should that be forgotten, nothing runs.
fn lawless() -> Error {
    Error::new(ErrorKind::Policy, "a connection without a policy", "nothing is known of its tables")
}

pub(crate) fn inactive() -> Error {
    Error::new(ErrorKind::Inactive, "the tenant", "it is not active, and nothing may run for it")
}

impl<C> fmt::Debug for TenantConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantConnection").field("tenant", self.context.id()).finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Conduit> ConnectionTrait for TenantConnection<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.backend()
    }

    async fn execute_raw(&self, mut statement: Statement) -> Result<ExecResult, DbErr> {
        self.scope(&mut statement)?;
        self.inner.execute(statement).await.map_err(scrub)
    }

    async fn execute<S: StatementBuilder>(&self, statement: &S) -> Result<ExecResult, DbErr> {
        let mut statement = self.inner.backend().build(statement);
        self.scope(&mut statement)?;
        self.inner.execute(statement).await.map_err(scrub)
    }

    /// Runs one statement. It is prepared, because a tenant can only be bound to a prepared statement.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut statement = Statement::from_string(self.inner.backend(), sql);
        self.scope(&mut statement)?;
        self.inner.execute(statement).await.map_err(scrub)
    }

    async fn query_one_raw(&self, mut statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.scope(&mut statement)?;
        self.inner.query_one(statement).await.map_err(scrub)
    }

    async fn query_one<S: StatementBuilder>(&self, statement: &S) -> Result<Option<QueryResult>, DbErr> {
        let mut statement = self.inner.backend().build(statement);
        self.scope(&mut statement)?;
        self.inner.query_one(statement).await.map_err(scrub)
    }

    async fn query_all_raw(&self, mut statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.scope(&mut statement)?;
        self.inner.query_all(statement).await.map_err(scrub)
    }

    async fn query_all<S: StatementBuilder>(&self, statement: &S) -> Result<Vec<QueryResult>, DbErr> {
        let mut statement = self.inner.backend().build(statement);
        self.scope(&mut statement)?;
        self.inner.query_all(statement).await.map_err(scrub)
    }

    fn support_returning(&self) -> bool {
        self.inner.support_returning()
    }

    fn is_mock_connection(&self) -> bool {
        self.inner.is_mock()
    }
}

impl<C: Conduit> StreamTrait for TenantConnection<C> {
    type Stream<'a>
        = TenantStream<Rows<'a>>
    where
        Self: 'a;

    fn get_database_backend(&self) -> DbBackend {
        self.inner.backend()
    }

    fn stream_raw<'a>(
        &'a self,
        mut statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
        Box::pin(async move {
            self.scope(&mut statement)?;
            Ok(TenantStream::new(self.inner.rows(statement).await.map_err(scrub)?))
        })
    }
}

#[async_trait]
impl<C: Conduit> TransactionTrait for TenantConnection<C> {
    type Transaction = TenantTransaction;

    /// Begins a transaction. PostgreSQL is told the tenant in the same message: row-level security, where it is in
    /// force, is the second wall of every transaction without another round trip.
    async fn begin(&self) -> Result<Self::Transaction, DbErr> {
        self.begin_with_options(TransactionOptions::default()).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self::Transaction, DbErr> {
        let options = TransactionOptions { isolation_level, access_mode, ..TransactionOptions::default() };
        self.begin_with_options(options).await
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self::Transaction, DbErr> {
        self.serves()?;
        Ok(self.within(self.inner.begin(options).await.map_err(scrub)?))
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self::Transaction) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let transaction = self.begin().await.map_err(TransactionError::Connection)?;
        let result = callback(&transaction).await;
        finish(transaction, result).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Self::Transaction) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>
            + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let begun = self.begin_with_config(isolation_level, access_mode).await;
        let transaction = begun.map_err(TransactionError::Connection)?;
        let result = callback(&transaction).await;
        finish(transaction, result).await
    }
}

impl<C: Conduit> TenantConnection<C> {
    /// Runs `callback` in a transaction, which is committed if it returns `Ok` and rolled back otherwise.
    ///
    /// # Errors
    ///
    /// Returns the callback's error, or that of the transaction itself.
    pub async fn transaction_async<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c TenantTransaction) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let transaction = self.begin().await.map_err(TransactionError::Connection)?;
        let result = callback(&transaction).await;
        finish(transaction, result).await
    }

    /// Runs `callback` in a transaction of the given isolation level and access mode.
    ///
    /// # Errors
    ///
    /// Returns the callback's error, or that of the transaction itself.
    pub async fn transaction_with_config_async<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c TenantTransaction) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let begun = self.begin_with_config(isolation_level, access_mode).await;
        let transaction = begun.map_err(TransactionError::Connection)?;
        let result = callback(&transaction).await;
        finish(transaction, result).await
    }
}

async fn finish<S, T, E>(transaction: S, result: Result<T, E>) -> Result<T, TransactionError<E>>
where
    S: TransactionSession,
    E: fmt::Display + fmt::Debug,
{
    match result {
        Ok(value) => {
            transaction.commit().await.map_err(TransactionError::Connection)?;
            Ok(value)
        }
        Err(error) => {
            transaction.rollback().await.map_err(TransactionError::Connection)?;
            Err(TransactionError::Transaction(error))
        }
    }
}

#[async_trait]
impl TransactionSession for TenantTransaction {
    async fn commit(self) -> Result<(), DbErr> {
        self.inner.commit().await.map_err(scrub)
    }

    async fn rollback(self) -> Result<(), DbErr> {
        self.inner.rollback().await.map_err(scrub)
    }
}

/// So that `transaction.commit()` needs no trait in scope, as with sea-orm's own transaction.
impl TenantTransaction {
    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// Returns the database's error, without its values.
    pub async fn commit(self) -> Result<(), DbErr> {
        TransactionSession::commit(self).await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    ///
    /// Returns the database's error, without its values.
    pub async fn rollback(self) -> Result<(), DbErr> {
        TransactionSession::rollback(self).await
    }
}
