//! SCH-25, LIM-03: the budget, whose turn it is, and what is closed for whom; on real databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, TransactionTrait};
use tenancy_core::Placement;
use tenancy_seaorm::{ErrorKind, PoolRegistry, PoolRegistryBuilder, Target, TargetKind};

use super::{Databases, context, number, placed};

/// A registry over `databases`, named by their number.
fn registry(databases: &Databases) -> PoolRegistryBuilder {
    let all = Arc::clone(&databases.all);
    PoolRegistry::builder(move |target: &Target| {
        let database = all.get(target.name().parse::<usize>().ok()?)?;
        Some(ConnectOptions::new(database.app_url()))
    })
    .with_wait_limit(PATIENCE)
    .with_connect_limit(PATIENCE)
}

/// A busy machine may need this long to open a connection.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come to pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_for_another_database_and_a_held_one_is_not() {
    let databases = Databases::create(3).await;
    let registry =
        registry(&databases).with_budget(2).with_wait_limit(Duration::from_secs(5)).build().unwrap();
    let held = registry.lease(&placed(0, "0")).await.unwrap();
    drop(registry.lease(&placed(1, "1")).await.unwrap());
    until(|| registry.stats().idle == 1).await;

    let third = registry.lease(&placed(2, "2")).await.expect("the idle one made room");
    assert_eq!(number(third.dedicated().unwrap(), "SELECT number FROM own").await, 2);
    assert_eq!(number(held.dedicated().unwrap(), "SELECT number FROM own").await, 0);
    assert_eq!((registry.stats().evicted, databases.connected().await), (1, 2));

    // Both are held now: a third database gets none, and none is taken from a holder.
    let refused = registry.lease(&placed(1, "1")).await.expect_err("there is no room");
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    assert_eq!(number(held.dedicated().unwrap(), "SELECT number FROM own").await, 0);
    assert_eq!((registry.stats().timed_out, registry.stats().waiting), (1, 0));

    drop(third);
    let served = registry.lease(&placed(1, "1")).await.expect("there is room again");
    assert_eq!(number(served.dedicated().unwrap(), "SELECT number FROM own").await, 1);
}

/// Neither work side by side on one lease, nor a transaction that outlives it, opens a second connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_one_connection_whatever_is_done_with_it() {
    let databases = Databases::create(1).await;
    let registry = registry(&databases).with_budget(1).build().unwrap();
    databases.until_quiet().await;
    let lease = registry.lease(&placed(0, "0")).await.unwrap();
    let work = (0..20).map(|_| {
        let lease = lease.clone();
        tokio::spawn(async move { number(lease.dedicated().unwrap(), "SELECT number FROM own").await })
    });
    for work in work.collect::<Vec<_>>() {
        assert_eq!(work.await.unwrap(), 0);
        assert_eq!(databases.connected().await, 1);
    }
    let transaction = lease.dedicated().unwrap().begin().await.unwrap();
    drop(lease);
    // The transaction still has the connection: it is nobody else's yet.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((registry.stats().idle, registry.stats().held), (0, 1));
    transaction.execute_unprepared("UPDATE own SET number = 7").await.unwrap();
    transaction.commit().await.unwrap();
    until(|| registry.stats().idle == 1).await;
    let next = registry.lease(&placed(0, "0")).await.unwrap();
    assert_eq!(number(next.dedicated().unwrap(), "SELECT number FROM own").await, 7);
    assert_eq!((registry.stats().opened, registry.stats().reused), (1, 1));
}

/// LIM-03: a tenant whose requests never end holds no more than its limit, and another is served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_cannot_starve_the_others() {
    let databases = Databases::create(2).await;
    let registry = registry(&databases).with_budget(4).with_tenant_limit(3).build().unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = tokio::sync::watch::Sender::new(false);
    let endless = (0..30).map(|_| {
        let (registry, running, most) = (registry.clone(), Arc::clone(&running), Arc::clone(&most));
        let mut gate = gate.subscribe();
        tokio::spawn(async move {
            let lease = registry.lease(&placed(0, "0")).await.unwrap();
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            gate.wait_for(|open| *open).await.unwrap();
            assert_eq!(number(lease.dedicated().unwrap(), "SELECT number FROM own").await, 0);
            running.fetch_sub(1, Ordering::SeqCst);
        })
    });
    let endless: Vec<_> = endless.collect();
    until(|| registry.stats().waiting == 27).await;
    for _ in 0..5 {
        let other = registry.lease(&placed(1, "1")).await.expect("there is room for others");
        assert_eq!(number(other.dedicated().unwrap(), "SELECT number FROM own").await, 1);
    }
    assert_eq!(registry.stats().waiting, 27, "the line of the first tenant did not move");
    gate.send_replace(true);
    for request in endless {
        request.await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(registry.stats().most_in_use <= 4);
}

/// A request that is given up in the middle of a query keeps its connection until the server has answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_counts_until_it_ends() {
    let databases = Databases::create(1).await;
    let registry = registry(&databases).with_budget(1).build().unwrap();
    databases.until_quiet().await;
    let lease = registry.lease(&placed(0, "0")).await.unwrap();
    let db = lease.dedicated().unwrap();
    let query = db.execute_unprepared("SELECT pg_sleep(0.6)");
    assert!(tokio::time::timeout(Duration::from_millis(100), query).await.is_err());
    drop(lease);
    assert_eq!((registry.stats().held, registry.stats().idle), (1, 0));
    let next = registry.lease(&placed(0, "0")).await.expect("it waits for the answer");
    assert_eq!(number(next.dedicated().unwrap(), "SELECT number FROM own").await, 0);
    assert_eq!((databases.connected().await, registry.stats().opened), (1, 1));
}

