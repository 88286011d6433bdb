//! What it costs to reach a tenant's rows where they are: in a schema, behind row-level security, in a database.
//!
//! On PostgreSQL alone. Each request makes ten statements: six reads by id, two lists and two updates.

mod first;
mod memory;
mod pinned;
mod schemas;
mod wall;

use std::rc::Rc;

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tenancy_core::{Placement, Tenant, TenantContext, TenantId};
use tenancy_testkit::gate::Suite;

pub use self::memory::{Memory, memory};
use crate::statement::entity::{by_id, item, list};
use crate::statement::{POSTGRES, runtime};

/// Returns the groups of placements, or none if [`POSTGRES`] names no database.
pub fn suite() -> Suite {
    let Ok(url) = std::env::var(POSTGRES) else { return Suite::new() };
    let (one, two, three, four, five) = (url.clone(), url.clone(), url.clone(), url.clone(), url);
    Suite::new()
        .with_group("placement/schemas", move |group| schemas::requests(group, &one))
        .with_group("placement/schemas-transaction", move |group| schemas::transactions(group, &two))
        .with_group("placement/wall-transaction", move |group| wall::transactions(group, &three))
        .with_group("placement/session", move |group| wall::sessions(group, &four))
        .with_group("placement/first-connection", move |group| first::connections(group, &five))
}

/// The one thread that all ways of a group share.
type Runtime = Rc<tokio::runtime::Runtime>;

fn shared_runtime() -> Runtime {
    Rc::new(runtime())
}

/// Opens a pool of one connection, which looks for tables in `schema` if one is named.
async fn open(url: &str, schema: Option<&str>) -> DatabaseConnection {
    open_keeping(url, schema, 100).await
}

/// The same, and the connection keeps the last `texts` statements prepared; the driver's own default is 100.
async fn open_keeping(url: &str, schema: Option<&str>, texts: usize) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    options.map_sqlx_postgres_opts(move |options| options.statement_cache_capacity(texts));
    if let Some(schema) = schema {
        options.set_schema_search_path(schema);
    }
    Database::connect(options).await.expect("the database opens")
}

fn context(id: i64, placement: Placement) -> TenantContext {
    let slug = format!("t{id}").parse().expect("it is a slug");
    let id = TenantId::integer(id).expect("it is an id");
    let tenant = Tenant::builder(id, slug).with_placement(placement).build().expect("it is a tenant");
    TenantContext::assertion(tenant, "a benchmark").expect("the tenant is active")
}

/// Ten statements, with the condition `own` written by hand where there is one; returns how many rows they met.
async fn ten<C: ConnectionTrait>(db: &C, turn: i32, own: Option<i64>) -> Result<u64, DbErr> {
    let with = |select: Select<item::Entity>| match own {
        Some(id) => select.filter(item::Column::TenantId.eq(id)),
        None => select,
    };
    let mut rows = 0;
    for n in 0..6 {
        rows += with(by_id((turn * 7 + n) % 20 + 1)).all(db).await?.len() as u64;
    }
    for n in 0..2 {
        rows += with(list((turn + n) % 20 + 1)).all(db).await?.len() as u64;
    }
    for n in 0..2 {
        let update = item::Entity::update_many().col_expr(item::Column::Price, turn.into());
        let update = update.filter(item::Column::Id.eq((turn * 3 + n) % 20 + 1));
        let update = match own {
            Some(id) => update.filter(item::Column::TenantId.eq(id)),
            None => update,
        };
        rows += update.exec(db).await?.rows_affected;
    }
    Ok(rows)
}

/// Counts from 0, again and again.
fn turns(of: i32) -> impl FnMut() -> i32 + 'static {
    let mut turn = -1;
    move || {
        turn = (turn + 1) % of;
        turn
    }
}
