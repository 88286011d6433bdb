//! Taking back what was good: tokens, subjects, tenants and keys; and changing issuers while the service runs.

use std::sync::Arc;
use std::time::SystemTime;

use super::VerifiedToken;
use super::clock::since_epoch;
use super::issuer::{Issuer, check_binding};
use super::key::VerificationKey;
use super::ledger::{Cutoff, Name};
use super::ring::Station;
use super::verifier::{Stations, TokenVerifier};
use crate::{Error, ErrorKind, TenantKey};

/// Revocation. When one of these returns, no token that it concerns is accepted any more, cached or not, and neither is
/// one whose verification was under way. What is revoked here is known to this process alone: tell the others.
///
/// Revocations are remembered until the tokens that they concern have expired by themselves: with
/// [`with_max_age`](super::TokenVerifierBuilder::with_max_age) that is known for all of them; without it, revoked
/// subjects and tenants are remembered for as long as the verifier lives.
impl TokenVerifier {
    /// Revokes one token: as a user signs out.
    pub fn revoke(&self, token: &VerifiedToken) {
        let facts = &token.0.facts;
        let name = match &facts.token_id {
            Some(id) => Name::TokenId(id.clone()),
            // The payload tells it from all others where its signature does not: who holds a token signed by ECDSA can
            // write down a second signature for it.
            None => Name::Payload(facts.payload.clone()),
        };
        self.revoke_name(&facts.issuer, name, facts.validity.until);
    }

    /// Revokes the tokens that `issuer` gave the name `token_id` (`jti`), which expire at `expires_at` at the latest.
    pub fn revoke_token(&self, issuer: &str, token_id: &str, expires_at: SystemTime) {
        let until = since_epoch(expires_at).saturating_add(self.inner().ages.leeway);
        self.revoke_name(issuer, Name::TokenId(token_id.into()), until.as_secs().saturating_add(1));
    }

    fn revoke_name(&self, issuer: &str, name: Name, forget_at: u64) {
        let cutoff = Cutoff { issued_until: Cutoff::EVER, forget_at };
        let now = self.wall();
        self.inner().cache.change(|ledger| ledger.revoke_token(issuer, name, cutoff, now));
    }

    /// Revokes what `issuer` gave to `subject` up to the second of `issued_until`, and what does not say when it was
    /// issued: as a user changes his password, or leaves.
    pub fn revoke_subject(&self, issuer: &str, subject: &str, issued_until: SystemTime) {
        let (cutoff, now) = (self.cutoff(issued_until), self.wall());
        self.inner().cache.change(|ledger| ledger.revoke_subject(issuer, subject, cutoff, now));
    }

    /// Revokes what was issued for `tenant` up to the second of `issued_until`, by whichever issuer, and what does not
    /// say when it was issued.
    ///
    /// `tenant` is named as the tenant claim names it. A tenant that is suspended needs no revocation: its requests are
    /// refused whatever their token.
    pub fn revoke_tenant(&self, tenant: &TenantKey<'_>, issued_until: SystemTime) {
        let (cutoff, now) = (self.cutoff(issued_until), self.wall());
        let tenant = tenant.clone().into_owned();
        self.inner().cache.change(|ledger| ledger.revoke_tenant(tenant, cutoff, now));
    }

    /// Revokes the key that `issuer` has under `id`, with all tokens that it verified. It does not come back, not even
    /// from a key set that still holds it.
    pub fn revoke_key(&self, issuer: &str, id: Option<&str>) {
        self.inner().cache.change(|ledger| {
            ledger.revoke_key(issuer, id);
            if let Some(station) = self.inner().stations.load().get(issuer) {
                station.remove_key(id, ledger);
            }
        });
    }

    /// Returns how many revocations of tokens, subjects and tenants are remembered, for metrics.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.inner().cache.read_ledger(|ledger| ledger.len())
    }

    fn cutoff(&self, issued_until: SystemTime) -> Cutoff {
        let ages = self.inner().ages;
        let issued_until = since_epoch(issued_until).as_secs();
        let forget_at = ages.oldest.map_or(Cutoff::EVER, |oldest| {
            issued_until
                .saturating_add(oldest.as_secs())
                .saturating_add(ages.leeway.as_secs())
                .saturating_add(1)
        });
        Cutoff { issued_until, forget_at }
    }

    fn wall(&self) -> u64 {
        since_epoch(self.inner().clock.wall()).as_secs()
    }
}

/// Issuers and keys that come and go, as tenants with keys of their own do.
impl TokenVerifier {
    /// Adds an issuer, or replaces the one of its name with all its keys.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] as building the verifier does, and if one of the keys was revoked.
    pub fn set_issuer(&self, issuer: Issuer) -> Result<(), Error> {
        let inner = self.inner();
        let issuer = issuer.checked(inner.claim.named_by)?;
        inner.cache.change(|ledger| {
            if issuer.keys.iter().any(|key| ledger.is_revoked_key(&issuer.name, key.id())) {
                return Err(revoked());
            }
            let mut stations = Stations::clone(&inner.stations.load());
            let name = Arc::clone(&issuer.name);
            let station = Arc::new(Station::new(issuer, ledger));
            if let Some(old) = stations.insert(name, station) {
                old.retire(ledger);
            }
            inner.stations.store(Arc::new(stations));
            Ok(())
        })?;
        inner.wake.notify();
        Ok(())
    }

    /// Removes an issuer with all its keys, and returns whether there was one of this name.
    pub fn remove_issuer(&self, name: &str) -> bool {
        let inner = self.inner();
        inner.cache.change(|ledger| {
            let mut stations = Stations::clone(&inner.stations.load());
            let Some(old) = stations.remove(name) else { return false };
            old.retire(ledger);
            inner.stations.store(Arc::new(stations));
            true
        })
    }

    /// Adds a key to an issuer, or replaces the one of its name: as a tenant is onboarded, or changes its key.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidConfiguration`] if there is no such issuer, if the key belongs to another tenant than
    /// the issuer or is bound to another kind of name than the tenant claim holds, or if it was revoked.
    pub fn add_key(&self, issuer: &str, mut key: VerificationKey) -> Result<(), Error> {
        let inner = self.inner();
        inner.cache.change(|ledger| {
            let stations = inner.stations.load();
            let station = stations
                .get(issuer)
                .ok_or_else(|| Error::new(ErrorKind::InvalidConfiguration, "there is no such issuer"))?;
            station.issuer.tenant.as_ref().map_or(Ok(()), |tenant| key.bind(tenant))?;
            key.tenant().map_or(Ok(()), |tenant| check_binding(tenant, inner.claim.named_by))?;
            if ledger.is_revoked_key(issuer, key.id()) {
                return Err(revoked());
            }
            station.add_key(key, ledger);
            Ok(())
        })
    }

    /// Removes a key, with all tokens that it verified, and returns whether there was one of this name. A key set that
    /// holds it brings it back; see [`TokenVerifier::revoke_key`].
    pub fn remove_key(&self, issuer: &str, id: Option<&str>) -> bool {
        let inner = self.inner();
        inner.cache.change(|ledger| {
            inner.stations.load().get(issuer).is_some_and(|station| station.remove_key(id, ledger))
        })
    }
}

fn revoked() -> Error {
    Error::new(ErrorKind::InvalidConfiguration, "a revoked key does not come back")
}
