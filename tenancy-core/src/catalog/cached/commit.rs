//! What becomes of a load's answer: believed, kept, or thrown away.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Answer;
use super::engine::{Engine, Ticket};
use super::ledger::{Held, Ledger};
use super::snapshot::Entry;
use super::stats::count;
use super::sync::Ordering;
use crate::{Error, Tenant, TenantCatalog, TenantId, TenantKey};

/// With more names than this, a renewed tenant's other names are asked for again rather than carried over.
const MOST_CARRIED: usize = 64;

impl<C: TenantCatalog> Engine<C> {
    /// Takes an answer in. Everything is decided and done under one lock: whatever was announced before is known here,
    /// and whatever is announced later finds what was put here (DIR-17).
    pub(super) fn commit(&self, ticket: &Ticket, answer: Result<Option<Arc<Tenant>>, Error>) -> Answer {
        let now = self.now();
        let mut ledger = self.lock();
        ledger.land(&ticket.key, ticket.started);
        let answer = match answer {
            Ok(Some(tenant)) => self.commit_found(&mut ledger, ticket, tenant, now),
            Ok(None) => self.commit_absent(&mut ledger, ticket, now),
            Err(error) => self.commit_error(&mut ledger, ticket, error, now),
        };
        if matches!(answer, Answer::Outdated) {
            count(&self.counters.outdated);
        }
        answer
    }

    fn commit_found(&self, ledger: &mut Ledger, ticket: &Ticket, new: Arc<Tenant>, now: u64) -> Answer {
        if let TenantKey::Id(id) = &*ticket.key
            && id != new.id()
        {
            count(&self.counters.errors);
            return Answer::Failed(Error::catalog_unavailable("it answered with another tenant"));
        }
        if ticket.charged {
            ledger.allowance.give_back();
        }
        let Some(record) = self.accept(ledger, ticket, &new) else { return Answer::Outdated };
        if self.present.get(&*ticket.key, |entry| entry.started > ticket.started) == Some(true)
            && self.other_owner(&ticket.key, record.id()).is_some()
        {
            return Answer::Outdated;
        }
        if let Some(other) = self.other_owner(&ticket.key, record.id()) {
            self.displace(ledger, &other);
        }
        let record = self.hold(ledger, ticket, record, now);
        self.insert(ledger, ticket, Arc::clone(&ticket.key), &record, now);
        if !matches!(&*ticket.key, TenantKey::Id(_)) {
            // Found again by id, it serves jobs and the next name's load.
            self.insert(ledger, ticket, Arc::new(TenantKey::Id(record.id().clone())), &record, now);
        }
        Answer::Found(record)
    }

    /// Returns the record to hold, or none if a newer one is known or expected (DIR-09).
    fn accept(&self, ledger: &Ledger, ticket: &Ticket, new: &Arc<Tenant>) -> Option<Arc<Tenant>> {
        let id = new.id();
        if ticket.started < ledger.barrier || !ledger.floors.admits(id, new.version()) || new.is_superseded()
        {
            return None;
        }
        let Some(held) = ledger.tenants.get(id) else { return Some(Arc::clone(new)) };
        if held.record.version() > new.version() {
            return None;
        }
        if held.record == *new {
            return Some(Arc::clone(&held.record));
        }
        // Of two different records with one version the one that was asked for later counts.
        let later = held.record.version() < new.version() || held.started < ticket.started;
        later.then(|| Arc::clone(new))
    }

    fn other_owner(&self, key: &TenantKey<'_>, id: &TenantId) -> Option<Arc<Entry>> {
        let other = |entry: &Arc<Entry>| entry.tenant.as_ref().is_some_and(|tenant| tenant.id() != id);
        self.present.get(key, |entry| other(entry).then(|| Arc::clone(entry))).flatten()
    }

    /// Makes `record` the one that is held, with those names of its predecessor that it still has.
    fn hold(&self, ledger: &mut Ledger, ticket: &Ticket, record: Arc<Tenant>, now: u64) -> Arc<Tenant> {
        let id = record.id().clone();
        if let Some(held) = ledger.tenants.get_mut(&id)
            && Arc::ptr_eq(&held.record, &record)
        {
            held.started = held.started.max(ticket.started);
            return record;
        }
        let last = ledger.last(&id);
        let mut record = record.detached();
        if let Some(last) = &last {
            record = record.succeeding(last);
        }
        let held = Held { record: Arc::clone(&record), started: ticket.started, names: Vec::new() };
        let old = ledger.tenants.insert(id, held).map_or_else(Vec::new, |old| old.names);
        let (kept, gone): (Vec<_>, Vec<_>) =
            old.into_iter().enumerate().partition(|(n, name)| *n < MOST_CARRIED && has(&record, &name.key));
        gone.iter().for_each(|(_, name)| self.present.remove(name));
        for (_, name) in kept {
            self.insert(ledger, ticket, Arc::clone(&name.key), &record, now);
        }
        record
    }

