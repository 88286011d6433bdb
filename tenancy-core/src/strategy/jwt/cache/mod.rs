//! The tokens that were verified already.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, PoisonError};

use arc_swap::{ArcSwapOption, Guard};
use foldhash::quality::RandomState;

use super::TokenError;
use super::clock::{WallClock, ticks};
use super::ledger::Ledger;
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::verified::Entry;
use crate::TenantKey;

/// How many places a token may be kept at: their tags fill one cache line. Fewer where every interleaving is tried.
const WAYS: usize = if cfg!(test) { 2 } else { 8 };

/// How many bytes an entry has on average when the cache is full, at most.
const BYTES_EACH: usize = 4096;

/// How many bytes at the end of a token are hashed.
const HASHED: usize = 16;

/// Verified tokens by their whole text.
///
/// A hash of a token's end, keyed by chance for each cache, says at which eight places it may be; the whole text is
/// compared before an entry is used, so that no hash, however weak, confuses two tokens. That is why it may be a fast one,
/// of no more than what tells tokens apart: at the end stand 12 bytes of the signature, which are another token's by no
/// chance worth a thought. Only verified tokens are kept, and each has its eight places: a flood of valid tokens, even of
/// such as were minted to collide, costs a bounded search and bounded memory.
///
/// Reading takes no lock. Writing does, under the one lock that revocations take too.
pub(super) struct Cache {
    hash: RandomState,
    tags: Box<[AtomicU64]>,
    places: Box<[ArcSwapOption<Entry>]>,
    state: Mutex<State>,
}

/// A verified token, held where the cache keeps it: to take it along would cost a count that all threads write to.
pub(crate) struct Known(Guard<Option<Arc<Entry>>>);

impl Known {
    /// Returns one that the cache need not keep.
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self(Guard::from_inner(Some(entry)))
    }

    #[inline]
    pub(super) fn entry(&self) -> &Arc<Entry> {
        self.0.as_ref().expect("it was made of an entry")
    }

    /// Returns the tenant that the token names.
    #[inline]
    pub(crate) fn tenant(&self) -> Option<&TenantKey<'static>> {
        self.entry().facts.tenant.as_ref()
    }
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    bytes: usize,
    hand: usize,
}

impl Cache {
    /// Returns a cache of about `capacity` tokens; with 0 it keeps none and only asks the ledger.
    pub(super) fn new(capacity: usize) -> Self {
        let places = if capacity == 0 { 0 } else { capacity.next_power_of_two().max(WAYS) };
        Self {
            hash: RandomState::default(),
            tags: (0..places).map(|_| AtomicU64::new(0)).collect(),
            places: (0..places).map(|_| ArcSwapOption::empty()).collect(),
            state: Mutex::default(),
        }
    }

    /// Returns the entry of `token`, if there is one that is still good.
    #[inline]
    pub(super) fn find(&self, token: &[u8], clock: &dyn WallClock) -> Option<Known> {
        let tag = self.tag(token);
        for place in self.places_of(tag) {
            if self.tags[place].load(Ordering::Acquire) != tag {
                continue;
            }
            let guard = self.places[place].load();
            let Some(entry) = &*guard else { continue };
            if *entry.token != *token {
                continue;
            }
            if !entry.is_live(clock) {
                return None;
            }
            // Read first: a line that two threads only read does not travel between them.
            if !entry.used.load(Ordering::Relaxed) {
                entry.used.store(true, Ordering::Relaxed);
            }
            return Some(Known(guard));
        }
        None
    }

    /// Keeps `entry` if nothing speaks against it at this moment; what was revoked while it was verified is refused.
    pub(super) fn admit(&self, entry: Entry, clock: &dyn WallClock) -> Result<Arc<Entry>, TokenError> {
        let entry = Arc::new(entry);
        let mut state = self.lock();
        state.ledger.admit(&entry.facts)?;
        if !self.places.is_empty() {
            self.make_room(&mut state, entry.size());
            let place = self.choose(&entry, ticks(clock.now()));
            self.put(&mut state, place, Some(&entry));
        }
        Ok(entry)
    }

    /// Changes the ledger and drops every entry that it no longer admits. When this returns, no reader finds one.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let mut state = self.lock();
        let answer = change(&mut state.ledger);
        for place in 0..self.places.len() {
            // Under the lock a place without a tag is empty.
            if self.tags[place].load(Ordering::Relaxed) == 0 {
                continue;
            }
            let entry = self.places[place].load_full();
            if entry.is_some_and(|entry| state.ledger.admit(&entry.facts).is_err()) {
                self.put(&mut state, place, None);
            }
        }
        answer
    }

    pub(super) fn read_ledger<R>(&self, read: impl FnOnce(&Ledger) -> R) -> R {
        read(&self.lock().ledger)
    }

    /// Returns how many tokens are kept.
    pub(super) fn len(&self) -> usize {
        self.places.iter().filter(|place| place.load().is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn tag(&self, token: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        match token.last_chunk::<HASHED>() {
            // Of a length that is known, and so without a look at it.
            Some(end) => hasher.write(end),
            None => hasher.write(token),
        }
        // 0 marks an empty place.
        hasher.finish().max(1)
    }

    fn places_of(&self, tag: u64) -> std::ops::Range<usize> {
        if self.places.is_empty() {
            return 0..0;
        }
        // The number of sets is a power of two; the tag's low bits choose one.
        let sets = (self.places.len() / WAYS) as u64;
        #[expect(clippy::cast_possible_truncation, reason = "a number below the number of sets")]
        let first = (tag & (sets - 1)) as usize * WAYS;
        first..first + WAYS
    }

    /// Chooses where to keep `entry`: where it already is, at an empty place, at one that is over, or at one that nobody
    /// used since this was last asked.
    fn choose(&self, entry: &Entry, now: u64) -> usize {
        let places = self.places_of(self.tag(&entry.token));
        let worth = |place: usize| match &*self.places[place].load() {
            Some(other) if other.token == entry.token => 0,
            None => 1,
            Some(other) if other.is_over(now) => 2,
            Some(other) if !other.used.load(Ordering::Relaxed) => 3,
            Some(_) => 4,
        };
        let best = places.clone().min_by_key(|place| worth(*place)).expect("a set has places");
        if worth(best) == 4 {
            for place in places {
                if let Some(other) = &*self.places[place].load() {
                    other.used.store(false, Ordering::Relaxed);
                }
            }
        }
        best
    }

    /// Drops entries until `bytes` more fit, those first that nobody used since the hand last passed.
    fn make_room(&self, state: &mut State, bytes: usize) {
        let limit = self.places.len().saturating_mul(BYTES_EACH);
        let mut steps = 2 * self.places.len();
        while state.bytes.saturating_add(bytes) > limit && steps > 0 {
            steps -= 1;
            state.hand = (state.hand + 1) % self.places.len();
            let spared = match &*self.places[state.hand].load() {
                Some(entry) => entry.used.swap(false, Ordering::Relaxed),
                None => true,
            };
            if !spared {
                self.put(state, state.hand, None);
            }
        }
    }

    /// A reader that finds the tag without its entry, or the reverse, finds nothing: the text decides.
    fn put(&self, state: &mut State, place: usize, entry: Option<&Arc<Entry>>) {
        let tag = entry.map_or(0, |entry| self.tag(&entry.token));
        let old = self.places[place].swap(entry.cloned());
        self.tags[place].store(tag, Ordering::Release);
        state.bytes += entry.map_or(0, |entry| entry.size());
        state.bytes -= old.map_or(0, |entry| entry.size());
    }
}
