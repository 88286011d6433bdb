//! Names, through the public interface.

mod cache;
mod golden;
#[cfg(feature = "redis-cluster")]
mod redis;

use tenancy_core::{Tenant, TenantContext, TenantId};

/// Returns the context of the active tenant `id`.
pub(crate) fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().unwrap();
    let tenant = Tenant::builder(id, "acme".parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "test").unwrap()
}
