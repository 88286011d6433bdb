//! The tenants that a thread found last, at hand without a look at the index: most requests ask for one of a few.
//!
//! Nothing here grows stale. A record never changes, and says itself whether its catalog has replaced or removed it; until
//! then the names under which it was found are its own, since no name is taken from a tenant but by a new record. The name
//! is compared, byte for byte, as in the index.
//!
//! The price: a record that was removed may stay in memory, unused, until its thread ends or needs the place.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Tenant;

/// With two places each, some 5 KB for each thread of the program.
const SETS: usize = 64;

thread_local! {
    static RECENT: RefCell<[Set; SETS]> = const { RefCell::new([const { Set::EMPTY }; SETS]) };
}

/// The number of an index, which no other one of this process has or had: an address may be used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct IndexNumber(u64);

impl IndexNumber {
    pub(super) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// How many have to come in vain before one of them turns somebody out: a crowd of others does it seldom, and whoever
/// comes often has his place soon.
const IN_VAIN: u32 = 16;

/// Where tenants stand whose names' hashes say so: the one that came last is first.
struct Set {
    places: [Place; 2],
    in_vain: u32,
}

struct Place {
    index: IndexNumber,
    hash: u64,
    /// Which of the tenant's names it is.
    at: u32,
    tenant: Option<Arc<Tenant>>,
}

impl Set {
    const EMPTY: Self = Self { places: [const { Place::EMPTY }; 2], in_vain: 0 };
}

impl Place {
    const EMPTY: Self = Self { index: IndexNumber(0), hash: 0, at: 0, tenant: None };

    /// Whether nobody stands here, or somebody who is found no more.
    fn is_free(&self) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| tenant.is_superseded())
    }
}

/// The index's shards and tables go by other bits.
#[inline]
fn set_of(hash: u64) -> usize {
    (hash >> 48) as usize % SETS
}

/// Returns the tenant that this thread found last under a name with this hash in this index, if `is` says that it is the
/// name, and nobody has replaced or removed the record since.
#[inline(always)]
pub(super) fn find(index: IndexNumber, hash: u64, is: impl Fn(&Tenant, u32) -> bool) -> Option<Arc<Tenant>> {
    let found = RECENT.try_with(|sets| {
        let sets = sets.borrow();
        let sought = |place: &&Place| {
            let is = |tenant: &Arc<Tenant>| !tenant.is_superseded() && is(tenant, place.at);
            place.hash == hash && place.index == index && place.tenant.as_ref().is_some_and(is)
        };
        sets[set_of(hash)].places.iter().find(sought).and_then(|place| place.tenant.clone())
    });
    found.ok().flatten()
}

/// Notes that `tenant` was found in the index under its name number `at`, and not here.
pub(super) fn note(index: IndexNumber, hash: u64, tenant: &Arc<Tenant>, at: u32) {
    let turned_out = RECENT.try_with(|sets| {
        let Set { places: [first, second], in_vain } = &mut sets.borrow_mut()[set_of(hash)];
        if !first.is_free() {
            *in_vain += 1;
            if !second.is_free() && *in_vain < IN_VAIN {
                return None;
            }
            mem::swap(first, second);
        }
        *in_vain = 0;
        Some(mem::replace(first, Place { index, hash, at, tenant: Some(Arc::clone(tenant)) }))
    });
    // What is dropped may be the last of its tenant: not while the places are borrowed.
    drop(turned_out);
}
