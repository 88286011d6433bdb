//! The catalog's tables on MariaDB: run by `crate::mariadb`, which has the server.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;
use tenancy_core::{
    Domain, DomainState, ErrorKind, Placement, Tenant, TenantCatalog, TenantKey, TenantStatus,
};

use super::{Migrator, Platform, host, id, kind, slug, tenant};

/// What the other databases are tested for in tests of their own, on `db`, an empty database.
pub(crate) async fn holds_its_tenants(db: DatabaseConnection) {
    Migrator::up(&db, None).await.expect("the migration runs on MariaDB");
    let platform = Platform { db, postgres: None };
    a_record_is_kept_whole(&platform).await;
    names_are_compared_byte_for_byte(&platform).await;
    names_have_one_owner(&platform).await;
    domains_are_proven_and_moved(&platform).await;
    what_is_not_understood_is_no_tenant(&platform).await;
    Migrator::down(&platform.db, None).await.expect("the migration goes down");
    assert!(platform.catalog().find(&slug("acme")).wait().await.is_err(), "nothing is left");
    Migrator::up(&platform.db, None).await.expect("and up again");
    platform.admin().onboard(tenant(1, "acme")).await.expect("with an empty catalog");
    changes_take_turns(&platform).await;
}

async fn find(platform: &Platform, key: TenantKey<'static>) -> Option<std::sync::Arc<Tenant>> {
    platform.catalog().find(&key).wait().await.expect("the catalog answers")
}

async fn a_record_is_kept_whole(platform: &Platform) {
    let shop: Domain = "shop.acme.example".parse().unwrap();
    let full = tenant(7, "acme")
        .with_name("Ácme 漢字 🦀")
        .with_plan("business")
        .with_status(TenantStatus::Maintenance)
        .with_retry_after(Duration::from_secs(90))
        .with_placement(Placement::Schema { schema: "acme".into(), shard: None })
        .with_setting("seats", 25)
        .with_domain(shop.clone())
        .with_domain_state("old.acme.example".parse().unwrap(), DomainState::moved(shop, None));
    let written = platform.admin().onboard(full).await.expect("a tenant");
    for key in [TenantKey::Id(id(7)), slug("acme"), host("shop.acme.example"), host("old.acme.example")] {
        let found = find(platform, key).await.expect("it is known by each of its names");
        assert_eq!((found.id(), found.name(), found.plan()), (&id(7), "Ácme 漢字 🦀", Some("business")));
        assert_eq!((found.version(), found.status()), (written.version(), TenantStatus::Maintenance));
        assert_eq!(found.setting::<u32>("seats").unwrap(), Some(25));
        assert_eq!((found.placement(), found.domains().len()), (written.placement(), 2));
    }
    for key in [TenantKey::Id(id(8)), slug("acme2"), host("acme.example"), host("shop.acme.example.org")] {
        assert!(find(platform, key).await.is_none());
    }
}

/// CORE-06: the usual collations of MySQL find `acme` under `ACME` and `ácme`. Blanks at the end it passes over even so; no
/// name holds one.
async fn names_are_compared_byte_for_byte(platform: &Platform) {
    for (at, text) in ["Acme", "acme", "42x"].into_iter().enumerate() {
        let builder = Tenant::builder(text.parse().unwrap(), format!("t{at}").parse().unwrap());
        platform.admin().onboard(builder).await.expect("ids that differ in case are two");
    }
    let found = find(platform, TenantKey::Id("Acme".parse().unwrap())).await.expect("one of them");
    assert_eq!((found.id().to_string().as_str(), found.slug().as_str()), ("Acme", "t0"));
    for name in ["SHOP.ACME.EXAMPLE", "shóp.acme.example"] {
        let found = platform.catalog().find(&host(name)).wait().await;
        assert!(!matches!(found, Ok(Some(_))), "{name}");
    }
}

