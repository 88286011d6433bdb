//! The way around: only with the capability, and only with a reason.

use std::time::Duration;

use sea_orm::{EntityTrait, PaginatorTrait};
use tenancy_core::TenantId;
use tenancy_seaorm::danger::{self, ForEach};
use tenancy_seaorm::{Error, ErrorKind, Tenancy};

use crate::fixture::{Shop, order, policy, tenant};

async fn shop() -> (Tenancy, danger::Capability) {
    let shop = Shop::sqlite(policy()).await;
    Tenancy::with_capability(shop.raw, policy().build().expect("a policy")).expect("a tenancy")
}

#[tokio::test]
async fn the_capability_opens_every_tenants_rows() {
    let (tenancy, capability) = shop().await;
    let all = danger::unscoped(&tenancy, &capability, "a test").expect("the right capability");
    assert_eq!(order::Entity::find().count(&*all).await.expect("a count"), 5);
}

#[tokio::test]
async fn another_tenancys_capability_and_an_empty_reason_open_nothing() {
    let (tenancy, capability) = shop().await;
    let (_, foreign) = shop().await;
    let kind = |result: Result<danger::Unscoped, Error>| result.err().map(|error| error.kind());
    assert_eq!(kind(danger::unscoped(&tenancy, &foreign, "a test")), Some(ErrorKind::Unscoped));
    assert_eq!(kind(danger::unscoped(&tenancy, &capability, " ")), Some(ErrorKind::Unscoped));
    let disconnected =
        Tenancy::new(sea_orm::DatabaseConnection::default(), policy().build().expect("a policy"));
    assert_eq!(disconnected.err().map(|error| error.kind()), Some(ErrorKind::Policy));
}

/// FLT-39: an empty set gives nothing, a duplicate is one, each result names its tenant.
#[tokio::test]
async fn each_tenant_is_worked_on_once_and_by_itself() {
    let (tenancy, capability) = shop().await;
    let count = async |db| order::Entity::find().count(&db).await;
    let run = async |ids: &[i64], how| {
        let tenants: Vec<_> = ids.iter().map(|id| tenant(*id)).collect();
        danger::for_each_tenant(&tenancy, &capability, tenants, how, "a test", count)
            .await
            .expect("the right capability")
    };
    assert!(run(&[], ForEach::default()).await.is_empty());
    let all = run(&[2, 1, 2, 3], ForEach::default().with_concurrency(2)).await;
    let seen: Vec<_> =
        all.iter().map(|of| (of.tenant.id().to_string(), of.result.clone().expect("a count"))).collect();
    assert_eq!(seen, [("2".to_owned(), 3), ("1".to_owned(), 2), ("3".to_owned(), 0)]);
    let excluded = ForEach::default().with_excluded([TenantId::integer(2).expect("an id")]);
    assert_eq!(run(&[1, 2], excluded).await.len(), 1);
}

#[tokio::test]
async fn a_slow_tenant_runs_out_of_time_and_the_others_do_not() {
    let (tenancy, capability) = shop().await;
    let how = ForEach::default().with_timeout(Duration::from_millis(50));
    let work = async |db: tenancy_seaorm::TenantConnection| {
        let orders = order::Entity::find().count(&db).await?;
        if orders == 2 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Ok(orders)
    };
    let results =
        danger::for_each_tenant(&tenancy, &capability, [tenant(1), tenant(2)], how, "a test", work).await;
    let results = results.expect("the right capability");
    let kind = results[0].result.as_ref().err().and_then(Error::of).map(Error::kind);
    assert_eq!(kind, Some(ErrorKind::TimedOut));
    assert_eq!(results[1].result.as_ref().ok(), Some(&3));
}
