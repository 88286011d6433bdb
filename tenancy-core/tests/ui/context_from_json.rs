// TWR-52, JOB-05: a context is written and never read, so that a stored one is resolved again.
use tenancy_core::TenantContext;

fn forge(json: &str) -> TenantContext {
    serde_json::from_str(json).unwrap()
}

fn main() {}
