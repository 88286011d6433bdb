//! The cache's rules: what is answered from memory, what is loaded, and what of a load is believed.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::allowance::Allowance;
use super::clock::{Clock, nanos};
use super::flight::{Flight, Waiter};
use super::ledger::{Flying, Ledger};
use super::snapshot::{Name, Snapshot};
use super::stats::{CacheStats, Counters, count};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::{Answer, Options};
use crate::{Error, Tenant, TenantCatalog, TenantId, TenantKey};

/// How often a look-up asks when what it gets was overtaken, before it is refused.
const ATTEMPTS: usize = 3;

pub(super) struct Engine<C> {
    pub(super) catalog: C,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) present: Snapshot,
    pub(super) absent: Snapshot,
    /// The moment of the last change that was announced: what was learnt of unknown names before it is void (DIR-04).
    pub(super) changed: AtomicU64,
    ledger: Mutex<Ledger>,
    pub(super) counters: Counters,
}

/// Where a look-up stands.
pub(super) enum Look {
    Found(Arc<Tenant>),
    Absent,
    Wait(Waiter<Answer>),
    Refused,
}

/// What a load is known by.
pub(super) struct Ticket {
    pub(super) key: Arc<TenantKey<'static>>,
    /// The moment at which it began, and that moment by the clock.
    pub(super) started: u64,
    pub(super) since: u64,
    /// Whether a token was taken for it, since the name was unknown.
    pub(super) charged: bool,
}

impl<C: TenantCatalog> Engine<C> {
    pub(super) fn new(catalog: C, options: Options, clock: Arc<dyn Clock>) -> Self {
        let (burst, rate) = options.unknown_loads;
        let allowance = Allowance::new(burst, rate, nanos(clock.now()));
        Self {
            catalog,
            clock,
            present: Snapshot::new(options.capacity),
            absent: Snapshot::new(options.absent_capacity),
            changed: AtomicU64::new(0),
            ledger: Mutex::new(Ledger::new(allowance)),
            counters: Counters::default(),
            options,
        }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.clock.now())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        // The wrapped catalog, wakers and clocks run outside this lock; what runs inside does not panic half-way.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers from memory where that is possible. Takes no lock then, and allocates nothing.
    pub(super) fn look(self: &Arc<Self>, key: &TenantKey<'_>) -> Look {
        let now = self.now();
        self.peek(key, now).unwrap_or_else(|| self.join(&key.clone().into_owned(), now))
    }

