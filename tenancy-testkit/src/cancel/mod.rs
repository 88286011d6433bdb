//! Drops futures half-way, and looks at what they leave behind on a connection.
//!
//! [`at_each_point`] runs a future again and again and drops it at its first point of suspension, its second, and so on
//! until it completes. A [`proxy`](crate::proxy) makes more points: one for each message of the server, at which
//! [`until`] drops the future while the answer is on its way. [`ConnectionState`] then tells what the next borrower of a
//! connection meets.

mod state;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

pub use self::state::{Aspect, ConnectionState, Difference};

/// How a future ended that was to be dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome<T> {
    /// It completed before its time came.
    Completed(T),
    /// It was dropped before it completed.
    Dropped,
}

impl<T> Outcome<T> {
    /// Returns whether the future was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped)
    }
}

/// Runs `future` and drops it when it suspends for the `nth` time, from 1. With 0 it is dropped without being polled.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::cancel::{Outcome, drop_at};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let twice = async {
///     tokio::task::yield_now().await;
///     tokio::task::yield_now().await;
///     "done"
/// };
/// assert_eq!(drop_at(2, twice).await, Outcome::Dropped);
/// assert_eq!(drop_at(3, async { "done" }).await, Outcome::Completed("done"));
/// # });
/// ```
pub async fn drop_at<F: Future>(nth: usize, future: F) -> Outcome<F::Output> {
    let mut future = pin!(future);
    let mut left = nth;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(Outcome::Dropped);
        }
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Outcome::Completed(output)),
            Poll::Pending => {
                left -= 1;
                if left == 0 { Poll::Ready(Outcome::Dropped) } else { Poll::Pending }
            }
        }
    })
    .await
}

/// Runs `future` until `signal` is ready, and drops it then. If both are ready, the future has completed.
pub async fn until<F: Future>(signal: impl Future<Output = ()>, future: F) -> Outcome<F::Output> {
    let (mut signal, mut future) = (pin!(signal), pin!(future));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Outcome::Completed(output));
        }
        signal.as_mut().poll(context).map(|()| Outcome::Dropped)
    })
    .await
}

/// Runs the future that `make` makes, dropped at its first point of suspension, then at its second, and so on until it
/// completes; after each, runs what `inspect` makes. Returns how many points there were, or the first failure.
///
/// How many there are depends on what was ready already: a future that waits for a server may suspend more often on a
/// busy machine. `most` bounds them.
///
/// # Errors
///
/// Returns the first error of `inspect`.
pub async fn at_each_point<M, F, I, G, E>(most: usize, mut make: M, mut inspect: I) -> Result<usize, E>
where
    M: FnMut() -> F,
    F: Future,
    I: FnMut(usize, bool) -> G,
    G: Future<Output = Result<(), E>>,
{
    for nth in 1..=most {
        let dropped = drop_at(nth, make()).await.is_dropped();
        inspect(nth, dropped).await?;
        if !dropped {
            return Ok(nth - 1);
        }
    }
    Ok(most)
}
