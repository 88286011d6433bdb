//! One load that others wait for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::super::sync::{Mutex, MutexGuard};

/// A load under way; its caller runs it, and says here how it ended.
pub(super) struct Flight<V>(Mutex<State<V>>);

struct State<V> {
    outcome: Option<Outcome<V>>,
    waiting: Vec<(u64, Waker)>,
    next: u64,
}

/// How a load ended for those who waited.
#[derive(Clone, Debug)]
pub(super) enum Outcome<V> {
    /// With a value, or with the knowledge that there is none.
    Loaded(Option<V>),
    /// With an error, which is its caller's own.
    Failed,
    /// Its caller went away, or what it loads was dropped meanwhile.
    Dropped,
}

impl<V> Flight<V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { outcome: None, waiting: Vec::new(), next: 0 }))
    }

    /// Ends the flight; the first end counts.
    pub(super) fn end(&self, outcome: Outcome<V>) {
        let mut state = self.lock();
        state.outcome.get_or_insert(outcome);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        // Wakers are other people's code: they run outside the lock.
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn wait(self: Arc<Self>) -> Wait<V> {
        Wait { flight: self, place: None }
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        // Nothing that runs under this lock panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for a flight to end.
pub(super) struct Wait<V> {
    flight: Arc<Flight<V>>,
    place: Option<u64>,
}

impl<V: Clone> Future for Wait<V> {
    type Output = Outcome<V>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<V>> {
        let this = self.get_mut();
        let mut state = this.flight.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        let place = *this.place.get_or_insert(state.next);
        match state.waiting.iter_mut().find(|(waiting, _)| *waiting == place) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                state.waiting.push((place, cx.waker().clone()));
                state.next = place + 1;
            }
        }
        Poll::Pending
    }
}

impl<V> Drop for Wait<V> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.flight.lock().waiting.retain(|(waiting, _)| *waiting != place);
        }
    }
}
