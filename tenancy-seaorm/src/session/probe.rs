//! Is there a pooler between this program and the server that gives a connection to others between transactions?

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use sea_orm::sqlx::{self, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind};
use crate::wire::runtime;

/// What is between this program and the PostgreSQL server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Pooling {
    /// Nothing, or a pooler that gives a client one server connection for as long as it stays: session mode.
    Session,
    /// A pooler that gives out a server connection for one transaction at a time. What a session sets there, the next
    /// client finds; what it prepared, it does not find again.
    Transaction,
}

/// What is known of the way to the server: stated, or found out once, before the first statement.
#[derive(Debug)]
pub(crate) struct Between {
    pool: PgPool,
    pooling: OnceCell<Pooling>,
}

impl Between {
    pub(crate) fn new(pool: PgPool, stated: Option<Pooling>) -> Arc<Self> {
        Arc::new(Self { pool, pooling: OnceCell::new_with(stated) })
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Refuses `what` if there is a pooler in transaction mode (SCH-18).
    ///
    /// A session's settings would reach the next client there. So would the names of prepared statements, which sqlx
    /// counts from 1 on each of its connections: a statement would run under a name by which the server knows another
    /// client's.
    pub(crate) async fn direct(&self, what: &'static str) -> Result<(), DbErr> {
        let pooling = match self.pooling.get() {
            Some(pooling) => *pooling,
            None => Box::pin(self.find_out()).await?,
        };
        match pooling {
            Pooling::Session => Ok(()),
            Pooling::Transaction => Err(pooled(what).into()),
        }
    }

    /// Whether it is known that there is no pooler in transaction mode.
    pub(crate) fn is_direct(&self) -> bool {
        self.pooling.get() == Some(&Pooling::Session)
    }

    async fn find_out(&self) -> Result<Pooling, DbErr> {
        let asked = async {
            let probed = tokio::time::timeout(LIMIT, probe(&self.pool)).await;
            probed.unwrap_or_else(|_| Err(unknown().into()))
        };
        self.pooling.get_or_try_init(|| asked).await.copied()
    }
}

/// How long finding it out may take: a pooler in session mode whose connections are all taken does not answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Each asks twice in a row now and then, and after the other: which of its connections a pooler gives out depends on
/// its order. On a busy one it is chance, and so they ask often.
const TURNS: [usize; 12] = [0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1];

/// Finds out with two connections of its own, which are closed again.
///
/// A client's server process never changes and is never another client's, unless there is such a pooler.
async fn probe(pool: &PgPool) -> Result<Pooling, DbErr> {
    let options = pool.connect_options();
    let asked = async {
        let mut clients =
            [PgConnection::connect_with(&options).await?, PgConnection::connect_with(&options).await?];
        let mut pids: [Option<i32>; 2] = [None; 2];
        let mut pooling = Pooling::Session;
        for which in TURNS {
            let pid = pid(&mut clients[which]).await?;
            if pids[1 - which] == Some(pid) || pids[which].is_some_and(|before| before != pid) {
                pooling = Pooling::Transaction;
                break;
            }
            pids[which] = Some(pid);
        }
        for client in clients {
            // The answer is here; how the connection ends does not matter.
            let _ = client.close().await;
        }
        Ok(pooling)
    };
    asked.await.map_err(|error: sqlx::Error| DbErr::Conn(runtime(error)))
}

/// By the simple protocol, which no pooler's handling of prepared statements can break.
async fn pid(client: &mut PgConnection) -> Result<i32, sqlx::Error> {
    use sqlx::{Executor, Row};
    let row = client.fetch_one(sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid()::text")).await?;
    let text: String = row.try_get(0)?;
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(crate) fn pooled(what: &'static str) -> Error {
    let hint =
        "a pooler in transaction mode is in front of the server; use Tenancy::behind_transaction_pooler";
    Error::new(ErrorKind::Connection, what, hint)
}

fn unknown() -> Error {
    let hint = "the server did not answer in time; state what is there with SessionOptions::with_pooling";
    Error::new(ErrorKind::Connection, "looking for a pooler", hint)
}
