//! One load that many look-ups wait for, and that any of them drives.
//!
//! The load belongs to nobody: not to a task, so that no runtime is needed, and not to the request that began it, so
//! that it goes on when that one is cancelled. It ends when it is done or when nobody waits for it any more. This is
//! not `futures_util`'s `Shared`, for two reasons. There, a waiter that registers while another one polls, after the
//! load has already called for the next poll, is not woken if the other one is then cancelled. And its locks are its
//! own, so that the schedule tests could not look inside.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{Mutex, MutexGuard};
use crate::catalog::BoxFuture;
use crate::scope::outside_scopes;

/// A load that is under way or done. It panics nowhere: `T` says what a load that panicked comes to.
pub(super) struct Flight<T> {
    load: Mutex<Load<T>>,
    bell: Arc<Bell>,
    panicked: fn() -> T,
}

enum Load<T> {
    Idle(BoxFuture<T>),
    /// Some waiter has the future in its hands.
    Polling,
    Done(T),
}

/// Calls the waiters. It is apart from the flight, because whatever the load waits for holds a waker: were that the
/// flight itself, a load that nobody waits for would keep itself alive.
#[derive(Default)]
struct Bell(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    /// Whether the load asked to be polled since somebody last took it up.
    rung: bool,
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that runs under these locks panics half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bell {
    fn register(&self, place: &mut Option<u64>, waker: &Waker) {
        let mut ring = lock(&self.0);
        let place = *place.get_or_insert_with(|| {
            ring.next += 1;
            ring.next
        });
        let old = ring.waiting.insert(place, waker.clone());
        drop(ring);
        drop(old);
    }

    fn leave(&self, place: Option<u64>) {
        let gone = place.and_then(|place| lock(&self.0).waiting.remove(&place));
        drop(gone);
    }

    fn call_everybody(&self, mut ring: MutexGuard<'_, Ring>) {
        let waiting = std::mem::take(&mut ring.waiting);
        drop(ring);
        // Wakers are other people's code: they run outside the lock.
        waiting.into_values().for_each(Waker::wake);
    }

    /// Called after the load was put back: whoever came while it was being polled has missed the ring.
    fn repeat_if_rung(&self) {
        let ring = lock(&self.0);
        if ring.rung {
            self.call_everybody(ring);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut ring = lock(&self.0);
        ring.rung = true;
        self.call_everybody(ring);
    }
}

impl<T: Clone + Send> Flight<T> {
    pub(super) fn new(load: BoxFuture<T>, panicked: fn() -> T) -> Self {
        Self { load: Mutex::new(Load::Idle(load)), bell: Arc::default(), panicked }
    }

    fn poll(&self, place: &mut Option<u64>, waker: &Waker) -> Poll<T> {
        // First the waker, then the look: whoever changes the load after this look calls this waiter too.
        self.bell.register(place, waker);
        let mut load = lock(&self.load);
        match std::mem::replace(&mut *load, Load::Polling) {
            Load::Done(answer) => {
                *load = Load::Done(answer.clone());
                Poll::Ready(answer)
            }
            Load::Polling => Poll::Pending,
            Load::Idle(future) => {
                drop(load);
                self.drive(future)
            }
        }
    }

    fn drive(&self, mut future: BoxFuture<T>) -> Poll<T> {
        lock(&self.bell.0).rung = false;
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut context = Context::from_waker(&waker);
        // The load serves everybody: it must not see whose request happens to drive it (CORE-15).
        let poll = outside_scopes(|| catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))));
        match poll {
            Ok(Poll::Pending) => {
                *lock(&self.load) = Load::Idle(future);
                self.bell.repeat_if_rung();
                Poll::Pending
            }
            Ok(Poll::Ready(answer)) => self.finish(future, answer),
            Err(_) => self.finish(future, (self.panicked)()),
        }
    }

    fn finish(&self, future: BoxFuture<T>, answer: T) -> Poll<T> {
        // A destructor that panics may take this waiter down with it, not the others.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        *lock(&self.load) = Load::Done(answer.clone());
        self.bell.call_everybody(lock(&self.bell.0));
        match dropped {
            Ok(()) => Poll::Ready(answer),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// One look-up's share in a flight.
pub(super) struct Waiter<T> {
    flight: Arc<Flight<T>>,
    place: Option<u64>,
}

impl<T> Waiter<T> {
    pub(super) fn new(flight: Arc<Flight<T>>) -> Self {
        Self { flight, place: None }
    }
}

impl<T: Clone + Send> Future for Waiter<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        this.flight.poll(&mut this.place, cx.waker())
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        self.flight.bell.leave(self.place);
    }
}
