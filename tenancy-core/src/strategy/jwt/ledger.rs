//! What was taken back: tokens, subjects, tenants and keys that are no longer good.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::TokenError;
use super::verified::Facts;
use crate::TenantKey;

/// Which keys are in use and what was revoked.
///
/// It is asked when a verified token is about to be believed, and by the cache about all that it holds, after each change:
/// both under one lock, so that nothing slips in between.
#[derive(Default)]
pub(super) struct Ledger {
    keys: HashSet<u64>,
    revoked_keys: HashSet<(Box<str>, Option<Box<str>>)>,
    tokens: HashMap<(Box<str>, Name), Cutoff>,
    subjects: HashMap<(Box<str>, Box<str>), Cutoff>,
    tenants: HashMap<TenantKey<'static>, Cutoff>,
}

/// What a single token is told by: its own name, or all that it says.
#[derive(Eq, Hash, PartialEq)]
pub(super) enum Name {
    TokenId(Box<str>),
    Payload(Box<str>),
}

/// Both in seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Cutoff {
    /// Tokens that were issued until then are not good, and neither are those that do not say when.
    pub(super) issued_until: u64,
    /// From then on every such token has expired by itself.
    pub(super) forget_at: u64,
}

impl Cutoff {
    pub(super) const EVER: u64 = u64::MAX;

    fn covers(self, facts: &Facts) -> bool {
        facts.issued_at.is_none_or(|issued| issued <= self.issued_until)
    }
}

impl Ledger {
    pub(super) fn admit(&self, facts: &Facts) -> Result<(), TokenError> {
        if !self.keys.contains(&facts.key) {
            return Err(TokenError::UnknownKey);
        }
        if self.is_revoked(facts) { Err(TokenError::Revoked) } else { Ok(()) }
    }

    fn is_revoked(&self, facts: &Facts) -> bool {
        let covered = |cutoff: Option<&Cutoff>| cutoff.is_some_and(|cutoff| cutoff.covers(facts));
        let issuer = || Box::from(&*facts.issuer);
        let named = match &facts.token_id {
            Some(id) => Name::TokenId(id.clone()),
            None => Name::Payload(facts.payload.clone()),
        };
        // Most services never revoked anything: then no name is put together.
        (!self.tokens.is_empty() && covered(self.tokens.get(&(issuer(), named))))
            || (!self.subjects.is_empty()
                && facts
                    .subject
                    .as_ref()
                    .is_some_and(|subject| covered(self.subjects.get(&(issuer(), subject.clone())))))
            || facts.tenant.as_ref().is_some_and(|tenant| covered(self.tenants.get(tenant)))
    }

    pub(super) fn install_key(&mut self, key: u64) {
        self.keys.insert(key);
    }

    pub(super) fn remove_key(&mut self, key: u64) {
        self.keys.remove(&key);
    }

    pub(super) fn revoke_key(&mut self, issuer: &str, id: Option<&str>) {
        self.revoked_keys.insert((issuer.into(), id.map(Box::from)));
    }

    pub(super) fn is_revoked_key(&self, issuer: &str, id: Option<&str>) -> bool {
        !self.revoked_keys.is_empty() && self.revoked_keys.contains(&(issuer.into(), id.map(Box::from)))
    }

    pub(super) fn revoke_token(&mut self, issuer: &str, name: Name, cutoff: Cutoff, now: u64) {
        note(&mut self.tokens, (issuer.into(), name), cutoff, now);
    }

    pub(super) fn revoke_subject(&mut self, issuer: &str, subject: &str, cutoff: Cutoff, now: u64) {
        note(&mut self.subjects, (issuer.into(), subject.into()), cutoff, now);
    }

    pub(super) fn revoke_tenant(&mut self, tenant: TenantKey<'static>, cutoff: Cutoff, now: u64) {
        note(&mut self.tenants, tenant, cutoff, now);
    }

    /// Returns how many revocations of tokens, subjects and tenants are remembered.
    pub(super) fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len() + self.tenants.len()
    }
}

/// Adds a cutoff, which never takes back one that reaches further, and forgets what is over whenever the map would grow.
fn note<K: Eq + Hash>(map: &mut HashMap<K, Cutoff>, key: K, cutoff: Cutoff, now: u64) {
    if map.len() == map.capacity() {
        map.retain(|_, cutoff| cutoff.forget_at > now);
    }
    let known = map.entry(key).or_insert(cutoff);
    known.issued_until = known.issued_until.max(cutoff.issued_until);
    known.forget_at = known.forget_at.max(cutoff.forget_at);
}
