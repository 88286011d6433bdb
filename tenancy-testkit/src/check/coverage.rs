//! [`Coverage`]: what was exercised, and how it was answered.

use std::collections::BTreeMap;

use super::describe::operation::Access;
use super::detect::Detector;
use super::program::run::Record;
use super::program::signal::Fault;

/// How often something was asked for, and how often it was served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) asked: u64,
    pub(crate) served: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, served: bool) {
        self.asked += 1;
        self.served += u64::from(served);
    }

    fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.served += other.served;
    }
}

/// One operation's part of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Row {
    /// A tenant, for what is its own.
    pub(crate) own: Tally,
    /// A tenant, for what is another's.
    pub(crate) foreign: Tally,
    /// Nobody.
    pub(crate) missing: Tally,
    /// A tenant whose name is wrong in some other way.
    pub(crate) faulty: Tally,
}

/// What was exercised, by operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) rows: Vec<Row>,
    pub(crate) requests: u64,
    pub(crate) programs: u64,
    /// Requests by (whose things, who asks).
    pub(crate) pairs: BTreeMap<(usize, usize), u64>,
    /// Breaks on the way to the database: how often one was asked for, and how often it was met.
    pub(crate) harmed: Tally,
    /// What each detector has looked at.
    pub(crate) observed: BTreeMap<Detector, u64>,
}

impl Coverage {
    pub(crate) fn new(operations: usize) -> Self {
        Self { rows: vec![Row::default(); operations], ..Self::default() }
    }

    /// `active`: whether the caller is one that is served at the moment.
    pub(crate) fn count(&mut self, record: &Record, access: Access, active: bool) {
        self.requests += 1;
        let Some(answer) = &record.answer else { return };
        if record.signal.is_proper() {
            let whose = record.outgoing.used.owner.unwrap_or(record.caller);
            *self.pairs.entry((whose, record.caller)).or_default() += 1;
        } else {
            self.observe(Detector::Unresolved, 1);
        }
        self.observe(Detector::Canary, 1);
        let row = &mut self.rows[record.operation];
        match record.signal.fault {
            Fault::None if active && record.outgoing.used.foreign => row.foreign.count(answer.is_success()),
            Fault::Admin => row.own.count(answer.is_success()),
            Fault::None if active || access == Access::Public => row.own.count(answer.is_success()),
            Fault::Missing => row.missing.count(answer.is_success()),
            Fault::Spelling | Fault::Part | Fault::Spoofed => {}
            _ => row.faulty.count(answer.is_success()),
        }
    }

    pub(crate) fn observe(&mut self, detector: Detector, times: u64) {
        *self.observed.entry(detector).or_default() += times;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows.resize(self.rows.len().max(other.rows.len()), Row::default());
        for (row, other) in self.rows.iter_mut().zip(&other.rows) {
            row.own.add(other.own);
            row.foreign.add(other.foreign);
            row.missing.add(other.missing);
            row.faulty.add(other.faulty);
        }
        for (pair, count) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += count;
        }
        for (detector, times) in &other.observed {
            self.observe(*detector, *times);
        }
        self.harmed.add(other.harmed);
        self.requests += other.requests;
        self.programs += other.programs;
    }

    /// How many operations succeeded for a tenant's own data.
    pub(crate) fn exercised(&self) -> usize {
        self.rows.iter().filter(|row| row.own.served > 0).count()
    }
}
