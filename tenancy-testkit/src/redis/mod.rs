//! A Redis for every test.

mod claim;
mod cluster;
mod container;
mod local;
mod server;
mod service;

use std::{fmt, time::Duration};

use tokio::net::TcpStream;

use self::local::{Mode, Node};
pub use self::{cluster::TestRedisCluster, server::RedisServer};
use crate::{
    error::{Error, RungFailure},
    server::{
        Ladder, Rung, attach::Service, reason::Reason, runtime, state::StateFolder, watchdog::Watchdog,
    },
};

/// A destructor blocks a thread that may be the only one on which the test's other connections make progress.
const DROP_LIMIT: Duration = Duration::from_millis(500);

/// A Redis database that belongs to one test.
///
/// It is emptied and given back with this value, also while a failed test unwinds. The destructor waits for that
/// only for a moment; [`close`](Self::close) waits until it is done. What a killed process leaves behind is taken
/// over, empty, by the next one that uses the server.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// use tenancy_testkit::TestRedis;
///
/// let redis = TestRedis::create().await?;
/// println!("connect to {}", redis.url());
/// # Ok(())
/// # }
/// ```
pub struct TestRedis {
    url: String,
    held: Option<Held>,
}

enum Held {
    /// A numbered database of a shared server.
    Database(RedisServer, u32),
    /// A server of its own, on this port.
    Server(Watchdog, u16),
}

impl fmt::Debug for TestRedis {
    // The URL holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match &self.held {
            Some(Held::Database(_, number)) => Some(number),
            _ => None,
        };
        f.debug_struct("TestRedis").field("database", &number).finish_non_exhaustive()
    }
}

impl TestRedis {
    /// Claims an empty numbered database of the run's server ([`RedisServer::shared`]).
    ///
    /// What Redis does not keep apart by number is shared with other tests: channels, scripts, `FLUSHALL`, the
    /// server's configuration. A test that needs those takes [`dedicated`](Self::dedicated).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if no rung of the ladder gives a server;
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if the server refuses, or all its databases are taken.
    pub async fn create() -> Result<Self, Error> {
        RedisServer::shared().await?.create_database().await
    }

    /// Starts a server of this machine's binaries for one test alone; it ends with this value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if there is no `redis-server` on this machine or it does
    /// not start.
    pub async fn dedicated() -> Result<Self, Error> {
        Self::start_node(Mode::Single, local::random_password()).await.map(|(redis, _)| redis)
    }

    async fn start_node(mode: Mode, password: String) -> Result<(Self, Node), Error> {
        let ladder = Ladder::from_env("REDIS")?;
        let folder = StateFolder::open("redis-alone", &ladder)?;
        let running =
            runtime::run(async move { local::start_node(&ladder, &folder, mode, &password).await }).await;
        let failed =
            |reason: &dyn fmt::Display| RungFailure { rung: Rung::Local, reason: reason.to_string() };
        let running =
            running.map_err(|reason| Error::no_server(service::Redis::NAME, vec![failed(&reason)]))?;
        let held = Some(Held::Server(running.watchdog, running.started.port));
        Ok((Self { url: running.started.url.clone(), held }, running.started))
    }

    fn shared(server: RedisServer, url: String, number: u32) -> Self {
        Self { url, held: Some(Held::Database(server, number)) }
    }

    /// Returns the database's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Empties the database and gives it back, or ends the server that is this test's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if the server did not answer.
    pub async fn close(mut self) -> Result<(), Error> {
        let url = std::mem::take(&mut self.url);
        match self.held.take() {
            Some(Held::Database(server, number)) => {
                runtime::run(async move { server.release(&url, number).await }).await
            }
            Some(Held::Server(watchdog, port)) => {
                watchdog.end_now();
                runtime::run(async move { until_gone(port).await }).await
            }
            None => Ok(()),
        }
    }
}

/// Waits until nobody listens on `port`.
async fn until_gone(port: u16) -> Result<(), Error> {
    for _ in 0..1_000 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Error::server("the server does not end", Reason::from("it still accepts connections")))
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        match self.held.take() {
            Some(Held::Database(server, number)) => {
                let url = std::mem::take(&mut self.url);
                // What is not given back now is taken over when this process is gone.
                runtime::run_blocking(async move { drop(server.release(&url, number).await) }, DROP_LIMIT);
            }
            Some(Held::Server(watchdog, _)) => watchdog.end_now(),
            None => {}
        }
    }
}
