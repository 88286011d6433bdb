//! [`Local`]: transactions whose BEGIN tells PostgreSQL who the tenant is.

use futures_util::TryStreamExt;
use sea_orm::sqlx;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, TransactionOptions,
};

use super::{Held, Home, Pinned, Settings, Wire, runtime};
use crate::conduit::Rows;

/// Transactions on connections of a pool, told about one tenant in the message that begins them.
pub(crate) struct Local<'a> {
    pub(crate) db: &'a DatabaseConnection,
    pub(crate) settings: &'a Settings,
}

impl<'a> Local<'a> {
    pub(crate) async fn begin(&self, options: &TransactionOptions) -> Result<Pinned, DbErr> {
        let mut wire = self.open().await?;
        let level = wire.begin(options, &self.settings.local_sql()).await.map_err(missing_schema)?;
        Ok(Pinned::new(wire, level))
    }

    pub(crate) async fn execute_alone(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let mut wire = self.begun().await?;
        let result = wire.execute(statement).await;
        ended(wire, result).await
    }

    pub(crate) async fn query_one_alone(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut wire = self.begun().await?;
        let result = wire.query_one(statement).await;
        ended(wire, result).await
    }

    pub(crate) async fn query_all_alone(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut wire = self.begun().await?;
        let result = wire.query_all(statement).await;
        ended(wire, result).await
    }

    /// Rows as they arrive; what the statement wrote is committed when the last one was read.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Rows<'a>, DbErr> {
        let mut wire = self.begun().await?;
        Ok(Box::pin(async_stream::try_stream! {
            wire.busy = true;
            let query = wire.query(statement);
            let mut rows = query.fetch(wire.conn());
            let result = loop {
                match rows.try_next().await {
                    Ok(Some(row)) => yield QueryResult::from(row),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(rows);
            wire.seen(&result);
            ended(wire, result.map_err(|error| DbErr::Query(runtime(error)))).await?;
        }))
    }

    async fn begun(&self) -> Result<Wire, DbErr> {
        let mut wire = self.open().await?;
        wire.begin(&TransactionOptions::default(), &self.settings.local_sql())
            .await
            .map_err(missing_schema)?;
        Ok(wire)
    }

    async fn open(&self) -> Result<Wire, DbErr> {
        Ok(Wire::new(
            Held::new(self.db.get_postgres_connection_pool().acquire().await.map_err(acquire)?),
            Home::Pool,
            self.settings.unnamed,
        ))
    }
}

/// For questions about the database itself.
#[async_trait::async_trait]
impl ConnectionTrait for Local<'_> {
    fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.execute_alone(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_alone(Statement::from_string(DbBackend::Postgres, sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.query_one_alone(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.query_all_alone(statement).await
    }
}

/// Commits after a statement that succeeded, and rolls back after one that did not.
async fn ended<T>(mut wire: Wire, result: Result<T, DbErr>) -> Result<T, DbErr> {
    match result {
        Ok(value) => {
            wire.commit().await?;
            Ok(value)
        }
        Err(error) => {
            // Where this fails too, the connection is closed.
            let _ = wire.rollback_to(0).await;
            Err(error)
        }
    }
}

pub(crate) fn acquire(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        other => DbErr::Conn(runtime(other)),
    }
}

/// A schema, or a role, that does not exist is told apart from other errors.
fn missing_schema(error: DbErr) -> DbErr {
    let DbErr::Exec(sea_orm::RuntimeErr::SqlxError(inner)) = &error else { return error };
    let sqlx::Error::Database(database) = &**inner else { return error };
    // invalid_schema_name; undefined_object and invalid_parameter_value of SET ROLE.
    match database.code().as_deref() {
        Some("3F000") => crate::schema::missing().into(),
        _ => error,
    }
}
