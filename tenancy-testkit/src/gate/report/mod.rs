//! What the gate found, for people and for programs.

mod plot;
mod results;
mod text;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::history::History;
use super::judge::{Finding, Verdict};
use super::run::Run;
use super::{Error, Machine};

/// All findings of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// Where it was measured.
    pub machine: Machine,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Returns the report of `findings` on `machine`.
    #[must_use]
    pub fn new(machine: Machine, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Unclear);
        Self { verdict, machine, findings }
    }

    /// Returns the exit code: 0 if every budget is kept, 1 if one is broken, 2 if one could not be measured, or if there
    /// are none.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Skipped | Verdict::Within => 0,
            Verdict::Over => 1,
            Verdict::Unclear => 2,
        }
    }

    /// Returns a table for a terminal.
    #[must_use]
    pub fn terminal(&self) -> String {
        text::terminal(self)
    }

    /// Returns a comment for a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        text::markdown(self)
    }

    /// Returns everything that `run` measured, with the goals first, as tables in Markdown for a file that is checked in:
    /// what stands there is what was printed.
    #[must_use]
    pub fn results(&self, run: &Run) -> String {
        results::of(self, run)
    }

    /// Writes `report.json`, `report.md`, `results.md` (see [`results`](Self::results)) and a plot for each group of `run` to `directory`: how its rounds are
    /// distributed, and how its medians went in `history`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Unwritable`](super::ErrorKind::Unwritable) or
    /// [`ErrorKind::PlotFailed`](super::ErrorKind::PlotFailed) if that fails.
    pub fn write(&self, directory: &Path, run: &Run, history: &History) -> Result<(), Error> {
        let path = directory.join("report.json");
        let json = serde_json::to_vec_pretty(self).map_err(|error| Error::unwritable(&path, error))?;
        super::write_whole(&path, &json)?;
        super::write_whole(&directory.join("report.md"), self.markdown().as_bytes())?;
        super::write_whole(&directory.join("results.md"), self.results(run).as_bytes())?;
        for group in
            run.groups.iter().filter(|group| group.benches.iter().any(|bench| !bench.rounds.is_empty()))
        {
            let name = format!("{}.svg", group.name.replace('/', "-"));
            super::write_whole(&directory.join(name), plot::group(group, history)?.as_bytes())?;
        }
        Ok(())
    }
}
