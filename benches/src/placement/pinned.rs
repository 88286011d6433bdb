//! What one writes by hand to keep a connection for ten statements: taken out of the pool, told the tenant where there is a
//! wall, and put back as it was.

use std::sync::Arc;

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::{self, AssertSqlSafe, Postgres};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

/// A connection that is kept.
pub(super) struct ByHand(Mutex<PoolConnection<Postgres>>);

impl ByHand {
    /// Takes a connection, without a word to the server.
    pub(super) async fn open(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let connection = db.get_postgres_connection_pool().acquire().await.map_err(failed)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Tells row-level security whose turn it is; nobody's, if `tenant` is empty.
    pub(super) async fn tell(&self, tenant: &str) -> Result<(), DbErr> {
        let told = sqlx::query("SELECT set_config('tenancy.tenant_id', $1, false)").bind(tenant.to_owned());
        told.execute(&mut **self.0.lock().await).await.map(drop).map_err(failed)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for ByHand {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut connection = self.0.lock().await;
        query(statement).execute(&mut **connection).await.map(ExecResult::from).map_err(failed)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(DbBackend::Postgres, sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut connection = self.0.lock().await;
        let row = query(statement).fetch_optional(&mut **connection).await.map_err(failed)?;
        Ok(row.map(QueryResult::from))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut connection = self.0.lock().await;
        let rows = query(statement).fetch_all(&mut **connection).await.map_err(failed)?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

fn query(statement: Statement) -> Query<'static, Postgres, SqlxValues> {
    let values = statement.values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
