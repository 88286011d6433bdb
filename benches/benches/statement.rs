//! What scoping a statement costs, beside the filter that one would write by hand.
//!
//! `cargo bench -p tenancy-benches --bench statement` measures the parts with criterion, then statements end to end in
//! pairs: the hand-written and the scoped one in random order, over one connection. SQLite is in memory; PostgreSQL is
//! measured if `STATEMENT_BENCH_POSTGRES` names a database that may be filled, and named as skipped otherwise.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use sea_orm::entity::prelude::*;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectOptions, Database, DatabaseConnection, DbBackend, JoinType, QueryOrder, QuerySelect, QueryTrait,
    RelationTrait, Statement,
};
use tenancy_core::{Tenant, TenantContext, TenantId};
use tenancy_seaorm::{Dialect, Policy, Rewriter, Tenancy, TenantConnection, TenantValue};

// sea-orm's derive needs `pub` where nobody can see it.
#[allow(unreachable_pub)]
mod item {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "item")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub tenant_id: Option<i64>,
        pub category_id: i32,
        pub name: String,
        pub price: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::category::Entity",
            from = "Column::CategoryId",
            to = "super::category::Column::Id"
        )]
        Category,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)]
mod category {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "category")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub tenant_id: Option<i64>,
        pub title: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TENANT: i64 = 7;

fn context() -> TenantContext {
    let id = TenantId::integer(TENANT).expect("an id");
    let tenant = Tenant::builder(id, "acme".parse().expect("a slug")).build().expect("a tenant");
    TenantContext::assertion(tenant, "a benchmark").expect("the tenant is active")
}

fn policy() -> Policy {
    Policy::builder().owned(item::Entity).owned(category::Entity).build().expect("a policy")
}

fn by_id(id: i32) -> Select<item::Entity> {
    item::Entity::find_by_id(id)
}

fn joined(id: i32) -> Select<item::Entity> {
    item::Entity::find()
        .join(JoinType::InnerJoin, item::Relation::Category.def())
        .filter(item::Column::CategoryId.eq(id))
        .order_by_asc(item::Column::Id)
        .limit(10)
}

fn list(category: i32) -> Select<item::Entity> {
    item::Entity::find()
        .filter(item::Column::CategoryId.eq(category))
        .order_by_asc(item::Column::Id)
        .limit(50)
}

