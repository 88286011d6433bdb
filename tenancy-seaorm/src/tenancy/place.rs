//! [`Place`]: where in a database a tenant's rows are.

use tenancy_core::{Placement, TenantContext};

/// Where in a database a tenant's rows are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// In tables that the filter, at least, keeps apart.
    Row,
    /// In a schema of this name.
    Schema(&'a str),
}

impl<'a> Place<'a> {
    #[inline]
    pub(super) fn on_the_default_server(context: &'a TenantContext) -> Option<Self> {
        match context.placement() {
            Placement::Row => Some(Self::Row),
            Placement::Schema { schema, shard: None } => Some(Self::Schema(schema)),
            _ => None,
        }
    }
}
