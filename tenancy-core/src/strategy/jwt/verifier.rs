//! The verifier: from a token's text to what it says, if all of it is right.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;

use super::bearer::{Carrier, is_compact};
use super::builder::TokenVerifierBuilder;
use super::cache::{Cache, Known};
use super::claims::{Ages, TenantClaim};
use super::clock::{WallClock, since_epoch, ticks};
use super::refresh::Wake;
use super::ring::{InstalledKey, Pace, Station};
use super::token::Untrusted;
use super::verified::{Entry, Facts};
use super::{TokenError, VerifiedToken};
use crate::TenantKey;

/// Verifies tokens and remembers those that were verified.
///
/// It is used by a [`JwtStrategy`](super::JwtStrategy) and, as a clone, by whoever else asks about the request's token:
/// membership checks, handlers, an authentication layer. All share one cache, so that a token is verified once.
///
/// A token is accepted if its signature is right by the one key that its issuer has under its `kid`, by that key's
/// algorithm; if `exp`, `nbf`, `iat` and the maximum age allow it; if it is meant for this service; if it names a tenant
/// by a canonical name, the one whose key it is where the key is a tenant's own; and if it was not revoked.
///
/// # Examples
///
/// ```
/// use tenancy_core::jwt::{Algorithm, Issuer, TokenError, TokenVerifier, VerificationKey};
///
/// let key = VerificationKey::from_secret(Algorithm::Hs256, &[7; 32])?;
/// let verifier = TokenVerifier::builder()
///     .with_issuer(Issuer::new("https://id.app.example", "orders-api").with_key(key))
///     .build()?;
/// assert_eq!(verifier.verify("no.token.here").unwrap_err(), TokenError::Malformed);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone)]
pub struct TokenVerifier(Arc<Inner>);

pub(super) type Stations = HashMap<Arc<str>, Arc<Station>>;

pub(super) struct Inner {
    pub(super) cache: Cache,
    pub(super) stations: ArcSwap<Stations>,
    pub(super) claim: TenantClaim,
    pub(super) carrier: Carrier,
    pub(super) ages: Ages,
    pub(super) pace: Pace,
    pub(super) clock: Arc<dyn WallClock>,
    pub(super) wake: Arc<Wake>,
}

impl TokenVerifier {
    /// The longest token, in bytes.
    pub const MAX_TOKEN_LEN: usize = 8192;

    /// Starts a verifier.
    pub fn builder() -> TokenVerifierBuilder {
        TokenVerifierBuilder::new()
    }

    pub(super) fn assemble(
        cache: Cache,
        stations: Stations,
        claim: TenantClaim,
        carrier: Carrier,
        ages: Ages,
        pace: Pace,
        clock: Arc<dyn WallClock>,
    ) -> Self {
        let (stations, wake) = (ArcSwap::from_pointee(stations), Arc::default());
        Self(Arc::new(Inner { cache, stations, claim, carrier, ages, pace, clock, wake }))
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Returns what `token` says.
    ///
    /// # Errors
    ///
    /// Returns why the token is not accepted.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        let known = self.0.verify(token.as_bytes())?;
        Ok(VerifiedToken(Arc::clone(known.entry())))
    }

    /// Returns what the token of a request says, or `None` if the request carries none.
    ///
    /// # Errors
    ///
    /// Returns why the token is not accepted. A header that tries to carry a token and does not is
    /// [`TokenError::MalformedHeader`], never `None`.
    pub fn verify_request(&self, headers: &HeaderMap) -> Result<Option<VerifiedToken>, TokenError> {
        let known = self.0.verify_request(headers)?;
        Ok(known.map(|known| VerifiedToken(Arc::clone(known.entry()))))
    }

    /// Returns how many verified tokens are remembered, for metrics.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.0.cache.len()
    }
}

impl Inner {
    pub(super) fn now(&self) -> u64 {
        ticks(self.clock.now())
    }

