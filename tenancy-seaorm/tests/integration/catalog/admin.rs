use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm_migration::MigratorTrait;
use tenancy_core::{
    CachedCatalog, DomainState, ErrorKind, Lookup, Placement, TenantCatalog, TenantId, TenantKey,
    TenantStatus,
};

use super::{Migrator, Platform, host, id, kind, slug, tenant};

#[tokio::test]
async fn a_tenant_is_found_as_it_was_onboarded() {
    for platform in Platform::both().await {
        let full = tenant(7, "acme")
            .with_name("Acme Corporation")
            .with_plan("business")
            .with_region("eu")
            .with_status(TenantStatus::Maintenance)
            .with_retry_after(Duration::from_secs(90))
            .with_placement(Placement::Schema { schema: "acme".into(), shard: Some("s2".into()) })
            .with_setting("seats", 25)
            .with_domain("shop.acme.example".parse().unwrap())
            .with_domain_state(
                "old.acme.example".parse().unwrap(),
                DomainState::moved("shop.acme.example".parse().unwrap(), None),
            );
        let written = platform.admin().onboard(full.clone()).await.unwrap();
        assert!(written.version() > 0);
        let expected = full.with_version(written.version()).build().unwrap();
        let catalog = platform.catalog();
        for key in [TenantKey::Id(id(7)), slug("acme"), host("shop.acme.example"), host("old.acme.example")] {
            let found = catalog.find(&key).wait().await.unwrap().expect("the tenant is known");
            assert_eq!(
                serde_json::to_value(sorted(&found)).unwrap(),
                serde_json::to_value(sorted(&expected)).unwrap()
            );
        }
        for key in [TenantKey::Id(id(8)), slug("acme2"), host("acme.example"), host("shop.acme.example.org")]
        {
            assert!(catalog.find(&key).wait().await.unwrap().is_none());
        }
    }
}

/// The order of domains means nothing.
fn sorted(tenant: &tenancy_core::Tenant) -> serde_json::Value {
    let mut value = serde_json::to_value(tenant).unwrap();
    let domains = value["domains"].as_array_mut().unwrap();
    domains.sort_by_key(|domain| domain["domain"].as_str().unwrap().to_owned());
    value
}

#[tokio::test]
async fn ids_of_every_kind_are_kept_apart() {
    for platform in Platform::both().await {
        let ids = ["42", "acme", "Acme", "67e55044-10b1-426f-9247-bb680e5fe0c8"];
        for (n, text) in ids.iter().enumerate() {
            let id: TenantId = text.parse().unwrap();
            let builder = tenancy_core::Tenant::builder(id, format!("t{n}").parse().unwrap());
            platform.admin().onboard(builder).await.unwrap();
        }
        for (n, text) in ids.iter().enumerate() {
            let key = TenantKey::Id(text.parse().unwrap());
            let found = platform.catalog().find(&key).wait().await.unwrap().unwrap();
            assert_eq!(found.slug().as_str(), format!("t{n}"));
        }
    }
}

#[tokio::test]
async fn a_taken_id_slug_or_domain_is_refused_and_changes_nothing() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        let shop = || "shop.acme.example".parse().unwrap();
        admin.onboard(tenant(1, "acme").with_domain(shop())).await.unwrap();
        let version = platform.catalog().version().await.unwrap();
        assert_eq!(kind(admin.onboard(tenant(1, "globex")).await), ErrorKind::AlreadyTaken);
        assert_eq!(kind(admin.onboard(tenant(2, "acme")).await), ErrorKind::AlreadyTaken);
        assert_eq!(
            kind(admin.onboard(tenant(2, "globex").with_domain(shop())).await),
            ErrorKind::AlreadyTaken
        );
        assert!(platform.catalog().find(&slug("globex")).wait().await.unwrap().is_none());
        assert_eq!(platform.catalog().version().await.unwrap(), version);
        assert_eq!(kind(admin.set_status(&id(9), TenantStatus::Active).await), ErrorKind::UnknownTenant);
    }
}

#[tokio::test]
async fn every_change_takes_a_version_above_all_others() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        let mut last = 0;
        for n in 1..=3 {
            let versions = [
                admin.onboard(tenant(n, &format!("t{n}"))).await.unwrap().version(),
                admin.set_status(&id(n), TenantStatus::Suspended).await.unwrap().version(),
                admin.rename(&id(n), format!("u{n}").parse().unwrap()).await.unwrap().version(),
                admin.update(&id(n), |tenant| tenant.with_plan("free")).await.unwrap().version(),
            ];
            for version in versions {
                assert!(version > last, "{version} after {last}");
                last = version;
            }
        }
        assert_eq!(platform.catalog().version().await.unwrap(), last);
    }
}

#[tokio::test]
async fn an_edit_does_not_change_names() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        admin.onboard(tenant(1, "acme")).await.unwrap();
        let renamed = admin.update(&id(1), |tenant| tenant.with_slug("acme2".parse().unwrap())).await;
        assert_eq!(kind(renamed), ErrorKind::InvalidTenant);
        let grown = admin.update(&id(1), |tenant| tenant.with_domain("a.example.org".parse().unwrap())).await;
        assert_eq!(kind(grown), ErrorKind::InvalidTenant);
    }
}

