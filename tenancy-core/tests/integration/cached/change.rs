use std::sync::Arc;

use tenancy_core::{Lookup, Tenant, TenantCatalog, TenantKey, TenantStatus};

use super::{acme, bench, host, id, slug};

#[tokio::test]
async fn dir_01_an_announced_suspension_counts_at_once_for_look_ups_and_for_holders() {
    let bench = bench(|cache| cache);
    let held = bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_status(TenantStatus::Suspended));
    bench.cache.invalidate(&id(1), 2);
    assert!(held.is_superseded());
    assert!(!held.is_still_active());
    assert!(matches!(bench.cache.find(&slug("acme")), Lookup::Later(_)));
    assert_eq!(bench.found(&slug("acme")).await.status(), TenantStatus::Suspended);
}

#[tokio::test]
async fn dir_02_who_waits_and_reads_the_answer_late_does_not_get_what_was_invalidated_meanwhile() {
    let bench = bench(|cache| cache);
    let (first, late) = (bench.cache.find(&slug("acme")), bench.cache.find(&slug("acme")));
    assert_eq!(first.wait().await.unwrap().unwrap().version(), 1);
    bench.store.put(acme().with_version(2).with_status(TenantStatus::Suspended));
    bench.cache.invalidate(&id(1), 2);
    assert_eq!(late.wait().await.unwrap().unwrap().version(), 2);
}

#[tokio::test]
async fn dir_09_a_replica_that_lags_does_not_replace_what_is_held() {
    let bench = bench(|cache| cache);
    let shop = || "shop.example.org".parse().unwrap();
    bench.store.put(acme().with_version(2).with_domain(shop()));
    bench.found(&slug("acme")).await;
    // Asked by another name, the store answers from an earlier moment.
    bench.store.put(acme().with_version(1).with_domain(shop()));
    assert!(bench.find(&host("shop.example.org")).await.is_err());
    assert_eq!(bench.found(&slug("acme")).await.version(), 2);
    assert_eq!(bench.cache.stats().outdated, 3);
}

#[tokio::test]
async fn an_announcement_of_what_is_held_already_changes_nothing() {
    let bench = bench(|cache| cache);
    let held = bench.found(&slug("acme")).await;
    bench.cache.invalidate(&id(1), 1);
    bench.cache.invalidate(&id(1), 0);
    assert!(!held.is_superseded());
    assert!(matches!(bench.cache.find(&slug("acme")), Lookup::Found(_)));
}

#[tokio::test]
async fn holders_of_an_invalidated_record_see_its_successor() {
    let bench = bench(|cache| cache);
    let held = bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_plan("business"));
    bench.cache.invalidate(&id(1), 2);
    assert!(!held.is_still_active(), "nothing is known of the successor yet");
    bench.found(&slug("acme")).await;
    assert!(held.is_still_active() && held.is_superseded());
}

#[tokio::test]
async fn a_refresh_replaces_a_record_without_a_gap() {
    let bench = bench(|cache| cache);
    let held = bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_plan("business"));
    let refresh = bench.cache.refresh(&id(1), 2);
    assert!(held.is_still_active());
    refresh.await;
    assert!(held.is_still_active() && held.is_superseded());
    let Lookup::Found(now) = bench.cache.find(&slug("acme")) else { panic!("not at once") };
    assert_eq!(now.plan(), Some("business"));
    assert_eq!(bench.store.loads(), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_or_is_dropped_invalidates() {
    for poll in [true, false] {
        let bench = bench(|cache| cache);
        let held = bench.found(&slug("acme")).await;
        bench.store.set_down(true);
        let refresh = bench.cache.refresh(&id(1), 2);
        if poll {
            refresh.await;
        } else {
            drop(refresh);
        }
        assert!(held.is_superseded() && !held.is_still_active());
        assert!(bench.find(&slug("acme")).await.is_err());
    }
}

#[tokio::test]
async fn a_refresh_of_a_tenant_that_is_not_held_asks_nobody() {
    let bench = bench(|cache| cache);
    bench.cache.refresh(&id(1), 1).await;
    assert_eq!(bench.store.loads(), 0);
}

#[tokio::test]
async fn dir_03_an_old_slug_never_leads_to_the_old_owner() {
    let bench = bench(|cache| cache);
    bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_slug("acme-corp".parse().unwrap()));
    bench.cache.invalidate(&id(1), 2);
    assert!(bench.find(&slug("acme")).await.unwrap().is_none());
    bench.store.put(Tenant::builder(id(2), "acme".parse().unwrap()).with_version(1));
    bench.cache.invalidate(&id(2), 1);
    assert_eq!(bench.found(&slug("acme")).await.id(), &id(2));
    assert_eq!(bench.found(&slug("acme-corp")).await.id(), &id(1));
}

