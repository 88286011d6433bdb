//! What a measurement found, as it is kept in a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Machine, Overhead};

/// What one or several bench programs measured on one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Where it was measured.
    pub machine: Machine,
    /// The groups.
    pub groups: Vec<GroupRun>,
}

/// What was measured of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupRun {
    /// The group's name.
    pub name: String,
    /// Whether its benches were measured in alternation, so that their rounds are pairs.
    pub paired: bool,
    /// Its benches, the baseline first.
    pub benches: Vec<BenchRun>,
}

/// What was measured of a bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchRun {
    /// The bench's name within its group.
    pub name: String,
    /// Nanoseconds per iteration, round by round; in a paired group the same round is at the same place in each bench.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<f64>,
    /// What a layer adds to single calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
    /// Exact figures by name, such as `allocations`, `bytes`, `instructions`; per iteration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, f64>,
}

impl Run {
    /// Reads a run from a file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unreadable`](super::ErrorKind::Unreadable) if the file is not there or is no run.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|error| Error::unreadable(path, error))?;
        serde_json::from_slice(&text).map_err(|error| Error::unreadable(path, error))
    }

    /// Writes the run to a file, which appears whole or not at all.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unwritable`](super::ErrorKind::Unwritable) if that fails.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::unwritable(path, error))?;
        super::write_whole(path, &text)
    }

    /// Adds what `other` found, which may complete what is known of a bench that is here already.
    pub fn merge(&mut self, other: Self) {
        if self.groups.is_empty() {
            self.machine = other.machine;
        }
        for group in other.groups {
            match self.groups.iter_mut().find(|known| known.name == group.name) {
                Some(known) => known.merge(group),
                None => self.groups.push(group),
            }
        }
    }

    /// Returns the group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupRun> {
        self.groups.iter().find(|group| group.name == name)
    }
}

impl GroupRun {
    fn merge(&mut self, other: Self) {
        // Rounds are pairs only with rounds of the same measurement: they are taken over together or not at all. Pairs
        // say more than what was measured one after the other.
        let has_rounds = |group: &Self| group.benches.iter().any(|bench| !bench.rounds.is_empty());
        let keep = has_rounds(self) && (self.paired && !other.paired || !has_rounds(&other));
        if !keep {
            self.paired = other.paired;
            self.benches.iter_mut().for_each(|bench| bench.rounds.clear());
        }
        let order: Vec<String> = other.benches.iter().map(|bench| bench.name.clone()).collect();
        for mut bench in other.benches {
            if keep {
                bench.rounds.clear();
            }
            match self.benches.iter_mut().find(|known| known.name == bench.name) {
                Some(known) => known.merge(bench),
                None => self.benches.push(bench),
            }
        }
        if !keep {
            // The first bench is the baseline, as whoever measured the rounds had it: counts come in any order.
            let place = |bench: &BenchRun| order.iter().position(|name| *name == bench.name);
            self.benches.sort_by_key(|bench| place(bench).unwrap_or(usize::MAX));
        }
    }

    /// Returns the bench of this name.
    #[must_use]
    pub fn bench(&self, name: &str) -> Option<&BenchRun> {
        self.benches.iter().find(|bench| bench.name == name)
    }
}

impl BenchRun {
    fn merge(&mut self, other: Self) {
        if !other.rounds.is_empty() {
            self.rounds = other.rounds;
        }
        self.overhead = other.overhead.or(self.overhead.take());
        self.counts.extend(other.counts);
    }
}
