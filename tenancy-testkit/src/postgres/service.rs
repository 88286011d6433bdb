//! PostgreSQL as a service that the test processes of a run share.

use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::{container, local, names::Key, setup, sweep};
use crate::server::{
    Ladder, Rung,
    attach::Service,
    reason::Reason,
    state::{Record, StateFolder},
};

/// A role's name and password.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// What a test process has to know beside the administrator's URL.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Detail {
    /// What the names of this run's databases and roles have in common.
    pub(crate) run: Key,
    pub(crate) owner: Login,
    pub(crate) app: Login,
}

/// PostgreSQL, seen from one test process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Postgres {
    /// What the names of this process's databases have in common; it holds the advisory lock of this key.
    pub(crate) process: Key,
}

/// A server that answers and that nobody has set up yet.
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) url: String,
}

impl Service for Postgres {
    type Detail = Detail;
    type Guard = PgConnection;

    const NAME: &'static str = "PostgreSQL";

    async fn start(&self, rung: Rung, ladder: Ladder, folder: StateFolder) -> Result<Record<Detail>, Reason> {
        let started = match rung {
            Rung::Url => given(&ladder).await,
            Rung::Container => container::start(&ladder).await,
            Rung::Local => local::start(&ladder, &folder).await,
        }?;
        let detail = setup::prepare(&started.url).await?;
        let Started { id, description, url } = started;
        Ok(Record { id, rung: rung.to_string(), description, url, detail })
    }

    /// The guard holds two advisory locks for as long as the process lives, so that others can tell its databases
    /// from those of a dead process; a container stops when no connection is left.
    async fn join(&self, record: &Record<Detail>) -> Result<PgConnection, Reason> {
        let mut guard = connect(&record.url).await?;
        let lock = sqlx::query("SELECT pg_advisory_lock($1), pg_advisory_lock_shared($2)")
            .bind(self.process.lock())
            .bind(record.detail.run.lock())
            .execute(&mut guard)
            .await;
        lock?;
        setup::require(&mut guard, &record.detail).await?;
        sweep::sweep(&mut guard, &record.detail).await?;
        Ok(guard)
    }
}

async fn given(ladder: &Ladder) -> Result<Started, Reason> {
    let url = ladder.url.clone().ok_or("no URL is given")?;
    let mut connection = connect(&url).await?;
    let version = server_version(&mut connection).await?;
    // The server was not started by us and nobody waits to hear that we leave.
    let _ = connection.close().await;
    Ok(Started { id: Key::random().to_string(), description: format!("PostgreSQL {version}"), url })
}

/// Returns the server's version, as `15.17`.
pub(crate) async fn server_version(connection: &mut PgConnection) -> Result<String, Reason> {
    let asked = sqlx::query_scalar::<_, String>("SHOW server_version").fetch_one(connection).await;
    let version = asked?;
    Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Connects as the URL says, without logging statements: they may hold the passwords of roles.
pub(crate) async fn connect(url: &str) -> Result<PgConnection, Reason> {
    let options: PgConnectOptions = url.parse().map_err(|_| "the URL is not a PostgreSQL URL")?;
    Ok(options.disable_statement_logging().connect().await?)
}
