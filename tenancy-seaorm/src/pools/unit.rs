//! One physical connection: opened by what the source says, watched, and closed such that its server has closed it too.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
use sea_orm::DatabaseConnectionType;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr, sqlx};
use tenancy_core::TenantId;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::desk::{Failed, Left, Task, Units};
use super::ledger::Refused;
use super::source::DatabaseSource;
use super::target::Target;
use crate::error::{Error, ErrorKind};

/// How a connection is closed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Closing {
    /// It counts until the server has closed it. PostgreSQL gives no answer to the message that ends a connection, so
    /// the backend is asked to terminate itself, which its log mentions, and its end of the connection is awaited.
    #[default]
    Confirmed,
    /// It counts until the message that ends it is sent: the server may count it for a moment longer. For a pooler in
    /// between, whose server connection is to survive.
    Sent,
}

/// The options of the registry that its connections need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) connect_limit: Duration,
    pub(super) max_lifetime: Duration,
    pub(super) closing: Closing,
}

/// A sea-orm pool of exactly one connection: what it is asked for, and what a broken connection is replaced by, can
/// never be a second one.
#[derive(Clone)]
pub(super) struct Unit {
    pub(super) db: DatabaseConnection,
    opened: Instant,
}

/// The connection knows its password.
impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unit")
    }
}

pub(super) struct Connections {
    pub(super) source: Arc<dyn DatabaseSource>,
    pub(super) habits: Habits,
    pub(super) unconfirmed: AtomicU64,
    /// A lease may be dropped outside of the runtime that it was made in.
    pub(super) runtime: OnceLock<Handle>,
}

/// A server that does not even take leave is not waited for.
const LEAVE: Duration = Duration::from_secs(5);

impl Units for Connections {
    type Tenant = TenantId;
    type Key = Target;
    type Unit = Unit;
    type Error = Error;

    async fn open(&self, target: &Target) -> Result<Unit, Error> {
        let limit = self.habits.connect_limit;
        let opened = timeout(limit, self.connect(target)).await;
        opened.unwrap_or_else(|_| {
            self.unconfirmed.fetch_add(1, Ordering::Relaxed);
            Err(unavailable("the server did not answer in time"))
        })
    }

    async fn close(&self, unit: Unit) {
        let confirmed = match self.habits.closing {
            Closing::Confirmed => timeout(LEAVE, leave(&unit.db)).await.unwrap_or(false),
            Closing::Sent => false,
        };
        if !confirmed {
            self.unconfirmed.fetch_add(1, Ordering::Relaxed);
        }
        // It waits for whoever still works on the connection, however long that takes: until then it is open.
        drop(unit.db.close_by_ref().await);
    }

    fn left(&self, unit: &Unit) -> Option<Left> {
        let (open, idle) = occupation(&unit.db)?;
        if open == 0 || unit.opened.elapsed() > self.habits.max_lifetime {
            return Some(Left::Unusable);
        }
        (open == idle).then_some(Left::Usable)
    }

