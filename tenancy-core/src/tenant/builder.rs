//! How a tenant's record is put together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Details, DomainState, Placement, Tenant, TenantDomain, TenantStatus};
use crate::lineage::Lineage;
use crate::{Domain, Error, ErrorKind, TenantId, TenantSlug};

/// Collects the parts of a [`Tenant`].
#[derive(Clone, Serialize, Deserialize)]
#[must_use]
pub struct TenantBuilder {
    id: TenantId,
    slug: TenantSlug,
    status: TenantStatus,
    #[serde(default)]
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<SmolStr>,
    #[serde(default)]
    placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<TenantDomain>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    settings: serde_json::Map<String, serde_json::Value>,
}

impl TenantBuilder {
    pub(super) fn new(id: TenantId, slug: TenantSlug) -> Self {
        Self {
            id,
            slug,
            status: TenantStatus::Active,
            version: 0,
            name: None,
            plan: None,
            region: None,
            placement: Placement::Row,
            retry_after: None,
            domains: Vec::new(),
            settings: serde_json::Map::new(),
        }
    }

    pub(super) fn succeeding(tenant: &Tenant) -> Self {
        let details = tenant.details.as_deref().cloned().unwrap_or_default();
        Self {
            id: tenant.id.clone(),
            slug: tenant.slug.clone(),
            status: tenant.status,
            version: tenant.version + 1,
            name: details.name.map(String::from),
            plan: details.plan,
            region: details.region,
            placement: details.placement,
            retry_after: details.retry_after,
            domains: tenant.domains.to_vec(),
            settings: details.settings,
        }
    }

    /// Sets the status (default: active).
    pub fn with_status(mut self, status: TenantStatus) -> Self {
        self.status = status;
        self
    }

    /// Sets the slug, to rename the tenant.
    pub fn with_slug(mut self, slug: TenantSlug) -> Self {
        self.slug = slug;
        self
    }

    /// Sets the version (default: 0, or the next one from [`Tenant::to_builder`]).
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Sets the name that people read.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the plan that the tenant is on.
    pub fn with_plan(mut self, plan: impl Into<SmolStr>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Sets the region that the tenant's data must stay in.
    pub fn with_region(mut self, region: impl Into<SmolStr>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets where the tenant's rows live (default: in shared tables).
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Sets how long callers are asked to wait during maintenance.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Adds a verified domain.
    pub fn with_domain(self, domain: Domain) -> Self {
        self.with_domain_state(domain, DomainState::Verified)
    }

    /// Adds a domain in the given state, or changes the state of one that is there.
    pub fn with_domain_state(mut self, domain: Domain, state: DomainState) -> Self {
        self.domains.retain(|known| known.domain != domain);
        self.domains.push(TenantDomain { domain, state });
        self
    }

    /// Takes a domain away.
    pub fn without_domain(mut self, domain: &Domain) -> Self {
        self.domains.retain(|known| known.domain != *domain);
        self
    }

    /// Sets a setting of the tenant; [`Tenant::setting`] reads it with its type.
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Returns the tenant, behind the one pointer that everybody shares.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] if a domain is internal to a network (TWR-22) or stands there twice, or if
    /// a moved domain points at one that the tenant does not serve.
    pub fn build(self) -> Result<Arc<Tenant>, Error> {
        self.try_into().map(Arc::new)
    }

    fn check_domains(&self) -> Result<(), Error> {
        let fail = |reason| Err(Error::new(ErrorKind::InvalidTenant, reason));
        for (at, TenantDomain { domain, state }) in self.domains.iter().enumerate() {
            if domain.is_internal() {
                return fail("a domain of a tenant is not internal to a network");
            }
            if self.domains[..at].iter().any(|other| other.domain == *domain) {
                return fail("a domain stands there twice");
            }
            let DomainState::Moved(moved) = state else { continue };
            let verified =
                |other: &TenantDomain| other.domain == moved.to && other.state == DomainState::Verified;
            if !self.domains.iter().any(verified) {
                return fail("a moved domain points at a verified domain of the same tenant");
            }
        }
        Ok(())
    }
}

impl TryFrom<TenantBuilder> for Tenant {
    type Error = Error;

    fn try_from(builder: TenantBuilder) -> Result<Self, Error> {
        builder.check_domains()?;
        let TenantBuilder {
            id,
            slug,
            status,
            version,
            name,
            plan,
            region,
            placement,
            retry_after,
            domains,
            settings,
        } = builder;
        let name = name.map(String::into_boxed_str);
        let details = Details { name, plan, region, placement, retry_after, settings };
        let details = (details != Details::default()).then(|| Box::new(details));
        let (superseded, lineage) = (AtomicBool::new(false), Arc::new(Lineage::new(status)));
        Ok(Self { id, slug, status, superseded, lineage, version, domains: domains.into(), details })
    }
}

impl From<Tenant> for TenantBuilder {
    fn from(tenant: Tenant) -> Self {
        tenant.to_builder().with_version(tenant.version)
    }
}

impl fmt::Debug for TenantBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantBuilder")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}
