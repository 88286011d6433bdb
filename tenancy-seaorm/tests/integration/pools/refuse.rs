//! What the registry refuses, and what its errors do not say.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait};
use tenancy_core::{Placement, Tenant, TenantContext, TenantId, TenantStatus};
use tenancy_seaorm::{
    DatabaseSource, Error, ErrorKind, OptionsFuture, PoolRegistry, Role, Target, TargetKind,
};

use super::{context, number, placed};

const SECRET: &str = "correct-horse-battery";

fn sqlite() -> PoolRegistry {
    let source = |target: &Target| match (target.kind(), target.name(), target.role()) {
        (_, "known", Role::Primary) | (TargetKind::Shard, "eu", _) => {
            Some(ConnectOptions::new("sqlite::memory:"))
        }
        _ => None,
    };
    PoolRegistry::builder(source).with_budget(4).build().expect("limits")
}

async fn refusal(registry: &PoolRegistry, context: &TenantContext) -> Error {
    registry.lease(context).await.expect_err("it is refused")
}

#[tokio::test]
async fn an_unknown_name_is_refused_and_nothing_stands_in_for_it() {
    let registry = sqlite();
    let refused = refusal(&registry, &placed(1, "unknown")).await;
    assert_eq!(refused.kind(), ErrorKind::UnknownDatabase);
    // A database and a shard of the same name are two things; a placement without a name has no default.
    let database_as_shard = context(1, Placement::Database { database: "eu".into() });
    assert_eq!(refusal(&registry, &database_as_shard).await.kind(), ErrorKind::UnknownDatabase);
    for placement in [Placement::Row, Placement::Schema { schema: "s".into(), shard: None }] {
        assert_eq!(refusal(&registry, &context(1, placement)).await.kind(), ErrorKind::UnknownDatabase);
    }
    assert_eq!(registry.stats().in_use, 0);
    registry.lease(&placed(1, "known")).await.expect("a known one is served");
}

/// SCH-24: a replica that is not configured is an error, and reads do not go to the primary.
#[tokio::test]
async fn a_missing_replica_is_not_replaced_by_the_primary() {
    let registry = sqlite();
    let refused = registry.lease_replica(&placed(1, "known")).await.expect_err("it has no replica");
    assert_eq!(refused.kind(), ErrorKind::UnknownDatabase);
    let shard = context(2, Placement::Shard { shard: "eu".into() });
    let replica = registry.lease_replica(&shard).await.expect("this one has");
    assert_eq!((replica.target().role(), replica.target().name()), (Role::Replica, "eu"));
    let primary = registry.lease(&shard).await.unwrap();
    assert_ne!(primary.target(), replica.target());
    assert_eq!(registry.stats().databases, 2);
}

#[tokio::test]
async fn a_database_of_one_tenants_own_is_not_leased_to_another() {
    let registry = sqlite();
    let own = registry.lease(&placed(1, "known")).await.unwrap();
    assert_eq!(refusal(&registry, &placed(2, "known")).await.kind(), ErrorKind::ForeignTenant);
    drop(own);
    assert_eq!(refusal(&registry, &placed(2, "known")).await.kind(), ErrorKind::ForeignTenant);
    registry.lease(&placed(1, "known")).await.expect("its owner is served");
}

#[tokio::test]
async fn the_raw_connection_of_a_shard_is_not_handed_out() {
    let registry = sqlite();
    let shard = registry.lease(&context(1, Placement::Shard { shard: "eu".into() })).await.unwrap();
    assert_eq!(shard.dedicated().expect_err("others are in it").kind(), ErrorKind::Unscoped);
    let own = registry.lease(&placed(1, "known")).await.unwrap();
    assert_eq!(number(own.dedicated().expect("its own"), "SELECT 1").await, 1);
}

#[tokio::test]
async fn a_tenant_that_is_no_longer_active_gets_no_connection_and_loses_the_one_it_has() {
    let registry = sqlite();
    let placement = Placement::Database { database: "known".into() };
    let active: Arc<Tenant> = Tenant::builder(TenantId::integer(1).unwrap(), "t1".parse().unwrap())
        .with_placement(placement)
        .build()
        .unwrap();
    let context = TenantContext::assertion(Arc::clone(&active), "a test").unwrap();
    let held = registry.lease(&context).await.unwrap();
    assert!(held.dedicated().is_ok());
    let suspended = active.to_builder().with_status(TenantStatus::Suspended).build().unwrap();
    let _newer = suspended.succeeding(&active);
    assert_eq!(held.dedicated().expect_err("suspended").kind(), ErrorKind::Inactive);
    assert_eq!(refusal(&registry, &context).await.kind(), ErrorKind::Inactive);
}

