//! The benchmark gate: performance that a pull request cannot lose.
//!
//! A shared machine makes figures that are taken one after the other useless for small differences. The gate measures
//! in alternation: [`Interleave`] runs the benches of a [`Group`] in short batches by turns, and compares round by
//! round; [`OverheadProbe`] calls a `tower` service with and without a layer by turns, and gives the quantiles of the
//! difference.

mod error;
mod interleave;
mod machine;
mod overhead;
mod program;
mod run;
mod stats;
mod suite;

use std::fs;
use std::path::Path;

pub use error::{Error, ErrorKind};
pub use interleave::Interleave;
pub use machine::Machine;
pub use overhead::{Noise, Overhead, OverheadProbe};
pub use program::BenchProgram;
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
