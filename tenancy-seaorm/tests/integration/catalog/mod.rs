//! The catalog in a database: its administration, and how its changes reach the nodes.

mod admin;
mod domains;
pub(crate) mod mariadb;
mod trouble;
mod watch;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait};
use tenancy_core::{Error, ErrorKind, Tenant, TenantBuilder, TenantId, TenantKey};
use tenancy_seaorm::catalog::{CatalogAdmin, CreateTenantCatalog, DatabaseCatalog};
use tenancy_testkit::TestDatabase;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateTenantCatalog)]
    }
}

/// Makes the catalog's tables in a database of PostgreSQL.
pub(crate) async fn migrate(url: &str) {
    let db = connect(url).await;
    Migrator::up(&db, None).await.expect("the migration runs");
    db.close().await.expect("closed");
}

/// A migrated database, and what keeps it alive.
struct Platform {
    db: DatabaseConnection,
    postgres: Option<TestDatabase>,
}

impl Platform {
    async fn sqlite() -> Self {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1).sqlx_logging(false);
        let db = Database::connect(options).await.expect("SQLite opens");
        Migrator::up(&db, None).await.expect("the migration runs");
        Self { db, postgres: None }
    }

    async fn postgres() -> Self {
        let database = TestDatabase::create().await.expect("a PostgreSQL database");
        let db = connect(database.owner_url()).await;
        Migrator::up(&db, None).await.expect("the migration runs");
        Self { db, postgres: Some(database) }
    }

    async fn both() -> [Self; 2] {
        [Self::sqlite().await, Self::postgres().await]
    }

    fn catalog(&self) -> DatabaseCatalog {
        DatabaseCatalog::new(self.db.clone()).with_base_domains(["ex.com".parse().unwrap()])
    }

    fn admin(&self) -> CatalogAdmin {
        CatalogAdmin::new(self.catalog())
    }

    /// A second connection pool: another process, as far as the database can tell.
    async fn another_node(&self) -> DatabaseCatalog {
        match &self.postgres {
            Some(database) => DatabaseCatalog::new(connect(database.owner_url()).await),
            None => self.catalog(),
        }
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(4).sqlx_logging(false);
    Database::connect(options).await.expect("the database accepts connections")
}

fn id(n: i64) -> TenantId {
    TenantId::integer(n).unwrap()
}

fn tenant(n: i64, slug: &str) -> TenantBuilder {
    Tenant::builder(id(n), slug.parse().unwrap())
}

fn slug(text: &str) -> TenantKey<'static> {
    TenantKey::Slug(text.parse().unwrap())
}

fn host(name: &str) -> TenantKey<'static> {
    TenantKey::Domain(name.to_owned().into())
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("it is refused").kind()
}
