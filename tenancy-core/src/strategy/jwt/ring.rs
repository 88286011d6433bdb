//! The issuers with their keys, and when keys are fetched.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::TokenError;
use super::clock::ticks;
use super::issuer::Issuer;
use super::key::VerificationKey;
use super::ledger::Ledger;

/// When fetched keys are fetched again, and when they are no longer believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) every: Duration,
    pub(super) at_most_every: Duration,
    pub(super) stale_after: Duration,
}

/// An issuer at work.
pub(super) struct Station {
    pub(super) issuer: Issuer,
    keys: ArcSwap<KeySet>,
    schedule: Mutex<Schedule>,
}

/// A key in use. Each time a key is put to use it gets another number, by which the tokens that it verified are found.
pub(super) struct InstalledKey {
    pub(super) number: u64,
    pub(super) key: VerificationKey,
    /// Configured rather than fetched.
    fixed: bool,
}

#[derive(Clone, Default)]
struct KeySet {
    named: HashMap<Box<str>, Arc<InstalledKey>>,
    unnamed: Option<Arc<InstalledKey>>,
    fetched: Option<Fetched>,
}

/// Moments of the monotonic clock.
#[derive(Clone, Copy)]
struct Fetched {
    at: u64,
    stale_at: u64,
}

#[derive(Default)]
struct Schedule {
    attempted_at: Option<u64>,
    attempts: u64,
    /// The latest attempt whose answer was put to use: an older answer that comes later is dropped.
    applied: u64,
    /// A token with an unknown key was seen.
    wanted: bool,
}

impl KeySet {
    fn find(&self, id: Option<&str>) -> Option<&Arc<InstalledKey>> {
        match id {
            Some(id) => self.named.get(id),
            None => self.unnamed.as_ref(),
        }
    }

    fn put(&mut self, key: Arc<InstalledKey>) {
        match key.key.id() {
            Some(id) => drop(self.named.insert(id.into(), key)),
            None => self.unnamed = Some(key),
        }
    }

    fn take(&mut self, id: Option<&str>) -> Option<Arc<InstalledKey>> {
        match id {
            Some(id) => self.named.remove(id),
            None => self.unnamed.take(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<InstalledKey>> {
        self.named.values().chain(&self.unnamed)
    }
}

impl Station {
    /// Puts `issuer` to work with its configured keys.
    pub(super) fn new(issuer: Issuer, ledger: &mut Ledger) -> Self {
        let mut set = KeySet::default();
        for key in &issuer.keys {
            set.put(install(key.clone(), true, ledger));
        }
        Self { issuer, keys: ArcSwap::from_pointee(set), schedule: Mutex::default() }
    }

    /// Returns the key named `id`, and until when it may be believed.
    ///
    /// If there is none and a fetch might bring it, it is asked for, and the answer is that keys are not at hand. Within
    /// an interval of a fetch there is nothing to wait for: the key does not exist (TWR-47).
    pub(super) fn key(
        &self,
        id: Option<&str>,
        now: u64,
        pace: Pace,
    ) -> Result<(Arc<InstalledKey>, u64), TokenError> {
        let set = self.keys.load();
        let stale_at = set.fetched.map_or(0, |fetched| fetched.stale_at);
        match set.find(id) {
            Some(key) if key.fixed => return Ok((Arc::clone(key), u64::MAX)),
            Some(key) if now < stale_at => return Ok((Arc::clone(key), stale_at)),
            Some(_) => {}
            None if self.issuer.source.is_none() => return Err(TokenError::UnknownKey),
            None => {
                let fresh = |fetched: Fetched| now.saturating_sub(fetched.at) < ticks(pace.at_most_every);
                if set.fetched.is_some_and(fresh) {
                    return Err(TokenError::UnknownKey);
                }
            }
        }
        self.schedule().wanted = true;
        Err(TokenError::KeysUnavailable)
    }

    /// Returns at which moment the next fetch is due, or `None` if there is nothing to fetch.
    pub(super) fn due_at(&self, pace: Pace) -> Option<u64> {
        self.issuer.source.as_ref()?;
        let schedule = self.schedule();
        let Some(attempted) = schedule.attempted_at else { return Some(0) };
        let succeeded = schedule.applied == schedule.attempts;
        let wait = if schedule.wanted || !succeeded { pace.at_most_every } else { pace.every };
        Some(attempted.saturating_add(ticks(wait)))
    }

    /// Begins a fetch, if the last one began long enough ago, and returns its number.
    pub(super) fn begin_fetch(&self, now: u64, pace: Pace) -> Option<u64> {
        let mut schedule = self.schedule();
        let early = |last: u64| now.saturating_sub(last) < ticks(pace.at_most_every);
        if self.issuer.source.is_none() || schedule.attempted_at.is_some_and(early) {
            return None;
        }
        schedule.attempted_at = Some(now);
        schedule.attempts += 1;
        schedule.wanted = false;
        Some(schedule.attempts)
    }

    /// Replaces the fetched keys by `keys`, which attempt number `attempt` brought. Keys that stay keep their number, and
    /// with it the tokens that they verified.
    pub(super) fn apply(
        &self,
        keys: Vec<VerificationKey>,
        attempt: u64,
        now: u64,
        pace: Pace,
        ledger: &mut Ledger,
    ) {
        let mut schedule = self.schedule();
        if attempt <= schedule.applied {
            return;
        }
        schedule.applied = attempt;
        let old = self.keys.load_full();
        let mut set = KeySet::default();
        old.all().filter(|key| key.fixed).for_each(|key| set.put(Arc::clone(key)));
        for mut key in keys {
            let foreign = self.issuer.tenant.as_ref().is_some_and(|tenant| key.bind(tenant).is_err());
            // A configured key is not replaced by a fetched one of its name, and a revoked one does not come back.
            let taken = set.find(key.id()).is_some() || ledger.is_revoked_key(&self.issuer.name, key.id());
            if foreign || taken {
                continue;
            }
            match old.find(key.id()) {
                Some(known) if !known.fixed && known.key.is_same(&key) => set.put(Arc::clone(known)),
                _ => set.put(install(key, false, ledger)),
            }
        }
        set.fetched = Some(Fetched { at: now, stale_at: now.saturating_add(ticks(pace.stale_after)) });
        for gone in old.all().filter(|key| !set.all().any(|kept| kept.number == key.number)) {
            ledger.remove_key(gone.number);
        }
        self.keys.store(Arc::new(set));
    }

    /// Adds a configured key, in place of one of its name.
    pub(super) fn add_key(&self, key: VerificationKey, ledger: &mut Ledger) {
        let mut set = KeySet::clone(&self.keys.load());
        if let Some(old) = set.take(key.id()) {
            ledger.remove_key(old.number);
        }
        set.put(install(key, true, ledger));
        self.keys.store(Arc::new(set));
    }

    pub(super) fn remove_key(&self, id: Option<&str>, ledger: &mut Ledger) -> bool {
        let mut set = KeySet::clone(&self.keys.load());
        let Some(old) = set.take(id) else { return false };
        ledger.remove_key(old.number);
        self.keys.store(Arc::new(set));
        true
    }

    pub(super) fn retire(&self, ledger: &mut Ledger) {
        self.keys.load().all().for_each(|key| ledger.remove_key(key.number));
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn install(key: VerificationKey, fixed: bool, ledger: &mut Ledger) -> Arc<InstalledKey> {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    ledger.install_key(number);
    Arc::new(InstalledKey { number, key, fixed })
}
