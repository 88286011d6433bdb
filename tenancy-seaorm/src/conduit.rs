//! How a scoped statement reaches the database: through a pool, a pinned connection or a transaction.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, StreamTrait, TransactionOptions, TransactionSession, TransactionTrait,
};

#[cfg(feature = "postgres")]
use crate::pools::PooledDatabase;
use crate::rewrite::Rewriter;
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

    /// By what statements are scoped; none for the statements that are not.
    #[doc(hidden)]
    fn rewriter(&self) -> Option<&Rewriter>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Link {}
    impl Sealed for super::Unit {}
}

/// One way to a database. All connections that are handed out for it share it: to hand one out counts one reference.
pub(crate) struct Way {
    pub(crate) db: DatabaseConnection,
    /// None for what is not scoped.
    pub(crate) rewriter: Option<Rewriter>,
    /// Is there a pooler that this is wrong for?
    #[cfg(feature = "postgres")]
    pub(crate) between: Option<Arc<Between>>,
    /// Holds the connection that `db` is, if it was leased.
    #[cfg(feature = "postgres")]
    pub(crate) _lease: Option<PooledDatabase>,
}

/// A pool, or one connection that is pinned for a request or job. Opaque: it is reached through a
/// [`TenantConnection`](crate::TenantConnection) alone.
#[derive(Clone)]
pub struct Link {
    way: Arc<Way>,
    kind: LinkKind,
}

#[derive(Clone)]
pub(crate) enum LinkKind {
    /// Any connection of the pool, for every statement.
    Pool,
    /// The same; a transaction tells PostgreSQL who the tenant is.
    #[cfg(feature = "postgres")]
    Told(Settings),
    /// A connection in a transaction that tells PostgreSQL who the tenant is, for every statement.
    #[cfg(feature = "postgres")]
    Local(Settings),
    /// One connection that has been told.
    #[cfg(feature = "postgres")]
    Pinned(Pinned),
}

/// A transaction, or a savepoint in one. Opaque: it is reached through a
/// [`TenantTransaction`](crate::TenantTransaction) alone.
pub struct Unit {
    kind: UnitKind,
    way: Arc<Way>,
}

enum UnitKind {
    SeaOrm(DatabaseTransaction),
    #[cfg(feature = "postgres")]
    Pinned(Pinned),
}

impl Way {
    /// A way of which nothing is to be found out first.
    pub(crate) fn to(db: DatabaseConnection, rewriter: Option<Rewriter>) -> Arc<Self> {
        Arc::new(Self {
            db,
            rewriter,
            #[cfg(feature = "postgres")]
            between: None,
            #[cfg(feature = "postgres")]
            _lease: None,
        })
    }

    /// The way to the connection that `lease` holds.
    #[cfg(feature = "postgres")]
    pub(crate) fn leased(lease: PooledDatabase, rewriter: Option<Rewriter>) -> Arc<Self> {
        Arc::new(Self { db: lease.db().clone(), rewriter, between: None, _lease: Some(lease) })
    }

    /// Refuses a pooler that nobody spoke of.
    #[cfg(feature = "postgres")]
    async fn direct(&self) -> Result<(), DbErr> {
        match &self.between {
            Some(between) => between.direct("a statement through a pooler").await,
            None => Ok(()),
        }
    }

    #[cfg(not(feature = "postgres"))]
    async fn direct(&self) -> Result<(), DbErr> {
        Ok(())
    }

    /// Whether it is known that a statement can go this way.
    #[cfg(feature = "postgres")]
    fn is_direct(&self) -> bool {
        self.between.as_ref().is_none_or(|between| between.is_direct())
    }

    #[cfg(not(feature = "postgres"))]
    fn is_direct(&self) -> bool {
        true
    }
}

impl Link {
    #[inline]
    pub(crate) fn new(way: &Arc<Way>, kind: LinkKind) -> Self {
        Self { way: Arc::clone(way), kind }
    }

    /// The pinned connection, if this is one.
    #[cfg(feature = "postgres")]
    pub(crate) fn pinned(&self) -> Option<&Pinned> {
        match &self.kind {
            LinkKind::Pinned(pinned) => Some(pinned),
            LinkKind::Pool | LinkKind::Told(_) | LinkKind::Local(_) => None,
        }
    }

    /// The pool, if a statement can go there without further ado.
    fn straight(&self) -> Option<&DatabaseConnection> {
        self.is_pool().then_some(&self.way.db).filter(|_| self.way.is_direct())
    }

    fn is_pool(&self) -> bool {
        match &self.kind {
            LinkKind::Pool => true,
            #[cfg(feature = "postgres")]
            LinkKind::Told(_) => true,
            #[cfg(feature = "postgres")]
            LinkKind::Local(_) | LinkKind::Pinned(_) => false,
        }
    }

    /// A pinned connection was made where there was nothing in between.
    async fn direct(&self) -> Result<(), DbErr> {
        match &self.kind {
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(_) => Ok(()),
            _ => self.way.direct().await,
        }
    }

    #[cfg(feature = "postgres")]
    fn local<'a>(&'a self, settings: &'a Settings) -> Local<'a> {
        Local { db: &self.way.db, settings }
    }
}

