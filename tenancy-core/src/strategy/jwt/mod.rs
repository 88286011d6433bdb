//! Tokens: JSON Web Tokens (RFC 7519) that name a tenant, verified once and remembered.
//!
//! ```
//! use tenancy_core::jwt::{Algorithm, Issuer, JwtStrategy, TokenVerifier, VerificationKey};
//!
//! let key = VerificationKey::from_secret(Algorithm::Hs256, &[7; 32])?.with_id("2026-10");
//! let verifier = TokenVerifier::builder()
//!     .with_issuer(Issuer::new("https://id.app.example", "orders-api").with_key(key))
//!     .build()?;
//! // For `Resolver::builder(catalog).with_strategy(strategy)`.
//! let strategy = JwtStrategy::new(verifier);
//! # Ok::<_, tenancy_core::Error>(())
//! ```
//!
//! # How the pieces fit
//!
//! - An [`Issuer`] has keys: configured ones, those of a [`JwkSet`], or those that a [`JwksSource`] fetches. A
//!   [`VerificationKey`] has its one [`Algorithm`], and may belong to one tenant.
//! - A [`TokenVerifier`] finds a token's key by issuer and `kid`, checks signature, dates, audience and tenant, and
//!   remembers what it verified until it expires or is revoked.
//! - A [`JwtStrategy`] hands the tenant of the request's token to the resolver, as a strong signal.
//! - A [`VerifiedToken`] is what handlers and membership checks see: ask the verifier, which knows it already.
//!
//! # Unknown keys
//!
//! A strategy does not wait. A token whose key is not at hand is refused with [`TokenError::KeysUnavailable`] (503), and
//! the key set is asked for by the task [`TokenVerifier::keep_fresh`]; issuers publish keys before they use them, so that
//! this is rare. Shortly after a fetch an unknown key is an invalid token.

mod algorithm;
mod bearer;
mod builder;
mod cache;
mod claims;
mod clock;
mod error;
mod issuer;
mod jwks;
mod key;
mod ledger;
mod manage;
mod refresh;
mod ring;
mod sync;
mod token;
mod verified;
mod verifier;

use http::{HeaderMap, HeaderName};

pub use algorithm::Algorithm;
pub use builder::TokenVerifierBuilder;
pub use clock::WallClock;
pub use error::TokenError;
pub use issuer::Issuer;
pub use jwks::{FetchError, JwkSet, JwksSource};
pub use key::VerificationKey;
pub use verified::VerifiedToken;
pub use verifier::TokenVerifier;

use super::{RequestHead, Signal, SignalError, SignalKind, Strategy, Trust};

/// Reads the tenant from a claim of the request's verified token.
///
/// A request without a token says nothing. One with a token that is not accepted is refused, and no other strategy is
/// asked (TWR-59).
///
/// # Examples
///
/// A membership check by the same token, which costs no second verification:
///
/// ```
/// use tenancy_core::jwt::{JwtStrategy, TokenVerifier};
/// use tenancy_core::{Membership, MembershipAnswer, RequestHead, Tenant};
///
/// #[derive(Debug)]
/// struct ByScope(TokenVerifier);
///
/// impl Membership for ByScope {
///     fn check(&self, _: &Tenant, head: &RequestHead<'_>) -> MembershipAnswer {
///         match self.0.verify_request(head.headers) {
///             Ok(Some(token)) if token.has_scope("orders") => MembershipAnswer::Member,
///             _ => MembershipAnswer::Stranger,
///         }
///     }
/// }
///
/// # fn resolver(catalog: std::sync::Arc<tenancy_core::MemoryCatalog>, verifier: TokenVerifier) -> Result<(), tenancy_core::Error> {
/// let resolver = tenancy_core::Resolver::builder(catalog)
///     .with_strategy(JwtStrategy::new(verifier.clone()))
///     .with_membership(ByScope(verifier))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct JwtStrategy(TokenVerifier);

impl JwtStrategy {
    /// Returns a strategy that reads the tenant from tokens that `verifier` accepts.
    #[must_use]
    pub fn new(verifier: TokenVerifier) -> Self {
        Self(verifier)
    }

    /// Returns the request's token if it was verified before and is still good. Of every other one it says nothing.
    #[inline]
    pub(crate) fn known(&self, headers: &HeaderMap) -> Option<cache::Known> {
        self.0.inner().known(headers)
    }

    /// Returns the verifier.
    #[must_use]
    pub fn verifier(&self) -> &TokenVerifier {
        &self.0
    }
}

impl Strategy for JwtStrategy {
    #[inline]
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(known) = self.0.inner().verify_request(head.headers)? else { return Ok(None) };
        let tenant = known.entry().facts.tenant.as_ref();
        Ok(tenant.map(|key| Signal { kind: SignalKind::Token, key: key.clone(), trust: Trust::Strong }))
    }

    fn vary(&self) -> Option<&HeaderName> {
        Some(self.0.inner().carrier.name())
    }
}
