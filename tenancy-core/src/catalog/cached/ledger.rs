//! What only writers see: which records are held under which names, which loads are under way, and in what order
//! things happened.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::Answer;
use super::allowance::Allowance;
use super::flight::{Flight, Waiter};
use super::floors::Floors;
use super::snapshot::Entry;
use crate::{Tenant, TenantId, TenantKey};

/// A record and all names under which readers find it.
pub(super) struct Held {
    pub(super) record: Arc<Tenant>,
    /// The moment at which the load began that brought it.
    pub(super) started: u64,
    pub(super) names: Vec<Arc<Entry>>,
}

/// A load under way, as others may join it.
pub(super) struct Flying {
    pub(super) started: u64,
    pub(super) since: u64,
    pub(super) flight: Weak<Flight<Answer>>,
}

pub(super) struct Ledger {
    pub(super) tenants: HashMap<TenantId, Held>,
    pub(super) floors: Floors,
    pub(super) flights: HashMap<Arc<TenantKey<'static>>, Flying>,
    pub(super) allowance: Allowance,
    /// Counts starts of loads and changes, and so puts them in order.
    moment: u64,
    /// Loads that began before this moment are not trusted, whatever they bring.
    pub(super) barrier: u64,
}

impl Ledger {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            tenants: HashMap::new(),
            floors: Floors::default(),
            flights: HashMap::new(),
            allowance,
            moment: 0,
            barrier: 0,
        }
    }

    pub(super) fn next_moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Returns a share in the load of `key` that is under way, unless it began before `changed`, when something that
    /// it may have missed was announced, or before `patience`, so long ago that it may hang.
    pub(super) fn join(
        &self,
        key: &TenantKey<'static>,
        changed: u64,
        patience: u64,
    ) -> Option<Waiter<Answer>> {
        let flying = self.flights.get(key)?;
        if flying.started < changed || flying.since < patience {
            return None;
        }
        // Not given back here once it is taken: the last share in a flight must not be dropped under the lock.
        flying.flight.upgrade().map(Waiter::new)
    }

    /// Notes that the load which began at `started` is over.
    pub(super) fn land(&mut self, key: &TenantKey<'static>, started: u64) {
        if self.flights.get(key).is_some_and(|flying| flying.started == started) {
            self.flights.remove(key);
        }
    }

    /// Returns the last known record of a tenant: the one that is held, else one that somebody still uses.
    pub(super) fn last(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.tenants.get(id).map(|held| Arc::clone(&held.record)).or_else(|| self.floors.last(id))
    }

    /// Raises the floor of a tenant.
    pub(super) fn raise(&mut self, id: &TenantId, version: u64, last: Option<&Arc<Tenant>>) {
        if self.floors.raise(id, version, last) {
            // A load that began before may bring just what was forgotten (DIR-17).
            self.barrier = self.next_moment();
        }
    }

    /// Stops to hold a record: no look-up finds it from here on. Returns the names that readers still have.
    pub(super) fn drop_tenant(&mut self, id: &TenantId) -> Vec<Arc<Entry>> {
        let Some(held) = self.tenants.remove(id) else { return Vec::new() };
        // This, and not the removal of the names, is what readers go by: it hides them all at once.
        held.record.supersede();
        self.raise(id, held.record.version(), Some(&held.record));
        held.names
    }

    /// Notes that readers no longer have `entry`.
    pub(super) fn forget_name(&mut self, entry: &Arc<Entry>) {
        let Some(tenant) = &entry.tenant else { return };
        let Some(held) = self.tenants.get_mut(tenant.id()) else { return };
        held.names.retain(|name| !Arc::ptr_eq(name, entry));
        if held.names.is_empty() {
            // A record that cannot be found would miss its invalidation: whoever uses it must look again.
            self.drop_tenant(tenant.id());
        }
    }
}
