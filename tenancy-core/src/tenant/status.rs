//! Where a tenant stands in its life.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// Where a tenant stands in its life. Deleted tenants have no record at all.
///
/// | status | served | told to an entitled caller |
/// |---|---|---|
/// | `Provisioning` | no | 503, not ready yet |
/// | `Active` | yes | |
/// | `Suspended` | no | 403, suspended |
/// | `Maintenance` | no | 503 with `Retry-After` |
/// | `Cancelled` | no | 404, as to everybody |
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantStatus {
    /// Being set up: its schema or database may not be complete.
    Provisioning,
    /// The one status that is served.
    Active,
    /// Locked by the operator, with its data kept.
    Suspended,
    /// Out of service for a while, such as for a move or a restore.
    Maintenance,
    /// Has left; its data awaits deletion.
    Cancelled,
}

impl TenantStatus {
    /// Returns whether requests and jobs of the tenant may run.
    #[must_use]
    #[inline]
    pub fn is_active(self) -> bool {
        self == Self::Active
    }

    /// Returns the status as it is stored, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Maintenance => "maintenance",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TenantStatus {
    type Err = Error;

    /// Reads a stored status.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] for every other text: an unknown status is not "active" (DIR-15).
    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::Provisioning, Self::Active, Self::Suspended, Self::Maintenance, Self::Cancelled];
        all.into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidTenant, "unknown tenant status"))
    }
}