    async fn settle(&self, unit: &Unit) -> Left {
        // The driver waits for the server's answer to what was under way; most of the time that is one round trip.
        for _ in 0..3 {
            tokio::task::yield_now().await;
            if let Some(left) = self.left(unit) {
                return left;
            }
        }
        let mut pause = Duration::from_millis(1);
        loop {
            sleep(pause).await;
            if let Some(left) = self.left(unit) {
                return left;
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    fn spawn(&self, task: Task) {
        match (Handle::try_current(), self.runtime.get()) {
            (Ok(runtime), _) => drop(runtime.spawn(task)),
            (Err(_), Some(runtime)) => drop(runtime.spawn(task)),
            // Its guard takes note.
            (Err(_), None) => drop(task),
        }
    }

    fn error(&self, why: Failed) -> Error {
        match why {
            Failed::NotOpened => unavailable("the attempt to connect that it waited for failed"),
            Failed::Refused(Refused::Full) => Error::new(
                ErrorKind::Exhausted,
                "the line for a connection",
                "too many requests wait already",
            ),
            Failed::Refused(Refused::Closed) => {
                Error::new(ErrorKind::Exhausted, "the pool registry", "it is closed")
            }
            Failed::Refused(Refused::Foreign) => {
                let hint = "it is another tenant's own: two records name the same database";
                Error::new(ErrorKind::ForeignTenant, "the tenant's database", hint)
            }
        }
    }
}

impl Connections {
    async fn connect(&self, target: &Target) -> Result<Unit, Error> {
        let options = self.source.options(target).await;
        let options = options.map_err(|_| unavailable("its connection options could not be had"))?;
        let hint = "the source of connection options does not know it";
        let unknown = || Error::new(ErrorKind::UnknownDatabase, "the tenant's database", hint);
        let options = self.tame(options.ok_or_else(unknown)?);
        let db = Database::connect(options).await.map_err(|error| unavailable(reason(&error)))?;
        if most(&db) != Some(1) {
            drop(db.close_by_ref().await);
            let hint =
                "its options set the number of connections, or its driver's feature of this crate is off";
            return Err(Error::new(ErrorKind::Policy, "the tenant's database", hint));
        }
        Ok(Unit { db, opened: Instant::now() })
    }

    /// Leaves the life of connections to the registry alone.
    fn tame(&self, mut options: ConnectOptions) -> ConnectOptions {
        options
            .max_connections(1)
            .min_connections(0)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy(false)
            .connect_timeout(self.habits.connect_limit)
            .acquire_timeout(self.habits.connect_limit);
        options
    }
}

fn unavailable(hint: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unavailable, "the tenant's database", hint)
}

/// Says why a connection failed without the driver's text, which may quote the URL with its password.
fn reason(error: &DbErr) -> String {
    let (DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime)) = error else {
        return "no connection could be opened".to_owned();
    };
    let RuntimeErr::SqlxError(error) = runtime else {
        return "its connection options are not understood".to_owned();
    };
    match &**error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if code.len() <= 8 => format!("the server refused the connection ({code})"),
            _ => "the server refused the connection".to_owned(),
        },
        sqlx::Error::Io(error) => format!("no connection could be opened ({})", error.kind()),
        sqlx::Error::Tls(_) => "TLS could not be agreed on".to_owned(),
        sqlx::Error::PoolTimedOut => "the server did not answer in time".to_owned(),
        sqlx::Error::Configuration(_) => "its connection options are not understood".to_owned(),
        _ => "no connection could be opened".to_owned(),
    }
}

/// Returns the most connections that the pool opens, or `None` for a driver that cannot be asked.
fn most(db: &DatabaseConnection) -> Option<u32> {
    match &db.inner {
        #[cfg(feature = "postgres")]
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
            Some(db.get_postgres_connection_pool().options().get_max_connections())
        }
        #[cfg(feature = "mysql")]
        DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
            Some(db.get_mysql_connection_pool().options().get_max_connections())
        }
        #[cfg(feature = "sqlite")]
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
            Some(db.get_sqlite_connection_pool().options().get_max_connections())
        }
        _ => None,
    }
}

/// Returns how many connections are open, and how many of them nobody works on.
fn occupation(db: &DatabaseConnection) -> Option<(u32, u32)> {
    let count = |size: u32, idle: usize| Some((size, u32::try_from(idle).unwrap_or(u32::MAX)));
    match &db.inner {
        #[cfg(feature = "postgres")]
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
            let pool = db.get_postgres_connection_pool();
            count(pool.size(), pool.num_idle())
        }
        #[cfg(feature = "mysql")]
        DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
            let pool = db.get_mysql_connection_pool();
            count(pool.size(), pool.num_idle())
        }
        #[cfg(feature = "sqlite")]
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => {
            let pool = db.get_sqlite_connection_pool();
            count(pool.size(), pool.num_idle())
        }
        _ => count(0, 0),
    }
}

/// Takes leave of the server; returns whether the server is known to have closed the connection.
async fn leave(db: &DatabaseConnection) -> bool {
    match &db.inner {
        #[cfg(feature = "postgres")]
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
            leave_postgres(db.get_postgres_connection_pool()).await
        }
        // It is a file, or memory: when its thread has ended, so has the connection.
        #[cfg(feature = "sqlite")]
        DatabaseConnectionType::SqlxSqlitePoolConnection(_) => true,
        _ => false,
    }
}

#[cfg(feature = "postgres")]
async fn leave_postgres(pool: &sqlx::PgPool) -> bool {
    use sqlx::Connection;

    let Some(connection) = pool.try_acquire() else { return pool.size() == 0 };
    let mut connection = connection.detach();
    let asked = sqlx::raw_sql("SELECT pg_terminate_backend(pg_backend_pid())").execute(&mut connection).await;
    match asked {
        // A backend's last word. Its end of the connection is closed by the end of its process, after it has given up
        // its place among the server's connections.
        Err(sqlx::Error::Database(last)) if last.code().as_deref() == Some("57P01") => {
            connection.ping().await.is_err()
        }
        Err(sqlx::Error::Io(_)) => true,
        _ => {
            drop(connection.close().await);
            false
        }
    }
}
