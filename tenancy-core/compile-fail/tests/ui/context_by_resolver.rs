// TWR-52: what the resolver uses is the crate's own.
use std::sync::Arc;
use tenancy_core::{Provenance, Tenant, TenantContext};

fn forge(tenant: Arc<Tenant>) -> TenantContext {
    TenantContext::resolved(tenant, Provenance::ASSERTED)
}

fn main() {}
