//! The resolved tenant as it travels with one request or job.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::strategy::SignalKind;
use crate::{Ended, Error, ErrorKind, Placement, Tenant, TenantId, TenantSlug};

/// Proof that a request or job belongs to one active tenant.
///
/// Made by a [`TenantResolver`](crate::TenantResolver) and by [`TenantContext::assertion`]: a search for `assertion`
/// finds every other place that decides tenancy. Everything that reaches data takes a context, never an id or a text.
///
/// A clone is one reference count. The context keeps the record that was current when it was made; see
/// [`Tenant::is_superseded`] for holders that live longer than a request.
///
/// `serde` writes it, as its tenant id, and does not read it: a job stores the id, and whoever runs the job
/// resolves it again, so that a tenant that was suspended meanwhile is refused (JOB-05).
#[derive(Clone, Eq, PartialEq)]
pub struct TenantContext {
    tenant: Arc<Tenant>,
    provenance: Provenance,
}

impl TenantContext {
    /// Asserts that what follows belongs to `tenant`, without a request that says so: for jobs, command-line programs
    /// and tests.
    ///
    /// `reason` says why the caller may decide this. It is written to the log with the tenant.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::TenantNotActive`] if the tenant is not active.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{Tenant, TenantContext, TenantId};
    ///
    /// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
    /// let context = TenantContext::assertion(acme, "nightly invoice run")?;
    /// assert_eq!(context.id().to_string(), "1");
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    pub fn assertion(tenant: Arc<Tenant>, reason: &'static str) -> Result<Self, Error> {
        if !tenant.status().is_active() {
            return Err(Error::new(ErrorKind::TenantNotActive, "the tenant is not active"));
        }
        #[cfg(feature = "tracing")]
        tracing::info!(target: "tenancy::assertion", tenant = %tenant.id(), why = reason, "tenancy asserted");
        let _ = reason;
        Ok(Self { tenant, provenance: Provenance::ASSERTED })
    }

    #[inline]
    pub(crate) fn resolved(tenant: Arc<Tenant>, provenance: Provenance) -> Self {
        Self { tenant, provenance }
    }

    /// Returns the tenant's record.
    #[must_use]
    pub fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// Returns the tenant's permanent id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        self.tenant.id()
    }

    /// Returns the tenant's slug.
    #[must_use]
    pub fn slug(&self) -> &TenantSlug {
        self.tenant.slug()
    }

    /// Returns where the tenant's rows live.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        self.tenant.placement()
    }

    /// Returns whether the tenant is active by what its catalog knows now: what long-lived work asks between its steps.
    #[must_use]
    pub fn is_still_active(&self) -> bool {
        self.tenant.is_still_active()
    }

    /// Waits until the tenant is no longer active by what its catalog knows: what a WebSocket, or other work that may
    /// wait for long, watches beside its own next step (TWR-54).
    ///
    /// A tenant that is active again by the time the future is polled has not ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tenancy_core::{MemoryCatalog, Tenant, TenantContext, TenantId, TenantStatus};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let catalog = MemoryCatalog::new();
    /// # let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
    /// # catalog.insert(Arc::clone(&acme))?;
    /// # let context = TenantContext::assertion(acme, "example")?;
    /// let ended = tokio::spawn(context.ended());
    /// catalog.set_status(context.id(), TenantStatus::Suspended)?;
    /// ended.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ended(&self) -> Ended {
        self.tenant.ended()
    }

    /// Returns which signals of the request named the tenant.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }
}

impl Serialize for TenantContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id().serialize(serializer)
    }
}

impl fmt::Debug for TenantContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantContext")
            .field("id", self.id())
            .field("slug", self.slug())
            .field("provenance", &self.provenance)
            .finish()
    }
}

/// Which signals named the tenant: a set of [`SignalKind`]s, empty for an assertion.
#[derive(Clone, Copy, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance(u16);

impl Provenance {
    /// No signal: the tenancy was asserted.
    pub const ASSERTED: Self = Self(0);

    #[inline]
    pub(crate) fn with(self, kind: SignalKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Returns whether `kind` was among the signals.
    #[must_use]
    pub fn contains(self, kind: SignalKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// Returns whether the tenancy was asserted rather than resolved.
    #[must_use]
    pub fn is_asserted(self) -> bool {
        self == Self::ASSERTED
    }

    /// Returns the signals that named the tenant.
    pub fn iter(self) -> impl Iterator<Item = SignalKind> {
        SignalKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl fmt::Debug for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
