//! Names, through the public interface.

#[cfg(feature = "object-store")]
mod blob;
mod cache;
mod golden;
mod lock;
#[cfg(feature = "moka")]
mod moka;
#[cfg(feature = "redis-cluster")]
mod redis;
mod url;

use tenancy_core::{Tenant, TenantContext, TenantId};

/// Returns the context of the active tenant `id`.
pub(crate) fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().unwrap();
    let tenant = Tenant::builder(id, "acme".parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "test").unwrap()
}
