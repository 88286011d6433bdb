//! SCH-25: 10,000 tenants over a budget of 50 connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait};
use tenancy_core::Placement;
use tenancy_seaorm::{PoolRegistry, Target};

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
