// TWR-52: there is no context by name alone.
use tenancy_core::{TenantContext, TenantId};

fn somebody(id: TenantId) -> TenantContext {
    id.into()
}

fn main() {}
