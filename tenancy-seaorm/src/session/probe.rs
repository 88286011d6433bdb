//! Is there a pooler between this program and the server that gives a connection to others between transactions?

use sea_orm::DbErr;
use sea_orm::sqlx::{self, Connection, PgConnection, PgPool};

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

/// Finds out with two connections of its own, which are closed again (SCH-18).
///
/// A client's server process never changes and is never another client's, unless there is such a pooler. The order in
/// which the two ask shows it whether the pooler gives out the connection that was used last or the one that was
/// unused for longest.
pub(super) async fn probe(pool: &PgPool) -> Result<Pooling, DbErr> {
    let options = pool.connect_options();
    let asked = async {
        let mut clients =
            [PgConnection::connect_with(&options).await?, PgConnection::connect_with(&options).await?];
        let mut pids: [Option<i32>; 2] = [None; 2];
        let mut pooling = Pooling::Session;
        for which in [0, 1, 1, 0, 0, 1] {
            let pid = pid(&mut clients[which]).await?;
            if pids[1 - which] == Some(pid) || pids[which].is_some_and(|before| before != pid) {
                pooling = Pooling::Transaction;
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

pub(crate) fn unpinnable() -> Error {
    let hint =
        "a pooler in transaction mode is in front of the server; use Tenancy::behind_transaction_pooler";
    Error::new(ErrorKind::Connection, "a session", hint)
}