    /// Returns the tenant that `name` is known to denote now.
    pub(super) fn at_hand<'n>(&self, name: impl Into<Name<'n>>, now: u64) -> Option<Arc<Tenant>> {
        let found = self.present.get(name, |entry| {
            let tenant = entry.current().filter(|_| now < entry.fresh_until)?;
            entry.touch();
            Some(Arc::clone(tenant))
        })??;
        self.counters.hits.add();
        Some(found)
    }

    fn peek(&self, key: &TenantKey<'_>, now: u64) -> Option<Look> {
        if let Some(tenant) = self.at_hand(key, now) {
            return Some(Look::Found(tenant));
        }
        let is_absent = self.absent.get(key, |entry| {
            entry.touch();
            now < entry.fresh_until && entry.started >= self.changed.load(Ordering::Acquire)
        });
        is_absent.filter(|absent| *absent).map(|_| {
            self.counters.negative_hits.add();
            Look::Absent
        })
    }

    fn join(self: &Arc<Self>, key: &TenantKey<'static>, now: u64) -> Look {
        let mut ledger = self.lock();
        // Between the first look and this lock the load may have ended (DIR-06).
        if let Some(answer) = self.peek(key, now) {
            return answer;
        }
        let patience = now.saturating_sub(nanos(self.options.patience));
        let changed = self.changed.load(Ordering::Acquire);
        if let Some(waiter) = ledger.join(key, changed, patience) {
            return Look::Wait(waiter);
        }
        let known = self.present.get(key, |entry| entry.current().is_some()) == Some(true);
        if !known && !ledger.allowance.take(now) {
            count(&self.counters.refused);
            return Look::Refused;
        }
        Look::Wait(self.start(&mut ledger, key, now, !known))
    }

    pub(super) fn start(
        self: &Arc<Self>,
        ledger: &mut Ledger,
        key: &TenantKey<'static>,
        since: u64,
        charged: bool,
    ) -> Waiter<Answer> {
        let key = Arc::new(key.clone());
        let started = ledger.next_moment();
        let ticket = Ticket { key: Arc::clone(&key), started, since, charged };
        let landing = Landing::new(Arc::clone(self), ticket);
        let flight = Arc::new(Flight::new(Box::pin(landing.load()), || Answer::Failed(panicked())));
        ledger.flights.insert(key, Flying { started, since, flight: Arc::downgrade(&flight) });
        Waiter::new(flight)
    }

    /// Waits for a load, and looks again where its answer was overtaken.
    pub(super) async fn wait(
        self: Arc<Self>,
        key: TenantKey<'static>,
        mut waiter: Waiter<Answer>,
    ) -> Result<Option<Arc<Tenant>>, Error> {
        for _ in 0..ATTEMPTS {
            match waiter.await {
                // Whoever waited may come to read the answer long after the load ended (DIR-02).
                Answer::Found(tenant) if !tenant.is_superseded() => return Ok(Some(tenant)),
                Answer::Absent => return Ok(None),
                Answer::Failed(error) => return Err(error),
                Answer::Found(_) | Answer::Outdated => {}
            }
            waiter = match self.look(&key) {
                Look::Found(tenant) => return Ok(Some(tenant)),
                Look::Absent => return Ok(None),
                Look::Refused => return Err(refused()),
                Look::Wait(waiter) => waiter,
            };
        }
        Err(Error::catalog_unavailable("every answer was older than what is known of the tenant"))
    }

    /// Makes records of `id` older than `version` void. Later than that, unknown names may be this tenant's.
    pub(super) fn invalidate(&self, id: &TenantId, version: u64) {
        let mut ledger = self.lock();
        self.note_change(&mut ledger);
        ledger.raise(id, version, None);
        if ledger.tenants.get(id).is_some_and(|held| held.record.version() < version) {
            self.drop_tenant(&mut ledger, id);
        }
    }

    /// Forgets what is known of `key`, and distrusts every load under way.
    pub(super) fn forget(&self, key: &TenantKey<'_>) {
        let mut ledger = self.lock();
        ledger.barrier = self.note_change(&mut ledger);
        if let Some(entry) = self.present.get(key, Arc::clone) {
            self.displace(&mut ledger, &entry);
        }
    }

    pub(super) fn flush(&self) {
        let mut ledger = self.lock();
        ledger.barrier = self.note_change(&mut ledger);
        let ids: Vec<TenantId> = ledger.tenants.keys().cloned().collect();
        for id in &ids {
            // The names go all at once below.
            ledger.drop_tenant(id);
        }
        self.present.clear();
        self.absent.clear();
    }

    /// Begins to load the record of `id` anew, if an older one than `version` is held. That one goes on to be served.
    pub(super) fn renew(self: &Arc<Self>, id: &TenantId, version: u64) -> Option<Waiter<Answer>> {
        let now = self.now();
        let mut ledger = self.lock();
        self.note_change(&mut ledger);
        ledger.tenants.get(id).filter(|held| held.record.version() < version)?;
        Some(self.start(&mut ledger, &TenantKey::Id(id.clone()), now, false))
    }

    fn note_change(&self, ledger: &mut Ledger) -> u64 {
        let moment = ledger.next_moment();
        self.changed.store(moment, Ordering::Release);
        moment
    }

    pub(super) fn stats(&self) -> CacheStats {
        let names = |snapshot: &Snapshot| u64::try_from(snapshot.len()).unwrap_or(u64::MAX);
        CacheStats {
            names: names(&self.present),
            negative_names: names(&self.absent),
            ..self.counters.stats()
        }
    }

    pub(super) fn until(&self, since: u64, time: Duration) -> u64 {
        since.saturating_add(nanos(time))
    }
}

/// Takes the load out of the books when it ends, also if it is dropped before.
struct Landing<C: TenantCatalog> {
    engine: Arc<Engine<C>>,
    ticket: Ticket,
    asked: bool,
}

impl<C: TenantCatalog> Landing<C> {
    fn new(engine: Arc<Engine<C>>, ticket: Ticket) -> Self {
        count(&engine.counters.in_flight);
        Self { engine, ticket, asked: false }
    }

    async fn load(mut self) -> Answer {
        self.asked = true;
        count(&self.engine.counters.loads);
        let answer = self.engine.catalog.find(&self.ticket.key).wait().await;
        self.engine.commit(&self.ticket, answer)
    }
}

impl<C: TenantCatalog> Drop for Landing<C> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            count(&self.engine.counters.errors);
        }
        self.engine.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut ledger = self.engine.lock();
        ledger.land(&self.ticket.key, self.ticket.started);
        if self.ticket.charged && !self.asked {
            ledger.allowance.give_back();
        }
    }
}

pub(super) fn refused() -> Error {
    Error::catalog_unavailable("too many unknown names were asked for")
}

fn panicked() -> Error {
    Error::catalog_unavailable("the load panicked")
}