fn parts(criterion: &mut Criterion) {
    let tenant = TenantValue::of(&context());
    let mut group = criterion.benchmark_group("statement");
    for (name, build) in [("by id", by_id as fn(i32) -> Select<item::Entity>), ("join", joined)] {
        let rewriter = Rewriter::new(&policy(), Dialect::Postgres);
        let statement = || build(3).build(DbBackend::Postgres);
        group.bench_function(format!("{name}, hand-written filter: what it adds to building"), |b| {
            b.iter(|| {
                black_box(build(3).filter(item::Column::TenantId.eq(TENANT)).build(DbBackend::Postgres))
            });
        });
        group.bench_function(format!("{name}, building alone"), |b| b.iter(|| black_box(statement())));
        group.bench_function(format!("{name}, hit"), |b| {
            b.iter_batched(
                statement,
                |s| rewriter.rewrite(s, &tenant).expect("it is scoped"),
                BatchSize::LargeInput,
            );
        });
        let sql = statement().sql;
        group.bench_function(format!("{name}, miss"), |b| {
            b.iter(|| rewriter.explain(black_box(&sql)).expect("it is scoped"));
        });
    }
    let mut n = 0;
    let rewriter = Rewriter::new(&policy(), Dialect::Postgres);
    group.bench_function("IN list of changing length", |b| {
        b.iter_batched(
            || {
                n += 1;
                item::Entity::find().filter(item::Column::Id.is_in(0..1 + n % 100)).build(DbBackend::Postgres)
            },
            |s| rewriter.rewrite(s, &tenant).expect("it is scoped"),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn handle(criterion: &mut Criterion, tenancy: &Tenancy) {
    let context = context();
    criterion.bench_function("statement/tenant handle", |b| b.iter(|| black_box(tenancy.tenant(&context))));
}

/// One shape, both ways, on an open connection.
struct Pair {
    name: &'static str,
    hand: fn(&DatabaseConnection, i32) -> futures_util::future::BoxFuture<'_, usize>,
    scoped: fn(&TenantConnection, i32) -> futures_util::future::BoxFuture<'_, usize>,
}

macro_rules! pair {
    ($name:literal, |$db:ident, $n:ident| $hand:expr, $scoped:expr) => {
        Pair {
            name: $name,
            hand: |$db, $n| Box::pin(async move { $hand }),
            scoped: |$db, $n| Box::pin(async move { $scoped }),
        }
    };
}

fn row(tenant_id: sea_orm::ActiveValue<Option<i64>>, n: i32) -> item::ActiveModel {
    item::ActiveModel {
        id: NotSet,
        tenant_id,
        category_id: Set(n % 20 + 1),
        name: Set("new".to_owned()),
        price: Set(n),
    }
}

const PAIRS: &[Pair] = &[
    pair!(
        "point read",
        |db, n| by_id(n % 2000 + 1)
            .filter(item::Column::TenantId.eq(TENANT))
            .all(db)
            .await
            .expect("rows")
            .len(),
        by_id(n % 2000 + 1).all(db).await.expect("rows").len()
    ),
    pair!(
        "list of 50",
        |db, n| list(n % 20 + 1).filter(item::Column::TenantId.eq(TENANT)).all(db).await.expect("rows").len(),
        list(n % 20 + 1).all(db).await.expect("rows").len()
    ),
    pair!(
        "join",
        |db, n| {
            let by_hand = joined(n % 20 + 1).filter(item::Column::TenantId.eq(TENANT));
            by_hand.filter(category::Column::TenantId.eq(TENANT)).all(db).await.expect("rows").len()
        },
        joined(n % 20 + 1).all(db).await.expect("rows").len()
    ),
    pair!(
        "insert",
        |db, n| item::Entity::insert(row(Set(Some(TENANT)), n)).exec(db).await.map(|_| 1).expect("inserted"),
        item::Entity::insert(row(NotSet, n)).exec(db).await.map(|_| 1).expect("inserted")
    ),
    pair!(
        "update",
        |db, n| {
            let update = item::Entity::update_many().col_expr(item::Column::Price, n.into());
            let update =
                update.filter(item::Column::Id.eq(n % 2000 + 1)).filter(item::Column::TenantId.eq(TENANT));
            usize::try_from(update.exec(db).await.expect("updated").rows_affected).expect("a count")
        },
        {
            let update = item::Entity::update_many().col_expr(item::Column::Price, n.into());
            let update = update.filter(item::Column::Id.eq(n % 2000 + 1));
            usize::try_from(update.exec(db).await.expect("updated").rows_affected).expect("a count")
        }
    ),
    pair!(
        "IN list of changing length",
        |db, n| {
            let by_hand = item::Entity::find().filter(item::Column::Id.is_in(n..n + 1 + n % 100));
            by_hand.filter(item::Column::TenantId.eq(TENANT)).all(db).await.expect("rows").len()
        },
        item::Entity::find()
            .filter(item::Column::Id.is_in(n..n + 1 + n % 100))
            .all(db)
            .await
            .expect("rows")
            .len()
    ),
];

async fn fill(db: &DatabaseConnection) -> Result<(), DbErr> {
    let id = match db.get_database_backend() {
        DbBackend::Postgres => "SERIAL PRIMARY KEY",
        _ => "INTEGER PRIMARY KEY AUTOINCREMENT",
    };
    for sql in [
        "DROP TABLE IF EXISTS item".to_owned(),
        "DROP TABLE IF EXISTS category".to_owned(),
        format!("CREATE TABLE category (id {id}, tenant_id BIGINT NOT NULL, title TEXT NOT NULL)"),
        format!(
            "CREATE TABLE item (id {id}, tenant_id BIGINT NOT NULL, category_id INTEGER NOT NULL, name TEXT NOT NULL,
             price INTEGER NOT NULL)"
        ),
        "CREATE INDEX item_by_category ON item (tenant_id, category_id, id)".to_owned(),
    ] {
        db.execute_unprepared(&sql).await?;
    }
    for category in 1..=20 {
        let values = format!("({category}, {TENANT}, 'title {category}')");
        db.execute_unprepared(&format!("INSERT INTO category (id, tenant_id, title) VALUES {values}"))
            .await?;
    }
    for block in 0..20 {
        let row =
            |n: i32| format!("({}, {}, 'name {n}', {n})", if n % 10 == 0 { 8 } else { TENANT }, n % 20 + 1);
        let rows: Vec<_> = (block * 200..block * 200 + 200).map(row).collect();
        let sql =
            format!("INSERT INTO item (tenant_id, category_id, name, price) VALUES {}", rows.join(", "));
        db.execute_unprepared(&sql).await?;
    }
    if db.get_database_backend() == DbBackend::Postgres {
        db.query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT 1")).await?;
        db.execute_unprepared("ANALYZE").await?;
    }
    Ok(())
}

async fn open(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    let db = Database::connect(options).await.expect("the database opens");
    fill(&db).await.expect("rows");
    db
}

/// Ratio of the medians, with a bound from resampling the pairs.
fn ratio(pairs: &[(f64, f64)]) -> (f64, f64) {
    let median = |values: &mut Vec<f64>| {
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f64::total_cmp).1
    };
    let of = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        let (mut hand, mut scoped): (Vec<_>, Vec<_>) = pairs.unzip();
        median(&mut scoped) / median(&mut hand)
    };
    let mut seed = 0x9e37_79b9_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut resampled: Vec<f64> = (0..400)
        .map(|_| of(&mut (0..pairs.len()).map(|_| pairs[(random() % pairs.len() as u64) as usize])))
        .collect();
    resampled.sort_by(f64::total_cmp);
    (of(&mut pairs.iter().copied()), resampled[380])
}

async fn end_to_end(name: &str, db: &DatabaseConnection, rounds: i32) {
    let tenancy = Tenancy::new(db.clone(), policy()).expect("a tenancy");
    let scoped = tenancy.tenant(&context());
    for pair in PAIRS {
        let mut times = Vec::new();
        for n in 0..rounds {
            let time = async |first: bool| {
                let start = Instant::now();
                let rows = if first { (pair.hand)(db, n).await } else { (pair.scoped)(&scoped, n).await };
                (start.elapsed(), rows)
            };
            let hand_first = n % 2 == 0;
            let (one, other) = (time(hand_first).await, time(!hand_first).await);
            let (hand, scoped) = if hand_first { (one, other) } else { (other, one) };
            assert!(hand.1 == scoped.1, "{}: {} rows by hand, {} scoped", pair.name, hand.1, scoped.1);
            if n > rounds / 10 {
                times.push((hand.0.as_nanos() as f64, scoped.0.as_nanos() as f64));
            }
        }
        let (middle, bound) = ratio(&times);
        println!("{name}, {:<28} scoped / by hand {middle:.3}, 95 % bound {bound:.3}", pair.name);
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sqlite = runtime.block_on(open("sqlite::memory:"));
    let tenancy = Tenancy::new(sqlite.clone(), policy()).expect("a tenancy");
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(2)).configure_from_args();
    parts(&mut criterion);
    handle(&mut criterion, &tenancy);
    criterion.final_summary();
    let rounds = std::env::var("STATEMENT_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6_000);
    runtime.block_on(end_to_end("SQLite", &sqlite, rounds));
    match std::env::var("STATEMENT_BENCH_POSTGRES") {
        Ok(url) => runtime.block_on(async { end_to_end("PostgreSQL", &open(&url).await, rounds).await }),
        Err(_) => println!("PostgreSQL: skipped, STATEMENT_BENCH_POSTGRES names no database"),
    }
}
