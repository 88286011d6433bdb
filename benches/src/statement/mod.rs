//! Statements that are scoped, beside the filters that one would write by hand.

mod end_to_end;
pub(crate) mod entity;
mod rewrite;

use std::future::Future;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr};
use tenancy_core::{Tenant, TenantContext, TenantId};
use tenancy_seaorm::Policy;
use tenancy_testkit::gate::Suite;

/// Names the database that PostgreSQL's groups may fill; without it they are left out.
pub const POSTGRES: &str = "STATEMENT_BENCH_POSTGRES";

pub(crate) const TENANT: i64 = 7;

/// Returns the groups of statements: what rewriting costs, and statements end to end on SQLite, in memory, and on
/// PostgreSQL if [`POSTGRES`] names a database.
pub fn suite() -> Suite {
    let suite = end_to_end::suite(rewrite::suite(), "sqlite", "sqlite::memory:".to_owned());
    match std::env::var(POSTGRES) {
        Ok(url) => end_to_end::suite(suite, "postgres", url),
        Err(_) => {
            eprintln!("PostgreSQL: NOT MEASURED, {POSTGRES} names no database");
            suite
        }
    }
}

fn context() -> TenantContext {
    let id = TenantId::integer(TENANT).expect("it is an id");
    let tenant = Tenant::builder(id, "acme".parse().expect("it is a slug")).build();
    TenantContext::assertion(tenant.expect("it is a tenant"), "a benchmark").expect("the tenant is active")
}

pub(crate) fn policy() -> Policy {
    let policy = Policy::builder().owned(entity::item::Entity).owned(entity::category::Entity);
    policy.build().expect("the entities have tenants")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Opens one connection to a database and fills it.
async fn open(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    let db = Database::connect(options).await.expect("the database opens");
    fill(&db).await.expect("the rows are inserted");
    db
}

pub(crate) async fn fill(db: &DatabaseConnection) -> Result<(), DbErr> {
    let postgres = db.get_database_backend() == DbBackend::Postgres;
    let id = if postgres { "SERIAL PRIMARY KEY" } else { "INTEGER PRIMARY KEY AUTOINCREMENT" };
    for sql in [
        "DROP TABLE IF EXISTS item".to_owned(),
        "DROP TABLE IF EXISTS category".to_owned(),
        format!("CREATE TABLE category (id {id}, tenant_id BIGINT NOT NULL, title TEXT NOT NULL)"),
        format!(
            "CREATE TABLE item (id {id}, tenant_id BIGINT NOT NULL, category_id INTEGER NOT NULL, \
             name TEXT NOT NULL, price INTEGER NOT NULL)"
        ),
        "CREATE INDEX item_by_category ON item (tenant_id, category_id, id)".to_owned(),
    ] {
        db.execute_unprepared(&sql).await?;
    }
    let categories: Vec<_> = (1..=20).map(|n| format!("({TENANT}, 'title {n}')")).collect();
    let sql = format!("INSERT INTO category (tenant_id, title) VALUES {}", categories.join(", "));
    db.execute_unprepared(&sql).await?;
    // Every tenth row is somebody else's.
    let tenant = |n: i32| if n % 10 == 0 { TENANT + 1 } else { TENANT };
    for block in 0..20 {
        let row = |n: i32| format!("({}, {}, 'name {n}', {n})", tenant(n), n % 20 + 1);
        let rows: Vec<_> = (block * 200..block * 200 + 200).map(row).collect();
        let sql =
            format!("INSERT INTO item (tenant_id, category_id, name, price) VALUES {}", rows.join(", "));
        db.execute_unprepared(&sql).await?;
    }
    if postgres {
        db.execute_unprepared("ANALYZE").await?;
    }
    Ok(())
}

/// Runs `future` to its end on `runtime`.
fn wait<F: Future>(runtime: &tokio::runtime::Runtime, future: F) -> F::Output {
    runtime.block_on(future)
}
