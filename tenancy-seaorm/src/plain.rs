//! [`Plain`]: statements without a scope, for what this crate keeps for itself and for [`danger`](crate::danger).

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    TransactionOptions,
};

use crate::conduit::{Conduit, Link, LinkKind, Unit, Way};

/// A connection or transaction whose statements run as they are, by the way that suits what is before the server.
#[derive(Clone, Debug)]
pub(crate) struct Plain<C>(C);

impl Plain<Link> {
    pub(crate) fn to(db: DatabaseConnection) -> Self {
        Self(Link::new(&Way::to(db, None), LinkKind::Pool))
    }

    /// Through a pooler in transaction mode: each statement in a transaction of its own, and none prepared by name
    /// (SCH-11, SCH-18).
    #[cfg(feature = "postgres")]
    pub(crate) fn behind_transaction_pooler(db: DatabaseConnection) -> Self {
        use crate::wire::Settings;

        if db.get_database_backend() != DbBackend::Postgres {
            return Self::to(db);
        }
        let settings = Settings { tenant: None, schema: None, searched: true, role: None, unnamed: true };
        Self(Link::new(&Way::to(db, None), LinkKind::Local(settings)))
    }
}

impl<C: Conduit> Plain<C> {
    pub(crate) async fn begin(&self) -> Result<Plain<Unit>, DbErr> {
        Ok(Plain(self.0.begin(TransactionOptions::default()).await?))
    }
}

impl Plain<Unit> {
    pub(crate) async fn commit(self) -> Result<(), DbErr> {
        self.0.commit().await
    }

    #[cfg(feature = "postgres")]
    pub(crate) async fn rollback(self) -> Result<(), DbErr> {
        self.0.rollback().await
    }
}

#[async_trait]
impl<C: Conduit> ConnectionTrait for Plain<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.0.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.execute(Statement::from_string(self.0.backend(), sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.0.query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.0.query_all(statement).await
    }

    fn support_returning(&self) -> bool {
        self.0.support_returning()
    }

    fn is_mock_connection(&self) -> bool {
        self.0.is_mock()
    }
}
