//! [`App`]: the running service, and what its operators can do.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tenancy_core::{CachedCatalog, TenantCache, TenantContext};
use tenancy_seaorm::danger::Capability;
use tenancy_seaorm::{Policy, Tenancy};
use tenancy_testkit::TestDatabase;
use tenancy_testkit::proxy::PgProxy;
use tokio::task::JoinHandle;

use crate::db::{Db, Pinned};
use crate::directory::{Directory, REMEMBERED};
use crate::logs::Logs;
use crate::options::{Isolation, Options, TenantSeed};
use crate::schema::{self, schema_name};
use crate::store::Store;
use crate::tokens::{Credential, Tokens};
use crate::{Error, Variant, api};

/// The reference application, with a database of its own.
///
/// A clone is the same application.
#[derive(Clone)]
pub struct App(pub(crate) Arc<State>);

pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) tokens: Tokens,
    pub(crate) directory: Directory,
    pub(crate) catalog: Arc<CachedCatalog<Directory>>,
    /// The service's connections: the application's role.
    pub(crate) pool: PgPool,
    proxy: Option<Arc<PgProxy>>,
    tenancy: Tenancy,
    /// The administrators' connection: the owner's role, and the right to go around the scope.
    pub(crate) maintenance: (Tenancy, Capability),
    /// Everybody's rows. The correct service never touches it; it is what the variants reach for by mistake.
    raw: DatabaseConnection,
    pub(crate) store: Store,
    pub(crate) stats: TenantCache<Arc<str>>,
    /// The mistake of M21.
    pub(crate) repository: OnceLock<TenantContext>,
    /// The mistake of M22.
    pub(crate) enqueued_last: Mutex<Option<String>>,
    pub(crate) logs: Logs,
    pub(crate) served: Mutex<u64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    database: TestDatabase,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl App {
    /// Makes a database, fills it with the tenants' rows, and starts the service on it.
    ///
    /// # Errors
    ///
    /// Returns what keeps the database or the service from starting.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let migrated = options.clone();
        let database =
            TestDatabase::from_template(&template(&options), |url| schema::migrate(url, migrated)).await?;
        let variant = options.variant;
        let owner = PgPoolOptions::new().max_connections(2).test_before_acquire(false);
        let owner = owner.connect(database.owner_url()).await?;
        if matches!(variant, Variant::M07 | Variant::M13) {
            // A key that all tenants share.
            owner.execute("CREATE UNIQUE INDEX customers_by_email ON customers (email)").await?;
        }
        if variant == Variant::M13 {
            // PostgreSQL keeps the key out of its message where row-level security applies.
            owner.execute("ALTER TABLE customers DISABLE ROW LEVEL SECURITY").await?;
        }
        let url = if variant == Variant::M37 { database.owner_url() } else { database.app_url() };
        let proxy = if options.proxied { Some(Arc::new(PgProxy::start(url).await?)) } else { None };
        let url = proxy.as_ref().map_or_else(|| Ok(url.to_owned()), |proxy| proxy.url(url))?;
        let pool = crate::db::pool(&url, options.pool_size).await?;
        let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        let raw = SqlxPostgresConnector::from_sqlx_postgres_pool(owner.clone());
        let directory = Directory::new(owner);
        let mut stats = TenantCache::builder();
        if variant == Variant::B06 {
            stats = stats.with_ttl(Duration::from_secs(1)..=Duration::from_secs(1));
        }
        let (tokens, catalog) = (Tokens::new(variant)?, directory.clone().cached(variant));
        Ok(Self(Arc::new(State {
            options,
            tokens,
            directory,
            catalog,
            pool,
            proxy,
            tenancy: Tenancy::new(db, policy()?)?,
            maintenance: Tenancy::with_capability(raw.clone(), policy()?)?,
            raw,
            store: Store::default(),
            stats: stats.build(),
            repository: OnceLock::new(),
            enqueued_last: Mutex::default(),
            logs: Logs::default(),
            served: Mutex::default(),
            tasks: Mutex::default(),
            database,
        })))
    }

    /// Returns the service.
    ///
    /// # Panics
    ///
    /// Panics if the wiring contradicts itself.
    pub fn router(&self) -> Router {
        api::router(self.clone()).expect("the wiring is consistent")
    }

    /// Returns the tenants that the service was started with.
    #[must_use]
    pub fn tenants(&self) -> &[TenantSeed] {
        &self.0.options.tenants
    }

    /// Returns what a user of `tenant` sends with each request: a host, a token, and the header that agrees with it.
    ///
    /// # Errors
    ///
    /// Returns why the token cannot be signed.
    pub fn credential(&self, tenant: &TenantSeed) -> Result<Credential, Error> {
        Credential::tenant(tenant)
    }

    /// Returns what an administrator of the platform sends.
    #[must_use]
    pub fn admin_credential(&self) -> Credential {
        Credential::admin()
    }

    /// Suspends the tenant `id`. It is served no longer than [`App::bound`] after this.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn suspend(&self, id: &str) -> Result<(), Error> {
        self.0.directory.set_status(id, Some("suspended")).await?;
        Ok(())
    }

    /// Takes the tenant `id` out of the directory. Its rows stay until they are purged; its jobs must not run.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn delete_tenant(&self, id: &str) -> Result<(), Error> {
        self.0.directory.set_status(id, None).await?;
        Ok(())
    }

    /// Adds `tenant` with its rows. It is served no later than [`App::bound`] after this.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn create_tenant(&self, tenant: &TenantSeed) -> Result<(), Error> {
        let sql = schema::tenant_sql(tenant, &self.0.options);
        self.0.maintenance_pool().execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }

    /// Returns how long a change of a tenant's status may go unnoticed.
    #[must_use]
    pub fn bound(&self) -> Duration {
        2 * REMEMBERED
    }

    /// Runs the jobs that are queued, each as its tenant, and returns how many did.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn run_jobs(&self) -> Result<usize, Error> {
        crate::jobs::run(self).await
    }

    /// Waits for what requests have left running in the background.
    pub async fn settle(&self) {
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        for task in tasks {
            // A task that panicked has said so.
            let _ = task.await;
        }
    }

    /// Returns what the service has logged so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.0.logs.text()
    }

    /// Returns everything in the cache that all tenants share, by key.
    #[must_use]
    pub fn cache_entries(&self) -> Vec<(String, String)> {
        self.0.store.entries()
    }

    /// Returns the pool that requests are served from: each connection that is idle is in its first state again.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// Returns the proxy before the database, if the options ask for one.
    #[must_use]
    pub fn proxy(&self) -> Option<Arc<PgProxy>> {
        self.0.proxy.clone()
    }

    /// Returns the service's database.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.0.database
    }

    /// Returns the schema in which `tenant`'s tables are.
    #[must_use]
    pub fn schema_of(&self, tenant: &TenantSeed) -> String {
        match self.0.options.isolation {
            Isolation::Row => "public".to_owned(),
            Isolation::Schema => schema_name(&tenant.slug, self.0.options.variant),
        }
    }

    /// Returns whether this is the variant `bug`.
    pub(crate) fn bug(&self, bug: Variant) -> bool {
        self.0.options.variant == bug
    }

    pub(crate) fn variant(&self) -> Variant {
        self.0.options.variant
    }

    /// Returns the connection that sees `context`'s rows alone.
    pub(crate) async fn db(&self, context: &TenantContext) -> Result<Db, sqlx::Error> {
        match self.0.options.isolation {
            Isolation::Row => Ok(Db::Row(self.0.tenancy.tenant(context), context.clone())),
            Isolation::Schema => {
                let schema = schema_name(context.slug().as_str(), self.variant());
                Pinned::open(&self.0.pool, &schema, self.variant()).await.map(Db::Schema)
            }
        }
    }

    /// Returns `db`, or, in the variant `bug`, the connection that sees everybody's rows.
    pub(crate) fn pick(&self, bug: Variant, db: &Db) -> Db {
        if self.bug(bug) { Db::Raw(self.0.raw.clone()) } else { db.clone() }
    }

    /// Keeps a background task, so that [`App::settle`] can wait for it.
    pub(crate) fn keep(&self, task: JoinHandle<()>) {
        let mut tasks = lock(&self.0.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

impl State {
    pub(crate) fn maintenance_pool(&self) -> &PgPool {
        self.raw.get_postgres_connection_pool()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What each table is. `control.tenants` is not declared, so that no handler can read it.
fn policy() -> Result<Policy, tenancy_seaorm::Error> {
    let builder =
        schema::TENANT_TABLES.into_iter().fold(Policy::builder(), |policy, table| policy.owned_table(table));
    builder.owned_table("order_sums").global_table("countries").allow_function("tenant_totals").build()
}

/// A name for the database that these options begin with: what differs later is left out.
fn template(options: &Options) -> String {
    let seeds = match options.variant {
        Variant::B01 | Variant::B09 | Variant::M36 => options.variant.name(),
        _ => "usual",
    };
    format!("mutants {:?} {seeds} {:?}", options.isolation, options.tenants)
}
