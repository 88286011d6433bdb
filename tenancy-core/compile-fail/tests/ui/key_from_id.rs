//! An id is no proof that somebody may act for the tenant.
use tenancy_core::{NamespacedKey, TenantId};

fn main() {
    let id = TenantId::integer(1).unwrap();
    let _ = NamespacedKey::new(&id, ("orders", 7));
}
