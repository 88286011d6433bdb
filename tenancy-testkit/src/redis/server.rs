//! A running server, as one test process uses it.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use super::{TestRedis, claim, service::Redis};
use crate::{
    error::Error,
    server::{
        Ladder, Rung,
        attach::{Attached, Service, attach},
        once::OncePerKey,
        reason::Reason,
        runtime,
        state::{Record, random_hex},
    },
};

/// A Redis server that the test processes of a run share.
///
/// [`TestRedis::create`] is all that most tests need; this is for tests that choose the server themselves.
#[derive(Clone)]
pub struct RedisServer(Arc<Inner>);

struct Inner {
    record: Record<<Redis as Service>::Detail>,
    service: Redis,
    guard: Mutex<MultiplexedConnection>,
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisServer").field(&self.description()).finish()
    }
}

impl RedisServer {
    /// Returns the run's server, by the ladder that the environment describes ([`Ladder::from_env`] of `REDIS`).
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), and [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the
    /// environment cannot be understood.
    pub async fn shared() -> Result<Self, Error> {
        Self::attach(Ladder::from_env("REDIS")?).await
    }

    /// Returns the run's server of this ladder; the first process to ask starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if no rung gives one: [`Error::rungs`] says why for each.
    /// [`ErrorKind::State`](crate::ErrorKind::State) if the folder that test processes share cannot be used.
    pub async fn attach(ladder: Ladder) -> Result<Self, Error> {
        static SERVERS: LazyLock<OncePerKey<Ladder, RedisServer>> = LazyLock::new(OncePerKey::default);
        SERVERS.get_or_make(ladder.clone(), || runtime::run(Self::open(ladder))).await
    }

    async fn open(ladder: Ladder) -> Result<Self, Error> {
        let service = Redis { process: format!("tenancy-testkit-{}", random_hex(12)) };
        let Attached { record, guard } = attach(service.clone(), ladder).await?;
        Ok(Self(Arc::new(Inner { record, service, guard: Mutex::new(guard) })))
    }

    /// Returns the rung that the server came from.
    ///
    /// # Panics
    ///
    /// Never: a record of an unknown rung is not joined.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.0.record.rung().expect("only records of known rungs are written")
    }

    /// Returns what the server is, as `Redis 7.0.15`.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.record.description
    }

    /// Claims an empty database of its own for one test; [`TestRedis::create`] describes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if the server refuses, or all its databases are taken.
    pub async fn create_database(&self) -> Result<TestRedis, Error> {
        let server = self.clone();
        let claimed = runtime::run(async move { server.claim().await }).await;
        let (url, number) = claimed.map_err(|reason| Error::server("the server gave no database", reason))?;
        Ok(TestRedis::shared(self.clone(), url, number))
    }

    async fn claim(&self) -> Result<(String, u32), Reason> {
        let Inner { record, service, guard } = &*self.0;
        let mut guard = guard.lock().await;
        if redis::cmd("PING").exec_async(&mut *guard).await.is_err() {
            *guard = service.join(record).await?;
        }
        let claimed = claim::claim(&mut guard, &service.process, record.detail.databases).await?;
        let number = claimed.ok_or("all databases of the server are taken")?;
        drop(guard);
        let url = numbered(&record.url, number)?;
        // The last holder may have been killed.
        claim::flush(&url).await?;
        Ok((url, number))
    }

    /// Empties a database and gives it back.
    pub(super) async fn release(&self, url: &str, number: u32) -> Result<(), Error> {
        let refused = |reason: Reason| Error::server("the server did not take a database back", reason);
        claim::flush(url).await.map_err(refused)?;
        claim::release(&mut *self.0.guard.lock().await, number).await.map_err(refused)
    }
}

fn numbered(url: &str, number: u32) -> Result<String, Reason> {
    let mut url: url::Url = url.parse().map_err(|_| "the Redis URL is not a URL")?;
    url.set_path(&number.to_string());
    Ok(url.into())
}