    /// Returns what was verified rather than what is wanted of it: a key that is handed on from one place to the next costs
    /// more than to find the token.
    #[inline]
    pub(super) fn verify_request(&self, headers: &HeaderMap) -> Result<Option<Known>, TokenError> {
        let token = match self.carrier.find(headers) {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        match self.cache.find(token, &*self.clock) {
            Some(known) => Ok(Some(known)),
            None => self.verify_new_value(token).map(Some),
        }
    }

    #[inline]
    pub(super) fn known(&self, headers: &HeaderMap) -> Option<Known> {
        self.cache.find(self.carrier.find(headers).ok()??, &*self.clock)
    }

    fn verify(&self, token: &[u8]) -> Result<Known, TokenError> {
        match self.cache.find(token, &*self.clock) {
            Some(known) => Ok(known),
            None => self.verify_anew(token),
        }
    }

    #[cold]
    fn verify_new_value(&self, value: &[u8]) -> Result<Known, TokenError> {
        if is_compact(value) { self.verify_anew(value) } else { Err(refused(TokenError::MalformedHeader)) }
    }

    #[cold]
    fn verify_anew(&self, token: &[u8]) -> Result<Known, TokenError> {
        self.check(token).map(Known::new).map_err(refused)
    }

    fn check(&self, token: &[u8]) -> Result<Arc<Entry>, TokenError> {
        let untrusted = Untrusted::parse(token)?;
        let stations = self.stations.load();
        let station =
            untrusted.issuer().and_then(|issuer| stations.get(issuer)).ok_or(TokenError::UnknownIssuer)?;
        let (key, keys_until) =
            station.key(untrusted.key_id(), self.now(), self.pace).inspect_err(|error| {
                if *error == TokenError::KeysUnavailable {
                    self.wake.notify();
                }
            })?;
        let facts = self.check_claims(untrusted, station, &key)?;
        let entry = Entry::new(token, facts, &*self.clock, keys_until);
        self.cache.admit(entry, &*self.clock)
    }

    fn check_claims(
        &self,
        untrusted: Untrusted<'_>,
        station: &Station,
        key: &InstalledKey,
    ) -> Result<Facts, TokenError> {
        let issuer = &station.issuer;
        let authentic = untrusted.verify(&key.key)?;
        if !issuer.accepts_type(authentic.token_type().as_deref()) {
            return Err(TokenError::WrongType);
        }
        let mut claims = authentic.registered;
        let validity = claims.validity(self.ages, since_epoch(self.clock.wall()))?;
        if !issuer.any_audience && !claims.is_for(&issuer.audiences) {
            return Err(TokenError::WrongAudience);
        }
        let tenant = self.tenant(self.claim.read(&authentic.payload)?, key.key.tenant())?;
        Ok(Facts {
            issuer: Arc::clone(&issuer.name),
            scopes: claims.take_scopes(),
            issued_at: claims.issued_at(),
            expires_at: claims.expires_at(),
            subject: claims.sub.map(String::into_boxed_str),
            token_id: claims.jti.map(String::into_boxed_str),
            tenant,
            algorithm: key.key.algorithm(),
            key_id: key.key.id().map(Box::from),
            key: key.number,
            validity,
            payload: authentic.payload.into(),
        })
    }

    /// Brings the tenant that the token names together with the one whose key it is (TWR-42).
    fn tenant(
        &self,
        claimed: Option<TenantKey<'static>>,
        owner: Option<&TenantKey<'static>>,
    ) -> Result<Option<TenantKey<'static>>, TokenError> {
        match (claimed, owner) {
            (Some(claimed), Some(owner)) if claimed != *owner => Err(TokenError::ForeignKey),
            (Some(claimed), _) => Ok(Some(claimed)),
            (None, _) if !self.claim.optional => Err(TokenError::NoTenant),
            (None, owner) => Ok(owner.cloned()),
        }
    }
}

/// Writes down why a token is refused: the one place that says it.
#[cold]
fn refused(error: TokenError) -> TokenError {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "tenancy::token", reason = error.as_str(), "token refused");
    error
}

/// The task that keeps keys fresh must not sleep on when there is nothing left to keep.
impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify();
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("issuers", &self.0.stations.load().len())
            .field("claim", &self.0.claim)
            .finish_non_exhaustive()
    }
}
