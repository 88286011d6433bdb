use std::sync::Arc;
use std::time::Duration;

use tenancy_core::{CachedCatalog, Lookup, MonotonicClock, TenantCatalog, TenantKey};

use super::{Store, acme, bench, host, id, slug};

/// `TENANCY_FLOOD=1000000` is the full run.
fn names() -> usize {
    std::env::var("TENANCY_FLOOD").map_or(20_000, |n| n.parse().expect("a number"))
}

fn resident_bytes() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

#[tokio::test]
async fn dir_05_a_flood_of_unknown_names_takes_bounded_memory_and_bounded_loads() {
    // The full run takes longer, by the test's clock, than a tenant lives by default.
    let day = Duration::from_secs(24 * 60 * 60);
    let bench = bench(|cache| cache.with_absent_capacity(4096).with_unknown_loads(1000, 100).with_ttl(day));
    bench.found(&slug("acme")).await;
    let (before, loads_before) = (resident_bytes(), bench.store.loads());
    let (mut refused, mut unknown) = (0, 0);
    let step = Duration::from_micros(100);
    for n in 0..names() {
        let name = format!("tenant-{n}-with-a-name-that-does-not-fit-into-a-few-bytes.flood.example");
        match bench.find(&host(&name)).await {
            Ok(found) => unknown += usize::from(found.is_none()),
            Err(_) => refused += 1,
        }
        if n % 64 == 0 {
            assert!(
                matches!(bench.cache.find(&slug("acme")), Lookup::Found(_)),
                "known tenants are served on"
            );
        }
        bench.clock.advance(step);
    }
    let stats = bench.cache.stats();
    assert_eq!(unknown + refused, names());
    assert!(stats.negative_names <= 4096 && stats.names == 2, "{stats:?}");
    let seconds = step.as_secs_f64() * names() as f64;
    let asked = bench.store.loads() - loads_before;
    assert!(asked as f64 <= 1001.0 + 100.0 * seconds, "{asked} loads in {seconds} s");
    assert_eq!(refused as u64, stats.refused);
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after.saturating_sub(before) < 64 << 20, "{} MiB", (after - before) >> 20);
    }
}

#[tokio::test]
async fn dir_05_refused_names_get_an_error_and_known_ones_are_renewed() {
    let bench = bench(|cache| cache.with_unknown_loads(1, 0).with_ttl(Duration::from_secs(60)));
    bench.found(&slug("acme")).await;
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    assert!(bench.find(&slug("initech")).await.is_err());
    assert!(matches!(bench.cache.find(&slug("globex")), Lookup::Absent));
    bench.clock.advance(Duration::from_secs(60));
    bench.found(&slug("acme")).await;
}

#[tokio::test]
async fn a_look_up_that_is_dropped_before_it_asks_costs_nothing() {
    let bench = bench(|cache| cache.with_unknown_loads(1, 0));
    for _ in 0..3 {
        drop(bench.cache.find(&slug("globex")));
    }
    assert_eq!((bench.store.loads(), bench.cache.stats().refused), (0, 0));
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    assert!(bench.find(&slug("initech")).await.is_err());
}

#[tokio::test]
async fn dir_05_a_cold_start_with_more_tenants_than_the_allowance_refuses_none() {
    let bench = bench(|cache| cache.with_unknown_loads(1, 0));
    for n in 2..200 {
        bench.store.put(tenancy_core::Tenant::builder(id(n), format!("t{n}").parse().unwrap()));
    }
    for n in 2..200 {
        bench.found(&slug(&format!("t{n}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dir_06_a_thousand_misses_at_once_are_one_load() {
    let store = Store::default();
    store.put(acme());
    let cache = CachedCatalog::builder(store.clone()).with_clock(MonotonicClock::new()).build();
    for round in 0..20 {
        cache.flush();
        let tasks: Vec<_> = (0..1000)
            .map(|n| {
                let cache = cache.clone();
                let task = tokio::spawn(async move { cache.find(&slug("acme")).wait().await });
                if n % 10 == 0 {
                    task.abort();
                }
                task
            })
            .collect();
        for task in tasks {
            match task.await {
                Ok(found) => assert!(found.unwrap().is_some()),
                Err(gone) => assert!(gone.is_cancelled()),
            }
        }
        assert_eq!(store.loads(), round + 1);
    }
    assert_eq!(cache.stats().in_flight, 0);
}

#[tokio::test]
async fn names_of_tenants_are_bounded_and_used_ones_stay() {
    let bench = bench(|cache| cache.with_capacity(64));
    bench.found(&slug("acme")).await;
    let mut evicted = None;
    for n in 2..500 {
        bench.store.put(tenancy_core::Tenant::builder(id(n), format!("t{n}").parse().unwrap()));
        let tenant = bench.found(&slug(&format!("t{n}"))).await;
        evicted.get_or_insert(tenant);
        assert!(bench.cache.find(&slug("acme")).wait().await.unwrap().is_some());
        assert!(bench.cache.stats().names <= 64);
    }
    let stats = bench.cache.stats();
    assert!(stats.evictions > 400);
    // Whoever uses a record that the cache cannot invalidate any more must look again (DIR-01).
    assert!(evicted.unwrap().is_superseded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eviction_and_invalidation_from_many_threads_leave_the_books_in_order() {
    let store = Store::default();
    for n in 1..=64 {
        store.put(tenancy_core::Tenant::builder(id(n), format!("t{n}").parse().unwrap()).with_version(1));
    }
    let cache = Arc::new(CachedCatalog::builder(store.clone()).with_capacity(48).build());
    let tasks: Vec<_> = (0..4_i64)
        .map(|task| {
            let (cache, store) = (Arc::clone(&cache), store.clone());
            tokio::spawn(async move {
                for round in 0..400_i64 {
                    let n = (round * 7 + task * 13) % 64 + 1;
                    let key = slug(&format!("t{n}"));
                    let found = cache.find(&key).wait().await.unwrap().unwrap();
                    assert_eq!(found.id(), &id(n));
                    if round % 5 == 0 {
                        let version = u64::try_from(2 + round * 4 + task).unwrap();
                        let tenant = tenancy_core::Tenant::builder(id(n), format!("t{n}").parse().unwrap());
                        // Another task may have gone further already: the announcement then is late, and harmless.
                        let known = store.0.names.lock().unwrap()[&key].version();
                        if known < version {
                            store.put(tenant.with_version(version));
                        }
                        cache.invalidate(&id(n), version.min(known));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = cache.stats();
    assert!(stats.names <= 48, "{stats:?}");
    cache.flush();
    assert_eq!(cache.stats().names, 0);
    assert!(matches!(cache.find(&TenantKey::Id(id(1))), Lookup::Later(_)));
}
