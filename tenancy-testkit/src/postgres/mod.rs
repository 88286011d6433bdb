//! A PostgreSQL database for every test, on a server that all test processes of a run share.

mod container;
mod local;
mod names;
#[cfg(feature = "faults")]
mod restart;
mod role;
mod server;
mod service;
mod setup;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
mod strike;
mod sweep;
mod template;
mod verifier;

use std::{error::Error as StdError, fmt, future::Future, time::Duration};

#[cfg(feature = "faults")]
pub use self::restart::Stop;
pub use self::{
    role::{RolePower, require_app_role, role_powers},
    server::PostgresServer,
};
use crate::{error::Error, server::runtime};

/// What the servers that the kit starts have in common: nothing survives a crash, and nothing has to.
const SERVER_SETTINGS: [&str; 7] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_connections=300",
    // A database lives for seconds; statistics that change in between make tests differ from run to run.
    "autovacuum=off",
];

/// A destructor blocks a thread that may be the only one on which the test's other connections make progress, and
/// PostgreSQL does not drop a database while a client is in the middle of logging in.
const DROP_LIMIT: Duration = Duration::from_millis(500);

/// A PostgreSQL database that belongs to one test.
///
/// It is dropped with this value, also while a failed test unwinds. The destructor waits for that only for a moment;
/// [`close`](Self::close) waits until it is done and says whether it was. What a killed process leaves behind is
/// swept by the next one that uses the server.
///
/// Two roles can connect to it. The owner migrates. The application role may read and change rows of the tables
/// that the owner creates, and use their sequences; it owns nothing, cannot create, truncate or reference, is no
/// superuser, and row-level security applies to it.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// use tenancy_testkit::TestDatabase;
///
/// let db = TestDatabase::create().await?;
/// // Migrate as `db.owner_url()`, then run the code under test as `db.app_url()`.
/// # Ok(())
/// # }
/// ```
pub struct TestDatabase {
    name: String,
    owner_url: String,
    app_url: String,
    admin_url: String,
    server: PostgresServer,
}

impl fmt::Debug for TestDatabase {
    // The URLs hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDatabase")
            .field("name", &self.name)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl TestDatabase {
    /// Makes an empty database on the run's server ([`PostgresServer::shared`]).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`](crate::ErrorKind::NoServer) if no rung of the ladder gives a server;
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if the server refuses.
    pub async fn create() -> Result<Self, Error> {
        PostgresServer::shared().await?.create_database().await
    }

    /// Makes a database from a template that is migrated once per run and copied for each test.
    ///
    /// The first caller of this `name` gets the owner's URL to migrate; all others, in this process and in the
    /// run's other processes, wait for it. A test binary that was compiled anew has templates of its own, so a
    /// changed migration is never tested against an old schema. `migrate` is to close its connections: those left
    /// open are ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`](crate::ErrorKind::Migration) if `migrate` fails, with its error as the source; the
    /// next caller tries again. Otherwise as [`create`](Self::create).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn migrate(url: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn example() -> Result<(), tenancy_testkit::Error> {
    /// use tenancy_testkit::TestDatabase;
    ///
    /// let db = TestDatabase::from_template("orders", |owner_url| async move { migrate(&owner_url).await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn from_template<F, Fut, E>(name: &str, migrate: F) -> Result<Self, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        PostgresServer::shared().await?.database_from_template(name, migrate).await
    }

    /// Returns the database's name, which no other database of the server ever has.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the role that owns the database and migrates it.
    #[must_use]
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// Returns the URL of the least-privileged role that the code under test uses.
    #[must_use]
    pub fn app_url(&self) -> &str {
        &self.app_url
    }

    /// Returns the server administrator's URL of this database: for tests of what a superuser sees, never for the
    /// code under test.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Drops the database, with whoever is still connected to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Server`](crate::ErrorKind::Server) if the server did not; the database is then swept later.
    pub async fn close(mut self) -> Result<(), Error> {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        runtime::run(async move { server.drop_database(&name).await }).await
    }

    /// Returns the server that the database is on.
    #[must_use]
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        if name.is_empty() {
            return;
        }
        let server = self.server.clone();
        // What is not dropped now goes with the server, or is swept by the next process that joins it.
        runtime::run_blocking(async move { drop(server.drop_database(&name).await) }, DROP_LIMIT);
    }
}
