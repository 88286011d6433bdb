//! Who holds which connection, who waits, and who is next: decisions only. No I/O, no clock, no lock.
//!
//! A permit stands for one physical connection. It is taken before a connection is opened and given back after it was
//! closed, so that `in_use` never exceeds the budget and is never less than what is open.
//!
//! Those who wait for one database on behalf of one tenant form a lane. The lanes that could go on if there were a
//! connection stand in the rotation; each in turn gets one. A lane that waits for something else, its tenant's limit or
//! its database, is parked there, so that it costs nothing until that changes.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

use hashbrown::HashMap;

use super::tally::{Counted, Tally};

/// The limits; each is at least 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections over all databases, from before they are opened until after they are closed.
    pub(super) budget: usize,
    /// Connections that one tenant holds.
    pub(super) per_tenant: usize,
    /// Connections to one database.
    pub(super) per_database: usize,
    /// Requests that wait.
    pub(super) waiting: usize,
    /// Requests of one tenant that wait.
    pub(super) waiting_per_tenant: usize,
}

pub(super) type Ticket = u64;

/// What the caller has to do, once it has let go of the ledger.
#[derive(Debug)]
pub(super) enum Action<K, U> {
    /// Hand this open connection over.
    Give { ticket: Ticket, unit: U, generation: u64 },
    /// Close what was evicted, if anything, and say so; then open a connection, and say how that went.
    Open { ticket: Ticket, key: K, generation: u64, evicted: Option<(K, U)> },
    /// Close this connection, and say so.
    Close { key: K, unit: U },
    /// Tell that the database did not let anybody in.
    Fail { ticket: Ticket },
}

/// Why a request does not even wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// The database is another tenant's own.
    Foreign,
    /// Everything is being closed.
    Closed,
}

#[derive(Debug)]
struct Idle<U> {
    unit: U,
    /// Unique, and greater than that of each connection that became idle before.
    stamp: u64,
    since: Instant,
}

#[derive(Debug)]
struct Pool<T, U> {
    owner: Option<T>,
    idle: VecDeque<Idle<U>>,
    /// Permits: connecting, idle, held and closing.
    live: usize,
    connecting: usize,
    lanes: usize,
    /// Whether the last attempt to connect succeeded. Until one has, there is one attempt at a time.
    proven: bool,
    generation: u64,
    parked: VecDeque<T>,
}

#[derive(Debug)]
struct Holder<K> {
    held: usize,
    waiting: usize,
    parked: Vec<K>,
}

#[derive(Debug, Default)]
struct Lane {
    /// With those that have given up, until there are too many of them.
    tickets: VecDeque<Ticket>,
    live: usize,
}

#[derive(Debug)]
pub(super) struct Ledger<T, K, U> {
    limits: Limits,
    pools: HashMap<K, Pool<T, U>>,
    tenants: HashMap<T, Holder<K>>,
    lanes: HashMap<(T, K), Lane>,
    rotation: VecDeque<(T, K)>,
    waiting: HashMap<Ticket, (T, K)>,
    idle_by_age: BTreeMap<u64, K>,
    next_stamp: u64,
    next_ticket: Ticket,
    next_generation: u64,
    closed: bool,
    tally: Tally,
}

type Actions<K, U> = Vec<Action<K, U>>;

