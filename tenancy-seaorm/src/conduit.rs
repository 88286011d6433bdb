//! How a scoped statement reaches the database: through a pool, a pinned connection or a transaction.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "postgres")]
use std::sync::Arc;

use futures_util::Stream;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, StreamTrait, TransactionOptions, TransactionSession, TransactionTrait,
};

#[cfg(feature = "postgres")]
use crate::pools::PooledDatabase;
#[cfg(feature = "postgres")]
use crate::session::Between;
#[cfg(feature = "postgres")]
use crate::wire::{Local, Pinned, Settings};

/// What a statement comes to. Boxed, as sea-orm's own are: one of a pool is handed on as it is.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DbErr>> + Send + 'a>>;

/// Rows as they arrive, whatever they come from.
pub type Rows<'a> = Pin<Box<dyn Stream<Item = Result<QueryResult, DbErr>> + Send + 'a>>;

/// What runs statements that are scoped already. Sealed: it is a detail of
/// [`TenantConnection`](crate::TenantConnection).
pub trait Conduit: sealed::Sealed + Send + Sync {
    #[doc(hidden)]
    fn backend(&self) -> DbBackend;

    #[doc(hidden)]
    fn execute(&self, statement: Statement) -> Answer<'_, ExecResult>;

    #[doc(hidden)]
    fn query_one(&self, statement: Statement) -> Answer<'_, Option<QueryResult>>;

    #[doc(hidden)]
    fn query_all(&self, statement: Statement) -> Answer<'_, Vec<QueryResult>>;

    #[doc(hidden)]
    fn rows<'a>(&'a self, statement: Statement) -> impl Future<Output = Result<Rows<'a>, DbErr>> + Send;

    #[doc(hidden)]
    fn begin(&self, options: TransactionOptions) -> impl Future<Output = Result<Unit, DbErr>> + Send;

    #[doc(hidden)]
    fn support_returning(&self) -> bool;

    #[doc(hidden)]
    fn is_mock(&self) -> bool {
        false
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Link {}
    impl Sealed for super::Unit {}
}

/// A pool, or one connection that is pinned for a request or job. Opaque: it is reached through a
/// [`TenantConnection`](crate::TenantConnection) alone.
#[derive(Clone)]
pub struct Link(pub(crate) LinkKind);

#[derive(Clone)]
pub(crate) enum LinkKind {
    /// Any connection of the pool, for every statement; a transaction tells PostgreSQL who the tenant is.
    Pool {
        db: DatabaseConnection,
        #[cfg(feature = "postgres")]
        told: Option<Settings>,
        /// Is there a pooler that this is wrong for?
        #[cfg(feature = "postgres")]
        between: Option<Arc<Between>>,
        /// Holds the connection that `db` is, if it was leased.
        #[cfg(feature = "postgres")]
        _lease: Option<PooledDatabase>,
    },
    /// A connection in a transaction that tells PostgreSQL who the tenant is, for every statement.
    #[cfg(feature = "postgres")]
    Local {
        db: DatabaseConnection,
        settings: Settings,
        between: Option<Arc<Between>>,
        _lease: Option<PooledDatabase>,
    },
    /// One connection that has been told.
    #[cfg(feature = "postgres")]
    Pinned(Pinned),
}

/// A transaction, or a savepoint in one. Opaque: it is reached through a
/// [`TenantTransaction`](crate::TenantTransaction) alone.
pub struct Unit(UnitKind);

enum UnitKind {
    SeaOrm(DatabaseTransaction),
    #[cfg(feature = "postgres")]
    Pinned(Pinned),
}

impl Link {
    /// The pinned connection, if this is one.
    #[cfg(feature = "postgres")]
    pub(crate) fn pinned(&self) -> Option<&Pinned> {
        match &self.0 {
            LinkKind::Pinned(pinned) => Some(pinned),
            LinkKind::Pool { .. } | LinkKind::Local { .. } => None,
        }
    }

    /// Refuses a pooler that nobody spoke of.
    #[cfg(feature = "postgres")]
    async fn direct(&self) -> Result<(), DbErr> {
        match &self.0 {
            LinkKind::Pool { between: Some(between), .. }
            | LinkKind::Local { between: Some(between), .. } => {
                between.direct("a statement through a pooler").await
            }
            LinkKind::Pool { .. } | LinkKind::Local { .. } | LinkKind::Pinned(_) => Ok(()),
        }
    }

    #[cfg(not(feature = "postgres"))]
    async fn direct(&self) -> Result<(), DbErr> {
        Ok(())
    }

    /// The pool, if a statement can go there without further ado.
    fn straight(&self) -> Option<&DatabaseConnection> {
        match &self.0 {
            #[cfg(feature = "postgres")]
            LinkKind::Pool { db, between, .. }
                if between.as_ref().is_none_or(|between| between.is_direct()) =>
            {
                Some(db)
            }
            #[cfg(not(feature = "postgres"))]
            LinkKind::Pool { db } => Some(db),
            #[cfg(feature = "postgres")]
            LinkKind::Pool { .. } | LinkKind::Local { .. } | LinkKind::Pinned(_) => None,
        }
    }