async fn names_have_one_owner(platform: &Platform) {
    let admin = platform.admin();
    let version = platform.catalog().version().await.unwrap();
    assert_eq!(kind(admin.onboard(tenant(7, "other")).await), ErrorKind::AlreadyTaken);
    assert_eq!(kind(admin.onboard(tenant(8, "acme")).await), ErrorKind::AlreadyTaken);
    let claimed = tenant(8, "other").with_domain("shop.acme.example".parse().unwrap());
    assert_eq!(kind(admin.onboard(claimed).await), ErrorKind::AlreadyTaken);
    assert_eq!(platform.catalog().version().await.unwrap(), version, "what is refused changes nothing");
    // An old slug is in quarantine, also when it is put there twice; then it is free.
    for slug in ["acme-corp", "acme", "acme-corp"] {
        admin.rename(&id(7), slug.parse().unwrap()).await.expect("its own names");
    }
    assert_eq!(kind(admin.onboard(tenant(8, "acme")).await), ErrorKind::AlreadyTaken);
    assert!(find(platform, slug("acme")).await.is_none());
    admin.rename(&id(7), "acme".parse().unwrap()).await.expect("its owner may have it back");
}

async fn domains_are_proven_and_moved(platform: &Platform) {
    let admin = platform.admin();
    admin.onboard(tenant(20, "a")).await.unwrap();
    admin.onboard(tenant(21, "b")).await.unwrap();
    let domain: Domain = "shop.a-corp.com".parse().unwrap();
    admin.claim_domain(&id(21), &domain).await.unwrap();
    let second = admin.claim_domain(&id(21), &domain).await.expect("a claim takes the place of an older one");
    let first = admin.claim_domain(&id(20), &domain).await.unwrap();
    assert_eq!(kind(admin.verify_domain(&id(21), &domain, first.token()).await), ErrorKind::NotProven);
    assert!(find(platform, host("shop.a-corp.com")).await.is_none(), "a claim leads nowhere");
    admin.verify_domain(&id(20), &domain, first.token()).await.expect("it is proven");
    assert_eq!(kind(admin.verify_domain(&id(21), &domain, second.token()).await), ErrorKind::NotProven);
    assert_eq!(find(platform, host("shop.a-corp.com")).await.unwrap().id(), &id(20));
    assert_eq!(kind(admin.move_domain(&domain, &id(21), &id(20)).await), ErrorKind::Stale);
    admin.move_domain(&domain, &id(20), &id(21)).await.expect("from its owner");
    assert_eq!(find(platform, host("shop.a-corp.com")).await.unwrap().id(), &id(21));
    admin.remove(&id(21)).await.expect("a tenant may leave");
    assert!(find(platform, host("shop.a-corp.com")).await.is_none());
    assert_eq!(kind(admin.claim_domain(&id(20), &domain).await), ErrorKind::AlreadyTaken);
}

/// DIR-15
async fn what_is_not_understood_is_no_tenant(platform: &Platform) {
    for (damage, repair) in [
        (
            "UPDATE tenants SET status = 'ACTIVE' WHERE id = '7'",
            "UPDATE tenants SET status = 'active' WHERE id = '7'",
        ),
        (
            "UPDATE tenants SET settings = 'null' WHERE id = '7'",
            "UPDATE tenants SET settings = '{}' WHERE id = '7'",
        ),
    ] {
        platform.db.execute_unprepared(damage).await.unwrap();
        assert!(platform.catalog().find(&TenantKey::Id(id(7))).wait().await.is_err(), "{damage}");
        platform.db.execute_unprepared(repair).await.unwrap();
        assert!(find(platform, TenantKey::Id(id(7))).await.is_some());
    }
}

async fn changes_take_turns(platform: &Platform) {
    let admin = platform.admin();
    let tasks: Vec<_> = (2..=9)
        .map(|n| {
            let admin = admin.clone();
            tokio::spawn(
                async move { admin.onboard(tenant(n, "globex")).await.map_err(|error| error.kind()) },
            )
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
