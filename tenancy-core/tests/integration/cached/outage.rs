use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tenancy_core::{
    CachedCatalog, ErrorKind, Lookup, Tenant, TenantCatalog, TenantContext, TenantKey, TenantStatus,
};

use super::{acme, bench, id, slug};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn dir_07_an_error_is_not_remembered_as_absent() {
    let bench = bench(|cache| cache);
    bench.store.set_down(true);
    for _ in 0..2 {
        assert_eq!(bench.find(&slug("acme")).await.unwrap_err().kind(), ErrorKind::CatalogUnavailable);
    }
    bench.store.set_down(false);
    assert_eq!(bench.found(&slug("acme")).await.id(), &id(1));
    assert_eq!(bench.cache.stats().errors, 2);
}

#[tokio::test]
async fn dir_08_by_default_an_outage_refuses_as_soon_as_the_time_is_over() {
    let bench = bench(|cache| cache.with_ttl(TTL));
    bench.found(&slug("acme")).await;
    bench.store.set_down(true);
    bench.found(&slug("acme")).await;
    bench.clock.advance(TTL);
    assert!(bench.find(&slug("acme")).await.is_err());
}

#[tokio::test]
async fn dir_08_a_known_tenant_is_served_through_an_outage_for_the_chosen_time_and_no_longer() {
    let bench = bench(|cache| cache.with_ttl(TTL).with_stale_if_error(Duration::from_secs(30)));
    bench.found(&slug("acme")).await;
    bench.store.set_down(true);
    bench.clock.advance(TTL + Duration::from_secs(29));
    bench.found(&slug("acme")).await;
    let loads = bench.store.loads();
    assert!(
        matches!(bench.cache.find(&slug("acme")), Lookup::Found(_)),
        "the store is left alone for a while"
    );
    assert_eq!(bench.store.loads(), loads);
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.find(&slug("acme")).await.is_err());
    assert!(bench.find(&slug("globex")).await.is_err(), "an unknown name is never served");
    assert_eq!(bench.cache.stats().stale, 1);
    bench.store.set_down(false);
    bench.found(&slug("acme")).await;
}

#[tokio::test]
async fn dir_08_an_announced_suspension_is_not_outlived_by_an_outage() {
    let bench = bench(|cache| cache.with_ttl(TTL).with_stale_if_error(TTL));
    bench.found(&slug("acme")).await;
    bench.store.set_down(true);
    bench.cache.invalidate(&id(1), 2);
    assert!(bench.find(&slug("acme")).await.is_err());
    // A store that comes back as it was before, such as a replica that lags behind, does not count either (DIR-09).
    bench.store.set_down(false);
    assert_eq!(bench.find(&slug("acme")).await.unwrap_err().kind(), ErrorKind::CatalogUnavailable);
    bench.store.put(acme().with_version(2).with_status(TenantStatus::Suspended));
    assert_eq!(bench.found(&slug("acme")).await.status(), TenantStatus::Suspended);
}

#[tokio::test]
async fn an_absence_is_not_served_past_its_time() {
    let bench = bench(|cache| cache.with_absent_ttl(TTL).with_stale_if_error(TTL));
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    bench.store.set_down(true);
    bench.clock.advance(TTL);
    assert!(bench.find(&slug("globex")).await.is_err());
}

#[tokio::test]
async fn a_load_that_hangs_holds_up_nobody_who_comes_later() {
    let bench = bench(|cache| cache.with_patience(Duration::from_secs(5)));
    bench.store.0.hung.store(true, Ordering::SeqCst);
    let (cache, key) = (bench.cache.clone(), slug("acme"));
    let hung = tokio::spawn(async move { cache.find(&key).wait().await });
    while bench.store.loads() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    bench.store.0.hung.store(false, Ordering::SeqCst);
    bench.clock.advance(Duration::from_secs(5) + Duration::from_nanos(1));
    bench.found(&slug("acme")).await;
    assert_eq!(bench.cache.stats().in_flight, 1);
    hung.abort();
    assert!(hung.await.unwrap_err().is_cancelled());
    assert_eq!(bench.cache.stats().in_flight, 0);
}

#[derive(Debug)]
struct Odd;

impl TenantCatalog for Odd {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        match key {
            TenantKey::Id(_) => Lookup::Found(acme().build().unwrap()),
            TenantKey::Slug(_) => panic!("on purpose"),
            _ => Lookup::later(async {
                let scope = TenantContext::current().map(|context| context.id().to_string());
                panic!("the load sees {scope:?}");
            }),
        }
    }
}

#[tokio::test]
async fn a_catalog_that_panics_or_answers_with_somebody_else_is_refused() {
    let cache = CachedCatalog::new(Odd);
    assert!(cache.find(&slug("acme")).wait().await.is_err());
    assert!(cache.find(&TenantKey::Id(id(2))).wait().await.is_err());
    assert!(cache.find(&TenantKey::Id(id(1))).wait().await.unwrap().is_some());
    let stats = cache.stats();
    assert_eq!((stats.errors, stats.in_flight), (2, 0));
}

#[derive(Debug)]
struct Scoped;

impl TenantCatalog for Scoped {
    fn find(&self, _: &TenantKey<'_>) -> Lookup {
        let at_start = TenantContext::current().is_err();
        Lookup::later(async move {
            tokio::task::yield_now().await;
            let nobody = at_start && TenantContext::current().is_err();
            Ok(nobody.then(|| acme().build().unwrap()))
        })
    }
}

#[tokio::test]
async fn core_15_a_load_does_not_run_as_the_tenant_whose_request_drives_it() {
    let cache = CachedCatalog::new(Scoped);
    let globex = Tenant::builder(id(2), "globex".parse().unwrap()).build().unwrap();
    let context = TenantContext::assertion(globex, "a test").unwrap();
    let found = context.scope(async { cache.find(&slug("acme")).wait().await }).await.unwrap();
    assert_eq!(found.map(|tenant| tenant.id().clone()), Some(id(1)));
}

#[tokio::test]
async fn everybody_who_waits_gets_the_error_with_its_source() {
    let bench = bench(|cache| cache);
    bench.store.set_down(true);
    let (a, b) = (bench.cache.find(&slug("acme")), bench.cache.find(&slug("acme")));
    for error in [a.wait().await.unwrap_err(), b.wait().await.unwrap_err()] {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("down for a test"));
    }
    assert_eq!(bench.store.loads(), 1);
    let _ = Arc::new(bench);
}
