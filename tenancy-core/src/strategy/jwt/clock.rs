//! The two clocks that decide how long a token is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Clock, MonotonicClock};

/// Tells the time twice: by a clock that never goes back, and by the one that tokens are dated in.
///
/// The system's own clocks are used unless others are set, as tests do. By how much the first may lag is its
/// [`Clock::resolution`]: a remembered token is verified anew so much before it would have expired, and then the date
/// decides. The second tells the date as exactly as the system does.
pub trait WallClock: Clock {
    /// Returns the date and time.
    fn wall(&self) -> SystemTime;
}

impl WallClock for MonotonicClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A moment of the monotonic clock, in nanoseconds.
pub(super) fn ticks(since: Duration) -> u64 {
    // 584 years fit.
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment of the wall clock, since 1970.
///
/// A clock that stands before 1970 is set to no time at all: it reads as the end of time, where every token has expired.
pub(super) fn since_epoch(wall: SystemTime) -> Duration {
    wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX)
}
