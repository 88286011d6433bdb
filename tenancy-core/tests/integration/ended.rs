//! Waiting for the end of a tenant (TWR-54).

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tenancy_core::{
    Lookup, MemoryCatalog, Tenant, TenantCatalog, TenantContext, TenantId, TenantKey, TenantStatus,
};
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(10);

fn id(value: i64) -> TenantId {
    TenantId::integer(value).unwrap()
}

fn catalog() -> Arc<MemoryCatalog> {
    let catalog = MemoryCatalog::new();
    for value in [1, 2] {
        let tenant = Tenant::builder(id(value), format!("t{value}").parse().unwrap());
        catalog.insert(tenant.build().unwrap()).unwrap();
    }
    Arc::new(catalog)
}

fn context(catalog: &MemoryCatalog, value: i64) -> TenantContext {
    let Lookup::Found(tenant) = catalog.find(&TenantKey::Id(id(value))) else { unreachable!() };
    TenantContext::assertion(tenant, "test").unwrap()
}

#[tokio::test]
async fn every_way_to_stop_being_active_ends_the_wait_at_once() {
    use TenantStatus::{Cancelled, Maintenance, Provisioning, Suspended};
    for status in [Suspended, Maintenance, Cancelled, Provisioning] {
        let catalog = catalog();
        let waiting = [(); 3].map(|()| tokio::spawn(context(&catalog, 1).ended()));
        tokio::task::yield_now().await;
        catalog.set_status(&id(1), status).unwrap();
        for ended in waiting {
            timeout(LONG, ended).await.unwrap().unwrap();
        }
    }
    let catalog = catalog();
    let ended = tokio::spawn(context(&catalog, 1).ended());
    tokio::task::yield_now().await;
    catalog.remove(&id(1)).unwrap();
    timeout(LONG, ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn neither_another_tenants_end_nor_a_change_that_leaves_it_active_does() {
    let catalog = catalog();
    let mut ended = pin!(context(&catalog, 1).ended());
    assert!(timeout(SOON, ended.as_mut()).await.is_err());
    catalog.set_status(&id(2), TenantStatus::Suspended).unwrap();
    catalog
        .update(&id(1), |tenant| tenant.with_plan("business").with_slug("renamed".parse().unwrap()))
        .unwrap();
    assert!(timeout(SOON, ended.as_mut()).await.is_err());
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    timeout(LONG, ended).await.unwrap();
}

/// Who was not polled between an end and a return hears of the next end.
#[tokio::test]
async fn a_wait_that_slept_through_an_end_hears_of_the_next() {
    let catalog = catalog();
    let mut ended = pin!(context(&catalog, 1).ended());
    assert!(timeout(SOON, ended.as_mut()).await.is_err());
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    catalog.set_status(&id(1), TenantStatus::Active).unwrap();
    assert!(timeout(SOON, ended.as_mut()).await.is_err());
    let other = Arc::clone(&catalog);
    tokio::spawn(async move {
        tokio::time::sleep(SOON).await;
        other.set_status(&id(1), TenantStatus::Suspended).unwrap();
    });
    timeout(LONG, ended).await.unwrap();
}

#[test]
fn a_tenant_that_has_ended_needs_no_waiting() {
    let catalog = catalog();
    let context = context(&catalog, 1);
    catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
    let ended = pin!(context.ended());
    assert!(Future::poll(ended, &mut Context::from_waker(Waker::noop())).is_ready());
}

/// An end in the very moment in which somebody begins to wait is not missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_end_is_missed_however_close() {
    for _ in 0..500 {
        let catalog = catalog();
        let ended = tokio::spawn(context(&catalog, 1).ended());
        catalog.set_status(&id(1), TenantStatus::Suspended).unwrap();
        timeout(LONG, ended).await.unwrap().unwrap();
    }
}
