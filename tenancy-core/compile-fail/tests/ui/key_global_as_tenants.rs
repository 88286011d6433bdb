//! What all tenants share is visible as such, and does not pass for a tenant's.
use tenancy_core::{GlobalKey, NamespacedKey};

fn read(_: &NamespacedKey) {}

fn main() {
    read(&GlobalKey::new("flags"));
}
