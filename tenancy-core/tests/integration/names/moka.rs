//! Names as keys of moka caches.

use tenancy_core::{ErrorKind, LocalGenerations, MokaExt, Namespace, NamespacedKey};

use super::context;

#[test]
fn one_tenant_is_flushed_in_every_namespace_and_no_other_is() {
    let cache = moka::sync::Cache::builder().max_capacity(1_000).support_invalidation_closures().build();
    let tenants = ["1", "10", "11", "1.x", &"a".repeat(254), &"a".repeat(255)].map(context);
    let namespaces = [Namespace::new(), Namespace::new().with_area("deployments").with_hash_tag()];
    for namespace in namespaces {
        tenants.iter().for_each(|tenant| cache.insert(namespace.key(tenant, "x"), tenant.id().to_string()));
    }
    for (at, flushed) in tenants.iter().enumerate() {
        cache.flush_tenant(flushed.tenant()).unwrap();
        for (other, tenant) in tenants.iter().enumerate() {
            for namespace in namespaces {
                let expected = (other > at).then(|| tenant.id().to_string());
                assert_eq!(cache.get(&namespace.key(tenant, "x")), expected);
            }
        }
    }
}

#[tokio::test]
async fn the_asynchronous_cache_is_flushed_too() {
    let cache = moka::future::Cache::builder().support_invalidation_closures().build();
    let (a, b) = (context("1"), context("2"));
    cache.insert(NamespacedKey::new(&a, "x"), 1).await;
    cache.insert(NamespacedKey::new(&b, "x"), 2).await;
    cache.flush_tenant(a.tenant()).unwrap();
    assert_eq!(cache.get(&NamespacedKey::new(&a, "x")).await, None);
    assert_eq!(cache.get(&NamespacedKey::new(&b, "x")).await, Some(2));
}

#[test]
fn a_cache_that_cannot_be_flushed_says_so() {
    let cache = moka::sync::Cache::<NamespacedKey, u32>::new(10);
    assert_eq!(
        cache.flush_tenant(context("1").tenant()).unwrap_err().kind(),
        ErrorKind::InvalidConfiguration
    );
}

#[test]
fn a_generation_in_the_key_flushes_at_once() {
    // CACHE-13.
    let (cache, generations, a) = (moka::sync::Cache::new(10), LocalGenerations::new(), context("1"));
    let key = || Namespace::new().key_in(&a, generations.get(a.tenant()), "x");
    cache.insert(key(), 1);
    assert_eq!(cache.get(&key()), Some(1));
    generations.flush(context("2").tenant());
    assert_eq!(cache.get(&key()), Some(1), "another tenant's flush");
    generations.flush(a.tenant());
    assert_eq!(cache.get(&key()), None);
}
