//! Whoever may have a tenant or not has to decide before a key is made.
use tenancy_core::{NamespacedKey, TenantContext};

fn key(tenant: Option<&TenantContext>) -> NamespacedKey {
    NamespacedKey::new(tenant, "orders")
}

fn main() {
    let _ = key(None);
}
