//! Names and what is kept under them, beside what people write by hand.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use tenancy_core::{Namespace, NamespacedKey, Tenant, TenantCache, TenantContext, TenantId};
use tenancy_testkit::gate::{Group, Suite};
use uuid::Uuid;

use crate::fixture::at_once;

const DEPLOYMENTS: Namespace = Namespace::new().with_area("deployments");
const INTEGER: &str = "42";
const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
/// So long that a name with it is no longer short.
const TEXT: &str = "the-northern-branch-of-acme-incorporated.retail.europe-central-2.example-holding";
const ORDER: Uuid = Uuid::from_u128(0xa1a2_a3a4_b1b2_41c2_91d2_d3d4_d5d6_d7d8);

/// Returns the groups of names. The first bench of each is the baseline: `format!` of the same text, or a bare moka
/// cache that is given the key ready-made, which ours builds.
pub fn suite() -> Suite {
    Suite::new()
        .with_group("names/key-integer", key_integer)
        .with_group("names/key-uuid", key_uuid)
        .with_group("names/key-page", key_page)
        .with_group("names/hit-integer", |group| hit(group, INTEGER))
        .with_group("names/hit-uuid", |group| hit(group, UUID))
        .with_group("names/hit-text", |group| hit(group, TEXT))
}

fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().expect("it is an id");
    let tenant = Tenant::builder(id, "acme".parse().expect("it is a slug")).build();
    TenantContext::assertion(tenant.expect("it is a tenant"), "a benchmark").expect("the tenant is active")
}

fn key_integer(group: Group) -> Group {
    let (theirs, ours) = (context(INTEGER), context(INTEGER));
    group
        .with_bench("format", move || {
            format!("tenant:{}:orders:{}", black_box(&theirs).id(), black_box(1234_u64))
        })
        .with_bench("key", move || NamespacedKey::new(black_box(&ours), ("orders", black_box(1234_u64))))
}

fn key_uuid(group: Group) -> Group {
    let (theirs, ours) = (context(UUID), context(UUID));
    group
        .with_bench("format", move || {
            format!("tenant:{}:orders:{}", black_box(&theirs).id(), black_box(ORDER))
        })
        .with_bench("key", move || NamespacedKey::new(black_box(&ours), ("orders", black_box(ORDER))))
}

fn key_page(group: Group) -> Group {
    let (theirs, ours) = (context(INTEGER), context(INTEGER));
    group
        .with_bench("format", move || {
            let (id, page, status) = (black_box(&theirs).id(), black_box(3_u32), black_box("open"));
            format!("deployments:tenant:{id}:page:{page}:status:{status}")
        })
        .with_bench("key", move || {
            let parts = ("page", black_box(3_u32), "status", black_box("open"));
            DEPLOYMENTS.key(black_box(&ours), parts)
        })
}

fn hit(group: Group, id: &str) -> Group {
    let tenant = context(id);
    let ours = TenantCache::<u64>::new();
    let theirs =
        moka::sync::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(3600)).build();
    for order in 0..500_u64 {
        load(&ours, &tenant, order, Ok(order));
        theirs.insert(NamespacedKey::new(&tenant, ("orders", order)), order);
    }
    theirs.run_pending_tasks();
    let key = NamespacedKey::new(&tenant, ("orders", 123_u64));
    group
        .with_bench("moka", move || theirs.get(black_box(&key)).expect("it is there"))
        // Its time to live ends now and then: what is not there is loaded, which takes no wait.
        .with_bench("tenant-cache", move || load(&ours, black_box(&tenant), black_box(123), Ok(123)))
}

fn load(cache: &TenantCache<u64>, tenant: &TenantContext, order: u64, value: Result<u64, Infallible>) -> u64 {
    let loaded = at_once(cache.get_or_load(tenant, ("orders", order), |_| async move { value }));
    loaded.unwrap_or_else(|never| match never {})
}
