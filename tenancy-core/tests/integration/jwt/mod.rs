//! Tokens: what is accepted, and that everything beside it is refused.

mod algorithms;
mod cache;
mod claims;
mod glance;
mod issuers;
mod jwks;
mod key_sets;
mod lifetimes;
mod properties;
mod resolution;
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tenancy_core::jwt::{Algorithm, Issuer, TokenVerifier, TokenVerifierBuilder, VerificationKey, WallClock};
use tenancy_core::{Clock, TenantId, TenantKey};

pub(crate) const ISSUER: &str = "https://id.app.example";
pub(crate) const AUDIENCE: &str = "orders-api";

/// The second at which every test begins.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A clock that stands still until a test moves it, either hand by itself.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<(AtomicU64, AtomicU64)>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new((AtomicU64::new(1_000_000), AtomicU64::new(NOW * 1000))))
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.0.fetch_add(millis, Ordering::SeqCst);
        self.0.1.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock, and it alone.
    pub(crate) fn set_wall(&self, second: u64) {
        self.0.1.store(second * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.0.load(Ordering::SeqCst))
    }
}

impl WallClock for TestClock {
    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.1.load(Ordering::SeqCst))
    }
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + seconds(second)
}

pub(crate) fn id(number: i64) -> TenantId {
    TenantId::integer(number).unwrap()
}

pub(crate) fn by_id(number: i64) -> TenantKey<'static> {
    TenantKey::Id(id(number))
}

/// A verifier without leeway at [`NOW`], whose one issuer the caller completes.
pub(crate) fn builder(clock: &TestClock) -> TokenVerifierBuilder {
    TokenVerifier::builder().with_clock(clock.clone()).with_leeway(Duration::ZERO)
}

pub(crate) fn issuer() -> Issuer {
    Issuer::new(ISSUER, AUDIENCE)
}

/// The platform's secret, without a name.
pub(crate) const SECRET: &[u8] = &[7; 32];

pub(crate) fn secret_key() -> VerificationKey {
    VerificationKey::from_secret(Algorithm::Hs256, SECRET).unwrap()
}

/// A verifier of tokens that are signed with [`SECRET`].
pub(crate) fn simple(clock: &TestClock) -> TokenVerifier {
    builder(clock).with_issuer(issuer().with_key(secret_key())).build().unwrap()
}

/// Claims that are good for an hour, for tenant 1.
pub(crate) fn good_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "jti": "t-1",
        "iat": NOW, "exp": NOW + 3600, "tenant_id": "1", "scope": "orders profile",
    })
}

/// The good claims with `changes` made to them; null takes a claim away.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A token of `claims`, signed with [`SECRET`].
pub(crate) fn hs256(claims: &Value) -> String {
    sign::Signer::secret(Algorithm::Hs256, SECRET).token(&json!({}), claims)
}
