//! A thousand schemas, the tenant changing with every request, beside one fixed schema.
//!
//! Where the path changes, PostgreSQL analyses and plans every prepared text anew, whoever changes it: `switched-by-hand`
//! is the least that this costs without this crate. Where each name has its schema and the connection keeps all texts
//! (`qualified-kept`), it is not paid.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tenancy_core::{Placement, TenantContext};
use tenancy_seaorm::session::SessionOptions;
use tenancy_seaorm::{Tenancy, TenantConnection};
use tenancy_testkit::gate::Group;

use super::{Runtime, context, open, open_keeping, shared_runtime, ten, turns};
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

/// Each tenant has three texts.
fn all_texts() -> usize {
    3 * usize::try_from(schemas()).expect("it is small") + 100
}

async fn tenancy(url: &str, texts: usize) -> Tenancy {
    let db = open_keeping(url, None, texts).await;
    let tenancy = Tenancy::new(db, policy()).expect("the database can be scoped");
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
        self.runtime.block_on(tenancy(&self.url, 100))
    }

    /// With a connection that keeps the texts of all tenants, each of whom was served before: PostgreSQL plans a text at
    /// each of its first five uses.
    fn keeping(&self) -> Tenancy {
        let tenancy = self.runtime.block_on(tenancy(&self.url, all_texts())).with_qualified_schemas();
        self.runtime.block_on(async {
            for (tenant, turn) in (0..3).flat_map(|_| self.tenants.iter().zip(0..)) {
                ten(&tenancy.tenant(tenant), turn, None).await.expect("they run");
            }
        });
        tenancy
    }

    /// The path is set by hand before the ten statements, on the one connection of a pool.
    fn switched_by_hand(&self) -> impl FnMut() -> u64 + 'static {
        let (runtime, mut turn) = (self.runtime.clone(), turns(schemas()));
        let db = runtime.block_on(open(&self.url, None));
        move || {
            let turn = turn();
            let switched = async {
                db.execute_unprepared(&format!("SET search_path TO {}", name(turn))).await?;
                ten(&db, turn, None).await
            };
            runtime.block_on(switched).expect("they run")
        }
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
    let (kept, kept_session) = (ways.keeping(), ways.keeping());
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
        .with_bench("switched-by-hand", ways.switched_by_hand())
        .with_bench("qualified", ways.requests(async move |tenant| qualified.tenant(tenant)))
        .with_bench("qualified-kept", ways.requests(async move |tenant| kept.tenant(tenant)))
        .with_bench(
            "qualified-kept-session",
            ways.requests(async move |tenant| kept_session.session(tenant).await.expect("a session")),
        )
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
    let changing = |one: bool, tenancy: Tenancy| {
        let (runtime, tenants, mut turn) = (ways.runtime.clone(), ways.tenants.clone(), turns(schemas()));
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
    let (one, all) = (changing(true, ways.tenancy()), changing(false, ways.tenancy()));
    let kept = changing(false, ways.keeping());
    group
        .with_bench("fixed", by_hand)
        .with_bench("of-one", one)
        .with_bench("changing", all)
        .with_bench("qualified-kept", kept)
}
