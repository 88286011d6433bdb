//! Time as the cache needs it: it only ever goes forward.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Says how much time has passed since some fixed moment. Must never go back, whatever the wall clock does (DIR-10).
///
/// Each clock has a beginning of its own: moments of two clocks say nothing about each other.
#[diagnostic::on_unimplemented(message = "`{Self}` does not tell the time")]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the time since the clock's own beginning.
    fn now(&self) -> Duration;

    /// Returns by how much [`Clock::now`] may lag behind (default: not at all), as that of a clock does which goes on in
    /// steps. What must not last too long ends so much earlier.
    fn resolution(&self) -> Duration {
        Duration::ZERO
    }
}

/// The operating system's monotonic clock.
///
/// On Linux and Android it is the coarse one, which goes on with the kernel's timer, by 1 to 10 milliseconds at a time, and
/// is read in a fraction of the time. Elsewhere it is [`Instant`](std::time::Instant). What a cache of tenants or values
/// keeps for a time may be kept for that much longer; a token is not.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock(system::Start);

impl MonotonicClock {
    /// Returns a clock that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(system::Start::now())
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn resolution(&self) -> Duration {
        system::resolution()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::time::Duration;

    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    /// A moment, since the machine was started.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Start(Duration);

    impl Start {
        pub(super) fn now() -> Self {
            Self(duration(clock_gettime(ClockId::MonotonicCoarse)))
        }

        pub(super) fn elapsed(self) -> Duration {
            Self::now().0.saturating_sub(self.0)
        }
    }

    pub(super) fn resolution() -> Duration {
        duration(clock_getres(ClockId::MonotonicCoarse))
    }

    fn duration(time: Timespec) -> Duration {
        let invariant = "a clock that began at zero and goes forward shows a time";
        Duration::new(time.tv_sec.try_into().expect(invariant), time.tv_nsec.try_into().expect(invariant))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::time::{Duration, Instant};

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Start(Instant);

    impl Start {
        pub(super) fn now() -> Self {
            Self(Instant::now())
        }

        pub(super) fn elapsed(self) -> Duration {
            self.0.elapsed()
        }
    }

    pub(super) fn resolution() -> Duration {
        Duration::ZERO
    }
}

/// A clock that stands still until it is told to go on: for tests. Clones show the same time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenancy_core::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Returns a clock that shows zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock, and every clone of it, forward by `time` (in whole nanoseconds, up to 584 years in all).
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(nanos(time), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
