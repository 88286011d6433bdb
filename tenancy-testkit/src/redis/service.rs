//! Redis as a service that the test processes of a run share.

use std::time::Duration;

use redis::{Client, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{container, local};
use crate::server::{
    Ladder, Rung,
    attach::Service,
    reason::Reason,
    state::{Record, StateFolder, random_hex},
};

/// A server whose configuration cannot be read has this many databases unless somebody changed that.
const USUAL_DATABASES: u32 = 16;

/// A server on this machine answers in less than a millisecond.
const ANSWER: Duration = Duration::from_secs(5);

/// What a test process has to know beside the administrator's URL.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Detail {
    /// How many numbered databases the server has; number 0 is the kit's own.
    pub(crate) databases: u32,
}

/// Redis, seen from one test process.
#[derive(Clone, Debug)]
pub(crate) struct Redis {
    /// The name of this process's guard connection and the mark of what it claims.
    pub(crate) process: String,
}

/// A server that answers and that nobody has set up yet.
pub(crate) struct Started {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) url: String,
}

impl Service for Redis {
    type Detail = Detail;
    type Guard = MultiplexedConnection;

    const NAME: &'static str = "Redis";

    async fn start(&self, rung: Rung, ladder: Ladder, folder: StateFolder) -> Result<Record<Detail>, Reason> {
        let started = match rung {
            Rung::Url => given(&ladder).await,
            Rung::Container => container::start(&ladder).await,
            Rung::Local => local::start(&ladder, &folder).await,
        }?;
        let mut connection = connect(&started.url).await?;
        let asked: Result<(String, u32), _> =
            redis::cmd("CONFIG").arg("GET").arg("databases").query_async(&mut connection).await;
        // A managed server may not say.
        let databases = asked.map_or(USUAL_DATABASES, |(_, databases)| databases);
        let Started { id, description, url } = started;
        Ok(Record { id, rung: rung.to_string(), description, url, detail: Detail { databases } })
    }

    /// The guard carries the process's name for as long as the process lives, so that others can tell its databases
    /// from those of a dead process; a container stops when no connection is left.
    async fn join(&self, record: &Record<Detail>) -> Result<MultiplexedConnection, Reason> {
        let mut guard = connect(&record.url).await?;
        redis::cmd("CLIENT").arg("SETNAME").arg(&self.process).exec_async(&mut guard).await?;
        Ok(guard)
    }
}

async fn given(ladder: &Ladder) -> Result<Started, Reason> {
    let url = ladder.url.clone().ok_or("no URL is given")?;
    let version = server_version(&url).await?;
    Ok(Started { id: random_hex(12), description: format!("Redis {version}"), url })
}

/// Returns the server's version, as `7.0.15`.
pub(crate) async fn server_version(url: &str) -> Result<String, Reason> {
    let mut connection = connect(url).await?;
    let facts: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let version = facts.lines().find_map(|line| line.strip_prefix("redis_version:"));
    version
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| "the server does not say its version".into())
}

/// Connects as the URL says.
pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection, Reason> {
    let client = Client::open(url).map_err(|_| "the URL is not a Redis URL")?;
    let opened = timeout(ANSWER, client.get_multiplexed_async_connection()).await;
    opened.map_err(|_| "the server does not answer")?.map_err(Reason::from)
}
