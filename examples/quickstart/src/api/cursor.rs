//! Where a page begins: the last row of the page before, and whose it is.

use std::fmt;

use tenancy_core::TenantId;

use super::ApiError;

/// A position in one tenant's list. Another tenant's cursor is no cursor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor {
    tenant: TenantId,
    id: i64,
}

impl Cursor {
    pub fn new(tenant: &TenantId, id: i64) -> Self {
        Self { tenant: tenant.clone(), id }
    }

    pub fn id(&self) -> i64 {
        self.id
    }

    /// Reads a cursor of `tenant`.
    pub fn parse(text: &str, tenant: &TenantId) -> Result<Self, ApiError> {
        let invalid = || ApiError::Invalid("the cursor is not one of this list".into());
        let (whose, id) = text.rsplit_once('.').ok_or_else(invalid)?;
        let cursor =
            Self { tenant: whose.parse().map_err(|_| invalid())?, id: id.parse().map_err(|_| invalid())? };
        if cursor.tenant == *tenant { Ok(cursor) } else { Err(invalid()) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.tenant, self.id)
    }
}
