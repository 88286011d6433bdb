//! [`Db`]: the one way in which handlers reach rows, whatever keeps the tenants apart.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, FromQueryResult, JsonValue,
    QueryResult, RuntimeErr, Statement, Value, Values,
};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres};
use tenancy_core::TenantContext;
use tenancy_seaorm::TenantConnection;
use tokio::sync::Mutex;

use crate::Variant;

/// A connection of the service.
#[derive(Clone)]
pub(crate) enum Db {
    /// Shared tables: every statement is filtered, and runs in its tenant's scope, which row-level security reads.
    Row(TenantConnection, TenantContext),
    /// A connection pinned for this request, whose search path is the tenant's schema.
    Schema(Arc<Pinned>),
    /// Everybody's rows: what a mistake reaches for.
    Raw(DatabaseConnection),
}

impl Db {
    /// Returns the rows of a query as JSON objects.
    pub(crate) async fn json(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<JsonValue>, DbErr> {
        let rows = self.query_all_raw(statement(sql, values)).await?;
        rows.iter().map(|row| JsonValue::from_query_result(row, "")).collect()
    }

    /// Returns the first column of the one row of a query, a number.
    pub(crate) async fn number(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<i64, DbErr> {
        let row = self.query_one_raw(statement(sql, values)).await?;
        row.ok_or(DbErr::RecordNotFound("a number".to_owned()))?.try_get_by_index(0)
    }

    /// Runs a statement, and returns how many rows it touched.
    pub(crate) async fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, DbErr> {
        Ok(self.execute_raw(statement(sql, values)).await?.rows_affected())
    }
}

pub(crate) fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

#[async_trait]
impl ConnectionTrait for Db {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Row(db, context) => context.clone().scope(db.execute_raw(statement)).await,
            Self::Schema(pinned) => pinned.execute(statement).await,
            Self::Raw(db) => db.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(statement(sql, [])).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Row(db, context) => context.clone().scope(db.query_one_raw(statement)).await,
            Self::Schema(pinned) => Ok(pinned.fetch(statement).await?.into_iter().next()),
            Self::Raw(db) => db.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Row(db, context) => context.clone().scope(db.query_all_raw(statement)).await,
            Self::Schema(pinned) => pinned.fetch(statement).await,
            Self::Raw(db) => db.query_all_raw(statement).await,
        }
    }
}

/// A connection whose search path is one tenant's schema, until it goes back to the pool.
pub(crate) struct Pinned {
    /// `None` in the variant that uses the pool instead.
    connection: Mutex<Option<PoolConnection<Postgres>>>,
    pool: PgPool,
    variant: Variant,
}

impl Pinned {
    /// Takes a connection out of `pool` and points it to `schema`.
    pub(crate) async fn open(
        pool: &PgPool,
        schema: &str,
        variant: Variant,
    ) -> Result<Arc<Self>, sqlx::Error> {
        let path =
            if variant == Variant::M35 { format!("\"{schema}\", public") } else { format!("\"{schema}\"") };
        if variant == Variant::M32 {
            set_path(pool, &path).await?;
            return Ok(Arc::new(Self { connection: Mutex::new(None), pool: pool.clone(), variant }));
        }
        let connection = Mutex::new(Some(pool.acquire().await?));
        // From here on whoever drops this resets the path, also when it is dropped while the path is being set.
        let pinned = Arc::new(Self { connection, pool: pool.clone(), variant });
        if let Some(connection) = pinned.connection.lock().await.as_mut() {
            set_path(&mut **connection, &path).await?;
        }
        Ok(pinned)
    }

    /// Points the connection back to where no tenant is, and returns it to the pool.
    pub(crate) async fn close(&self) {
        let connection = self.connection.lock().await.take();
        if let Some(connection) = connection
            && self.variant != Variant::M33
        {
            // A task of its own goes on when this one is dropped.
            let _ = tokio::spawn(give_back(connection)).await;
        }
    }

    async fn execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (query, mut connection) = (query(&statement), self.connection.lock().await);
        let result = match connection.as_mut() {
            Some(connection) => query.execute(&mut **connection).await,
            None => query.execute(&self.pool).await,
        };
        result.map(ExecResult::from).map_err(failed)
    }

    async fn fetch(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (query, mut connection) = (query(&statement), self.connection.lock().await);
        let result = match connection.as_mut() {
            Some(connection) => query.fetch_all(&mut **connection).await,
            None => query.fetch_all(&self.pool).await,
        };
        result.map(|rows| rows.into_iter().map(QueryResult::from).collect()).map_err(failed)
    }
}

/// A request that is dropped on the way leaves its connection here.
impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.get_mut().take()
            && !matches!(self.variant, Variant::M33 | Variant::M34)
        {
            tokio::spawn(give_back(connection));
        }
    }
}

/// A connection whose path cannot be reset is closed.
async fn give_back(mut connection: PoolConnection<Postgres>) {
    if set_path(&mut *connection, "public").await.is_err() {
        connection.close_on_drop();
    }
}

async fn set_path<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    path: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('search_path', $1, false)").bind(path).execute(executor).await.map(drop)
}

fn query(statement: &Statement) -> sqlx::query::Query<'_, Postgres, SqlxValues> {
    let values = statement.values.clone().unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql.as_str()), SqlxValues(values))
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// The service's own pool. Each checkout tells row-level security whose scope it happens in: nobody's, outside of one.
pub(crate) async fn pool(url: &str, size: u32) -> Result<PgPool, sqlx::Error> {
    let options = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
    let options = options.before_acquire(|connection, _| {
        Box::pin(async move {
            announce(connection).await?;
            Ok(true)
        })
    });
    options.after_connect(|connection, _| Box::pin(announce(connection))).connect(url).await
}

async fn announce(connection: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    let tenant = TenantContext::current().map(|context| context.id().to_string()).unwrap_or_default();
    let query: sqlx::query::Query<'_, Postgres, PgArguments> =
        sqlx::query("SELECT set_config('tenancy.tenant_id', $1, false)");
    query.bind(tenant).execute(connection).await.map(drop)
}
