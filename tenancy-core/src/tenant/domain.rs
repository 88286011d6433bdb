//! A tenant's own domains.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::Domain;

/// One of a tenant's own domains, and whether requests to it are served.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TenantDomain {
    /// The domain.
    pub domain: Domain,
    /// What a request to it gets.
    #[serde(flatten)]
    pub state: DomainState,
}

/// What a request to a tenant's domain gets.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum DomainState {
    /// Claimed, but nobody has proven that it belongs to the tenant: not resolvable (DIR-12).
    Pending,
    /// Proven: requests to it are the tenant's.
    Verified,
    /// Left for another domain of the same tenant: requests are redirected there. Behind one pointer, so that the many
    /// domains that nobody has left stay small.
    Moved(Box<MovedDomain>),
}

impl DomainState {
    /// Returns the state of a domain that was left for `to`, until a date if one is given.
    #[must_use]
    pub fn moved(to: Domain, until: Option<SystemTime>) -> Self {
        Self::Moved(Box::new(MovedDomain { to, until }))
    }
}

/// Where a domain has moved.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MovedDomain {
    /// Where requests are sent.
    pub to: Domain,
    /// When the redirect ends and the domain becomes unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<SystemTime>,
}