/// A creator that gives up leaves its connection to the next request.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancelled_request_began_to_open_serves_the_next() {
    let databases = Databases::create(1).await;
    let registry = registry(&databases).with_budget(1).build().unwrap();
    let context = placed(0, "0");
    let creator = tokio::time::timeout(Duration::ZERO, registry.lease(&context));
    assert!(creator.await.is_err(), "nothing connects in no time");
    drop(registry.lease(&context).await.expect("served"));
    let stats = registry.stats();
    assert_eq!((stats.opened, stats.failed_to_open), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_requests_of_a_database_share_one_attempt_and_a_failure_is_forgotten() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let databases = Databases::create(1).await;
    let up = Arc::new(AtomicUsize::new(0));
    let (all, answers) = (Arc::clone(&databases.all), Arc::clone(&up));
    let registry = PoolRegistry::builder(move |_: &Target| {
        ASKED.fetch_add(1, Ordering::SeqCst);
        let right = answers.load(Ordering::SeqCst) == 1;
        let url = all[0].app_url();
        Some(ConnectOptions::new(if right { url.to_owned() } else { url.replace("/tk_", "/gone_tk_") }))
    });
    let registry = registry.with_budget(10).with_tenant_limit(10);
    let registry = registry.with_wait_limit(PATIENCE).with_connect_limit(PATIENCE).build().unwrap();
    let together = |count: usize| {
        let registry = registry.clone();
        let requests = (0..count).map(move |_| {
            let registry = registry.clone();
            tokio::spawn(async move { registry.lease(&placed(0, "0")).await.map(drop) })
        });
        requests.collect::<Vec<_>>()
    };
    for request in together(8) {
        let failed = request.await.unwrap().expect_err("there is no such database");
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
    }
    assert!(ASKED.load(Ordering::SeqCst) <= 8);
    assert_eq!((registry.stats().in_use, registry.stats().idle), (0, 0));
    up.store(1, Ordering::SeqCst);
    for request in together(8) {
        request.await.unwrap().expect("the failure was not remembered");
    }
    assert!(registry.stats().opened <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_idle_for_long_is_closed_by_itself_and_what_is_held_stays() {
    let databases = Databases::create(2).await;
    let registry =
        registry(&databases).with_budget(4).with_idle_limit(Duration::from_millis(100)).build().unwrap();
    databases.until_quiet().await;
    let held = registry.lease(&placed(0, "0")).await.unwrap();
    drop(registry.lease(&placed(1, "1")).await.unwrap());
    until(|| registry.stats().expired == 1 && registry.stats().in_use == 1).await;
    assert_eq!(databases.connected().await, 1);
    assert_eq!(number(held.dedicated().unwrap(), "SELECT number FROM own").await, 0);
    let databases_in_use = registry.stats().databases;
    assert_eq!(databases_in_use, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_database_is_left_at_once_where_idle_and_when_given_back_where_held() {
    let databases = Databases::create(1).await;
    let registry = registry(&databases).with_budget(4).with_shared("0").build().unwrap();
    databases.until_quiet().await;
    let (own, shared) = (placed(0, "0"), context(1, Placement::Row));
    let held = registry.lease(&own).await.unwrap();
    drop(registry.lease(&own).await.unwrap());
    drop(registry.lease(&shared).await.unwrap());
    until(|| registry.stats().idle == 2).await;
    registry.retire(TargetKind::Own, "0");
    until(|| registry.stats().in_use == 2).await;
    assert_eq!(number(held.dedicated().unwrap(), "SELECT number FROM own").await, 0);
    drop(held);
    // The shard of the same name is another target.
    until(|| registry.stats().in_use == 1).await;
    assert_eq!((registry.stats().idle, databases.connected().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_registry_refuses_and_leaves_nothing_open() {
    let databases = Databases::create(2).await;
    let registry = registry(&databases).with_budget(4).build().unwrap();
    databases.until_quiet().await;
    drop(registry.lease(&placed(0, "0")).await.unwrap());
    let held = registry.lease(&placed(1, "1")).await.unwrap();
    let closing = tokio::spawn({
        let registry = registry.clone();
        async move { registry.close().await }
    });
    until(|| registry.stats().in_use == 1).await;
    assert!(!closing.is_finished());
    drop(held);
    closing.await.unwrap();
    assert_eq!((databases.connected().await, registry.stats().unconfirmed), (0, 0));
    assert_eq!(registry.lease(&placed(0, "0")).await.expect_err("closed").kind(), ErrorKind::Exhausted);
}

/// A connection whose backend was ended is not handed on.
#[tokio::test(flavor = "multi_thread")]
async fn after_backends_were_killed_everybody_is_served_again() {
    let databases = Databases::create(4).await;
    let registry = registry(&databases).with_budget(4).build().unwrap();
    for round in 0..3 {
        for n in 0..4 {
            let lease = registry.lease(&placed(n, &n.to_string())).await.unwrap();
            let seen = number(lease.dedicated().unwrap(), "SELECT number FROM own").await;
            assert_eq!(seen, n, "round {round}");
        }
        until(|| registry.stats().idle == 4).await;
        assert_eq!(databases.kill_all().await, 4);
    }
    assert!(registry.stats().most_in_use <= 4);
}
