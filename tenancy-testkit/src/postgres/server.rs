//! A running server, as one test process uses it.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::{
    TestDatabase,
    names::{Key, database_url, url_for},
    service::{Detail, Postgres, connect},
    setup, sweep, template,
};
use crate::{
    error::{Error, ErrorKind},
    server::{
        Ladder, Rung,
        attach::{Attached, Service, attach},
        once::OncePerKey,
        reason::Reason,
        runtime,
        state::Record,
    },
};

/// A PostgreSQL server that the test processes of a run share.
///
/// [`TestDatabase::create`] is all that most tests need; this is for tests that choose the server themselves.
#[derive(Clone)]
pub struct PostgresServer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) record: Record<Detail>,
    service: Postgres,
    admin: Mutex<PgConnection>,
    /// Drops databases, apart from what tests wait for: PostgreSQL drops one only when every backend has answered,
    /// and a backend whose client is still logging in does not answer.
    reaper: Mutex<Option<PgConnection>>,
    next: AtomicU64,
    pub(super) templates: OncePerKey<Key, String>,
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresServer").field(&self.description()).finish()
    }
}

impl PostgresServer {
    /// Returns the run's server, by the ladder that the environment describes ([`Ladder::from_env`]).
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), and [`ErrorKind::Configuration`] if the environment cannot be understood.
    pub async fn shared() -> Result<Self, Error> {
        Self::attach(Ladder::from_env("POSTGRES")?).await
    }

    /// Returns the run's server of this ladder; the first process to ask starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoServer`] if no rung gives one: [`Error::rungs`] says why for each. [`ErrorKind::State`] if the
    /// folder that test processes share cannot be used.
    pub async fn attach(ladder: Ladder) -> Result<Self, Error> {
        static SERVERS: LazyLock<OncePerKey<Ladder, PostgresServer>> = LazyLock::new(OncePerKey::default);
        SERVERS.get_or_make(ladder.clone(), || runtime::run(Self::open(ladder))).await
    }

    async fn open(ladder: Ladder) -> Result<Self, Error> {
        let service = Postgres { process: Key::random() };
        let Attached { record, guard } = attach(service, ladder).await?;
        let inner = Inner {
            record,
            service,
            admin: Mutex::new(guard),
            reaper: Mutex::default(),
            next: AtomicU64::new(1),
            templates: OncePerKey::default(),
        };
        Ok(Self(Arc::new(inner)))
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

    /// Returns what the server is, as `postgres:15-bookworm (docker 20.10)`.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.record.description
    }

    /// Returns the administrator's URL: for tests of what a superuser sees, never for the code under test.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.0.record.url
    }

    /// Makes an empty database; [`TestDatabase::create`] describes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Server`] if the server refuses.
    pub async fn create_database(&self) -> Result<TestDatabase, Error> {
        self.copy(setup::base_name(&self.0.record.detail)).await
    }

    /// Makes a database from a template; [`TestDatabase::from_template`] describes it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] if `migrate` fails, [`ErrorKind::Server`] if the server refuses.
    pub async fn database_from_template<F, Fut, E>(
        &self,
        name: &str,
        migrate: F,
    ) -> Result<TestDatabase, Error>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let template = template::get(self, name, migrate).await?;
        self.copy(template).await
    }

    async fn copy(&self, template: String) -> Result<TestDatabase, Error> {
        let server = self.clone();
        runtime::run(async move { server.copy_here(&template).await }).await
    }

    async fn copy_here(&self, template: &str) -> Result<TestDatabase, Error> {
        let Detail { run, owner, app } = &self.0.record.detail;
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("tk_{run}_{}_{number}", self.0.service.process);
        for statement in [
            format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {}", owner.name),
            // A copy does not take over the privileges on the database itself.
            format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE {name} TO {}", app.name),
        ] {
            self.execute(&statement).await?;
        }
        let url = self.admin_url();
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        super::strike::off(&database_url(url, &name)?).await?;
        Ok(TestDatabase {
            owner_url: url_for(url, &owner.name, &owner.password, &name)?,
            app_url: url_for(url, &app.name, &app.password, &name)?,
            admin_url: database_url(url, &name)?,
            server: self.clone(),
            name,
        })
    }

    /// Runs an administrator's statement, on a new connection if the old one broke.
    pub(super) async fn execute(&self, statement: &str) -> Result<(), Error> {
        let mut admin = self.0.admin.lock().await;
        let doing = "the server refused an operation of the kit";
        match setup::execute(&mut admin, statement).await {
            Ok(()) => return Ok(()),
            // "Terminating connection …", class 57P, is the connection's end, as a restart brings it.
            Err(sqlx::Error::Database(refused))
                if !refused.code().is_some_and(|code| code.starts_with("57P")) =>
            {
                return Err(Error::server(doing, Reason::from(sqlx::Error::Database(refused))));
            }
            Err(_) => {}
        }
        *admin = self.0.service.join(&self.0.record).await.map_err(|reason| Error::server(doing, reason))?;
        let again = setup::execute(&mut admin, statement).await;
        again.map_err(|error| Error::server(doing, Reason::from(error)))
    }

    /// Drops a database, with whoever is connected to it.
    pub(super) async fn drop_database(&self, name: &str) -> Result<(), Error> {
        let refused = |reason: Reason| Error::server("the server did not drop a database", reason);
        let mut reaper = self.0.reaper.lock().await;
        let mut connection = match reaper.take() {
            Some(connection) => connection,
            None => connect(self.admin_url()).await.map_err(refused)?,
        };
        sweep::drop_database(&mut connection, name).await.map_err(|error| refused(error.into()))?;
        // Kept only after a success: a connection that failed may be broken.
        *reaper = Some(connection);
        Ok(())
    }
}

impl Error {
    pub(super) fn migration(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Migration, "the template's migration failed").with_source(source)
    }
}
