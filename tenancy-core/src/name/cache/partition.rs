//! What one tenant has in the cache.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use super::super::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use super::builder::Options;
use super::flight::{Flight, Outcome};
use super::stats::{Counters, TenantCacheStats};
use super::table::{Key, Table};
use crate::Generation;

/// The values of one tenant, and the loads under way for it.
///
/// All of them are of the tenant's present generation: a flush takes them all out. A load may store its value while it is
/// registered here, and at no other time. That is what keeps a value of before a flush from coming back.
pub(super) struct Partition<V> {
    state: RwLock<State<V>>,
    counters: Counters,
    used: AtomicBool,
}

struct State<V> {
    values: Table<V>,
    flights: Flights<V>,
    known: Option<Known>,
}

type Flights<V> = HashMap<Key, Arc<Flight<V>>>;

/// What the store of shared generations said, and when it was asked, in nanoseconds of the cache's clock.
#[derive(Clone, Copy)]
struct Known {
    generation: Generation,
    asked: u64,
}

/// What a caller whose value was not at hand begins with.
pub(super) enum Begun<V> {
    Hit(Option<V>),
    Join(Arc<Flight<V>>),
    Lead(Arc<Flight<V>>),
}

impl<V> Partition<V> {
    pub(super) fn new() -> Self {
        let state = State { values: Table::new(), flights: HashMap::new(), known: None };
        Self { state: RwLock::new(state), counters: Counters::default(), used: AtomicBool::new(true) }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn stats(&self) -> TenantCacheStats {
        let values = self.read().values.len() as u64;
        TenantCacheStats { values, tenants: 1, ..self.counters.stats() }
    }

    /// Returns whether the tenant's values were asked for since this was last called.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Partition<V> {
    /// Looks a value up if the generation was asked for less than `refresh` nanoseconds before `now`.
    #[inline]
    pub(super) fn peek(&self, key: &[u8], now: u64, refresh: Option<u64>) -> Option<Option<V>> {
        let state = self.read();
        if refresh.is_some_and(|refresh| !state.is_current(now, refresh)) {
            return None;
        }
        let found = state.values.get(key, now)?.cloned();
        drop(state);
        self.count_hit(found.as_ref());
        Some(found)
    }

    fn count_hit(&self, found: Option<&V>) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.counters.count_hit(found.is_none());
    }

    pub(super) fn is_current(&self, now: u64, refresh: u64) -> bool {
        self.read().is_current(now, refresh)
    }

    /// Takes note of the tenant's shared generation, and drops what is of another one. The answer to the latest question
    /// counts: answers may arrive in another order.
    pub(super) fn learn(&self, generation: Generation, asked: u64) {
        let mut state = self.write();
        match state.known {
            Some(known) if known.asked > asked => {}
            Some(known) if known.generation == generation => state.known = Some(Known { generation, asked }),
            _ => {
                state.known = Some(Known { generation, asked });
                drop_everything(state);
            }
        }
    }

    /// Drops all values, and takes from the loads under way the right to store theirs.
    pub(super) fn clear(&self) {
        drop_everything(self.write());
    }

    /// Drops one value, and takes from its load under way the right to store it.
    pub(super) fn invalidate(&self, key: &[u8]) {
        let mut state = self.write();
        let value = state.values.remove(key);
        let flight = state.flights.remove(key);
        drop(state);
        drop(value);
        flight.inspect(|flight| flight.end(Outcome::Dropped));
    }

    /// Finds the value, the load under way, or registers a new one. That there is none counts as a value only where that
    /// will do.
    pub(super) fn begin(&self, key: &Key, now: u64, absent_will_do: bool) -> Begun<V> {
        let mut state = self.write();
        if let Some(found) = state.values.get(key, now).map(|found| found.cloned())
            && (found.is_some() || absent_will_do)
        {
            drop(state);
            self.count_hit(found.as_ref());
            return Begun::Hit(found);
        }
        if let Some(flight) = state.flights.get(key) {
            return Begun::Join(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::new());
        state.flights.insert(key.clone(), Arc::clone(&flight));
        Begun::Lead(flight)
    }

    /// Stores what a load found, if it is still registered. Returns whether it was.
    fn complete(&self, lead: &Lead<V>, found: Option<V>, now: u64, options: &Options<V>) -> bool {
        let weight = options.weight(found.as_ref());
        let expiry = options.expiry(found.is_some(), now);
        let mut state = self.write();
        if !state.unregister(lead) {
            drop(state);
            self.counters.count_outdated();
            return false;
        }
        let mut gone = Vec::new();
        if let Some(expires) = expiry.filter(|_| weight <= options.room) {
            gone = state.values.insert(lead.key.clone(), found, expires, weight, options.room, now);
        }
        drop(state);
        self.counters.count_evictions(gone.iter().filter(|gone| gone.is_evicted).count());
        true
    }
}

/// Empties the partition while it is locked, which costs the same whatever it holds, and frees it afterwards.
fn drop_everything<V>(mut state: RwLockWriteGuard<'_, State<V>>) {
    let values = std::mem::replace(&mut state.values, Table::new());
    let flights = std::mem::take(&mut state.flights);
    drop(state);
    drop(values);
    flights.into_values().for_each(|flight| flight.end(Outcome::Dropped));
}

impl<V> State<V> {
    fn is_current(&self, now: u64, refresh: u64) -> bool {
        self.known.is_some_and(|known| now.saturating_sub(known.asked) < refresh)
    }

    fn unregister(&mut self, lead: &Lead<V>) -> bool {
        let registered = self.flights.get(&lead.key).is_some_and(|flight| Arc::ptr_eq(flight, &lead.flight));
        if registered {
            self.flights.remove(&lead.key);
        }
        registered
    }
}

/// The right to load a value and to store it, as long as it is registered.
pub(super) struct Lead<V> {
    partition: Arc<Partition<V>>,
    key: Key,
    flight: Arc<Flight<V>>,
}

impl<V: Clone> Lead<V> {
    pub(super) fn new(partition: Arc<Partition<V>>, key: Key, flight: Arc<Flight<V>>) -> Self {
        Self { partition, key, flight }
    }

    pub(super) fn partition(&self) -> &Partition<V> {
        &self.partition
    }

    /// Stores what was found, unless it was dropped meanwhile, and hands it to those who wait.
    pub(super) fn finish(self, found: Option<V>, now: u64, options: &Options<V>) {
        if self.partition.complete(&self, found.clone(), now, options) {
            self.flight.end(Outcome::Loaded(found));
        }
    }

    /// Stores nothing; those who wait load for themselves.
    pub(super) fn fail(self) {
        self.partition.write().unregister(&self);
        self.flight.end(Outcome::Failed);
    }
}

impl<V> Drop for Lead<V> {
    fn drop(&mut self) {
        // After an end, both do nothing.
        self.partition.write().unregister(self);
        self.flight.end(Outcome::Dropped);
    }
}
