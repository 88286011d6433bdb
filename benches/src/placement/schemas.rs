//! A thousand schemas, the tenant changing with every request, beside one fixed schema.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tenancy_core::{Placement, TenantContext};
use tenancy_seaorm::session::SessionOptions;
use tenancy_seaorm::{Tenancy, TenantConnection};
use tenancy_testkit::gate::Group;

use super::{Runtime, context, open, shared_runtime, ten, turns};
use crate::fixture::scaled;
use crate::statement::policy;

/// How many schemas there are.
pub(super) fn schemas() -> i32 {
    i32::try_from(scaled(1_000)).expect("it is small")
}

/// The tenant whose number is `turn`, from 0.
pub(super) fn tenant(turn: i32) -> TenantContext {
    let schema = name(turn);
    context(i64::from(turn) + 1, Placement::Schema { schema: schema.into(), shard: None })
}

fn name(turn: i32) -> String {
    format!("bench_t{}", turn + 1)
}

/// Makes the schemas that are not there yet: twenty rows each.
pub(super) async fn fill(db: &DatabaseConnection) {
    for turn in 0..schemas() {
        let (schema, id) = (name(turn), turn + 1);
        let there = format!("SELECT to_regclass('{schema}.item') IS NOT NULL");
        let there = db.query_one_raw(Statement::from_string(DbBackend::Postgres, there)).await;
        let there = there.expect("an answer").expect("a row").try_get_by_index(0).expect("true or false");
        if there {
            continue;
        }
        let sql = format!(
            "CREATE SCHEMA {schema}; \
             CREATE TABLE {schema}.item (id serial PRIMARY KEY, tenant_id bigint NOT NULL, category_id int NOT NULL, \
             name text NOT NULL, price int NOT NULL); \
             INSERT INTO {schema}.item (tenant_id, category_id, name, price) \
             SELECT {id}, n, 'name ' || n, n FROM generate_series(1, 20) n; \
             CREATE INDEX ON {schema}.item (tenant_id, category_id, id); ANALYZE {schema}.item"
        );
        db.execute_unprepared(&sql).await.expect("a schema");
    }
}

async fn tenancy(url: &str) -> Tenancy {
    let tenancy = Tenancy::new(open(url, None).await, policy()).expect("the database can be scoped");
    // With a pool of one connection, that one waits for its tenant's next session.
    tenancy.with_sessions(SessionOptions::default().with_kept(1))
}

struct Ways {
    runtime: Runtime,
    /// One schema, known from the beginning: nothing is said about tenants.
    fixed: DatabaseConnection,
    tenants: Vec<TenantContext>,
    url: String,
}

impl Ways {
    fn to(url: &str) -> Self {
        let runtime = shared_runtime();
        let fixed = runtime.block_on(async {
            fill(&open(url, None).await).await;
            open(url, Some(&name(0))).await
        });
        let tenants = (0..schemas()).map(tenant).collect();
        Self { runtime, fixed, tenants, url: url.to_owned() }
    }

    fn tenancy(&self) -> Tenancy {
        self.runtime.block_on(tenancy(&self.url))
    }

    /// A bench that runs ten statements on the connection that `connect` returns for the tenant whose turn it is.
    fn requests(
        &self,
        connect: impl AsyncFn(&TenantContext) -> TenantConnection + 'static,
    ) -> impl FnMut() -> u64 + 'static {
        let (runtime, tenants, mut turn) = (self.runtime.clone(), self.tenants.clone(), turns(schemas()));
        move || {
            let turn = turn();
            let tenant = &tenants[usize::try_from(turn).expect("it counts from 0")];
            runtime.block_on(async { ten(&connect(tenant).await, turn, None).await }).expect("they run")
        }
    }
}

/// Requests of ten statements, each statement by itself.
pub(super) fn requests(group: Group, url: &str) -> Group {
    let ways = Ways::to(url);
    let (runtime, fixed, mut turn) = (ways.runtime.clone(), ways.fixed.clone(), turns(schemas()));
    let (one, changing) = (ways.tenancy(), ways.tenancy());
    let (qualified, local) = (ways.tenancy().with_qualified_schemas(), ways.tenancy());
    let same = ways.tenants[0].clone();
    group
        .with_bench("fixed", move || runtime.block_on(ten(&fixed, turn(), None)).expect("they run"))
        .with_bench(
            "session-of-one",
            ways.requests(async move |_| one.session(&same).await.expect("a session")),
        )
        .with_bench(
            "session",
            ways.requests(async move |tenant| changing.session(tenant).await.expect("a session")),
        )
        .with_bench("qualified", ways.requests(async move |tenant| qualified.tenant(tenant)))
        .with_bench("each-alone", ways.requests(async move |tenant| local.tenant(tenant)))
}

/// Requests of ten statements in one transaction.
pub(super) fn transactions(group: Group, url: &str) -> Group {
    let ways = Ways::to(url);
    let (runtime, fixed, mut turn) = (ways.runtime.clone(), ways.fixed.clone(), turns(schemas()));
    let by_hand = move || {
        let done = async {
            let transaction = fixed.begin().await?;
            let rows = ten(&transaction, turn(), None).await?;
            transaction.commit().await?;
            Ok::<_, sea_orm::DbErr>(rows)
        };
        runtime.block_on(done).expect("they run")
    };
    let changing = |one: bool| {
        let (runtime, tenants, mut turn) = (ways.runtime.clone(), ways.tenants.clone(), turns(schemas()));
        let tenancy = ways.tenancy();
        move || {
            let turn = turn();
            let tenant = &tenants[if one { 0 } else { usize::try_from(turn).expect("it counts from 0") }];
            let done = async {
                let transaction = tenancy.tenant(tenant).begin().await?;
                let rows = ten(&transaction, turn, None).await?;
                transaction.commit().await?;
                Ok::<_, sea_orm::DbErr>(rows)
            };
            runtime.block_on(done).expect("they run")
        }
    };
    let (one, all) = (changing(true), changing(false));
    group.with_bench("fixed", by_hand).with_bench("of-one", one).with_bench("changing", all)
}
