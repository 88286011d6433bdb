//! The ledger behind a lock, and what its decisions need: tasks that open and close connections, and those who wait.
//!
//! Connections are opened and closed in tasks of their own: a request that is given up stops nothing half-way, and what
//! was opened for it goes to the next one. Each task has a guard that tells the ledger when it ends without a result, as
//! with its runtime.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tokio::sync::oneshot;

use super::later;
use super::ledger::{Action, Ledger, Limits, Refused, Ticket};
use super::sync::{Mutex, MutexGuard};
use super::tally::Tally;

pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection is, and how it is opened and closed.
pub(super) trait Units: Send + Sync + Sized + 'static {
    type Tenant: Clone + Eq + Hash + Send + Sync + 'static;
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    type Unit: Send + Sync + 'static;
    type Error: Clone + Send + 'static;

    fn open(&self, key: &Self::Key) -> impl Future<Output = Result<Self::Unit, Self::Error>> + Send;
    /// Returns when the connection is closed.
    fn close(&self, unit: Self::Unit) -> impl Future<Output = ()> + Send;
    /// Returns at once how the connection was left, or `None` if somebody still works on it.
    fn left(&self, unit: &Self::Unit) -> Option<Left>;
    /// Waits until nobody works on the connection any more.
    fn settle(&self, unit: &Self::Unit) -> impl Future<Output = Left> + Send;
    fn spawn(&self, task: Task);
    fn error(&self, why: Failed) -> Self::Error;
}

/// How a connection was left by its last holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    Usable,
    Unusable,
}

/// Why somebody got no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failed {
    Refused(Refused),
    /// Another request's attempt to connect failed, or its runtime ended.
    NotOpened,
}

pub(super) struct Desk<S: Units> {
    state: Mutex<State<S>>,
    pub(super) units: S,
}

type Answer<S> = Result<Lease<S>, <S as Units>::Error>;

struct State<S: Units> {
    ledger: Ledger<S::Tenant, S::Key, S::Unit>,
    waiting: HashMap<Ticket, Waiter<S>>,
}

struct Waiter<S: Units> {
    answer: oneshot::Sender<Answer<S>>,
    tenant: S::Tenant,
    key: S::Key,
}

type Actions<S> = Vec<Action<<S as Units>::Key, <S as Units>::Unit>>;

impl<S: Units> Desk<S> {
    pub(super) fn new(limits: Limits, units: S) -> Arc<Self> {
        let state = State { ledger: Ledger::new(limits), waiting: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), units })
    }

    /// Waits for a connection. Dropping the future gives up the place in the line.
    pub(super) async fn lease(self: &Arc<Self>, tenant: &S::Tenant, key: &S::Key, own: bool) -> Answer<S> {
        let (ticket, answered) = self.stand_in_line(tenant, key, own)?;
        let _place = Place { desk: self, ticket };
        answered.await.unwrap_or_else(|_| Err(self.units.error(Failed::NotOpened)))
    }

    fn stand_in_line(
        self: &Arc<Self>,
        tenant: &S::Tenant,
        key: &S::Key,
        own: bool,
    ) -> Result<(Ticket, oneshot::Receiver<Answer<S>>), S::Error> {
        let (answer, answered) = oneshot::channel();
        let mut actions = Vec::new();
        let mut state = self.lock();
        let ticket = state.ledger.request(tenant, key, own, &mut actions);
        let ticket = ticket.map_err(|refused| self.units.error(Failed::Refused(refused)))?;
        state.waiting.insert(ticket, Waiter { answer, tenant: tenant.clone(), key: key.clone() });
        self.perform(state, actions);
        Ok((ticket, answered))
    }

    pub(super) fn expire(self: &Arc<Self>, before: Instant) {
        self.with(|ledger, actions| ledger.expire(before, actions));
    }

    pub(super) fn retire(self: &Arc<Self>, key: &S::Key) {
        self.with(|ledger, actions| ledger.retire(key, actions));
    }

    pub(super) fn shut(self: &Arc<Self>) {
        self.with(Ledger::shut);
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().ledger.tally()
    }

    #[cfg(test)]
    #[allow(dead_code, reason = "the schedule tests, which compile this a second time, use it")]
    pub(super) fn sizes(&self) -> [usize; 6] {
        self.lock().ledger.sizes()
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn with(self: &Arc<Self>, change: impl FnOnce(&mut Ledger<S::Tenant, S::Key, S::Unit>, &mut Actions<S>)) {
        let mut actions = Vec::new();
        let mut state = self.lock();
        change(&mut state.ledger, &mut actions);
        self.perform(state, actions);
    }

    /// Does what the ledger decided, after the lock is released: an answer that nobody takes comes back through it.
    fn perform(self: &Arc<Self>, mut state: MutexGuard<'_, State<S>>, actions: Actions<S>) {
        let mut steps = Vec::with_capacity(actions.len());
        for action in actions {
            steps.push(match action {
                Action::Give { ticket, unit, generation } => {
                    let waiter = state.waiting.remove(&ticket).expect("who is served has waited");
                    let Waiter { answer, tenant, key } = waiter;
                    let lease = Lease { desk: Arc::clone(self), held: Some((unit, generation)), tenant, key };
                    Step::Answer(answer, Ok(lease))
                }
                Action::Fail { ticket } => {
                    let waiter = state.waiting.remove(&ticket).expect("who fails has waited");
                    Step::Answer(waiter.answer, Err(self.units.error(Failed::NotOpened)))
                }
                Action::Open { ticket, key, generation, evicted } => {
                    let tenant = state.waiting.get(&ticket).expect("who is served has waited").tenant.clone();
                    let desk = Arc::clone(self);
                    let opening = Opening { desk, ticket, tenant, key, generation, armed: true };
                    Step::Spawn(Box::pin(open(opening, evicted)))
                }
                Action::Close { key, unit } => {
                    let closing = Closing { unit: Some(unit), desk: Arc::clone(self), key, evicted: false };
                    Step::Spawn(Box::pin(closing.run()))
                }
            });
        }
        drop(state);
        for step in steps {
            match step {
                // Whoever gave up meanwhile drops the answer, and with it the lease.
                Step::Answer(to, answer) => drop(to.send(answer)),
                Step::Spawn(task) => self.units.spawn(task),
            }
        }
    }

    fn give_back(self: &Arc<Self>, lease: (S::Tenant, S::Key), held: (S::Unit, u64), left: Left) {
        let (tenant, key) = lease;
        self.with(|ledger, actions| {
            ledger.give_back(&tenant, &key, held, left == Left::Usable, Instant::now(), actions);
        });
    }
}