    /// Any connection of the pool, without a word to the database about the tenant.
    pub(crate) fn pool(db: DatabaseConnection) -> Self {
        Self(LinkKind::Pool {
            db,
            #[cfg(feature = "postgres")]
            told: None,
            #[cfg(feature = "postgres")]
            between: None,
            #[cfg(feature = "postgres")]
            _lease: None,
        })
    }
}

impl Conduit for Link {
    fn backend(&self) -> DbBackend {
        match &self.0 {
            LinkKind::Pool { db, .. } => db.get_database_backend(),
            #[cfg(feature = "postgres")]
            LinkKind::Local { .. } | LinkKind::Pinned(_) => DbBackend::Postgres,
        }
    }

    fn execute(&self, statement: Statement) -> Answer<'_, ExecResult> {
        if let Some(db) = self.straight() {
            return db.execute_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.0 {
                LinkKind::Pool { db, .. } => db.execute_raw(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Local { db, settings, .. } => Local { db, settings }.execute_alone(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.execute(statement).await,
            }
        })
    }

    fn query_one(&self, statement: Statement) -> Answer<'_, Option<QueryResult>> {
        if let Some(db) = self.straight() {
            return db.query_one_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.0 {
                LinkKind::Pool { db, .. } => db.query_one_raw(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Local { db, settings, .. } => {
                    Local { db, settings }.query_one_alone(statement).await
                }
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.query_one(statement).await,
            }
        })
    }

    fn query_all(&self, statement: Statement) -> Answer<'_, Vec<QueryResult>> {
        if let Some(db) = self.straight() {
            return db.query_all_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.0 {
                LinkKind::Pool { db, .. } => db.query_all_raw(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Local { db, settings, .. } => {
                    Local { db, settings }.query_all_alone(statement).await
                }
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.query_all(statement).await,
            }
        })
    }

    async fn rows<'a>(&'a self, statement: Statement) -> Result<Rows<'a>, DbErr> {
        self.direct().await?;
        match &self.0 {
            LinkKind::Pool { db, .. } => Ok(Box::pin(db.stream_raw(statement).await?)),
            #[cfg(feature = "postgres")]
            LinkKind::Local { db, settings, .. } => Local { db, settings }.rows(statement).await,
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(pinned) => pinned.rows(statement).await,
        }
    }

    async fn begin(&self, options: TransactionOptions) -> Result<Unit, DbErr> {
        self.direct().await?;
        match &self.0 {
            #[cfg(feature = "postgres")]
            LinkKind::Pool { db, told: Some(settings), .. } | LinkKind::Local { db, settings, .. } => {
                Ok(Unit(UnitKind::Pinned(Local { db, settings }.begin(&options).await?)))
            }
            LinkKind::Pool { db, .. } => Ok(Unit(UnitKind::SeaOrm(db.begin_with_options(options).await?))),
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(pinned) => Ok(Unit(UnitKind::Pinned(pinned.begin(&options).await?))),
        }
    }

    fn support_returning(&self) -> bool {
        match &self.0 {
            LinkKind::Pool { db, .. } => db.support_returning(),
            #[cfg(feature = "postgres")]
            LinkKind::Local { .. } | LinkKind::Pinned(_) => true,
        }
    }

    fn is_mock(&self) -> bool {
        match &self.0 {
            LinkKind::Pool { db, .. } => db.is_mock_connection(),
            #[cfg(feature = "postgres")]
            LinkKind::Local { .. } | LinkKind::Pinned(_) => false,
        }
    }
}

impl Unit {
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self.0 {
            UnitKind::SeaOrm(transaction) => TransactionSession::commit(transaction).await,
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        match self.0 {
            UnitKind::SeaOrm(transaction) => TransactionSession::rollback(transaction).await,
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.rollback().await,
        }
    }
}

impl Conduit for Unit {
    fn backend(&self) -> DbBackend {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => ConnectionTrait::get_database_backend(transaction),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => DbBackend::Postgres,
        }
    }

    fn execute(&self, statement: Statement) -> Answer<'_, ExecResult> {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => transaction.execute_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.execute(statement)),
        }
    }

    fn query_one(&self, statement: Statement) -> Answer<'_, Option<QueryResult>> {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => transaction.query_one_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.query_one(statement)),
        }
    }

    fn query_all(&self, statement: Statement) -> Answer<'_, Vec<QueryResult>> {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => transaction.query_all_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.query_all(statement)),
        }
    }

    async fn rows<'a>(&'a self, statement: Statement) -> Result<Rows<'a>, DbErr> {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => Ok(Box::pin(transaction.stream_raw(statement).await?)),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.rows(statement).await,
        }
    }

    async fn begin(&self, options: TransactionOptions) -> Result<Unit, DbErr> {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => {
                Ok(Unit(UnitKind::SeaOrm(transaction.begin_with_options(options).await?)))
            }
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Ok(Unit(UnitKind::Pinned(pinned.begin(&options).await?))),
        }
    }

    fn support_returning(&self) -> bool {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => transaction.support_returning(),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => true,
        }
    }

    fn is_mock(&self) -> bool {
        match &self.0 {
            UnitKind::SeaOrm(transaction) => transaction.is_mock_connection(),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => false,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            LinkKind::Pool { .. } => "Link(a pool)",
            #[cfg(feature = "postgres")]
            LinkKind::Local { .. } => "Link(a transaction for each statement)",
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(_) => "Link(a pinned connection)",
        })
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unit")
    }
}
