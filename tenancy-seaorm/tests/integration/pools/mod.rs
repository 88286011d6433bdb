//! Many databases under one budget.

mod budget;
mod many;
mod refuse;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use tenancy_core::{Placement, Tenant, TenantContext, TenantId};
use tenancy_testkit::TestDatabase;

/// The context of tenant `id`, from 0, whose rows are in the database that is configured as `database`.
pub(crate) fn placed(id: i64, database: &str) -> TenantContext {
    context(id, Placement::Database { database: database.into() })
}

pub(crate) fn context(id: i64, placement: Placement) -> TenantContext {
    let slug = format!("tenant-{id}").parse().expect("a slug");
    let builder = Tenant::builder(TenantId::integer(id + 1).expect("an id"), slug).with_placement(placement);
    TenantContext::assertion(builder.build().expect("a tenant"), "a test").expect("the tenant is active")
}

pub(crate) async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let row = row.expect("the database answers").expect("one row");
    row.try_get_by_index::<i64>(0)
        .or_else(|_| row.try_get_by_index::<i32>(0).map(i64::from))
        .expect("a number")
}

/// Databases on one server, and an administrator who counts who is connected to them.
pub(crate) struct Databases {
    pub(crate) all: Arc<Vec<TestDatabase>>,
    admin: DatabaseConnection,
}

impl Databases {
    /// Makes `count` databases, each with one row that says which it is.
    pub(crate) async fn create(count: usize) -> Self {
        let migrate = |url: String| async move {
            let db = sea_orm::Database::connect(url).await?;
            db.execute_unprepared("CREATE TABLE own (number bigint NOT NULL)").await?;
            db.close().await
        };
        let mut all = Vec::with_capacity(count);
        for number in 0..count {
            let database = TestDatabase::from_template("pools", migrate).await.expect("a database");
            let owner = sea_orm::Database::connect(database.owner_url()).await.expect("the owner connects");
            let row = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "INSERT INTO own VALUES ($1)",
                [i64::try_from(number).expect("small").into()],
            );
            owner.execute_raw(row).await.expect("the owner writes");
            owner.close().await.expect("closed");
            all.push(database);
        }
        let mut options = ConnectOptions::new(all[0].server().admin_url());
        options.max_connections(1);
        let admin = sea_orm::Database::connect(options).await.expect("the administrator connects");
        Self { all: Arc::new(all), admin }
    }

    /// Returns how many connections the server counts to these databases.
    pub(crate) async fn connected(&self) -> i64 {
        let names: Vec<_> = self.all.iter().map(|database| format!("'{}'", database.name())).collect();
        let names = names.join(", ");
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE datname IN ({names})");
        number(&self.admin, &count).await
    }

    /// Waits until the server counts none: those of the set-up have gone.
    pub(crate) async fn until_quiet(&self) {
        for _ in 0..500 {
            if self.connected().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("somebody stays connected");
    }

    /// Ends every connection to these databases at the server.
    pub(crate) async fn kill_all(&self) -> i64 {
        let names: Vec<_> = self.all.iter().map(|database| format!("'{}'", database.name())).collect();
        let names = names.join(", ");
        let kill = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ({names})"
        );
        number(&self.admin, &kill).await
    }
}
