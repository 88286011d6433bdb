//! The least version that is still true of each tenant, remembered for a while after its record is gone.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::{Tenant, TenantId};

/// How many floors one generation holds; at most two are kept, in about 3 MB.
const GENERATION: usize = 16_384;

#[derive(Default)]
struct Floor {
    version: u64,
    /// The last record, where somebody outside still holds it: its successor is linked to it.
    last: Weak<Tenant>,
}

/// Versions below which a record is outdated (DIR-02, DIR-09). Bounded: the oldest half is forgotten at once.
#[derive(Default)]
pub(super) struct Floors {
    young: HashMap<TenantId, Floor>,
    old: HashMap<TenantId, Floor>,
}

impl Floors {
    pub(super) fn admits(&self, id: &TenantId, version: u64) -> bool {
        [&self.young, &self.old].into_iter().all(|floors| floors.get(id).is_none_or(|f| f.version <= version))
    }

    /// Raises the floor of a tenant, and returns whether other floors were forgotten for it: loads that began before
    /// must not be trusted then.
    #[must_use]
    pub(super) fn raise(&mut self, id: &TenantId, version: u64, last: Option<&Arc<Tenant>>) -> bool {
        let known = self.young.remove(id).or_else(|| self.old.remove(id)).unwrap_or_default();
        let full = self.young.len() >= GENERATION;
        let forgotten = full && !std::mem::replace(&mut self.old, std::mem::take(&mut self.young)).is_empty();
        let last = last.map_or(known.last, Arc::downgrade);
        self.young.insert(id.clone(), Floor { version: known.version.max(version), last });
        forgotten
    }

    /// Returns the last record of a tenant that was dropped, if somebody still holds it.
    pub(super) fn last(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.young.get(id).or_else(|| self.old.get(id))?.last.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> TenantId {
        TenantId::integer(i64::try_from(n).unwrap() + 1).unwrap()
    }

    #[test]
    fn dir_09_a_floor_only_rises() {
        let mut floors = Floors::default();
        assert!(!floors.raise(&id(1), 7, None));
        assert!(!floors.raise(&id(1), 3, None));
        assert!(!floors.admits(&id(1), 6));
        assert!(floors.admits(&id(1), 7));
        assert!(floors.admits(&id(2), 0));
    }

    #[test]
    fn dir_05_floors_are_bounded_and_say_when_one_is_forgotten() {
        let mut floors = Floors::default();
        let forgot: Vec<usize> = (0..4 * GENERATION).filter(|&n| floors.raise(&id(n), 9, None)).collect();
        assert_eq!(forgot, [2 * GENERATION, 3 * GENERATION]);
        assert!(floors.young.len() + floors.old.len() <= 2 * GENERATION);
        assert!(floors.admits(&id(0), 1), "the first is long forgotten");
        assert!(!floors.admits(&id(4 * GENERATION - 1), 1));
    }
}
