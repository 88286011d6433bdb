//! SCH-25: 10,000 tenants over a budget of 50 connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, DbBackend, Statement};
use tenancy_core::Placement;
use tenancy_seaorm::session::Pooling;
use tenancy_seaorm::{DatabaseSource, Placements, Policy, PoolRegistry, Target, Tenancy};
use tenancy_testkit::TestDatabase;

use super::{Databases, context, number, placed};

const TENANTS: i64 = 10_000;
const BUDGET: usize = 50;

/// Each tenant has a database of its own, in memory, in which a row says whose it is.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_databases_share_fifty_connections() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let source = move |target: &Target| {
        let tenant: i64 = target.name().parse().ok()?;
        let made = Arc::clone(&counted);
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.sqlx_logging(false).after_connect(move |db| {
            made.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                db.execute_unprepared(&format!("CREATE TABLE own AS SELECT {tenant} AS number"))
                    .await
                    .map(drop)
            })
        });
        Some(options)
    };
    let registry = PoolRegistry::builder(source)
        .with_budget(BUDGET)
        .with_wait_limit(Duration::from_secs(300))
        .with_line(20_000, 10)
        .build()
        .unwrap();
    let requests = (0..TENANTS).map(|tenant| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let lease = registry.lease(&placed(tenant, &tenant.to_string())).await.expect("served");
            let seen = number(lease.dedicated().unwrap(), "SELECT number FROM own").await;
            assert_eq!(seen, tenant, "another tenant's database");
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    let stats = registry.stats();
    println!("{stats:?}");
    assert_eq!(made.load(Ordering::SeqCst), usize::try_from(TENANTS).unwrap());
    assert!(stats.most_in_use <= BUDGET && stats.in_use <= BUDGET, "{stats:?}");
    assert_eq!((stats.waiting, stats.timed_out, stats.refused), (0, 0, 0));
    assert!(stats.databases <= BUDGET, "what is not used is forgotten");
    registry.close().await;
    assert_eq!(registry.stats().in_use, 0);
}