enum Step<S: Units> {
    Answer(oneshot::Sender<Answer<S>>, Answer<S>),
    Spawn(Task),
}

async fn open<S: Units>(mut opening: Opening<S>, evicted: Option<(S::Key, S::Unit)>) {
    if let Some((key, unit)) = evicted {
        let desk = Arc::clone(&opening.desk);
        Closing { unit: Some(unit), desk, key, evicted: true }.run().await;
    }
    let desk = Arc::clone(&opening.desk);
    match desk.units.open(&opening.key).await {
        Ok(unit) => {
            opening.armed = false;
            let (ticket, generation) = (opening.ticket, opening.generation);
            desk.with(|ledger, actions| ledger.opened(ticket, &opening.key, generation, unit, actions));
        }
        Err(error) => opening.fail(error),
    }
}

/// A place in the line, given up when it is dropped.
struct Place<'a, S: Units> {
    desk: &'a Arc<Desk<S>>,
    ticket: Ticket,
}

impl<S: Units> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        // One that is being served stays: its connection goes to the line when it is there.
        if state.ledger.cancel(self.ticket) {
            state.waiting.remove(&self.ticket);
        }
    }
}

/// A connection that is being opened for somebody.
struct Opening<S: Units> {
    desk: Arc<Desk<S>>,
    ticket: Ticket,
    tenant: S::Tenant,
    key: S::Key,
    generation: u64,
    armed: bool,
}

impl<S: Units> Opening<S> {
    fn fail(&mut self, error: S::Error) {
        self.armed = false;
        let mut actions = Vec::new();
        let mut state = self.desk.lock();
        let waiter = state.waiting.remove(&self.ticket);
        state.ledger.not_opened(&self.tenant, &self.key, &mut actions);
        self.desk.perform(state, actions);
        if let Some(waiter) = waiter {
            drop(waiter.answer.send(Err(error)));
        }
    }
}

impl<S: Units> Drop for Opening<S> {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.armed, false) {
            let (desk, ticket, generation) = (Arc::clone(&self.desk), self.ticket, self.generation);
            let (tenant, key) = (self.tenant.clone(), self.key.clone());
            let mut abandoned = Self { desk, ticket, tenant, key, generation, armed: false };
            let error = self.desk.units.error(Failed::NotOpened);
            later::run(move || abandoned.fail(error));
        }
    }
}

/// A connection that is being closed; its permit is free when this is dropped, after the connection.
struct Closing<S: Units> {
    unit: Option<S::Unit>,
    desk: Arc<Desk<S>>,
    key: S::Key,
    evicted: bool,
}

impl<S: Units> Closing<S> {
    async fn run(mut self) {
        if let Some(unit) = self.unit.take() {
            self.desk.units.close(unit).await;
        }
    }
}

impl<S: Units> Drop for Closing<S> {
    fn drop(&mut self) {
        drop(self.unit.take());
        let (desk, key, evicted) = (Arc::clone(&self.desk), self.key.clone(), self.evicted);
        later::run(move || {
            desk.with(|ledger, actions| match evicted {
                true => ledger.evicted(&key, actions),
                false => ledger.closed(&key, actions),
            });
        });
    }
}

/// A connection that somebody holds; it goes back when this is dropped.
pub(super) struct Lease<S: Units> {
    desk: Arc<Desk<S>>,
    held: Option<(S::Unit, u64)>,
    tenant: S::Tenant,
    key: S::Key,
}

impl<S: Units> Lease<S> {
    pub(super) fn unit(&self) -> &S::Unit {
        &self.held.as_ref().expect("a lease holds its connection until it is dropped").0
    }

    pub(super) fn key(&self) -> &S::Key {
        &self.key
    }

    fn end(&mut self, left: Left) {
        if let Some(held) = self.held.take() {
            self.desk.give_back((self.tenant.clone(), self.key.clone()), held, left);
        }
    }
}

impl<S: Units> fmt::Debug for Lease<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl<S: Units> Drop for Lease<S> {
    fn drop(&mut self) {
        let Some((unit, _)) = &self.held else { return };
        if let Some(left) = self.desk.units.left(unit) {
            return self.end(left);
        }
        let settling = Settling(Lease {
            desk: Arc::clone(&self.desk),
            held: self.held.take(),
            tenant: self.tenant.clone(),
            key: self.key.clone(),
        });
        self.desk.units.spawn(Box::pin(settling.run()));
    }
}

/// A lease whose holder is gone while work on the connection goes on. If the task that waits ends before that work, the
/// connection is closed.
struct Settling<S: Units>(Lease<S>);

impl<S: Units> Settling<S> {
    async fn run(mut self) {
        let left = self.0.desk.units.settle(self.0.unit()).await;
        self.0.end(left);
    }
}

impl<S: Units> Drop for Settling<S> {
    fn drop(&mut self) {
        self.0.end(Left::Unusable);
    }
}
