// TWR-52, JOB-05: a context is written and never read, so that a stored one is resolved again.
use serde::{Deserialize, Deserializer};
use tenancy_core::TenantContext;

fn forge<'de, D: Deserializer<'de>>(stored: D) -> Result<TenantContext, D::Error> {
    TenantContext::deserialize(stored)
}

fn main() {}
