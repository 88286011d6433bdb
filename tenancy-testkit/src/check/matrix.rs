//! [`AccessMatrix`]: who gets an answer to what, as text to be checked in and reviewed.

use std::fmt;
use std::path::Path;

use super::coverage::{Coverage, Tally};
use super::describe::Operation;
use super::describe::operation::Access;
use crate::error::{Error, ErrorKind};

/// The variable that has [`AccessMatrix::assert_matches`] write the file instead of comparing it.
const UPDATE: &str = "TENANCY_UPDATE_MATRIX";

/// For each operation, whether it was served: for a tenant's own data, for another tenant's, and without a tenant.
///
/// The words are `served` and `refused`; `-` stands where there is nothing to ask for (an operation without an id has no
/// other tenant's to go after), and `never` where nothing of the kind was asked, which fails a run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessMatrix {
    rows: Vec<[String; 4]>,
}

impl AccessMatrix {
    pub(crate) fn new(operations: &[Operation], coverage: &Coverage) -> Self {
        let mut rows: Vec<[String; 4]> = operations
            .iter()
            .zip(&coverage.rows)
            .map(|(operation, row)| {
                let own = if operation.access == Access::Admin { "-".into() } else { word(row.own) };
                let foreign = if aims(operation) { word(row.foreign) } else { "-".into() };
                [operation.name(), own, foreign, word(row.missing)]
            })
            .collect();
        rows.sort();
        Self { rows }
    }

    /// Compares with the file at `path`, or writes it if `TENANCY_UPDATE_MATRIX` is set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`](crate::ErrorKind::State) if the file cannot be read or written;
    /// [`ErrorKind::Matrix`](crate::ErrorKind::Matrix), with both texts, if it says something else.
    pub fn assert_matches(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let now = self.to_string();
        if std::env::var_os(UPDATE).is_some() {
            return std::fs::write(path, now).map_err(|error| Error::state("the access matrix", error));
        }
        let before =
            std::fs::read_to_string(path).map_err(|error| Error::state("the access matrix", error))?;
        match before == now {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Matrix,
                format!(
                    "the access matrix has changed; if that is meant, run again with {UPDATE}=1\nbefore:\n{before}\nnow:\n{now}"
                ),
            )),
        }
    }
}

/// Whether an operation can be asked for another tenant's things.
pub(crate) fn aims(operation: &Operation) -> bool {
    operation.access == Access::Tenant && operation.path.contains('{')
}

fn word(tally: Tally) -> String {
    match tally {
        Tally { asked: 0, .. } => "never",
        Tally { served: 0, .. } => "refused",
        _ => "served",
    }
    .into()
}

impl fmt::Display for AccessMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row[0].len()).max().unwrap_or(0).max(9);
        writeln!(f, "{:width$}  {:8} {:8} no tenant", "operation", "own", "foreign")?;
        for [name, own, foreign, missing] in &self.rows {
            writeln!(f, "{name:width$}  {own:8} {foreign:8} {missing}")?;
        }
        Ok(())
    }
}
