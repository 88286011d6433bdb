// TWR-52: nobody but a resolver and an assertion makes a context.
use std::sync::Arc;
use tenancy_core::{Provenance, Tenant, TenantContext};

fn forge(tenant: Arc<Tenant>) -> TenantContext {
    TenantContext { tenant, provenance: Provenance::ASSERTED }
}

fn main() {}