struct FailingVault;

impl DatabaseSource for FailingVault {
    fn options<'a>(&'a self, _: &'a Target) -> OptionsFuture<'a> {
        Box::pin(async { Err(format!("the vault says: {SECRET}").into()) })
    }
}

#[tokio::test]
async fn no_error_and_no_debug_output_holds_a_password() {
    let urls = [
        // Not a URL: the driver's own message quotes all of it.
        format!("postgres//app:{SECRET}@127.0.0.1/x"),
        format!("nosuchdriver://app:{SECRET}@127.0.0.1/x"),
        format!("postgres://app:{SECRET}@127.0.0.1:1/x"),
        format!("postgres://app:{SECRET}@no-such-host.invalid/x"),
        format!("postgres://app:{SECRET}@127.0.0.1:1/x?sslmode=nonsense-{SECRET}"),
    ];
    let mut errors = Vec::new();
    for url in urls {
        let source = move |_: &Target| Some(ConnectOptions::new(url.clone()));
        let builder = PoolRegistry::builder(source).with_connect_limit(Duration::from_millis(300));
        let registry = builder.build().unwrap();
        let said = format!("{registry:?}");
        errors.push((refusal(&registry, &placed(1, "x")).await, said));
        assert_eq!(registry.stats().in_use, 0);
    }
    let registry = PoolRegistry::builder(FailingVault).build().unwrap();
    errors.push((refusal(&registry, &placed(1, "x")).await, format!("{registry:?}")));
    for (error, said) in errors {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let mut said = format!("{said} {error} {error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            said += &format!(" {cause} {cause:?}");
            source = cause.source();
        }
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[tokio::test]
async fn a_lease_says_whose_it_is_and_no_more() {
    let lease = sqlite().lease(&placed(1, "known")).await.unwrap();
    let said = format!("{lease:?}");
    assert!(said.contains("known") && !said.contains("sqlite"), "{said}");
}

/// The source's options cannot make a lease more than one connection.
#[tokio::test]
async fn options_that_would_break_the_budget_are_overridden_or_refused() {
    let many = |_: &Target| {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(20).min_connections(10);
        Some(options)
    };
    let registry = PoolRegistry::builder(many).with_budget(1).build().unwrap();
    let lease = registry.lease(&placed(1, "x")).await.unwrap();
    let pool = lease.dedicated().unwrap().get_sqlite_connection_pool();
    assert_eq!((pool.options().get_max_connections(), pool.size()), (1, 1));

    let sly = |_: &Target| {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.map_sqlx_sqlite_pool_opts(|pool| pool.max_connections(20));
        Some(options)
    };
    let registry = PoolRegistry::builder(sly).with_budget(1).build().unwrap();
    assert_eq!(refusal(&registry, &placed(1, "x")).await.kind(), ErrorKind::Policy);
    assert_eq!(registry.stats().in_use, 0);
}

#[test]
fn limits_of_zero_are_refused() {
    let builder = || PoolRegistry::builder(|_: &Target| None);
    for builder in [
        builder().with_budget(0),
        builder().with_tenant_limit(0),
        builder().with_database_limit(0),
        builder().with_line(0, 1),
        builder().with_line(1, 0),
    ] {
        assert_eq!(builder.build().expect_err("zero").kind(), ErrorKind::Policy);
    }
    assert!(builder().build().is_ok());
}

#[tokio::test]
async fn a_line_that_is_full_refuses_at_once() {
    let source = |_: &Target| Some(ConnectOptions::new("sqlite::memory:"));
    let registry = PoolRegistry::builder(source).with_budget(1).with_line(1, 1).build().unwrap();
    let held = registry.lease(&placed(1, "a")).await.unwrap();
    let waits = tokio::spawn({
        let registry = registry.clone();
        async move { registry.lease(&placed(2, "b")).await.map(drop) }
    });
    while registry.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(refusal(&registry, &placed(3, "c")).await.kind(), ErrorKind::Exhausted);
    assert_eq!(registry.stats().refused, 1);
    held.dedicated().unwrap().execute_unprepared("SELECT 1").await.unwrap();
    drop(held);
    waits.await.unwrap().expect("it was in the line");
}
