//! [`Spent`]: where the time of a run went.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many requests a run has sent in all, and where its time went, summed over its lanes.
///
/// What is left of [`total`](Self::total) is the search's own work: making programs and requests, reading answers, and
/// looking for canaries in them.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Spent {
    /// All requests: those of programs, of twins, and of what was looked at again.
    pub requests: u64,
    /// In programs from their beginning to their end.
    pub total: Duration,
    /// In starts of the service.
    pub starting: Duration,
    /// Until requests were answered.
    pub serving: Duration,
    /// Looking at rows, connections, caches and logs.
    pub looking: Duration,
    /// In pauses of the programs, and for work in the background.
    pub waiting: Duration,
}

impl Spent {
    /// What the search itself took.
    #[must_use]
    pub fn own(&self) -> Duration {
        self.total.saturating_sub(self.starting + self.serving + self.looking + self.waiting)
    }
}

/// What a stretch of time was for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Total,
    Starting,
    Serving,
    Looking,
    Waiting,
}

/// Counts for all lanes.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    nanoseconds: [AtomicU64; 5],
}

impl Meter {
    pub(crate) fn add(&self, part: Part, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[part as usize].fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, requests: usize) {
        self.requests.fetch_add(requests as u64, Ordering::Relaxed);
    }

    pub(crate) fn spent(&self) -> Spent {
        let of = |part: Part| Duration::from_nanos(self.nanoseconds[part as usize].load(Ordering::Relaxed));
        Spent {
            requests: self.requests.load(Ordering::Relaxed),
            total: of(Part::Total),
            starting: of(Part::Starting),
            serving: of(Part::Serving),
            looking: of(Part::Looking),
            waiting: of(Part::Waiting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_part_has_taken_is_the_searchs_own() {
        let meter = Meter::default();
        meter.count(3);
        meter.add(Part::Total, Duration::from_millis(10));
        for part in [Part::Starting, Part::Serving, Part::Looking, Part::Waiting] {
            meter.add(part, Duration::from_millis(2));
        }
        let spent = meter.spent();
        assert_eq!((spent.requests, spent.own()), (3, Duration::from_millis(2)));
    }
}
