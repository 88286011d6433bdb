//! The tenant record: who it is, whether it may be served, where its rows live.

mod builder;
mod domain;
mod placement;
mod status;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use builder::TenantBuilder;
pub use domain::{DomainState, MovedDomain, TenantDomain};
pub use placement::Placement;
pub use status::TenantStatus;

use crate::lineage::Lineage;
use crate::{Ended, Error, ErrorKind, TenantId, TenantKey, TenantSlug};

/// A customer whose data is kept apart.
///
/// A record never changes: a catalog replaces it by a newer one and marks the old one with [`Tenant::is_superseded`].
///
/// # Examples
///
/// ```
/// use tenancy_core::{Domain, Tenant, TenantId, TenantStatus};
///
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?)
///     .with_name("Acme Corporation")
///     .with_plan("business")
///     .with_domain(Domain::new("shop.acme.example")?)
///     .build()?;
/// assert_eq!(acme.status(), TenantStatus::Active);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(into = "TenantBuilder", try_from = "TenantBuilder")]
pub struct Tenant {
    id: TenantId,
    slug: TenantSlug,
    status: TenantStatus,
    superseded: AtomicBool,
    lineage: Arc<Lineage>,
    version: u64,
    domains: Box<[TenantDomain]>,
    /// What few requests read lives behind one pointer, so that a million plain tenants stay small.
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Details {
    name: Option<Box<str>>,
    plan: Option<SmolStr>,
    region: Option<SmolStr>,
    placement: Placement,
    retry_after: Option<Duration>,
    settings: serde_json::Map<String, serde_json::Value>,
}

impl Tenant {
    /// Starts a tenant that is active, in shared tables, with no domain of its own.
    pub fn builder(id: TenantId, slug: TenantSlug) -> TenantBuilder {
        TenantBuilder::new(id, slug)
    }

    /// Returns the permanent id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Returns the renameable slug.
    #[must_use]
    pub fn slug(&self) -> &TenantSlug {
        &self.slug
    }

    /// Returns where the tenant stands in its life.
    #[must_use]
    #[inline]
    pub fn status(&self) -> TenantStatus {
        self.status
    }

    /// Returns the name that people read; the slug if none was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.details.as_ref().and_then(|details| details.name.as_deref()).unwrap_or(self.slug.as_str())
    }

    /// Returns the plan that the tenant is on.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.details.as_ref()?.plan.as_deref()
    }

    /// Returns the region that the tenant's data must stay in.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.details.as_ref()?.region.as_deref()
    }

    /// Returns where the tenant's rows live.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        self.details.as_ref().map_or(&Placement::Row, |details| &details.placement)
    }

    /// Returns how long callers are asked to wait while the tenant is in maintenance.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref()?.retry_after
    }

    /// Returns the tenant's own domains, verified or not.
    #[must_use]
    pub fn domains(&self) -> &[TenantDomain] {
        &self.domains
    }

    /// Returns the record's version: of two records of one tenant, the greater is the newer.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns whether a catalog has since replaced or removed this record, so that a long-lived holder looks again.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Returns whether the tenant is active by what its catalog knows now, not when this record was made.
    ///
    /// One atomic load: cheap enough to ask before every frame of a stream.
    #[must_use]
    #[inline]
    pub fn is_still_active(&self) -> bool {
        self.lineage.is_active()
    }

    pub(crate) fn ended(&self) -> Ended {
        Ended::new(Arc::clone(&self.lineage))
    }

    /// Marks the record as replaced or removed, with nothing known of a successor: until one is linked by
    /// [`Tenant::succeeding`], holders of the record find it inactive. Called by catalogs; it cannot be undone.
    pub fn supersede(&self) {
        self.lineage.set(None);
        self.superseded.store(true, Ordering::Release);
    }

    /// Returns this record linked as the successor of `old`, so that holders of `old`, and of what came before it, see
    /// the new status. Called by catalogs before they hand the record out.
    #[must_use]
    pub fn succeeding(mut self: Arc<Self>, old: &Tenant) -> Arc<Self> {
        // Where somebody holds the new record already, he keeps a copy that is outside the line.
        Arc::make_mut(&mut self).lineage = Arc::clone(&old.lineage);
        old.lineage.set(Some(self.status));
        old.superseded.store(true, Ordering::Release);
        self
    }

    /// Returns the record at the beginning of a line of its own: a catalog that holds another's records marks them
    /// without a say in what the other one's holders see.
    pub(crate) fn detached(mut self: Arc<Self>) -> Arc<Self> {
        let own = Arc::make_mut(&mut self);
        own.lineage = Arc::new(Lineage::new(own.status));
        own.superseded = AtomicBool::new(false);
        self
    }

    /// Returns the setting `name` as a `T`, or `None` if it is not set.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] if the setting is of another type.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tenancy_core::{Tenant, TenantId};
    /// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).with_setting("seats", 25).build()?;
    /// assert_eq!(acme.setting::<u32>("seats")?, Some(25));
    /// assert_eq!(acme.setting::<u32>("trial_days")?, None);
    /// assert!(acme.setting::<bool>("seats").is_err());
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    pub fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let value = self.details.as_ref().and_then(|details| details.settings.get(name));
        value
            .map(T::deserialize)
            .transpose()
            .map_err(|_| Error::new(ErrorKind::InvalidTenant, "the setting is of another type"))
    }

    /// Returns whether `key` names this tenant: by its id, its present slug, or a domain of it that is verified.
    #[must_use]
    #[inline(always)]
    pub fn answers_to(&self, key: &TenantKey<'_>) -> bool {
        match key {
            TenantKey::Id(id) => self.id == *id,
            TenantKey::Slug(slug) => self.slug == *slug,
            TenantKey::Domain(name) => {
                self.domain(name).is_some_and(|domain| matches!(domain.state, DomainState::Verified))
            }
        }
    }

    /// Returns the tenant's domain called `name`, in canonical form.
    #[must_use]
    #[inline(always)]
    #[allow(
        clippy::manual_find,
        reason = "`find` is not made a part of the caller, and every request passes here"
    )]
    pub fn domain(&self, name: &str) -> Option<&TenantDomain> {
        for domain in &self.domains {
            if domain.domain.as_str() == name {
                return Some(domain);
            }
        }
        None
    }

    /// Returns a builder that holds what this record holds, to make its successor: with the next version.
    pub fn to_builder(&self) -> TenantBuilder {
        TenantBuilder::succeeding(self)
    }
}

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.version == other.version
            && self.slug == other.slug
            && self.status == other.status
            && self.domains == other.domains
            && self.details == other.details
    }
}

impl Eq for Tenant {}

/// Shows identity and state, and none of the settings, which may hold secrets (CORE-20).
impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .field("status", &self.status)
            .field("version", &self.version)
            .field("placement", self.placement())
            .finish_non_exhaustive()
    }
}

impl Clone for Tenant {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            slug: self.slug.clone(),
            status: self.status,
            superseded: AtomicBool::new(self.is_superseded()),
            lineage: Arc::clone(&self.lineage),
            version: self.version,
            domains: self.domains.clone(),
            details: self.details.clone(),
        }
    }
}
