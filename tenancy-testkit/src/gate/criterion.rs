//! Measurements of criterion, as it leaves them.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::run::{BenchRun, GroupRun, Run};
use super::{Error, Machine};

/// `benchmark.json`: which bench this is.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
}

/// `sample.json`: nanoseconds and iterations, sample by sample.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

impl Run {
    /// Reads what criterion left below `directory`, such as `target/criterion`: the newest measurement of each bench.
    ///
    /// Criterion measures one bench after the other, so that its samples are no pairs: budgets on them must leave room
    /// for what a shared machine does in between.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unreadable`](super::ErrorKind::Unreadable) if there is no such directory, or a file in it is not
    /// what criterion writes.
    pub fn from_criterion(directory: &Path) -> Result<Self, Error> {
        let mut run = Self { machine: Machine::here(), groups: Vec::new() };
        for file in super::find_files(directory, "benchmark.json")? {
            let is_newest = file.parent().and_then(Path::file_name).is_some_and(|name| name == "new");
            if !is_newest {
                continue;
            }
            let benchmark: Benchmark = read(&file)?;
            let samples = file.with_file_name("sample.json");
            let Sample { iters, times } = read(&samples)?;
            if iters.len() != times.len() || iters.iter().any(|iterations| *iterations <= 0.0) {
                return Err(Error::unreadable(&samples, "its samples do not fit together"));
            }
            let name = [benchmark.function_id, benchmark.value_str];
            let name = name.into_iter().flatten().collect::<Vec<_>>().join("/");
            let rounds = times.iter().zip(&iters).map(|(time, iterations)| time / iterations).collect();
            let bench = BenchRun { name, rounds, ..BenchRun::default() };
            match run.groups.iter_mut().find(|group| group.name == benchmark.group_id) {
                Some(group) => group.benches.push(bench),
                None => run.groups.push(GroupRun {
                    name: benchmark.group_id,
                    paired: false,
                    benches: vec![bench],
                }),
            }
        }
        Ok(run)
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, Error> {
    let text = fs::read(file).map_err(|error| Error::unreadable(file, error))?;
    serde_json::from_slice(&text).map_err(|error| Error::unreadable(file, error))
}
