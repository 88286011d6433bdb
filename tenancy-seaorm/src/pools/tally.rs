//! [`PoolStats`]: what the registry counts.

/// What the registry counts, without any tenant's or database's name: safe as labels of a metric.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub(super) in_use: usize,
    pub(super) most_in_use: usize,
    pub(super) held: usize,
    pub(super) closing: usize,
    pub(super) idle: usize,
    pub(super) waiting: usize,
    pub(super) databases: usize,
    counts: [u64; 8],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    Opened,
    FailedToOpen,
    Reused,
    Waited,
    Refused,
    Evicted,
    Expired,
    Retired,
}

impl Tally {
    pub(super) fn count(&mut self, what: Counted) {
        self.counts[what as usize] += 1;
    }

    pub(super) fn counted(&self, what: Counted) -> u64 {
        self.counts[what as usize]
    }

    pub(super) fn take_permit(&mut self) {
        self.in_use += 1;
        self.most_in_use = self.most_in_use.max(self.in_use);
    }
}

/// A snapshot of a [`PoolRegistry`](crate::PoolRegistry): gauges of this moment and counters since its beginning.
///
/// It names no tenant and no database, so that a metric made of it has as many series as there are fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that may be open at a time.
    pub budget: usize,
    /// Connections that count against the budget: being opened, idle, held, or being closed.
    pub in_use: usize,
    /// The most that ever counted at a time.
    pub most_in_use: usize,
    /// Connections that are held, or are being opened for somebody.
    pub held: usize,
    /// Open connections that nobody holds.
    pub idle: usize,
    /// Connections that are being closed.
    pub closing: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Databases with at least one connection.
    pub databases: usize,
    /// Connections that were opened.
    pub opened: u64,
    /// Attempts to open a connection that failed.
    pub failed_to_open: u64,
    /// Requests that got a connection that was open.
    pub reused: u64,
    /// Requests that had to wait.
    pub waited: u64,
    /// Requests that waited until their time was up.
    pub timed_out: u64,
    /// Requests that were refused because too many wait, the database is another tenant's, or the registry is closed.
    pub refused: u64,
    /// Idle connections that were closed to make room for another database's.
    pub evicted: u64,
    /// Connections that were closed because they were idle for long.
    pub expired: u64,
    /// Idle connections that were closed by [`retire`](crate::PoolRegistry::retire).
    pub retired: u64,
    /// Connections whose server did not confirm that they are closed: it may have counted them for a moment longer.
    pub unconfirmed: u64,
}

impl PoolStats {
    pub(super) fn new(tally: &Tally, budget: usize, timed_out: u64, unconfirmed: u64) -> Self {
        Self {
            budget,
            in_use: tally.in_use,
            most_in_use: tally.most_in_use,
            held: tally.held,
            idle: tally.idle,
            closing: tally.closing,
            waiting: tally.waiting,
            databases: tally.databases,
            opened: tally.counted(Counted::Opened),
            failed_to_open: tally.counted(Counted::FailedToOpen),
            reused: tally.counted(Counted::Reused),
            waited: tally.counted(Counted::Waited),
            timed_out,
            refused: tally.counted(Counted::Refused),
            evicted: tally.counted(Counted::Evicted),
            expired: tally.counted(Counted::Expired),
            retired: tally.counted(Counted::Retired),
            unconfirmed,
        }
    }
}
