//! Keeping fetched keys fresh, on whatever runtime the service has.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::ticks;
use super::jwks::JwkSet;
use super::ring::Station;
use super::verifier::{Inner, TokenVerifier};
use crate::catalog::BoxFuture;
use crate::{Error, ErrorKind};

/// How many key sets are fetched at the same time, so that one slow issuer does not keep the others' keys old.
const AT_ONCE: usize = 16;

/// How long the background task sleeps where nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Wakes the background task: a flag, and who waits for it.
#[derive(Default)]
pub(super) struct Wake(Mutex<(bool, Option<Waker>)>);

impl Wake {
    pub(super) fn notify(&self) {
        let waker = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.0) {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl TokenVerifier {
    /// Fetches the key sets of all issuers that have a source, but for those that were fetched within the shortest
    /// interval. Wait for it before the service opens, so that the first requests find keys.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::KeysUnavailable`] if one of them could not be had; the others are in use then.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.inner().fetch(|_| true).await
    }

    /// Keeps key sets fresh until the verifier is dropped: spawn it. `sleep` is the runtime's own, such as
    /// `tokio::time::sleep`.
    ///
    /// Each set is fetched when its time has come and, at most once in the shortest interval, when a token names an
    /// unknown key. Without this task keys are fetched by [`TokenVerifier::refresh`] alone, and grow stale.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::jwt::{Algorithm, Issuer, TokenVerifier, VerificationKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tenancy_core::Error> {
    /// # let key = VerificationKey::from_secret(Algorithm::Hs256, &[7; 32])?;
    /// let verifier = TokenVerifier::builder()
    ///     .with_issuer(Issuer::new("https://id.app.example", "orders-api").with_key(key))
    ///     .build()?;
    /// verifier.refresh().await?;
    /// tokio::spawn(verifier.keep_fresh(tokio::time::sleep));
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_fresh<S, F>(&self, sleep: S) -> impl Future<Output = ()> + Send + use<S, F>
    where
        S: Fn(Duration) -> F + Send,
        F: Future<Output = ()> + Send,
    {
        let (weak, wake) = (Arc::downgrade(self.inner()), Arc::clone(&self.inner().wake));
        async move {
            while let Some(inner) = weak.upgrade() {
                // What failed is tried again when the shortest interval has passed; until then known keys serve.
                let _ = inner.fetch(|station| inner.is_due(station)).await;
                let pause = inner.next_due();
                drop(inner);
                let mut timer = pin!(sleep(pause));
                poll_fn(|cx| match wake.poll(cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => timer.as_mut().poll(cx),
                })
                .await;
            }
        }
    }
}

impl Inner {
    fn is_due(&self, station: &Station) -> bool {
        station.due_at(self.pace).is_some_and(|due| due <= self.now())
    }

    fn next_due(&self) -> Duration {
        let now = self.now();
        let due = self.stations.load().values().filter_map(|station| station.due_at(self.pace)).min();
        due.map_or(IDLE, |due| Duration::from_nanos(due.saturating_sub(now)).min(IDLE))
    }

    async fn fetch(self: &Arc<Self>, which: impl Fn(&Station) -> bool) -> Result<(), Error> {
        let now = self.now();
        let mut fetches = Vec::new();
        for station in self.stations.load().values().filter(|station| which(station)) {
            if let Some(attempt) = station.begin_fetch(now, self.pace) {
                let (inner, station) = (Arc::clone(self), Arc::clone(station));
                fetches
                    .push(Box::pin(async move { inner.fetch_one(&station, attempt).await }) as BoxFuture<_>);
            }
        }
        all(fetches).await
    }

    async fn fetch_one(&self, station: &Arc<Station>, attempt: u64) -> Result<(), Error> {
        let source = station.issuer.source.as_ref().expect("a fetch begins only where there is a source");
        let document = source.fetch().await.map_err(Error::keys_unavailable)?;
        let set = JwkSet::parse(&document).map_err(Error::keys_unavailable)?;
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "tenancy::token", keys = set.keys().len(), skipped = set.skipped(), "keys fetched");
        self.cache.change(|ledger| {
            // An issuer that was removed or replaced meanwhile has no say any more.
            let current =
                self.stations.load().get(&station.issuer.name).is_some_and(|at| Arc::ptr_eq(at, station));
            if current {
                station.apply(set.into_keys(), attempt, ticks(self.clock.now()), self.pace, ledger);
            }
        });
        Ok(())
    }
}

impl Error {
    fn keys_unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::with_source(ErrorKind::KeysUnavailable, "an issuer's keys could not be fetched", source)
    }
}

/// Runs all of `waiting`, [`AT_ONCE`] at a time, and returns the first failure once all have ended.
async fn all(mut waiting: Vec<BoxFuture<Result<(), Error>>>) -> Result<(), Error> {
    let mut running: Vec<Pin<_>> = Vec::new();
    let mut outcome = Ok(());
    poll_fn(|cx| {
        loop {
            while running.len() < AT_ONCE
                && let Some(next) = waiting.pop()
            {
                running.push(next);
            }
            let before = running.len();
            running.retain_mut(|future| match future.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(ended) => {
                    if outcome.is_ok() {
                        outcome = ended;
                    }
                    false
                }
            });
            if running.is_empty() && waiting.is_empty() {
                return Poll::Ready(());
            }
            // A place became free: what takes it has to be polled once before this may wait.
            if running.len() == before || waiting.is_empty() {
                return Poll::Pending;
            }
        }
    })
    .await;
    outcome
}
