//! Tenants in a database: the catalog that nodes ask, its administration, and the news of its changes.
//!
//! - `CreateTenantCatalog` makes the tables (feature `migration`).
//! - [`DatabaseCatalog`] answers which tenant a key denotes. Put a [`CachedCatalog`](tenancy_core::CachedCatalog) before
//!   it.
//! - [`CatalogWatch`] tells the cache of every node what has changed.
//! - [`CatalogAdmin`] makes the changes.
//!
//! # When a change counts
//!
//! On the node where [`CatalogAdmin`] has the cache, when the call returns. On the others, with a [`CatalogWatch`]:
//!
//! | | bound |
//! |---|---|
//! | PostgreSQL, connected | the notification's latency (milliseconds), and at most twice [`CatalogWatch::with_refresh_limit`] if the database is slow to tell the new record |
//! | notifications lost, or another database | in addition [`CatalogWatch::with_interval`] |
//! | database out of reach | the cache's time to live, and what `with_stale_if_error` adds |

mod admin;
mod change;
mod domains;
mod entity;
mod listener;
#[cfg(feature = "migration")]
mod migration;
mod record;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use tenancy_core::{Domain, Error, Lookup, Tenant, TenantCatalog, TenantKey};

pub use admin::CatalogAdmin;
pub use domains::DomainClaim;
#[cfg(feature = "migration")]
pub use migration::CreateTenantCatalog;
pub use watch::CatalogWatch;

use crate::conduit::Link;
use crate::plain::Plain;
use crate::scrub::scrub;

/// The tenants that stand in the tables of `CreateTenantCatalog`.
///
/// Every look-up is one statement, so that the parts of a record are of one moment. What is not understood, such as an
/// unknown status, is an error and not a tenant (DIR-15).
///
/// The connection should belong to a role that reads these tables and, unless it administers them, nothing else. A
/// clone shares it.
///
/// # Examples
///
/// ```no_run
/// use sea_orm::Database;
/// use tenancy_core::CachedCatalog;
/// use tenancy_seaorm::catalog::{CatalogWatch, DatabaseCatalog};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let db = Database::connect("postgres://catalog@db.example/platform").await?;
/// let catalog = CachedCatalog::new(DatabaseCatalog::new(db).with_base_domains(["app.example".parse()?]));
/// tokio::spawn(CatalogWatch::new(catalog.clone()).run());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DatabaseCatalog {
    /// For what needs a connection of its own.
    pool: DatabaseConnection,
    db: Plain<Link>,
    /// A pooler in transaction mode, which drops notifications, is before the server.
    pooler: bool,
    bases: Arc<[Domain]>,
    time_limit: Duration,
}

impl DatabaseCatalog {
    /// Returns the catalog in the database behind `db`.
    #[must_use]
    pub fn new(db: DatabaseConnection) -> Self {
        let (pool, db) = (db.clone(), Plain::to(db));
        Self { pool, db, pooler: false, bases: Arc::default(), time_limit: Duration::from_secs(5) }
    }

    /// States that a pooler in transaction mode, such as PgBouncer, is between this program and PostgreSQL.
    ///
    /// Every look-up then runs in a transaction, and none is prepared by name: the next transaction may run on a server
    /// connection where that name stands for another client's statement. A [`CatalogWatch`] does not listen for
    /// notifications then, and asks for changes alone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sea_orm::DbErr> {
    /// use tenancy_seaorm::catalog::DatabaseCatalog;
    ///
    /// let db = sea_orm::Database::connect("postgres://catalog@pgbouncer:6432/platform").await?;
    /// let catalog = DatabaseCatalog::new(db).behind_transaction_pooler();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn behind_transaction_pooler(mut self) -> Self {
        self.db = Plain::behind_transaction_pooler(self.pool.clone());
        self.pooler = true;
        self
    }

    /// Names the platform's own base domains: neither they nor anything below them is a tenant's own domain, whatever
    /// stands in the tables (DIR-13).
    #[must_use]
    pub fn with_base_domains(mut self, bases: impl IntoIterator<Item = Domain>) -> Self {
        self.bases = bases.into_iter().collect();
        self
    }

    /// Sets how long a look-up may take before it fails (default: 5 s).
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Returns the number of the last change to the catalog.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::CatalogUnavailable`](tenancy_core::ErrorKind::CatalogUnavailable) if the database did not
    /// answer in time.
    pub async fn version(&self) -> Result<u64, Error> {
        let row = self.in_time(async { counter_row(&self.db).await }).await?;
        u64::try_from(row).map_err(|_| Error::catalog_unavailable("its version is negative"))
    }

    fn is_below_base(&self, name: &str) -> bool {
        self.bases.iter().any(|base| {
            let above = name.strip_suffix(base.as_str());
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.time_limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::catalog_unavailable("it took too long")),
        }
    }

    async fn load(&self, key: &TenantKey<'_>) -> Result<Option<Arc<Tenant>>, Error> {
        self.in_time(record::find(&self.db, key)).await
    }
}

async fn counter_row(db: &impl sea_orm::ConnectionTrait) -> Result<i64, Error> {
    let row = entity::counter::Entity::find_by_id(1).one(db).await.map_err(unavailable)?;
    row.map(|row| row.version).ok_or_else(|| Error::catalog_unavailable("its table of one row is empty"))
}

impl TenantCatalog for DatabaseCatalog {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        if let TenantKey::Domain(name) = key
            && self.is_below_base(name)
        {
            return Lookup::Absent;
        }
        let (catalog, key) = (self.clone(), key.clone().into_owned());
        Lookup::later(async move { catalog.load(&key).await })
    }
}

impl fmt::Debug for DatabaseCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseCatalog").field("bases", &self.bases).finish_non_exhaustive()
    }
}

/// The database's message may quote rows, and stays out.
fn unavailable(error: DbErr) -> Error {
    Error::catalog_unavailable(scrub(error))
}
