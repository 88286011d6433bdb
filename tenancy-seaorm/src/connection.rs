//! [`TenantConnection`]: a connection, or a transaction, that sees one tenant.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    IsolationLevel, QueryResult, Statement, StatementBuilder, StreamTrait, TransactionError,
    TransactionOptions, TransactionSession, TransactionTrait,
};

use tenancy_core::{Placement, TenantContext};

use crate::error::{Error, ErrorKind};
use crate::rewrite::Rewriter;
use crate::scrub::scrub;
use crate::stream::TenantStream;
use crate::value::TenantValue;

/// A sea-orm connection whose every statement is limited to one tenant, or refused.
///
/// It goes where `&DatabaseConnection` or `&DatabaseTransaction` went: `C` is a pool, a transaction or a savepoint.
#[derive(Clone)]
pub struct TenantConnection<C = DatabaseConnection> {
    inner: C,
    context: TenantContext,
    rewriter: Rewriter,
}

/// A transaction, or a savepoint in one, that sees one tenant.
pub type TenantTransaction = TenantConnection<DatabaseTransaction>;

impl<C> TenantConnection<C> {
    pub(crate) fn new(inner: C, context: TenantContext, rewriter: Rewriter) -> Self {
        Self { inner, context, rewriter }
    }

    fn scope(&self, statement: Statement) -> Result<Statement, DbErr> {
        if !self.context.is_still_active() {
            return Err(Error::new(
                ErrorKind::Inactive,
                "the tenant",
                "it is not active, and nothing may run for it",
            )
            .into());
        }
        if !matches!(self.context.placement(), Placement::Row) {
            let hint = "its rows are not in these shared tables; use the connection of its placement";
            return Err(Error::new(ErrorKind::Policy, "the tenant's placement", hint).into());
        }
        Ok(self.rewriter.rewrite(statement, &TenantValue::of(&self.context))?)
    }

    fn within<T>(&self, inner: T) -> TenantConnection<T> {
        TenantConnection { inner, context: self.context.clone(), rewriter: self.rewriter.clone() }
    }
}

impl<C> fmt::Debug for TenantConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantConnection").field("tenant", self.context.id()).finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for TenantConnection<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(self.scope(statement)?).await.map_err(scrub)
    }

    async fn execute<S: StatementBuilder>(&self, statement: &S) -> Result<ExecResult, DbErr> {
        let statement = self.get_database_backend().build(statement);
        self.inner.execute_raw(self.scope(statement)?).await.map_err(scrub)
    }

    /// Runs one statement. It is prepared, because a tenant can only be bound to a prepared statement.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let statement = Statement::from_string(self.get_database_backend(), sql);
        self.inner.execute_raw(self.scope(statement)?).await.map_err(scrub)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(self.scope(statement)?).await.map_err(scrub)
    }

    async fn query_one<S: StatementBuilder>(&self, statement: &S) -> Result<Option<QueryResult>, DbErr> {
        let statement = self.get_database_backend().build(statement);
        self.inner.query_one_raw(self.scope(statement)?).await.map_err(scrub)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(self.scope(statement)?).await.map_err(scrub)
    }

    async fn query_all<S: StatementBuilder>(&self, statement: &S) -> Result<Vec<QueryResult>, DbErr> {
        let statement = self.get_database_backend().build(statement);
        self.inner.query_all_raw(self.scope(statement)?).await.map_err(scrub)
    }

    fn support_returning(&self) -> bool {
        self.inner.support_returning()
    }

    fn is_mock_connection(&self) -> bool {
        self.inner.is_mock_connection()
    }
}

impl<C: StreamTrait> StreamTrait for TenantConnection<C> {
    type Stream<'a>
        = TenantStream<C::Stream<'a>>
    where
        Self: 'a;

    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
        Box::pin(async move {
            let statement = self.scope(statement)?;
            Ok(TenantStream::new(self.inner.stream_raw(statement).await.map_err(scrub)?))
        })
    }
}

#[async_trait]
impl<C> TransactionTrait for TenantConnection<C>
where
    C: TransactionTrait,
    C::Transaction: Sync,
{
    type Transaction = TenantConnection<C::Transaction>;

    async fn begin(&self) -> Result<Self::Transaction, DbErr> {
        Ok(self.within(self.inner.begin().await.map_err(scrub)?))
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self::Transaction, DbErr> {
        Ok(self.within(self.inner.begin_with_config(isolation_level, access_mode).await.map_err(scrub)?))
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Self::Transaction, DbErr> {
        Ok(self.within(self.inner.begin_with_options(options).await.map_err(scrub)?))
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

impl<C> TenantConnection<C>
where
    C: TransactionTrait,
    C::Transaction: Sync,
{
    /// Runs `callback` in a transaction, which is committed if it returns `Ok` and rolled back otherwise.
    ///
    /// # Errors
    ///
    /// Returns the callback's error, or that of the transaction itself.
    pub async fn transaction_async<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c TenantConnection<C::Transaction>) -> Result<T, E> + Send,
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
        F: for<'c> AsyncFnOnce(&'c TenantConnection<C::Transaction>) -> Result<T, E> + Send,
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
impl<C: TransactionSession + Send> TransactionSession for TenantConnection<C> {
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