    fn insert(
        &self,
        ledger: &mut Ledger,
        ticket: &Ticket,
        key: Arc<TenantKey<'static>>,
        record: &Arc<Tenant>,
        now: u64,
    ) {
        let fresh_until = self.until(ticket.since, self.options.ttl);
        let entry = Arc::new(Entry {
            key,
            tenant: Some(Arc::clone(record)),
            started: ticket.started,
            fresh_until,
            stale_until: self.until(fresh_until, self.options.stale_if_error),
            used: AtomicBool::new(true),
        });
        self.publish(ledger, &entry, now);
    }

    fn publish(&self, ledger: &mut Ledger, entry: &Arc<Entry>, now: u64) {
        let id = entry.tenant.as_ref().map(|tenant| tenant.id());
        if let Some(held) = id.and_then(|id| ledger.tenants.get_mut(id)) {
            held.names.push(Arc::clone(entry));
        }
        let displaced = self.present.put(entry, now);
        if displaced.evicted.is_some() {
            count(&self.counters.evictions);
        }
        for gone in [displaced.replaced, displaced.evicted].into_iter().flatten() {
            ledger.forget_name(&gone);
        }
    }

    fn commit_absent(&self, ledger: &mut Ledger, ticket: &Ticket, now: u64) -> Answer {
        let entry = self.present.get(&*ticket.key, Arc::clone);
        if entry.as_ref().is_some_and(|entry| entry.started > ticket.started && entry.current().is_some()) {
            return Answer::Outdated;
        }
        if ticket.started < self.changed.load(Ordering::Acquire) {
            // True when it was read, perhaps not any more: told to whoever asked before, and not kept (DIR-04).
            return Answer::Absent;
        }
        if let Some(entry) = entry {
            self.displace(ledger, &entry);
        }
        let fresh_until = self.until(ticket.since, self.options.absent_ttl);
        let entry = Entry {
            key: Arc::clone(&ticket.key),
            tenant: None,
            started: ticket.started,
            fresh_until,
            stale_until: fresh_until,
            used: AtomicBool::new(false),
        };
        if self.absent.put(&Arc::new(entry), now).evicted.is_some() {
            count(&self.counters.evictions);
        }
        Answer::Absent
    }

    /// An error is no answer: nothing is learnt from it (DIR-07). What is held serves on where that was chosen, for a
    /// bounded time, and never once a newer record was announced (DIR-08).
    fn commit_error(&self, ledger: &mut Ledger, ticket: &Ticket, error: Error, now: u64) -> Answer {
        count(&self.counters.errors);
        let entry = self.present.get(&*ticket.key, Arc::clone);
        let Some(entry) = entry.filter(|entry| entry.current().is_some() && now < entry.stale_until) else {
            return Answer::Failed(error);
        };
        let Some(tenant) = entry.tenant.clone().filter(|_| !self.options.stale_if_error.is_zero()) else {
            return Answer::Failed(error);
        };
        count(&self.counters.stale);
        if entry.fresh_until <= now {
            let again = self.until(now, self.options.retry_after_error).min(entry.stale_until);
            let longer = Entry {
                key: Arc::clone(&entry.key),
                tenant: Some(Arc::clone(&tenant)),
                started: entry.started,
                fresh_until: again,
                stale_until: entry.stale_until,
                used: AtomicBool::new(true),
            };
            self.publish(ledger, &Arc::new(longer), now);
        }
        Answer::Found(tenant)
    }

    /// Takes a name away from its tenant. If the tenant's own record lists it, the whole record is outdated.
    pub(super) fn displace(&self, ledger: &mut Ledger, entry: &Arc<Entry>) {
        if let Some(tenant) = entry.tenant.as_ref().filter(|tenant| has(tenant, &entry.key)) {
            self.drop_tenant(ledger, tenant.id());
        }
        self.present.remove(entry);
        ledger.forget_name(entry);
    }

    pub(super) fn drop_tenant(&self, ledger: &mut Ledger, id: &TenantId) {
        for name in ledger.drop_tenant(id) {
            self.present.remove(&name);
        }
    }
}

/// Whether the record lists the name, in whatever state.
fn has(tenant: &Tenant, key: &TenantKey<'_>) -> bool {
    match key {
        TenantKey::Id(id) => tenant.id() == id,
        TenantKey::Slug(slug) => tenant.slug() == slug,
        TenantKey::Domain(name) => tenant.domain(name).is_some(),
    }
}
