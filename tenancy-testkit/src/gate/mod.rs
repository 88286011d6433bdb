//! The benchmark gate: performance that a pull request cannot lose.
//!
//! A shared machine makes figures that are taken one after the other useless for small differences. The gate measures
//! in alternation: [`Interleave`] runs the benches of a [`Group`] in short batches by turns, and compares round by
//! round; [`OverheadProbe`] calls a `tower` service with and without a layer by turns, and gives the quantiles of the
//! difference; [`Alternation`] lets the builds of two revisions take turns.
//!
//! # How the pieces fit
//!
//! - A [`BenchProgram`] measures a [`Suite`] and writes a [`Run`] to a file. What criterion and gungraun leave behind is
//!   read into a run too.
//! - [`Budgets`] say what may cost how much; they are checked in.
//! - [`judge`] compares the two. What it finds becomes a [`Report`]: for a terminal, for a pull request, for programs, and
//!   as plots.
//! - The program `tenancy-gate` (feature `gate-cli`) does all of this. It exits with 0 if the budgets are kept, 1 if one is
//!   broken, and 2 if it could not be measured.
//!
//! # How sure it is
//!
//! Each figure comes with an interval from a bootstrap over its rounds, which holds the true value but for one time in
//! a thousand on each side. A budget is broken if the whole interval is beyond the limit. A figure whose interval also
//! holds a tenth more than the limit is measured again, and in the end could not be measured: a true tenth too much is
//! never passed over for want of precision.

mod budget;
mod compare;
mod criterion;
mod error;
mod gungraun;
mod history;
mod interleave;
mod judge;
mod machine;
mod overhead;
mod program;
mod report;
mod run;
mod stats;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};

pub use budget::{Budget, Budgets, Compare, Limit, Metric, Patterns};
pub use compare::Alternation;
pub use error::{Error, ErrorKind};
pub use history::{History, Moment};
pub use interleave::Interleave;
pub use judge::{Aim, Finding, Verdict, judge};
pub use machine::Machine;
pub use overhead::{Noise, Overhead, OverheadProbe};
pub use program::BenchProgram;
pub use report::Report;
pub use run::{BenchRun, GroupRun, Run};
pub use stats::{Bootstrap, Interval, median, quantile};
pub use suite::{Group, Suite};

/// Writes a file that appears whole or not at all, and its directory where there is none.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let unwritable = |error| Error::unwritable(path, error);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(unwritable)?;
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, content).and_then(|()| fs::rename(&partial, path)).map_err(unwritable)
}

/// Returns an error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Returns the files called `name` below `directory`, in order.
fn find_files(directory: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error| Error::unreadable(directory, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            found.append(&mut find_files(&path, name)?);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
