//! Many tenants at once: all of them, or none.

use std::sync::Arc;

use tenancy_core::{
    Domain, ErrorKind, Lookup, MemoryCatalog, Tenant, TenantCatalog, TenantId, TenantKey, TenantStatus,
};

fn tenant(id: i64, slug: &str, domain: &str) -> Arc<Tenant> {
    let builder = Tenant::builder(TenantId::integer(id).unwrap(), slug.parse().unwrap());
    builder.with_domain(Domain::new(domain).unwrap()).build().unwrap()
}

fn numbered(id: i64) -> Arc<Tenant> {
    tenant(id, &format!("t{id}"), &format!("t{id}.shops.example"))
}

fn found(catalog: &MemoryCatalog, key: &TenantKey<'_>) -> Option<TenantId> {
    match catalog.find(key) {
        Lookup::Found(tenant) => Some(tenant.id().clone()),
        Lookup::Absent => None,
        Lookup::Later(_) => unreachable!("memory answers at once"),
    }
}

/// Looks a tenant up by each of its names, and expects the same answer to all.
fn is_found(catalog: &MemoryCatalog, tenant: &Tenant) -> bool {
    let domain = TenantKey::Domain(tenant.domains()[0].domain.as_str().into());
    let keys = [TenantKey::Id(tenant.id().clone()), TenantKey::Slug(tenant.slug().clone()), domain];
    let hits = keys.iter().filter(|key| found(catalog, key).as_ref() == Some(tenant.id())).count();
    assert!(hits == 0 || hits == keys.len(), "a tenant is found by all of its names or by none");
    hits > 0
}

#[test]
fn tenants_that_came_at_once_are_found_by_every_name_and_change_like_others() {
    let catalog = MemoryCatalog::new();
    catalog.insert(numbered(1)).unwrap();
    // More than there are shards, so that some get several and some of those are not empty before.
    catalog.insert_all((2..=5_000).map(numbered)).unwrap();
    assert_eq!(catalog.len(), 5_000);
    assert!((1..=5_000).all(|id| is_found(&catalog, &numbered(id))));
    assert!(!is_found(&catalog, &numbered(5_001)));

    let id = TenantId::integer(77).unwrap();
    catalog.set_status(&id, TenantStatus::Suspended).unwrap();
    let Lookup::Found(changed) = catalog.find(&TenantKey::Slug("t77".parse().unwrap())) else { panic!() };
    assert_eq!(changed.status(), TenantStatus::Suspended);
    catalog.remove(&id).unwrap();
    assert!(!is_found(&catalog, &numbered(77)));
    assert!(is_found(&catalog, &numbered(78)));
}

#[test]
fn one_claimed_name_keeps_the_whole_load_out() {
    let cases = [
        tenant(1, "fresh", "fresh.example"),
        tenant(9, "t1", "fresh.example"),
        tenant(9, "fresh", "t1.shops.example"),
        tenant(3, "fresh", "fresh.example"),
        tenant(9, "t3", "fresh.example"),
        tenant(9, "fresh", "t3.shops.example"),
    ];
    for intruder in cases {
        let catalog = MemoryCatalog::new();
        catalog.insert(numbered(1)).unwrap();
        let load = [numbered(2), numbered(3), intruder];
        assert_eq!(catalog.insert_all(load).unwrap_err().kind(), ErrorKind::AlreadyTaken);
        assert_eq!(catalog.len(), 1);
        assert!(!is_found(&catalog, &numbered(2)) && !is_found(&catalog, &numbered(3)));
        assert!(is_found(&catalog, &numbered(1)));
    }
}

#[test]
fn a_load_cannot_take_a_domain_of_the_platform() {
    let bases = [Domain::new("shops.example").unwrap()];
    let catalog = MemoryCatalog::builder().with_base_domains(bases).build();
    let refused = catalog.insert_all([tenant(1, "acme", "acme.example"), numbered(2)]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidTenant);
    assert!(catalog.is_empty());
}