/// Many tenants on 80 databases of a PostgreSQL server that is asked, all the while, how many are connected.
/// `TENANCY_POOL_TENANTS` sets how many tenants (default: 2,000).
#[tokio::test(flavor = "multi_thread")]
async fn the_server_never_counts_more_connections_than_the_budget() {
    let tenants: i64 = std::env::var("TENANCY_POOL_TENANTS").map_or(2_000, |n| n.parse().expect("a number"));
    let databases = Arc::new(Databases::create(80).await);
    let all = Arc::clone(&databases.all);
    let source = move |target: &Target| {
        let database = all.get(target.name().parse::<usize>().ok()?)?;
        let mut options = ConnectOptions::new(database.app_url());
        options.sqlx_logging(false);
        Some(options)
    };
    let registry = PoolRegistry::builder(source)
        .with_budget(BUDGET)
        .with_tenant_limit(2)
        .with_wait_limit(Duration::from_secs(600))
        .with_connect_limit(Duration::from_secs(60))
        .with_line(20_000, 10)
        .build()
        .unwrap();
    databases.until_quiet().await;

    let (done, most, samples) = (Arc::default(), Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
    let watch = {
        let (done, most, samples): (Arc<AtomicBool>, _, _) =
            (Arc::clone(&done), Arc::clone(&most), Arc::clone(&samples));
        let databases = Arc::clone(&databases);
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                most.fetch_max(databases.connected().await, Ordering::SeqCst);
                samples.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let requests = (0..tenants).map(|tenant| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let shard = tenant % 80;
            let placement = Placement::Shard { shard: shard.to_string().into() };
            let lease = registry.lease(&context(tenant, placement)).await.expect("served");
            assert_eq!(lease.target().name(), shard.to_string());
            // Slow enough that connections are wanted elsewhere while this one is held.
            tokio::time::sleep(Duration::from_millis(1)).await;
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    watch.await.unwrap();
    let stats = registry.stats();
    println!("most by the server's count: {most:?} in {samples:?} samples; {stats:?}");
    let budget = i64::try_from(BUDGET).unwrap();
    assert!(most.load(Ordering::SeqCst) <= budget, "the server counted {most:?}");
    assert!(
        stats.most_in_use == BUDGET && stats.evicted > 0 && samples.load(Ordering::SeqCst) > 10,
        "the budget was not even reached: {stats:?}"
    );
    assert_eq!((stats.timed_out, stats.refused, stats.unconfirmed), (0, 0, 0));
    registry.close().await;
    assert_eq!(databases.connected().await, 0);
}

/// SCH-25: tenants with pools of their own on PostgreSQL, each of which is opened for it and closed for another one's:
/// the names lead to 20 real databases, each of which says which it is. `TENANCY_POOL_TENANTS` sets how many tenants
/// (default: 500; 10,000 take minutes).
#[tokio::test(flavor = "multi_thread")]
async fn pools_of_a_server_take_each_others_place() {
    let tenants: i64 = std::env::var("TENANCY_POOL_TENANTS").map_or(500, |n| n.parse().expect("a number"));
    let databases = Databases::create(20).await;
    let all = Arc::clone(&databases.all);
    let source = move |target: &Target| {
        let tenant = target.name().strip_prefix("own-")?.parse::<usize>().ok()?;
        let mut options = ConnectOptions::new(all[tenant % all.len()].app_url());
        options.sqlx_logging(false);
        Some(options)
    };
    let registry = bounded(source, Duration::from_secs(1_200));
    let requests = (0..tenants).map(|tenant| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let lease = registry.lease(&placed(tenant, &format!("own-{tenant}"))).await.expect("served");
            let seen = number(lease.dedicated().unwrap(), "SELECT number FROM own").await;
            assert_eq!(seen, tenant % 20, "another tenant's database");
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    let stats = registry.stats();
    println!("{stats:?}");
    assert_eq!(stats.opened, u64::try_from(tenants).unwrap(), "each has a pool of its own");
    assert!(stats.most_in_use == BUDGET && stats.databases <= BUDGET, "{stats:?}");
    assert_eq!((stats.waiting, stats.timed_out, stats.refused, stats.unconfirmed), (0, 0, 0, 0));
    registry.close().await;
    assert_eq!(databases.connected().await, 0);
}

/// A registry with the budget, in whose line everybody finds a place.
fn bounded(source: impl DatabaseSource, wait: Duration) -> PoolRegistry {
    let registry = PoolRegistry::builder(source).with_budget(BUDGET).with_wait_limit(wait);
    registry.with_connect_limit(Duration::from_secs(60)).with_line(20_000, 10).build().unwrap()
}

/// Each tenant has a schema of its own in one of these databases: 500 in each, made once and copied.
const HOMES: i64 = 20;

/// SCH-25: 10,000 tenants with real schemas of their own, in 20 databases of a PostgreSQL server, over 50 connections.
/// Whole requests: the connection of the tenant's placement, and a statement that says whose rows it met.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_schemas_of_a_server_share_fifty_connections() {
    let each = TENANTS / HOMES;
    let homes = Arc::new(homes(each).await);
    let all = Arc::clone(&homes);
    let source = move |target: &Target| {
        let database = all.get(target.name().parse::<usize>().ok()?)?;
        let mut options = ConnectOptions::new(database.app_url());
        options.sqlx_logging(false);
        Some(options)
    };
    let registry = bounded(source, Duration::from_secs(300));
    let policy = || Policy::builder().owned_table("own").build().unwrap();
    let default = Tenancy::new(crate::fixture::open(homes[0].app_url()).await, policy()).unwrap();
    let placements = Placements::new(default).with_registry(registry.clone());
    let placements = placements.with_registry_pooling(Pooling::Session);
    let requests = (0..TENANTS).map(|tenant| {
        let placements = placements.clone();
        tokio::spawn(async move {
            let (home, schema) = (tenant / each, tenant % each);
            let placement = Placement::Schema {
                schema: format!("t_{schema}").into(),
                shard: Some(home.to_string().into()),
            };
            let db = placements.connect(&context(tenant, placement)).await.expect("served");
            let read = "SELECT number, home FROM own";
            let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, read)).await.unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].try_get_by_index::<i64>(0).unwrap(), schema, "another tenant's schema");
            assert_eq!(rows[0].try_get_by_index::<i64>(1).unwrap(), home, "another tenant's database");
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    let stats = registry.stats();
    println!("{stats:?}");
    assert!(stats.most_in_use == BUDGET, "{stats:?}");
    assert_eq!((stats.waiting, stats.timed_out, stats.refused), (0, 0, 0));
    registry.close().await;
}

/// Databases with `each` schemas, in each of which one row says whose it is, and which schema.
async fn homes(each: i64) -> Vec<TestDatabase> {
    let migrate = move |url: String| async move {
        let db = sea_orm::Database::connect(url).await?;
        for schema in 0..each {
            let own = format!("CREATE TABLE t_{schema}.own (tenant_id bigint, number bigint, home bigint)");
            db.execute_unprepared(&format!("CREATE SCHEMA t_{schema}; {own}")).await?;
        }
        db.close().await
    };
    let mut homes = Vec::new();
    for home in 0..HOMES {
        let database =
            TestDatabase::from_template("ten-thousand-schemas", migrate).await.expect("a database");
        let owner = sea_orm::Database::connect(database.owner_url()).await.expect("the owner connects");
        let fill = format!(
            "DO $$ BEGIN FOR s IN 0..{each} - 1 LOOP EXECUTE format('INSERT INTO t_%s.own VALUES (%s, %s, {home})', \
             s, {home} * {each} + s + 1, s); END LOOP; END $$"
        );
        owner.execute_unprepared(&fill).await.expect("rows");
        owner.close().await.expect("closed");
        homes.push(database);
    }
    homes
}
