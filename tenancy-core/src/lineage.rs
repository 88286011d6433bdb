//! Whether a tenant is active now, shared by all records that a catalog ever had of it, and whoever waits for its end.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::TenantStatus;

/// The present status of a tenant, shared by all records that a catalog ever had of it.
pub(crate) struct Lineage(AtomicBool);

impl Lineage {
    pub(crate) fn new(status: TenantStatus) -> Self {
        Self(AtomicBool::new(status.is_active()))
    }

    pub(crate) fn is_active(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, status: Option<TenantStatus>) {
        let active = status.is_some_and(TenantStatus::is_active);
        self.0.store(active, Ordering::Release);
        if !active {
            for waker in wakers(self.address()) {
                waker.wake();
            }
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// Whoever waits for the end of a tenant, by the address of its lineage, which each waiter keeps alive. In one place
/// rather than in each lineage: few of a million tenants have a waiter.
static WAITING: Mutex<BTreeMap<(usize, u64), Waker>> = Mutex::new(BTreeMap::new());

static NEXT: AtomicU64 = AtomicU64::new(0);

fn waiting() -> MutexGuard<'static, BTreeMap<(usize, u64), Waker>> {
    // The map is whole between two calls of its own.
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wakers stay where they are until their futures are dropped: a tenant may be active again before they are polled,
/// and end again later.
fn wakers(address: usize) -> Vec<Waker> {
    waiting().range((address, 0)..=(address, u64::MAX)).map(|(_, waker)| waker.clone()).collect()
}

/// Waits until a tenant is no longer active; made by [`TenantContext::ended`](crate::TenantContext::ended).
#[must_use = "futures do nothing unless polled"]
pub struct Ended {
    lineage: Arc<Lineage>,
    number: u64,
    known: Option<Waker>,
}

impl Ended {
    pub(crate) fn new(lineage: Arc<Lineage>) -> Self {
        Self { lineage, number: NEXT.fetch_add(1, Ordering::Relaxed), known: None }
    }

    fn key(&self) -> (usize, u64) {
        (self.lineage.address(), self.number)
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.lineage.is_active() {
            return Poll::Ready(());
        }
        if !self.known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            let waker = cx.waker().clone();
            waiting().insert(self.key(), waker.clone());
            self.known = Some(waker);
        }
        // Looked at again once the waker is in its place: an end in between has found none.
        if self.lineage.is_active() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.known.is_some() {
            waiting().remove(&self.key());
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").field("active", &self.lineage.is_active()).finish_non_exhaustive()
    }
}