#[tokio::test]
async fn dir_03_an_old_slug_is_nobody_elses_until_its_quarantine_is_over() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        admin.onboard(tenant(1, "acme")).await.unwrap();
        admin.rename(&id(1), "acme-corp".parse().unwrap()).await.unwrap();
        assert!(platform.catalog().find(&slug("acme")).wait().await.unwrap().is_none());
        assert_eq!(kind(admin.onboard(tenant(2, "acme")).await), ErrorKind::AlreadyTaken);
        // Its old owner may have it back, and give it up again.
        admin.rename(&id(1), "acme".parse().unwrap()).await.unwrap();
        let hasty = platform.admin().with_quarantine(Duration::ZERO);
        hasty.rename(&id(1), "acme-corp".parse().unwrap()).await.unwrap();
        admin.onboard(tenant(2, "acme")).await.unwrap();
        assert_eq!(platform.catalog().find(&slug("acme")).wait().await.unwrap().unwrap().id(), &id(2));
    }
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_and_its_id_and_names_are_not_given_away() {
    for platform in Platform::both().await {
        let admin = platform.admin();
        let shop = || "shop.acme.example".parse().unwrap();
        admin.onboard(tenant(1, "acme").with_domain(shop())).await.unwrap();
        admin.remove(&id(1)).await.unwrap();
        for key in [TenantKey::Id(id(1)), slug("acme"), host("shop.acme.example")] {
            assert!(platform.catalog().find(&key).wait().await.unwrap().is_none());
        }
        assert_eq!(kind(admin.onboard(tenant(1, "globex")).await), ErrorKind::AlreadyTaken);
        assert_eq!(kind(admin.onboard(tenant(2, "acme")).await), ErrorKind::AlreadyTaken);
        let taken = admin.onboard(tenant(2, "globex").with_domain(shop())).await;
        assert_eq!(kind(taken), ErrorKind::AlreadyTaken);
        assert_eq!(kind(admin.remove(&id(1)).await), ErrorKind::UnknownTenant);
    }
}

#[tokio::test]
async fn dir_15_a_row_that_is_not_understood_is_an_error_and_not_a_tenant() {
    let damages = [
        "UPDATE tenants SET status = 'ACTIVE'",
        "UPDATE tenants SET status = ''",
        "UPDATE tenants SET status = 'failed'",
        "UPDATE tenants SET placement = '{}'",
        "UPDATE tenants SET settings = 'null'",
        "UPDATE tenants SET slug = 'Acme'",
        "UPDATE tenant_domains SET state = 'pending'",
        "UPDATE tenant_domains SET state = 'moved'",
        "UPDATE tenant_domains SET domain = 'Shop.Acme.Example'",
    ];
    for damage in damages {
        for platform in Platform::both().await {
            let shop = "shop.acme.example".parse().unwrap();
            platform.admin().onboard(tenant(1, "acme").with_domain(shop)).await.unwrap();
            platform.db.execute_unprepared(damage).await.unwrap();
            let found = platform.catalog().find(&TenantKey::Id(id(1))).wait().await;
            assert!(found.is_err(), "{damage}");
        }
    }
}

#[tokio::test]
async fn dir_04_a_change_counts_at_once_on_the_node_that_makes_it() {
    for platform in Platform::both().await {
        let cache = CachedCatalog::new(platform.catalog());
        let admin = platform.admin().with_cache(cache.clone());
        assert!(cache.find(&slug("acme")).wait().await.unwrap().is_none());
        admin.onboard(tenant(1, "acme")).await.unwrap();
        let held = cache.find(&slug("acme")).wait().await.unwrap().expect("resolvable at once");
        admin.set_status(&id(1), TenantStatus::Suspended).await.unwrap();
        assert!(!held.is_still_active());
        let Lookup::Found(now) = cache.find(&slug("acme")) else { panic!("loaded anew by the change") };
        assert_eq!(now.status(), TenantStatus::Suspended);
        admin.remove(&id(1)).await.unwrap();
        assert!(cache.find(&slug("acme")).wait().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_migration_goes_down_and_up_again() {
    for platform in Platform::both().await {
        Migrator::down(&platform.db, None).await.unwrap();
        assert!(platform.catalog().find(&slug("acme")).wait().await.is_err());
        Migrator::up(&platform.db, None).await.unwrap();
        platform.admin().onboard(tenant(1, "acme")).await.unwrap();
    }
}

#[tokio::test]
async fn changes_at_the_same_time_take_turns() {
    let platform = Platform::postgres().await;
    let admin = platform.admin();
    let tasks: Vec<_> = (1..=8)
        .map(|n| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.onboard(tenant(n, "acme")).await.map_err(|error| error.kind()) })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(kind) => assert_eq!(kind, ErrorKind::AlreadyTaken),
        }
    }
    assert_eq!(won, 1);
}
