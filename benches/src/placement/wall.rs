//! Row-level security beside the same work without it.

use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use tenancy_core::Placement;
use tenancy_seaorm::Tenancy;
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::session::SessionOptions;
use tenancy_testkit::gate::Group;

use super::pinned::ByHand;
use super::{Runtime, context, open, shared_runtime, ten, turns};
use crate::statement::{TENANT, fill, policy};

const OPEN: &str = "bench_open";
const WALLED: &str = "bench_walled";

struct Ways {
    runtime: Runtime,
    db: DatabaseConnection,
    scoped: Tenancy,
    walled: Tenancy,
}

impl Ways {
    fn to(url: &str) -> Self {
        let runtime = shared_runtime();
        let (db, scoped, walled) = runtime.block_on(async {
            let plain = open(url, None).await;
            for schema in [OPEN, WALLED] {
                let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
                plain.execute_unprepared(&sql).await.expect("a schema");
                fill(&open(url, Some(schema)).await).await.expect("the rows are inserted");
            }
            let owner = open(url, Some(WALLED)).await;
            RowSecurity::new(&policy(), IdType::BigInt).enable(&owner).await.expect("a wall");
            let scoped = tenancy(url, OPEN).await;
            let walled = tenancy(url, WALLED).await.with_row_security(IdType::BigInt).await;
            (open(url, Some(OPEN)).await, scoped, walled.expect("the wall stands"))
        });
        Self { runtime, db, scoped, walled }
    }
}

async fn tenancy(url: &str, schema: &str) -> Tenancy {
    let tenancy = Tenancy::new(open(url, Some(schema)).await, policy()).expect("the database can be scoped");
    tenancy.with_sessions(SessionOptions::default().with_kept(1))
}

/// Ten statements in an explicit transaction: with the filter by hand, scoped, and behind the wall too.
pub(super) fn transactions(group: Group, url: &str) -> Group {
    let Ways { runtime, db, scoped, walled } = Ways::to(url);
    let (shared, mut turn) = (runtime.clone(), turns(1_000));
    let by_hand = move || {
        let done = async {
            let transaction = db.begin().await?;
            let rows = ten(&transaction, turn(), Some(TENANT)).await?;
            transaction.commit().await?;
            Ok::<_, sea_orm::DbErr>(rows)
        };
        shared.block_on(done).expect("they run")
    };
    let through = |tenancy: Tenancy| {
        let (runtime, mut turn) = (runtime.clone(), turns(1_000));
        let tenant = context(TENANT, Placement::Row);
        move || {
            let done = async {
                let transaction = tenancy.tenant(&tenant).begin().await?;
                let rows = ten(&transaction, turn(), None).await?;
                transaction.commit().await?;
                Ok::<_, sea_orm::DbErr>(rows)
            };
            runtime.block_on(done).expect("they run")
        }
    };
    let (scoped, walled) = (through(scoped), through(walled));
    group.with_bench("by-hand", by_hand).with_bench("scoped", scoped).with_bench("walled", walled)
}

/// Ten statements of one request: with the filter by hand, on whatever connection each gets, on one that is kept, and on
/// one that is kept and told the tenant for a wall by hand; in a session, and in one behind the wall.
pub(super) fn sessions(group: Group, url: &str) -> Group {
    let Ways { runtime, db, scoped, walled } = Ways::to(url);
    let behind = runtime.block_on(open(url, Some(WALLED)));
    let (shared, mut turn, pool) = (runtime.clone(), turns(1_000), db.clone());
    let by_hand = move || shared.block_on(ten(&pool, turn(), Some(TENANT))).expect("they run");
    let (shared, mut turn) = (runtime.clone(), turns(1_000));
    let kept = move || {
        let done = async { ten(&ByHand::open(&db).await?, turn(), Some(TENANT)).await };
        shared.block_on(done).expect("they run")
    };
    let (shared, mut turn) = (runtime.clone(), turns(1_000));
    let told = move || {
        let done = async {
            let connection = ByHand::open(&behind).await?;
            connection.tell(&TENANT.to_string()).await?;
            let rows = ten(&connection, turn(), Some(TENANT)).await?;
            connection.tell("").await?;
            Ok::<_, sea_orm::DbErr>(rows)
        };
        shared.block_on(done).expect("they run")
    };
    let through = |tenancy: Tenancy| {
        let (runtime, mut turn) = (runtime.clone(), turns(1_000));
        let tenant = context(TENANT, Placement::Row);
        move || {
            let done = async { ten(&tenancy.session(&tenant).await?, turn(), None).await };
            runtime.block_on(done).expect("they run")
        }
    };
    let (scoped, walled) = (through(scoped), through(walled));
    let group = group.with_bench("by-hand", by_hand).with_bench("kept-by-hand", kept);
    group.with_bench("walled-by-hand", told).with_bench("scoped", scoped).with_bench("walled", walled)
}
