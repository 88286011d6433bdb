//! A PgBouncer before a test's database.

use std::{
    fmt, fs,
    process::{Child, Command},
};

use tokio::task;
use url::Url;

use crate::{
    error::{Error, RungFailure},
    postgres::TestDatabase,
    server::{
        Ladder, Rung,
        local::{self, Program, Site},
        process::spawn_logged,
        ready::start_on_port,
        reason::Reason,
        runtime,
        state::StateFolder,
        watchdog::Watchdog,
    },
};

const PGBOUNCER: Program = Program {
    service: "pgbouncer",
    binaries: &["pgbouncer"],
    // Debian and Red Hat, Homebrew, from source.
    usual_folders: &["/usr/sbin", "/usr/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/local/sbin"],
    accounts: &["postgres", "nobody"],
    pid_file: "pid",
    // It keeps nothing, and the gentler signals mean different things in different versions.
    signal: "KILL",
};

/// Prepared statements of the protocol outlive a transaction in the pooler since this version.
const PREPARES_SINCE: (u32, u32) = (1, 21);

/// For how long a server connection belongs to one client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PoolMode {
    /// As long as the client is connected; then the server connection is reset.
    Session,
    /// As long as a transaction lasts. What a session keeps beyond that, its settings and the statements that it prepared,
    /// is met by the next client and missed by this one.
    Transaction,
}

impl fmt::Display for PoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        })
    }
}

/// A PgBouncer of this machine before one [`TestDatabase`]; it ends with this value.
///
/// It has the same two roles as the database. It is found like the other servers of the kit, with `TENANCY_PGBOUNCER`
/// and its like as [`Ladder::from_env`] says, but only [`Rung::Local`] can give one: a pooler has to be set up for the
/// database that stands behind it.
///
/// # With sqlx and sea-orm
///
/// - sqlx numbers the statements that it prepares, for each of its connections from 1, also with a cache of zero. In
///   transaction mode, before version 1.21 ([`prepares`](Self::prepares)), the next transaction may run on a server
///   connection where another client has prepared another statement under that number, and runs it. The tests of this
///   crate show it. There, use session mode, or in each transaction statements that are not prepared or not kept
///   (`sqlx::raw_sql`, `Query::persistent(false)`). From 1.21 on the pooler keeps names apart, if its
///   `max_prepared_statements` is not zero; this one's is not.
/// - The driver names `extra_float_digits` when it connects; the pooler has to be told to ignore that
///   (`ignore_startup_parameters`). This one is.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// use tenancy_testkit::{PoolMode, TestDatabase, TestPgBouncer};
///
/// let db = TestDatabase::create().await?;
/// let pooler = TestPgBouncer::start(&db, PoolMode::Transaction, 2).await?;
/// println!("serve as {}", pooler.app_url());
/// # Ok(())
/// # }
/// ```
pub struct TestPgBouncer {
    app_url: String,
    owner_url: String,
    version: (u32, u32),
    mode: PoolMode,
    watchdog: Option<Watchdog>,
}

impl TestPgBouncer {
    /// Starts a pooler that opens at most `connections` connections for each role.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if there is no `pgbouncer` on this machine or it does not
    /// start.
    pub async fn start(database: &TestDatabase, mode: PoolMode, connections: u32) -> Result<Self, Error> {
        let ladder = Ladder::from_env("PGBOUNCER")?;
        let folder = StateFolder::open("pgbouncer-alone", &ladder)?;
        let urls = Urls::of(database)?;
        let configured = Configured { urls, mode, connections };
        let mut failures = Vec::new();
        for &rung in ladder.rungs() {
            let reason = match rung {
                Rung::Local => {
                    let (ladder, folder, configured) = (ladder.clone(), folder.clone(), configured.clone());
                    match runtime::run(async move { start(&ladder, &folder, &configured).await }).await {
                        Ok(pooler) => return Ok(pooler),
                        Err(reason) => reason.to_string(),
                    }
                }
                _ => "a pooler has to be set up for the test's own database".to_owned(),
            };
            failures.push(RungFailure { rung, reason });
        }
        Err(Error::no_server("PgBouncer", failures))
    }

    /// Returns the application role's URL through the pooler.
    #[must_use]
    pub fn app_url(&self) -> &str {
        &self.app_url
    }

    /// Returns the owner's URL through the pooler.
    #[must_use]
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// Returns for how long a server connection belongs to one client.
    #[must_use]
    pub fn mode(&self) -> PoolMode {
        self.mode
    }

    /// Returns the pooler's version, as `(1, 18)`.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Returns whether statements that a client has prepared work in transaction mode.
    #[must_use]
    pub fn prepares(&self) -> bool {
        self.version >= PREPARES_SINCE
    }
}