#[tokio::test]
async fn dir_03_a_rename_seen_through_another_name_takes_the_old_slug_away() {
    let bench = bench(|cache| cache);
    bench.found(&slug("acme")).await;
    bench.store.put(acme().with_version(2).with_slug("acme-corp".parse().unwrap()));
    // No announcement arrived: the new record comes by its new name.
    assert_eq!(bench.found(&slug("acme-corp")).await.version(), 2);
    assert!(bench.find(&slug("acme")).await.unwrap().is_none());
}

#[tokio::test]
async fn dir_02_a_domain_seen_at_its_new_owner_makes_the_old_owners_record_void() {
    let bench = bench(|cache| cache.with_ttl(std::time::Duration::from_secs(60)));
    let shop = || "shop.example.org".parse().unwrap();
    bench.store.put(acme().with_domain(shop()));
    let old = bench.found(&host("shop.example.org")).await;
    bench.store.put(acme().with_version(2));
    bench.store.put(Tenant::builder(id(2), "globex".parse().unwrap()).with_domain(shop()));
    bench.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(bench.found(&host("shop.example.org")).await.id(), &id(2));
    assert!(old.is_superseded());
    assert_eq!(bench.found(&TenantKey::Id(id(1))).await.version(), 2);
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_under_every_name_once_one_of_them_was_asked_for() {
    let bench = bench(|cache| cache.with_ttl(std::time::Duration::from_secs(60)));
    let held = bench.found(&slug("acme")).await;
    bench.store.remove(&id(1));
    bench.clock.advance(std::time::Duration::from_secs(60));
    assert!(bench.find(&TenantKey::Id(id(1))).await.unwrap().is_none());
    assert!(!held.is_still_active());
    assert!(bench.find(&slug("acme")).await.unwrap().is_none());
    assert_eq!(bench.cache.stats().names, 0);
}

#[tokio::test]
async fn dir_04_a_new_tenant_is_found_at_once_where_it_is_announced() {
    let bench = bench(|cache| cache);
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    bench.store.put(Tenant::builder(id(2), "globex".parse().unwrap()));
    assert!(matches!(bench.cache.find(&slug("globex")), Lookup::Absent));
    bench.cache.invalidate(&id(2), 0);
    assert_eq!(bench.found(&slug("globex")).await.id(), &id(2));
}

#[tokio::test]
async fn a_flush_forgets_everything_and_keeps_what_was_announced() {
    let bench = bench(|cache| cache);
    let held = bench.found(&slug("acme")).await;
    assert!(bench.find(&slug("globex")).await.unwrap().is_none());
    bench.cache.invalidate(&id(2), 5);
    bench.cache.flush();
    assert!(held.is_superseded());
    let stats = bench.cache.stats();
    assert_eq!((stats.names, stats.negative_names), (0, 0));
    bench.store.put(Tenant::builder(id(2), "globex".parse().unwrap()).with_version(4));
    assert!(bench.find(&slug("globex")).await.is_err(), "version 5 was announced");
    let again = bench.found(&slug("acme")).await;
    assert!(!Arc::ptr_eq(&held, &again));
    assert!(held.is_still_active());
}

#[tokio::test]
async fn the_wrapped_catalogs_own_records_are_left_alone() {
    let bench = bench(|cache| cache);
    bench.found(&slug("acme")).await;
    bench.cache.forget(&slug("acme"));
    bench.cache.flush();
    let own = Arc::clone(&bench.store.0.names.lock().unwrap()[&slug("acme")]);
    assert!(own.is_still_active() && !own.is_superseded());
    bench.found(&slug("acme")).await;
}
