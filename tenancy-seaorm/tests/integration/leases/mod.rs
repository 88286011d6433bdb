//! Leased connections of a pool registry: sessions, the second wall and poolers, as on the default server.

mod pooler;
mod session;
mod wall;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, QueryResult, Statement};
use tenancy_core::{Placement, TenantContext};
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::{Closing, Error, ErrorKind, Mutant, Placements, Policy, PoolRegistry, Target, Tenancy};
use tenancy_testkit::{PoolMode, TestDatabase, TestPgBouncer};

use crate::fixture::{open, tenant};

pub(crate) const TENANTS: i64 = 2;

pub(crate) fn policy() -> Policy {
    Policy::builder().owned_table("steps").build().expect("a policy")
}

/// Scopes nothing: what keeps tenants apart then is not the filter.
fn unfiltered() -> Policy {
    let policy = Policy::builder().owned_table("steps").break_on_purpose(Mutant::NoFilter);
    policy.build().expect("a policy")
}

/// One database that all tenants share (the shard `shared`) and that is each one's own too, by its names `own-1` and so
/// on: whatever keeps tenants apart, the database does not. Each tenant has one row, whose number is its own.
pub(crate) struct Leased {
    pub(crate) registry: PoolRegistry,
    pub(crate) placements: Placements,
    pub(crate) database: TestDatabase,
    pooler: Option<TestPgBouncer>,
}

/// What a test asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) budget: usize,
    pub(crate) walled: bool,
    pub(crate) unfiltered: bool,
    pub(crate) pooler: Option<PoolMode>,
}

impl Leased {
    pub(crate) async fn new(asked: Asked) -> Self {
        let database = TestDatabase::create().await.expect("a database");
        prepare(&database, asked.walled).await;
        let pooler = match asked.pooler {
            Some(mode) => Some(TestPgBouncer::start(&database, mode, 1).await.expect("a pooler")),
            None => None,
        };
        let url = pooler.as_ref().map_or(database.app_url(), TestPgBouncer::app_url).to_owned();
        let source = move |_: &Target| {
            let mut options = ConnectOptions::new(&url);
            options.sqlx_logging(false);
            Some(options)
        };
        let closing = if pooler.is_some() { Closing::Sent } else { Closing::Confirmed };
        let registry = PoolRegistry::builder(source).with_budget(asked.budget).with_closing(closing);
        let registry = registry.build().expect("a registry");
        let policy = if asked.unfiltered { unfiltered() } else { policy() };
        let default = Tenancy::new(open(database.app_url()).await, policy).expect("a tenancy");
        let placements = Placements::new(default).with_registry(registry.clone());
        Self { registry, placements, database, pooler }
    }

    /// Past every scope and pooler.
    pub(crate) async fn admin(&self, sql: &str) -> i64 {
        let admin = open(self.database.admin_url()).await;
        let row = admin.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        let number = row.expect("an answer").expect("a row").try_get_by_index(0).expect("a number");
        admin.close().await.expect("closed");
        number
    }
}

/// The table, its rows, a schema for each tenant, and row-level security if it is asked for.
async fn prepare(database: &TestDatabase, walled: bool) {
    let owner = Database::connect(database.owner_url()).await.expect("the owner connects");
    let table = "steps (tenant_id bigint NOT NULL, run bigint NOT NULL, PRIMARY KEY (tenant_id, run))";
    owner.execute_unprepared(&format!("CREATE TABLE {table}")).await.expect("a table");
    for id in 1..=TENANTS {
        let own = format!(
            "INSERT INTO steps VALUES ({id}, {id}); CREATE SCHEMA t_{id}; CREATE TABLE t_{id}.{table}; \
             INSERT INTO t_{id}.steps VALUES ({id}, 10 + {id})"
        );
        owner.execute_unprepared(&own).await.expect("rows");
    }
    if walled {
        RowSecurity::new(&policy(), IdType::BigInt).enable(&owner).await.expect("a wall");
    }
    owner.close().await.expect("closed");
}

pub(crate) fn context(id: i64, placement: Placement) -> TenantContext {
    let tenant = tenant(id).to_builder().with_placement(placement).build().expect("a tenant");
    TenantContext::assertion(tenant, "a test").expect("the tenant is active")
}

pub(crate) fn own(id: i64) -> TenantContext {
    context(id, Placement::Database { database: format!("own-{id}").into() })
}

pub(crate) fn shared(id: i64) -> TenantContext {
    context(id, Placement::Shard { shard: "shared".into() })
}

pub(crate) fn in_schema(id: i64) -> TenantContext {
    context(id, Placement::Schema { schema: format!("t_{id}").into(), shard: Some("shared".into()) })
}

pub(crate) async fn runs<C: ConnectionTrait>(db: &C) -> Result<Vec<i64>, DbErr> {
    let read = Statement::from_string(DbBackend::Postgres, "SELECT run FROM steps ORDER BY run");
    let rows = db.query_all_raw(read).await?;
    rows.iter().map(|row: &QueryResult| row.try_get_by_index(0)).collect()
}

pub(crate) fn kind(error: &DbErr) -> Option<ErrorKind> {
    Error::of(error).map(Error::kind)
}