impl<T: Clone + Eq + Hash, K: Clone + Eq + Hash, U> Ledger<T, K, U> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pools: HashMap::new(),
            tenants: HashMap::new(),
            lanes: HashMap::new(),
            rotation: VecDeque::new(),
            waiting: HashMap::new(),
            idle_by_age: BTreeMap::new(),
            next_stamp: 0,
            next_ticket: 0,
            next_generation: 0,
            closed: false,
            tally: Tally::default(),
        }
    }

    /// Puts a request in line. `own` says that the database is this tenant's alone.
    pub(super) fn request(
        &mut self,
        tenant: &T,
        key: &K,
        own: bool,
        actions: &mut Actions<K, U>,
    ) -> Result<Ticket, Refused> {
        self.admit(tenant, key, own).inspect_err(|_| self.tally.count(Counted::Refused))?;
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.holder(tenant).waiting += 1;
        let lane = (tenant.clone(), key.clone());
        self.waiting.insert(ticket, lane.clone());
        let known = self.lanes.contains_key(&lane);
        let line = self.lanes.entry(lane.clone()).or_default();
        line.tickets.push_back(ticket);
        line.live += 1;
        if !known {
            self.pool(key).lanes += 1;
            self.rotation.push_back(lane);
        }
        self.pump(actions);
        if self.waiting.contains_key(&ticket) {
            self.tally.count(Counted::Waited);
        }
        Ok(ticket)
    }

    fn admit(&mut self, tenant: &T, key: &K, own: bool) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let waiting = self.tenants.get(tenant).map_or(0, |holder| holder.waiting);
        if self.waiting.len() >= self.limits.waiting || waiting >= self.limits.waiting_per_tenant {
            return Err(Refused::Full);
        }
        let pool = self.pool(key);
        if own && pool.owner.get_or_insert_with(|| tenant.clone()) != tenant {
            return Err(Refused::Foreign);
        }
        Ok(())
    }

    /// Takes a request out of the line; returns whether it was in it.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> bool {
        let Some((tenant, key)) = self.waiting.remove(&ticket) else { return false };
        self.holder(&tenant).waiting -= 1;
        if let Some(line) = self.lanes.get_mut(&(tenant.clone(), key.clone())) {
            line.live -= 1;
            if line.tickets.len() > 2 * line.live + 8 {
                let waiting = &self.waiting;
                line.tickets.retain(|ticket| waiting.contains_key(ticket));
            }
        }
        self.tidy(&tenant, &key);
        true
    }

    /// Notes that a connection was opened for `ticket`, and hands it over.
    pub(super) fn opened(
        &mut self,
        ticket: Ticket,
        key: &K,
        generation: u64,
        unit: U,
        actions: &mut Actions<K, U>,
    ) {
        self.tally.count(Counted::Opened);
        let pool = self.pool(key);
        pool.connecting -= 1;
        pool.proven = true;
        actions.push(Action::Give { ticket, unit, generation });
        self.unpark_all(key);
        self.pump(actions);
    }

    /// Notes that a connection could not be opened. Whoever waited for the same attempt fails with it.
    pub(super) fn not_opened(&mut self, tenant: &T, key: &K, actions: &mut Actions<K, U>) {
        self.tally.count(Counted::FailedToOpen);
        self.tally.in_use -= 1;
        let pool = self.pool(key);
        pool.connecting -= 1;
        pool.live -= 1;
        if std::mem::replace(&mut pool.proven, false) {
            self.unpark_all(key);
        } else {
            let parked = std::mem::take(&mut pool.parked);
            parked.into_iter().for_each(|tenant| self.fail_lane(tenant, key, actions));
        }
        self.let_go(tenant);
        self.tidy(tenant, key);
        self.pump(actions);
    }

    fn fail_lane(&mut self, tenant: T, key: &K, actions: &mut Actions<K, U>) {
        let lane = (tenant, key.clone());
        let Some(line) = self.lanes.remove(&lane) else { return };
        self.pool(key).lanes -= 1;
        for ticket in line.tickets {
            if self.waiting.remove(&ticket).is_some() {
                self.holder(&lane.0).waiting -= 1;
                actions.push(Action::Fail { ticket });
            }
        }
        self.tidy(&lane.0, key);
    }

    /// Takes back a connection that its holder is done with; it is closed unless it is worth keeping.
    pub(super) fn give_back(
        &mut self,
        tenant: &T,
        key: &K,
        (unit, generation): (U, u64),
        keep: bool,
        now: Instant,
        actions: &mut Actions<K, U>,
    ) {
        let closed = self.closed;
        let stamp = self.next_stamp;
        let pool = self.pool(key);
        if keep && !closed && pool.generation == generation {
            pool.idle.push_back(Idle { unit, stamp, since: now });
            self.idle_by_age.insert(stamp, key.clone());
            self.next_stamp += 1;
            self.unpark_one(key);
        } else {
            self.tally.closing += 1;
            actions.push(Action::Close { key: key.clone(), unit });
        }
        self.let_go(tenant);
        self.tidy(tenant, key);
        self.pump(actions);
    }

    /// Notes that a connection is closed, and its permit free.
    pub(super) fn closed(&mut self, key: &K, actions: &mut Actions<K, U>) {
        self.tally.in_use -= 1;
        self.evicted(key, actions);
    }

    /// Notes that an evicted connection is closed; its permit is that of the one that is opened instead.
    pub(super) fn evicted(&mut self, key: &K, actions: &mut Actions<K, U>) {
        self.tally.closing -= 1;
        self.pool(key).live -= 1;
        self.unpark_one(key);
        self.tidy_pool(key);
        self.pump(actions);
    }

    /// Closes what has been idle since `before` or longer.
    pub(super) fn expire(&mut self, before: Instant, actions: &mut Actions<K, U>) {
        while let Some((&stamp, key)) = self.idle_by_age.first_key_value() {
            let key = key.clone();
            let oldest = self.pools.get(&key).and_then(|pool| pool.idle.front());
            if oldest.is_none_or(|idle| idle.since > before) {
                return;
            }
            self.close_idle(stamp, &key, actions);
            self.tally.count(Counted::Expired);
        }
    }

    /// Closes the idle connections of a database, and each held one when it comes back.
    pub(super) fn retire(&mut self, key: &K, actions: &mut Actions<K, U>) {
        self.next_generation += 1;
        let generation = self.next_generation;
        let Some(pool) = self.pools.get_mut(key) else { return };
        pool.generation = generation;
        let stamps: Vec<_> = pool.idle.iter().map(|idle| idle.stamp).collect();
        for stamp in stamps {
            self.close_idle(stamp, key, actions);
            self.tally.count(Counted::Retired);
        }
    }

    /// Lets nobody in any more, and closes what is idle; what is held is closed when it comes back.
    pub(super) fn shut(&mut self, actions: &mut Actions<K, U>) {
        self.closed = true;
        for (ticket, (tenant, _)) in std::mem::take(&mut self.waiting) {
            self.holder(&tenant).waiting -= 1;
            actions.push(Action::Fail { ticket });
        }
        self.lanes.clear();
        self.rotation.clear();
        self.pools.values_mut().for_each(|pool| {
            pool.parked.clear();
            pool.lanes = 0;
        });
        self.tenants.values_mut().for_each(|holder| holder.parked.clear());
        for (stamp, key) in self.idle_by_age.clone() {
            self.close_idle(stamp, &key, actions);
        }
    }

    /// Serves lanes in turn, until the next one needs a connection and there is none to be had.
    fn pump(&mut self, actions: &mut Actions<K, U>) {
        while let Some((tenant, key)) = self.rotation.pop_front() {
            let lane = (tenant, key);
            let Some(ticket) = self.head(&lane) else {
                self.lanes.remove(&lane);
                self.pool(&lane.1).lanes -= 1;
                self.tidy(&lane.0, &lane.1);
                continue;
            };
            let (tenant, key) = (&lane.0, &lane.1);
            if self.holder(tenant).held >= self.limits.per_tenant {
                self.holder(tenant).parked.push(lane.1);
                continue;
            }
            let per_database = self.limits.per_database;
            let pool = self.pool(key);
            let action = if let Some(idle) = pool.idle.pop_back() {
                let generation = pool.generation;
                self.idle_by_age.remove(&idle.stamp);
                self.tally.count(Counted::Reused);
                Action::Give { ticket, unit: idle.unit, generation }
            } else if (!pool.proven && pool.connecting > 0) || pool.live >= per_database {
                pool.parked.push_back(lane.0);
                continue;
            } else if self.tally.in_use < self.limits.budget {
                self.tally.take_permit();
                self.open(ticket, key, None)
            } else if let Some(evicted) = self.evict() {
                self.open(ticket, key, Some(evicted))
            } else {
                self.rotation.push_front(lane);
                return;
            };
            actions.push(action);
            self.serve(ticket, lane);
        }
    }

    fn open(&mut self, ticket: Ticket, key: &K, evicted: Option<(K, U)>) -> Action<K, U> {
        let pool = self.pool(key);
        pool.live += 1;
        pool.connecting += 1;
        Action::Open { ticket, key: key.clone(), generation: pool.generation, evicted }
    }

    fn serve(&mut self, ticket: Ticket, lane: (T, K)) {
        self.waiting.remove(&ticket);
        if let Some(line) = self.lanes.get_mut(&lane) {
            line.tickets.pop_front();
            line.live -= 1;
        }
        let holder = self.holder(&lane.0);
        holder.waiting -= 1;
        holder.held += 1;
        self.tally.held += 1;
        self.rotation.push_back(lane);
    }

    /// Returns who is first in a lane.
    fn head(&mut self, lane: &(T, K)) -> Option<Ticket> {
        let line = self.lanes.get_mut(lane)?;
        while let Some(&ticket) = line.tickets.front() {
            if self.waiting.contains_key(&ticket) {
                return Some(ticket);
            }
            line.tickets.pop_front();
        }
        None
    }

    /// Takes out the connection that has been idle for longest. A held one is never touched.
    fn evict(&mut self) -> Option<(K, U)> {
        let (stamp, key) = self.idle_by_age.pop_first()?;
        let unit = self.take_idle(stamp, &key)?;
        self.tally.count(Counted::Evicted);
        self.tally.closing += 1;
        Some((key, unit))
    }

    fn close_idle(&mut self, stamp: u64, key: &K, actions: &mut Actions<K, U>) {
        self.idle_by_age.remove(&stamp);
        if let Some(unit) = self.take_idle(stamp, key) {
            self.tally.closing += 1;
            actions.push(Action::Close { key: key.clone(), unit });
        }
    }

    fn take_idle(&mut self, stamp: u64, key: &K) -> Option<U> {
        let pool = self.pools.get_mut(key)?;
        let place = pool.idle.iter().position(|idle| idle.stamp == stamp)?;
        pool.idle.remove(place).map(|idle| idle.unit)
    }

    /// Notes that the tenant holds one connection less.
    fn let_go(&mut self, tenant: &T) {
        self.tally.held -= 1;
        let holder = self.holder(tenant);
        holder.held -= 1;
        let parked = std::mem::take(&mut holder.parked);
        self.rotation.extend(parked.into_iter().map(|key| (tenant.clone(), key)));
    }

    fn unpark_one(&mut self, key: &K) {
        if let Some(tenant) = self.pool(key).parked.pop_front() {
            self.rotation.push_back((tenant, key.clone()));
        }
    }

    fn unpark_all(&mut self, key: &K) {
        let parked = std::mem::take(&mut self.pool(key).parked);
        self.rotation.extend(parked.into_iter().map(|tenant| (tenant, key.clone())));
    }

    fn pool(&mut self, key: &K) -> &mut Pool<T, U> {
        let generation = self.next_generation;
        self.pools.entry(key.clone()).or_insert_with(|| Pool {
            owner: None,
            idle: VecDeque::new(),
            live: 0,
            connecting: 0,
            lanes: 0,
            proven: false,
            generation,
            parked: VecDeque::new(),
        })
    }

    fn holder(&mut self, tenant: &T) -> &mut Holder<K> {
        let new = || Holder { held: 0, waiting: 0, parked: Vec::new() };
        self.tenants.entry(tenant.clone()).or_insert_with(new)
    }

    /// Forgets what is not in use: the ledger is as large as the budget and the line, whatever passed through it.
    fn tidy(&mut self, tenant: &T, key: &K) {
        let idle = |holder: &Holder<K>| holder.held == 0 && holder.waiting == 0 && holder.parked.is_empty();
        if self.tenants.get(tenant).is_some_and(idle) {
            self.tenants.remove(tenant);
        }
        self.tidy_pool(key);
    }

    fn tidy_pool(&mut self, key: &K) {
        if self.pools.get(key).is_some_and(|pool| pool.live == 0 && pool.lanes == 0) {
            self.pools.remove(key);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.tally;
        tally.idle = self.idle_by_age.len();
        tally.waiting = self.waiting.len();
        tally.databases = self.pools.values().filter(|pool| pool.live > 0).count();
        tally
    }

    /// The number of entries of each table, which a test of growth compares.
    #[cfg(test)]
    #[allow(dead_code, reason = "the schedule tests, which compile this a second time, use it")]
    pub(super) fn sizes(&self) -> [usize; 6] {
        [
            self.pools.len(),
            self.tenants.len(),
            self.lanes.len(),
            self.rotation.len(),
            self.waiting.len(),
            self.idle_by_age.len(),
        ]
    }
}
