//! How a verifier is put together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::bearer::Carrier;
use super::cache::Cache;
use super::claims::{Ages, TenantClaim};
use super::clock::WallClock;
use super::issuer::Issuer;
use super::ring::{Pace, Station};
use super::verifier::TokenVerifier;
use crate::strategy::NamedBy;
use crate::{Error, ErrorKind, MonotonicClock};

/// Collects the parts of a [`TokenVerifier`].
#[derive(Debug)]
#[must_use]
pub struct TokenVerifierBuilder {
    pub(super) issuers: Vec<Issuer>,
    pub(super) claim: TenantClaim,
    pub(super) carrier: Carrier,
    pub(super) ages: Ages,
    pub(super) pace: Pace,
    pub(super) capacity: usize,
    pub(super) clock: Arc<dyn WallClock>,
}

impl TokenVerifierBuilder {
    pub(super) fn new() -> Self {
        Self {
            issuers: Vec::new(),
            claim: TenantClaim { name: "tenant_id".into(), named_by: NamedBy::Id, optional: false },
            carrier: Carrier::Bearer,
            ages: Ages { leeway: Duration::from_secs(30), oldest: None },
            pace: Pace {
                every: Duration::from_secs(300),
                at_most_every: Duration::from_secs(30),
                stale_after: Duration::from_secs(24 * 3600),
            },
            capacity: 8192,
            clock: Arc::new(MonotonicClock::new()),
        }
    }

    /// Adds an issuer.
    pub fn with_issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Sets which claim names the tenant, and by which of its names (default: `tenant_id`, by id).
    pub fn with_tenant_claim(mut self, name: &str, named_by: NamedBy) -> Self {
        self.claim.name = name.into();
        self.claim.named_by = named_by;
        self
    }

    /// Accepts tokens that name no tenant.
    ///
    /// One that a tenant's own key signed is that tenant's all the same. Another says nothing about the tenant, and the
    /// request needs a signal that does: check membership then, as such a token is good for every tenant.
    pub fn with_optional_tenant_claim(mut self) -> Self {
        self.claim.optional = true;
        self
    }

    /// Reads tokens from the header `name`, whose whole value is the token, and not from `Authorization`: for gateways
    /// that verify users and pass on an assertion of their own.
    ///
    /// With `Authorization` itself this changes nothing: there the scheme is needed.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.carrier = if name == AUTHORIZATION { Carrier::Bearer } else { Carrier::Whole(name) };
        self
    }

    /// Sets how far the issuers' clocks may be off, in whole seconds (default: 30 seconds).
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.ages.leeway = leeway;
        self
    }

    /// Sets how old a token may be by its `iat`, which it then must have, whatever its `exp` says (default: any age).
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.ages.oldest = Some(age);
        self
    }

    /// Sets how often key sets are fetched (default: every 5 minutes), and how often at most, which is what a flood of
    /// unknown key names can bring about (default: once in 30 seconds).
    pub fn with_key_refresh(mut self, every: Duration, at_most_every: Duration) -> Self {
        self.pace.every = every;
        self.pace.at_most_every = at_most_every;
        self
    }

    /// Sets how long fetched keys are believed when they cannot be fetched again (default: 24 hours).
    pub fn with_keys_stale_after(mut self, bound: Duration) -> Self {
        self.pace.stale_after = bound;
        self
    }

    /// Sets how many verified tokens are remembered, at 4 KiB each on average (default: 8192). With 0 each is verified
    /// every time.
    pub fn with_cache_capacity(mut self, tokens: usize) -> Self {
        self.capacity = tokens;
        self
    }

    /// Sets the clock, as tests do.
    pub fn with_clock(mut self, clock: impl WallClock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the verifier.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if there are two issuers of one name, one that is not complete, keys
    /// that are bound to another kind of name than the tenant claim holds, no claim, or intervals that cannot be kept.
    pub fn build(self) -> Result<TokenVerifier, Error> {
        let wrong = |reason| Err(Error::new(ErrorKind::InvalidConfiguration, reason));
        if self.claim.name.is_empty() {
            return wrong("the tenant claim has a name");
        }
        let Pace { every, at_most_every, stale_after } = self.pace;
        if at_most_every.is_zero() || every < at_most_every || stale_after < every {
            return wrong(
                "keys are fetched at intervals that are above zero and below the bound of staleness",
            );
        }
        let cache = Cache::new(self.capacity);
        let mut stations = HashMap::new();
        for issuer in self.issuers {
            let issuer = issuer.checked(self.claim.named_by)?;
            let name = Arc::clone(&issuer.name);
            let station = cache.change(|ledger| Station::new(issuer, ledger));
            if stations.insert(name, Arc::new(station)).is_some() {
                return wrong("two issuers have one name");
            }
        }
        Ok(TokenVerifier::assemble(
            cache,
            stations,
            self.claim,
            self.carrier,
            self.ages,
            self.pace,
            self.clock,
        ))
    }
}
