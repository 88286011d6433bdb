//! What was measured before, for trends.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::run::Run;
use super::stats::median;
use super::{Error, Machine};

/// The medians of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Seconds since 1970.
    pub at: u64,
    /// What was measured, such as a commit.
    pub revision: String,
    /// Where it was measured: figures of different machines are not compared.
    pub machine: Machine,
    /// Nanoseconds by `group/bench`.
    pub medians: BTreeMap<String, f64>,
}

impl Moment {
    /// Returns the medians of `run`, which was measured now.
    #[must_use]
    pub fn of(run: &Run, revision: &str) -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let benches = run.groups.iter().flat_map(|group| {
            let measured = group.benches.iter().filter(|bench| !bench.rounds.is_empty());
            measured
                .map(|bench| (format!("{}/{}", group.name, bench.name), median(&mut bench.rounds.clone())))
        });
        Self { at, revision: revision.to_owned(), machine: run.machine.clone(), medians: benches.collect() }
    }
}

/// Medians of runs on one machine, oldest first: a file of one JSON object a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History(pub Vec<Moment>);

impl History {
    /// Reads the moments of `machine` from a file; none if there is no such file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unreadable`](super::ErrorKind::Unreadable) if a line of the file is no moment.
    pub fn read(path: &Path, machine: &Machine) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::unreadable(path, error)),
        };
        let moments = text.lines().map(serde_json::from_str::<Moment>).collect::<Result<Vec<_>, _>>();
        let moments = moments.map_err(|error| Error::unreadable(path, error))?;
        Ok(Self(moments.into_iter().filter(|moment| moment.machine == *machine).collect()))
    }

    /// Adds `moment` to a file.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unwritable`](super::ErrorKind::Unwritable) if that fails.
    pub fn append(path: &Path, moment: &Moment) -> Result<(), Error> {
        let mut line = serde_json::to_string(moment).map_err(|error| Error::unwritable(path, error))?;
        line.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(|error| Error::unwritable(path, error))
    }

    /// Returns the medians of `bench` (`group/bench`), with the number of the moment.
    pub fn of<'a>(&'a self, bench: &'a str) -> impl Iterator<Item = (usize, f64)> + 'a {
        self.0.iter().enumerate().filter_map(move |(at, moment)| Some((at, *moment.medians.get(bench)?)))
    }
}
