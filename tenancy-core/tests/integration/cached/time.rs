use std::time::{Duration, Instant};

use proptest::prelude::*;
use tenancy_core::{Clock, Lookup, MonotonicClock, TenantCatalog, TenantStatus};

use super::{acme, bench, id, slug};

#[tokio::test]
async fn a_known_name_is_answered_at_once_and_asked_for_once() {
    let bench = bench(|cache| cache);
    assert!(matches!(bench.cache.find(&slug("acme")), Lookup::Later(_)));
    bench.found(&slug("acme")).await;
    let Lookup::Found(by_slug) = bench.cache.find(&slug("acme")) else { panic!("not at once") };
    let Lookup::Found(by_id) = bench.cache.find(&tenancy_core::TenantKey::Id(id(1))) else {
        panic!("not at once")
    };
    assert!(std::sync::Arc::ptr_eq(&by_slug, &by_id));
    assert_eq!(bench.store.loads(), 1);
    let stats = bench.cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.loads, stats.names), (2, 2, 1, 2));
}

#[tokio::test]
async fn dir_01_an_unannounced_suspension_counts_after_the_time_to_live() {
    let bench = bench(|cache| cache.with_ttl(Duration::from_secs(60)));
    bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_status(TenantStatus::Suspended));
    bench.clock.advance(Duration::from_nanos(59_999_999_999));
    assert!(bench.found(&slug("acme")).await.status().is_active());
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(bench.found(&slug("acme")).await.status(), TenantStatus::Suspended);
}

#[tokio::test]
async fn the_time_to_live_counts_from_the_start_of_the_load() {
    let bench = bench(|cache| cache.with_ttl(Duration::from_secs(60)));
    let load = bench.cache.find(&slug("acme"));
    bench.clock.advance(Duration::from_secs(60));
    load.wait().await.unwrap();
    assert!(matches!(bench.cache.find(&slug("acme")), Lookup::Later(_)));
}

#[tokio::test]
async fn dir_04_an_unannounced_tenant_is_found_after_the_negative_time_to_live() {
    let bench = bench(|cache| cache.with_absent_ttl(Duration::from_secs(10)));
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    bench.store.put(tenancy_core::Tenant::builder(id(2), "globex".parse().unwrap()));
    bench.clock.advance(Duration::from_secs(9));
    assert!(matches!(bench.cache.find(&slug("globex")), Lookup::Absent));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.found(&slug("globex")).await.id(), &id(2));
}

#[tokio::test]
async fn a_renewed_record_that_did_not_change_stays_the_same() {
    let bench = bench(|cache| cache.with_ttl(Duration::from_secs(60)));
    let first = bench.found(&slug("acme")).await;
    bench.clock.advance(Duration::from_secs(61));
    let second = bench.found(&slug("acme")).await;
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert!(!first.is_superseded());
}

#[test]
fn dir_10_the_cache_knows_no_wall_clock() {
    let clock = MonotonicClock::new();
    let readings: Vec<Duration> = (0..10_000).map(|_| clock.now()).collect();
    assert!(readings.is_sorted());
    let sources = [
        include_str!("../../../src/catalog/cached/clock.rs"),
        include_str!("../../../src/catalog/cached/engine.rs"),
        include_str!("../../../src/catalog/cached/commit.rs"),
    ];
    assert!(sources.iter().all(|source| !source.contains("SystemTime")));
}

/// Where the system's timer is late, so is a coarse clock: by far less than this.
#[test]
fn the_systems_clock_goes_on_with_the_time() {
    let slack = Duration::from_millis(200);
    let (clock, real) = (MonotonicClock::new(), Instant::now());
    assert!(clock.resolution() <= Duration::from_millis(10));
    while real.elapsed() < Duration::from_secs(1) {
        let (before, now, after) = (real.elapsed(), clock.now(), real.elapsed());
        assert!(before <= now + slack && now <= after + slack, "{before:?} {now:?} {after:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

proptest! {
    #[test]
    fn dir_10_no_answer_is_older_than_the_time_to_live(steps in prop::collection::vec(0_u64..40, 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = bench(|cache| cache.with_ttl(Duration::from_secs(60)));
            let mut written = Vec::new();
            for (version, step) in (2..).zip(steps) {
                // Every version is true until the next one: the age of an answer is the time since then.
                let age = bench.clock.now();
                bench.store.put(acme().with_version(version));
                written.push((version, age));
                let seen = bench.found(&slug("acme")).await.version();
                let ended = written.iter().find(|(version, _)| *version == seen + 1).map(|(_, at)| *at);
                prop_assert!(ended.is_none_or(|ended| bench.clock.now() < ended + Duration::from_secs(60)));
                bench.clock.advance(Duration::from_secs(step));
            }
            Ok(())
        })?;
    }
}
