//! A token that was verified, as handlers and membership checks see it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use super::algorithm::Algorithm;
use super::claims::Validity;
use super::clock::{WallClock, since_epoch, ticks};
use super::sync::{AtomicBool, AtomicU64, Ordering};
use crate::{Error, ErrorKind, TenantKey};

/// How long a verified token is believed before the wall clock is asked again, in nanoseconds: a second, less what the
/// monotonic clock may lag behind.
const WALL_CHECK: u64 = 900_000_000;

/// A token whose signature, dates, audience and tenant were verified.
///
/// A clone is one reference count. It says what was true when the token was verified: ask the
/// [`TokenVerifier`](super::TokenVerifier) again at the next request rather than keep it.
#[derive(Clone)]
pub struct VerifiedToken(pub(super) Arc<Entry>);

/// What a token said.
pub(super) struct Facts {
    pub(super) issuer: Arc<str>,
    pub(super) subject: Option<Box<str>>,
    pub(super) token_id: Option<Box<str>>,
    pub(super) scopes: Box<[Box<str>]>,
    pub(super) tenant: Option<TenantKey<'static>>,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    /// Which installation of which key verified it.
    pub(super) key: u64,
    pub(super) issued_at: Option<u64>,
    pub(super) expires_at: Option<u64>,
    pub(super) validity: Validity,
    pub(super) payload: Box<str>,
}

/// A verified token as the cache keeps it, with its whole text.
pub(super) struct Entry {
    pub(super) token: Box<[u8]>,
    pub(super) facts: Facts,
    /// When it ends by the monotonic clock, at the latest.
    deadline: u64,
    /// When the wall clock was last asked, by the monotonic one.
    checked: AtomicU64,
    /// Whether it was used since the cache last looked for something to drop.
    pub(super) used: AtomicBool,
}

impl Entry {
    /// `keys_until` is the moment of the monotonic clock at which the key set grows stale.
    pub(super) fn new(token: &[u8], facts: Facts, clock: &dyn WallClock, keys_until: u64) -> Self {
        let now = ticks(clock.now());
        // When the clock is asked whether it is over, it may lag behind, and need not have done so now.
        let left = Duration::from_secs(facts.validity.until)
            .saturating_sub(since_epoch(clock.wall()))
            .saturating_sub(clock.resolution());
        Self {
            token: token.into(),
            facts,
            deadline: now.saturating_add(ticks(left)).min(keys_until),
            checked: AtomicU64::new(now),
            used: AtomicBool::new(false),
        }
    }

    /// Returns whether the token is still good, by both clocks: one that is set back does not lengthen a token's life
    /// (DIR-10), and one that is set forward ends it within a second.
    #[inline]
    pub(super) fn is_live(&self, clock: &dyn WallClock) -> bool {
        let now = ticks(clock.now());
        if now >= self.deadline {
            return false;
        }
        now.saturating_sub(self.checked.load(Ordering::Relaxed)) < WALL_CHECK || self.ask_wall(clock, now)
    }

    #[cold]
    fn ask_wall(&self, clock: &dyn WallClock, now: u64) -> bool {
        let good = self.facts.validity.contains(since_epoch(clock.wall()));
        if good {
            self.checked.store(now, Ordering::Relaxed);
        }
        good
    }

    pub(super) fn is_over(&self, now: u64) -> bool {
        now >= self.deadline
    }

    /// Roughly how many bytes it holds.
    pub(super) fn size(&self) -> usize {
        let scopes: usize = self.facts.scopes.iter().map(|scope| scope.len() + 16).sum();
        size_of::<Self>() + self.token.len() + self.facts.payload.len() * 2 + scopes
    }
}

impl VerifiedToken {
    /// Returns who issued the token (`iss`).
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.facts().issuer
    }

    /// Returns whom the token is about (`sub`): unique among the subjects of its issuer.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.facts().subject.as_deref()
    }

    /// Returns the token's own name (`jti`).
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.facts().token_id.as_deref()
    }

    /// Returns the tenant that the token names. It is a claim of the issuer: the catalog says whose it is.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantKey<'static>> {
        self.facts().tenant.as_ref()
    }

    /// Returns what the token allows (`scope` or `scp`).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.facts().scopes.iter().map(|scope| &**scope)
    }

    /// Returns whether the token allows `scope`.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// Returns the algorithm of the key that verified the token.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.facts().algorithm
    }

    /// Returns the name of the key that verified the token.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.facts().key_id.as_deref()
    }

    /// Returns when the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.facts().issued_at.and_then(date)
    }

    /// Returns when the token expires (`exp`), or `None` if that is past what the system can express.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.facts().expires_at.and_then(date)
    }

    /// Returns all claims as they were signed: a JSON object.
    #[must_use]
    pub fn claims_json(&self) -> &str {
        &self.facts().payload
    }

    /// Returns the claims as a type of the service's own.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidClaims`] if they are not of that type. The error does not say what they are.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.claims_json())
            .map_err(|_| Error::new(ErrorKind::InvalidClaims, "the token's claims have another shape"))
    }

    fn facts(&self) -> &Facts {
        &self.0.facts
    }
}

/// Shows the algorithm alone: neither the token nor what it claims is ever printed (CORE-20).
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn date(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
