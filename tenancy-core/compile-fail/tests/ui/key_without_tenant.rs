//! There is no key without a tenant, and no default tenant.
use tenancy_core::NamespacedKey;

fn main() {
    let _ = NamespacedKey::new(("orders", 7));
    let _ = NamespacedKey::default();
}
