//! A database that is slow, or that does not do what it was told.

use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};
use tenancy_core::{CachedCatalog, Domain, DomainState, ErrorKind, Lookup, TenantCatalog, TenantStatus};
use tenancy_seaorm::catalog::CatalogAdmin;

use super::{Platform, host, id, kind, slug, tenant};

const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_look_up_that_takes_too_long_fails() {
    let platform = Platform::postgres().await;
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    let catalog = platform.catalog().with_time_limit(Duration::from_millis(100));
    assert!(catalog.find(&slug("acme")).wait().await.unwrap().is_some());
    let holder = platform.db.begin().await.unwrap();
    holder.execute_unprepared("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(30), catalog.find(&slug("acme")).wait());
    let answer = waiting.await.expect("the limit ends the waiting");
    assert_eq!(kind(answer), ErrorKind::CatalogUnavailable);
    holder.rollback().await.unwrap();
    assert!(catalog.find(&slug("acme")).wait().await.unwrap().is_some());
}

/// Whether it was done is not known: what the cache holds may be outdated.
#[tokio::test]
async fn a_change_that_fails_as_it_is_committed_leaves_nothing_in_the_cache() {
    let platform = Platform::postgres().await;
    let cache = CachedCatalog::builder(platform.catalog()).with_ttl(NEVER).build();
    let admin = platform.admin().with_cache(cache.clone());
    for (n, name) in [(1, "acme"), (2, "globex")] {
        admin.onboard(tenant(n, name)).await.unwrap();
        cache.find(&slug(name)).wait().await.unwrap();
    }
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$; \
                  CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON tenants DEFERRABLE INITIALLY DEFERRED \
                  FOR EACH ROW EXECUTE FUNCTION refuse()";
    platform.db.execute_unprepared(refuse).await.unwrap();
    let failed = admin.set_status(&id(1), TenantStatus::Suspended).await;
    assert_eq!(kind(failed), ErrorKind::CatalogUnavailable);
    assert!(matches!(cache.find(&slug("acme")), Lookup::Later(_)), "it is asked for again");
    assert!(matches!(cache.find(&slug("globex")), Lookup::Found(_)), "others are not");
    assert_eq!(cache.find(&slug("acme")).wait().await.unwrap().unwrap().status(), TenantStatus::Active);
}

/// DIR-03, DIR-14
#[tokio::test]
async fn names_of_a_tenant_that_is_gone_are_free_after_their_quarantine_and_not_before() {
    for platform in Platform::both().await {
        let shop = || "shop.acme.example".parse().unwrap();
        let (careful, hasty) = (platform.admin(), platform.admin().with_quarantine(Duration::ZERO));
        careful.onboard(tenant(1, "acme").with_domain(shop())).await.unwrap();
        careful.onboard(tenant(2, "globex")).await.unwrap();
        careful.onboard(tenant(3, "initech")).await.unwrap();
        careful.rename(&id(3), "initrode".parse().unwrap()).await.unwrap();
        assert_eq!(kind(careful.rename(&id(2), "initech".parse().unwrap()).await), ErrorKind::AlreadyTaken);
        hasty.remove(&id(1)).await.unwrap();
        careful.rename(&id(2), "acme".parse().unwrap()).await.expect("nobody's slug");
        let claim = careful.claim_domain(&id(2), &shop()).await.expect("nobody's domain");
        careful.verify_domain(&id(2), &shop(), claim.token()).await.unwrap();
        let found = platform.catalog().find(&host("shop.acme.example")).wait().await.unwrap();
        assert_eq!(found.unwrap().id(), &id(2));
    }
}

/// TWR-22: proxies send internal names by themselves, and mixed scripts imitate other names.
#[tokio::test]
async fn a_name_that_no_tenant_may_own_is_not_claimed() {
    let platform = Platform::sqlite().await;
    let admin = platform.admin();
    admin.onboard(tenant(1, "acme")).await.unwrap();
    for (n, name) in (2..).zip(["localhost", "db.internal", "printer.local", "shop.p\u{430}ypal.com"]) {
        let domain: Domain = name.parse().unwrap();
        assert_eq!(kind(admin.claim_domain(&id(1), &domain).await), ErrorKind::InvalidTenant, "{name}");
        let onboarded = admin.onboard(tenant(n, &format!("t{n}")).with_domain(domain)).await;
        assert_eq!(kind(onboarded), ErrorKind::InvalidTenant, "{name}");
    }
    let russian = "\u{43c}\u{430}\u{433}\u{430}\u{437}\u{438}\u{43d}.example-shop.com".parse().unwrap();
    admin.claim_domain(&id(1), &russian).await.expect("one script in each label");
}

/// DIR-14: a claim from before does not outlive the quarantine of a name that somebody else had meanwhile.
#[tokio::test]
async fn an_old_claim_is_not_proven_while_its_name_is_in_quarantine() {
    for platform in Platform::both().await {
        let shop: Domain = "shop.acme.example".parse().unwrap();
        let admin = platform.admin();
        admin.onboard(tenant(2, "b")).await.unwrap();
        let old = admin.claim_domain(&id(2), &shop).await.unwrap();
        admin.onboard(tenant(1, "a").with_domain(shop.clone())).await.unwrap();
        assert_eq!(kind(admin.verify_domain(&id(2), &shop, old.token()).await), ErrorKind::AlreadyTaken);
        admin.release_domain(&id(1), &shop).await.unwrap();
        assert_eq!(kind(admin.verify_domain(&id(2), &shop, old.token()).await), ErrorKind::AlreadyTaken);
    }
}

#[tokio::test]
async fn a_change_waits_for_the_one_before() {
    let platform = Platform::postgres().await;
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    let hasty = CatalogAdmin::new(platform.catalog().with_time_limit(Duration::from_millis(100)));
    let shop: Domain = "shop.acme.example".parse().unwrap();
    let holder = platform.db.begin().await.unwrap();
    holder.execute_unprepared("UPDATE tenant_catalog SET version = version + 1").await.unwrap();
    assert_eq!(kind(hasty.claim_domain(&id(1), &shop).await), ErrorKind::CatalogUnavailable);
    holder.rollback().await.unwrap();
    hasty.claim_domain(&id(1), &shop).await.expect("it is its turn");
}

#[tokio::test]
async fn a_redirect_is_over_when_its_domain_moves_away() {
    for platform in Platform::both().await {
        let (old, new): (Domain, Domain) =
            ("old.acme.example".parse().unwrap(), "acme.example".parse().unwrap());
        let admin = platform.admin();
        let both = tenant(1, "acme").with_domain(old.clone()).with_domain(new.clone());
        admin.onboard(both).await.unwrap();
        admin.onboard(tenant(2, "globex")).await.unwrap();
        admin.redirect_domain(&id(1), &old, &new, None).await.unwrap();
        let globex = admin.move_domain(&old, &id(1), &id(2)).await.unwrap();
        assert_eq!(globex.domain(old.as_str()).unwrap().state, DomainState::Verified);
    }
}

/// DIR-15; on PostgreSQL a trigger keeps such a version from being written.
#[tokio::test]
async fn a_negative_version_is_not_understood() {
    let platform = Platform::sqlite().await;
    platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    platform.db.execute_unprepared("UPDATE tenants SET version = -1").await.unwrap();
    assert!(platform.catalog().find(&slug("acme")).wait().await.is_err());
}
