use std::time::Duration;

use proptest::prelude::*;
use tenancy_core::{Domain, DomainState, ErrorKind, TenantCatalog};

use super::{Platform, host, id, kind, tenant};

fn shop() -> Domain {
    "shop.a-corp.com".parse().unwrap()
}

async fn two_tenants(platform: &Platform) {
    platform.admin().onboard(tenant(1, "a")).await.unwrap();
    platform.admin().onboard(tenant(2, "b")).await.unwrap();
}

async fn owner(platform: &Platform) -> Option<i64> {
    let found = platform.catalog().find(&host("shop.a-corp.com")).wait().await.unwrap();
    found.map(|tenant| tenant.id().to_string().parse().unwrap())
}

#[tokio::test]
async fn dir_12_a_claimed_domain_leads_nowhere_until_it_is_proven() {
    for platform in Platform::both().await {
        two_tenants(&platform).await;
        let admin = platform.admin();
        let b = admin.claim_domain(&id(2), &shop()).await.unwrap();
        assert_eq!(owner(&platform).await, None);
        assert_eq!(kind(admin.verify_domain(&id(2), &shop(), "").await), ErrorKind::NotProven);
        assert_eq!(kind(admin.verify_domain(&id(2), &shop(), "0123").await), ErrorKind::NotProven);
        // The claim of one keeps nobody else from proving it, and proves nothing for another.
        let a = admin.claim_domain(&id(1), &shop()).await.unwrap();
        assert_ne!(a.token(), b.token());
        assert_eq!(a.record(), "_tenancy-verification.shop.a-corp.com");
        assert_eq!(kind(admin.verify_domain(&id(2), &shop(), a.token()).await), ErrorKind::NotProven);
        admin.verify_domain(&id(1), &shop(), a.token()).await.unwrap();
        assert_eq!(owner(&platform).await, Some(1));
        assert_eq!(kind(admin.verify_domain(&id(2), &shop(), b.token()).await), ErrorKind::NotProven);
        assert_eq!(kind(admin.claim_domain(&id(2), &shop()).await), ErrorKind::AlreadyTaken);
        assert_eq!(owner(&platform).await, Some(1));
    }
}

#[tokio::test]
async fn dir_12_a_token_counts_once_and_for_a_limited_time() {
    for platform in Platform::both().await {
        two_tenants(&platform).await;
        let admin = platform.admin();
        let old = admin.claim_domain(&id(1), &shop()).await.unwrap();
        let new = admin.claim_domain(&id(1), &shop()).await.unwrap();
        assert_eq!(kind(admin.verify_domain(&id(1), &shop(), old.token()).await), ErrorKind::NotProven);
        admin.verify_domain(&id(1), &shop(), new.token()).await.unwrap();
        assert_eq!(kind(admin.verify_domain(&id(1), &shop(), new.token()).await), ErrorKind::NotProven);
        let hasty = platform.admin().with_claim_time(Duration::ZERO);
        let other: Domain = "www.a-corp.com".parse().unwrap();
        let late = hasty.claim_domain(&id(1), &other).await.unwrap();
        assert_eq!(kind(admin.verify_domain(&id(1), &other, late.token()).await), ErrorKind::NotProven);
    }
}

#[tokio::test]
async fn dir_13_a_domain_below_a_base_domain_is_nobodys() {
    let platform = Platform::sqlite().await;
    two_tenants(&platform).await;
    let admin = platform.admin();
    for name in ["ex.com", "a.ex.com", "b.a.ex.com", "A.EX.COM."] {
        let domain: Domain = name.parse().unwrap();
        assert_eq!(kind(admin.claim_domain(&id(2), &domain).await), ErrorKind::InvalidTenant);
        assert_eq!(kind(admin.onboard(tenant(3, "c").with_domain(domain)).await), ErrorKind::InvalidTenant);
    }
    admin.claim_domain(&id(2), &"evilex.com".parse().unwrap()).await.unwrap();
    // A row that got in by other ways leads nowhere either.
    let careless = tenancy_seaorm::catalog::DatabaseCatalog::new(platform.db.clone());
    let careless = tenancy_seaorm::catalog::CatalogAdmin::new(careless);
    careless.onboard(tenant(3, "c").with_domain("a.ex.com".parse().unwrap())).await.unwrap();
    assert!(platform.catalog().find(&host("a.ex.com")).wait().await.unwrap().is_none());
}