impl Conduit for Link {
    fn backend(&self) -> DbBackend {
        self.way.db.get_database_backend()
    }

    fn execute(&self, statement: Statement) -> Answer<'_, ExecResult> {
        if let Some(db) = self.straight() {
            return db.execute_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.kind {
                #[cfg(feature = "postgres")]
                LinkKind::Local(settings) => self.local(settings).execute_alone(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.execute(statement).await,
                _ => self.way.db.execute_raw(statement).await,
            }
        })
    }

    fn query_one(&self, statement: Statement) -> Answer<'_, Option<QueryResult>> {
        if let Some(db) = self.straight() {
            return db.query_one_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.kind {
                #[cfg(feature = "postgres")]
                LinkKind::Local(settings) => self.local(settings).query_one_alone(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.query_one(statement).await,
                _ => self.way.db.query_one_raw(statement).await,
            }
        })
    }

    fn query_all(&self, statement: Statement) -> Answer<'_, Vec<QueryResult>> {
        if let Some(db) = self.straight() {
            return db.query_all_raw(statement);
        }
        Box::pin(async move {
            self.direct().await?;
            match &self.kind {
                #[cfg(feature = "postgres")]
                LinkKind::Local(settings) => self.local(settings).query_all_alone(statement).await,
                #[cfg(feature = "postgres")]
                LinkKind::Pinned(pinned) => pinned.query_all(statement).await,
                _ => self.way.db.query_all_raw(statement).await,
            }
        })
    }

    async fn rows<'a>(&'a self, statement: Statement) -> Result<Rows<'a>, DbErr> {
        self.direct().await?;
        match &self.kind {
            #[cfg(feature = "postgres")]
            LinkKind::Local(settings) => self.local(settings).rows(statement).await,
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(pinned) => pinned.rows(statement).await,
            _ => Ok(Box::pin(self.way.db.stream_raw(statement).await?)),
        }
    }

    async fn begin(&self, options: TransactionOptions) -> Result<Unit, DbErr> {
        self.direct().await?;
        let kind = match &self.kind {
            LinkKind::Pool => UnitKind::SeaOrm(self.way.db.begin_with_options(options).await?),
            #[cfg(feature = "postgres")]
            LinkKind::Told(settings) | LinkKind::Local(settings) => {
                UnitKind::Pinned(self.local(settings).begin(&options).await?)
            }
            #[cfg(feature = "postgres")]
            LinkKind::Pinned(pinned) => UnitKind::Pinned(pinned.begin(&options).await?),
        };
        Ok(Unit { kind, way: Arc::clone(&self.way) })
    }

    fn support_returning(&self) -> bool {
        self.way.db.support_returning()
    }

    fn is_mock(&self) -> bool {
        self.is_pool() && self.way.db.is_mock_connection()
    }

    fn rewriter(&self) -> Option<&Rewriter> {
        self.way.rewriter.as_ref()
    }
}

impl Unit {
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        match self.kind {
            UnitKind::SeaOrm(transaction) => TransactionSession::commit(transaction).await,
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        match self.kind {
            UnitKind::SeaOrm(transaction) => TransactionSession::rollback(transaction).await,
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.rollback().await,
        }
    }
}

impl Conduit for Unit {
    fn backend(&self) -> DbBackend {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => ConnectionTrait::get_database_backend(transaction),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => DbBackend::Postgres,
        }
    }

    fn execute(&self, statement: Statement) -> Answer<'_, ExecResult> {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => transaction.execute_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.execute(statement)),
        }
    }

    fn query_one(&self, statement: Statement) -> Answer<'_, Option<QueryResult>> {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => transaction.query_one_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.query_one(statement)),
        }
    }

    fn query_all(&self, statement: Statement) -> Answer<'_, Vec<QueryResult>> {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => transaction.query_all_raw(statement),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => Box::pin(pinned.query_all(statement)),
        }
    }

    async fn rows<'a>(&'a self, statement: Statement) -> Result<Rows<'a>, DbErr> {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => Ok(Box::pin(transaction.stream_raw(statement).await?)),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => pinned.rows(statement).await,
        }
    }

    async fn begin(&self, options: TransactionOptions) -> Result<Unit, DbErr> {
        let kind = match &self.kind {
            UnitKind::SeaOrm(transaction) => UnitKind::SeaOrm(transaction.begin_with_options(options).await?),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(pinned) => UnitKind::Pinned(pinned.begin(&options).await?),
        };
        Ok(Unit { kind, way: Arc::clone(&self.way) })
    }

    fn support_returning(&self) -> bool {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => transaction.support_returning(),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => true,
        }
    }

    fn is_mock(&self) -> bool {
        match &self.kind {
            UnitKind::SeaOrm(transaction) => transaction.is_mock_connection(),
            #[cfg(feature = "postgres")]
            UnitKind::Pinned(_) => false,
        }
    }

    fn rewriter(&self) -> Option<&Rewriter> {
        self.way.rewriter.as_ref()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            LinkKind::Pool => "Link(a pool)",
            #[cfg(feature = "postgres")]
            LinkKind::Told(_) => "Link(a pool)",
            #[cfg(feature = "postgres")]
            LinkKind::Local(_) => "Link(a transaction for each statement)",
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