impl fmt::Debug for TestPgBouncer {
    // The URLs hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestPgBouncer")
            .field("version", &self.version)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Drop for TestPgBouncer {
    fn drop(&mut self) {
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.end_now();
        }
    }
}

#[derive(Clone)]
struct Urls {
    app: Url,
    owner: Url,
}

impl Urls {
    fn of(database: &TestDatabase) -> Result<Self, Error> {
        let parse =
            |url: &str| url.parse().map_err(|_| Error::configuration("the database's URL is not a URL"));
        Ok(Self { app: parse(database.app_url())?, owner: parse(database.owner_url())? })
    }
}

#[derive(Clone)]
struct Configured {
    urls: Urls,
    mode: PoolMode,
    connections: u32,
}

impl Configured {
    fn ini(&self, site: &Site, port: u16) -> String {
        let (app, data) = (&self.urls.app, site.data.display());
        let Self { mode, connections, .. } = self;
        let (host, server_port) = (app.host_str().unwrap_or("127.0.0.1"), app.port().unwrap_or(5432));
        let database = app.path().trim_start_matches('/');
        let prepared = "max_prepared_statements = 100\n";
        let prepared =
            if version(site).is_ok_and(|version| version >= PREPARES_SINCE) { prepared } else { "" };
        format!(
            "[databases]\n{database} = host={host} port={server_port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             pidfile = {data}/pid\nauth_type = scram-sha-256\nauth_file = {data}/users\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\nmax_client_conn = 1000\n\
             server_reset_query = DISCARD ALL\nignore_startup_parameters = extra_float_digits\n{prepared}"
        )
    }

    /// The passwords as they are: the pooler has to log in at the server by them.
    fn users(&self) -> String {
        let line = |url: &Url| format!("\"{}\" \"{}\"\n", url.username(), url.password().unwrap_or_default());
        line(&self.urls.app) + &line(&self.urls.owner)
    }

    fn url(&self, url: &Url, port: u16) -> Result<String, Reason> {
        let mut url = url.clone();
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        url.set_ip_host(address)
            .and_then(|()| url.set_port(Some(port)))
            .map_err(|()| "the URL has no host")?;
        Ok(url.into())
    }
}

async fn start(
    ladder: &Ladder,
    folder: &StateFolder,
    configured: &Configured,
) -> Result<TestPgBouncer, Reason> {
    let started = local::run(&PGBOUNCER, ladder, folder, async |site| {
        let version = {
            let site = site.clone();
            task::spawn_blocking(move || version(&site))
                .await
                .expect("waiting for a process does not panic")?
        };
        let spawn = |port| spawn(&site, configured, port);
        let probe = |port| async move { probe(&configured.url(&configured.urls.app, port)?).await };
        let (port, ()) = start_on_port(None, spawn, &site.log(), probe).await?;
        Ok((port, version))
    });
    let local::Running { watchdog, started: (port, version), .. } = started.await?;
    Ok(TestPgBouncer {
        app_url: configured.url(&configured.urls.app, port)?,
        owner_url: configured.url(&configured.urls.owner, port)?,
        version,
        mode: configured.mode,
        watchdog: Some(watchdog),
    })
}

async fn probe(url: &str) -> Result<(), Reason> {
    use sqlx::{Connection, PgConnection};

    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

fn spawn(site: &Site, configured: &Configured, port: u16) -> Result<Child, Reason> {
    let write = |name: &str, text: String| {
        let file = site.data.join(name);
        let written = fs::write(&file, text).and_then(|()| site.account.hand_over(&file, 0o600));
        written.map(|()| file).map_err(|error| Reason::new("configuration file", error))
    };
    write("users", configured.users())?;
    let file = write("pgbouncer.ini", configured.ini(site, port))?;
    let mut command = site.account.command(&site.binaries.join("pgbouncer"));
    command.arg(file);
    spawn_logged(command, &site.log())
}

fn version(site: &Site) -> Result<(u32, u32), Reason> {
    let output = Command::new(site.binaries.join("pgbouncer")).arg("--version").output();
    let output = output.map_err(|error| Reason::new("pgbouncer does not start", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| "pgbouncer does not say its version".into())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let numbers = text.lines().next()?.strip_prefix("PgBouncer ")?;
    let mut numbers = numbers.split('.').map(|number| number.trim().parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n"), Some((1, 18)));
        assert!(parse_version("PgBouncer 1.9.0") < Some(PREPARES_SINCE));
        assert_eq!(parse_version("something else"), None);
    }
}