#[tokio::test]
async fn dir_14_a_released_domain_is_in_quarantine_and_then_needs_a_new_proof() {
    for platform in Platform::both().await {
        two_tenants(&platform).await;
        let admin = platform.admin();
        let claim = admin.claim_domain(&id(1), &shop()).await.unwrap();
        admin.verify_domain(&id(1), &shop(), claim.token()).await.unwrap();
        assert_eq!(kind(admin.release_domain(&id(2), &shop()).await), ErrorKind::Stale);
        admin.release_domain(&id(1), &shop()).await.unwrap();
        assert_eq!(owner(&platform).await, None);
        assert_eq!(kind(admin.claim_domain(&id(2), &shop()).await), ErrorKind::AlreadyTaken);
        let again = admin.claim_domain(&id(1), &shop()).await.unwrap();
        admin.verify_domain(&id(1), &shop(), again.token()).await.unwrap();
        platform.admin().with_quarantine(Duration::ZERO).release_domain(&id(1), &shop()).await.unwrap();
        let b = admin.claim_domain(&id(2), &shop()).await.unwrap();
        assert_eq!(owner(&platform).await, None);
        admin.verify_domain(&id(2), &shop(), b.token()).await.unwrap();
        assert_eq!(owner(&platform).await, Some(2));
    }
}

#[tokio::test]
async fn dir_02_a_move_is_a_compare_and_swap_that_both_tenants_learn_of() {
    for platform in Platform::both().await {
        two_tenants(&platform).await;
        let admin = platform.admin();
        let claim = admin.claim_domain(&id(1), &shop()).await.unwrap();
        let before = admin.verify_domain(&id(1), &shop(), claim.token()).await.unwrap();
        assert_eq!(kind(admin.move_domain(&shop(), &id(2), &id(1)).await), ErrorKind::Stale);
        assert_eq!(kind(admin.move_domain(&shop(), &id(1), &id(9)).await), ErrorKind::UnknownTenant);
        let after = admin.move_domain(&shop(), &id(1), &id(2)).await.unwrap();
        assert_eq!(owner(&platform).await, Some(2));
        assert!(after.domain("shop.a-corp.com").is_some());
        let a = platform.catalog().find(&super::slug("a")).wait().await.unwrap().unwrap();
        assert!(a.domains().is_empty());
        assert!(a.version() > before.version() && after.version() > a.version());
    }
}

#[tokio::test]
async fn a_redirect_leads_to_a_proven_domain_of_the_same_tenant() {
    for platform in Platform::both().await {
        two_tenants(&platform).await;
        let admin = platform.admin();
        let new: Domain = "a-corp.com".parse().unwrap();
        for domain in [shop(), new.clone()] {
            let claim = admin.claim_domain(&id(1), &domain).await.unwrap();
            admin.verify_domain(&id(1), &domain, claim.token()).await.unwrap();
        }
        let foreign = "b-corp.com".parse().unwrap();
        assert_eq!(
            kind(admin.redirect_domain(&id(1), &shop(), &foreign, None).await),
            ErrorKind::InvalidTenant
        );
        assert_eq!(kind(admin.redirect_domain(&id(2), &shop(), &new, None).await), ErrorKind::Stale);
        let tenant = admin.redirect_domain(&id(1), &shop(), &new, None).await.unwrap();
        let state = &tenant.domain("shop.a-corp.com").unwrap().state;
        assert_eq!(*state, DomainState::moved(new.clone(), None));
        // What others redirect to stays.
        assert_eq!(kind(admin.release_domain(&id(1), &new).await), ErrorKind::InvalidTenant);
        assert_eq!(kind(admin.move_domain(&new, &id(1), &id(2)).await), ErrorKind::InvalidTenant);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn dir_11_one_domain_in_two_spellings_is_taken_once(
        upper in prop::collection::vec(any::<bool>(), 17),
        dot in any::<bool>(),
        unicode in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let spelled = if unicode { "shop.bücher.test-a" } else { "shop.xn--bcher-kva.test-a" };
        let mut other: String = spelled
            .chars()
            .zip(upper.into_iter().chain(std::iter::repeat(false)))
            .map(|(letter, upper)| if upper { letter.to_uppercase().to_string() } else { letter.to_string() })
            .collect();
        if dot {
            other.push('.');
        }
        runtime.block_on(async {
            let platform = Platform::sqlite().await;
            let first = tenant(1, "a").with_domain("shop.bücher.test-a".parse().unwrap());
            platform.admin().onboard(first).await.unwrap();
            let second = tenant(2, "b").with_domain(other.parse().unwrap());
            prop_assert_eq!(kind(platform.admin().onboard(second).await), ErrorKind::AlreadyTaken);
            Ok(())
        })?;
    }
}
