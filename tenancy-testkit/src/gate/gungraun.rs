//! Instruction counts, as gungraun leaves them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::run::{BenchRun, GroupRun, Run};
use super::{Error, Machine};

impl Run {
    /// Reads what gungraun left below `directory`: instructions, as the count `instructions`.
    ///
    /// The bench `id` of the function `f` in the group `g` becomes `g/f/id`, with hyphens for underscores. `calls` is how
    /// many calls each measurement was made of.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unreadable`](super::ErrorKind::Unreadable) if there is no such directory, or a summary in it is
    /// not understood.
    ///
    /// # Panics
    ///
    /// Panics if `calls` is 0.
    pub fn from_gungraun(directory: &Path, calls: u32) -> Result<Self, Error> {
        assert!(calls > 0, "a measurement is made of calls");
        let mut run = Self { machine: Machine::here(), groups: Vec::new() };
        for file in super::find_files(directory, "summary.json")? {
            let text = fs::read(&file).map_err(|error| Error::unreadable(&file, error))?;
            let summary: Value =
                serde_json::from_slice(&text).map_err(|error| Error::unreadable(&file, error))?;
            let (group, bench, instructions) = read_summary(&summary)
                .ok_or_else(|| Error::unreadable(&file, "it is no summary of callgrind"))?;
            let counts = [("instructions".to_owned(), instructions / f64::from(calls))].into();
            let bench = BenchRun { name: bench, counts, ..BenchRun::default() };
            run.merge(Self {
                machine: run.machine.clone(),
                groups: vec![GroupRun { name: group, paired: false, benches: vec![bench] }],
            });
        }
        Ok(run)
    }
}

fn read_summary(summary: &Value) -> Option<(String, String, f64)> {
    let text = |name: &str| Some(summary.get(name)?.as_str()?.replace('_', "-"));
    let group = format!("{}/{}", text("group")?, text("function_name")?);
    let metrics = summary.get("profiles")?.as_array()?.iter().find_map(|profile| {
        profile.pointer("/data/parts")?.as_array()?.first()?.pointer("/metrics/Ir/values/new").cloned()
    })?;
    Some((group, text("id")?, metrics.as_f64()?))
}
