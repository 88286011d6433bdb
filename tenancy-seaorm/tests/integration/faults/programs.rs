//! What a request does with its tenant's connection, and what may be committed of it afterwards.

use futures_util::TryStreamExt;
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, Statement, StreamTrait, TransactionSession, TransactionTrait,
};
use tenancy_seaorm::Tenancy;

use crate::fixture::context;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Program {
    /// One statement.
    Statement,
    /// Two rows in a transaction.
    Transaction,
    /// A savepoint that is rolled back, between two rows that stay.
    Savepoint,
    /// A transaction and a statement in a session.
    Session,
    /// Rows as they arrive.
    Rows,
}

fn step(run: i64, step: i32) -> Statement {
    let sql = "INSERT INTO steps (run, step) VALUES ($1, $2)";
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [run.into(), step.into()])
}

fn count(run: i64) -> Statement {
    let sql = "SELECT step FROM steps WHERE run = $1";
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [run.into()])
}

impl Program {
    pub(super) fn needs_a_session(self) -> bool {
        self == Self::Session
    }

    /// Runs it as tenant 1. When it returns `Ok`, everything is acknowledged.
    pub(super) async fn run(self, tenancy: &Tenancy, run: i64) -> Result<(), DbErr> {
        match self {
            Self::Statement => tenancy.tenant(&context(1)).execute_raw(step(run, 1)).await.map(drop),
            Self::Transaction => two_rows(&tenancy.tenant(&context(1)), run).await,
            Self::Savepoint => savepoint(&tenancy.tenant(&context(1)), run).await,
            Self::Session => {
                let session = tenancy.session(&context(1)).await?;
                two_rows(&session, run).await?;
                session.query_all_raw(count(run)).await.map(drop)
            }
            Self::Rows => {
                let connection = tenancy.tenant(&context(1));
                let mut rows = connection.stream_raw(count(1)).await?;
                while rows.try_next().await?.is_some() {}
                Ok(())
            }
        }
    }

    /// Returns what is committed when all of it is.
    pub(super) fn whole(self) -> &'static [i32] {
        match self {
            Self::Statement => &[1],
            Self::Transaction | Self::Session => &[1, 2],
            Self::Savepoint => &[1, 3],
            Self::Rows => &[],
        }
    }
}

async fn two_rows<C>(connection: &C, run: i64) -> Result<(), DbErr>
where
    C: TransactionTrait,
    C::Transaction: ConnectionTrait + TransactionSession,
{
    let transaction = connection.begin().await?;
    transaction.execute_raw(step(run, 1)).await?;
    let seen = transaction.query_all_raw(count(run)).await?.len();
    assert_eq!(seen, 1, "a transaction sees its own rows");
    transaction.execute_raw(step(run, 2)).await?;
    transaction.commit().await
}

async fn savepoint<C>(connection: &C, run: i64) -> Result<(), DbErr>
where
    C: TransactionTrait,
    C::Transaction: ConnectionTrait + TransactionSession + TransactionTrait,
    <C::Transaction as TransactionTrait>::Transaction: ConnectionTrait + TransactionSession,
{
    let transaction = connection.begin().await?;
    transaction.execute_raw(step(run, 1)).await?;
    let inner = transaction.begin().await?;
    inner.execute_raw(step(run, 2)).await?;
    inner.rollback().await?;
    transaction.execute_raw(step(run, 3)).await?;
    transaction.commit().await
}
