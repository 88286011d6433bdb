//! [`Model`]: where the tenants' rows are.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Where the rows of a run's tenants are, and so what keeps them apart.
///
/// # Examples
///
/// ```
/// use tenancy_testkit::oracle::Model;
///
/// assert_eq!("schema".parse::<Model>()?, Model::Schema);
/// assert_eq!(Model::Walled.to_string(), "walled");
/// # Ok::<(), tenancy_testkit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Model {
    /// In shared tables, kept apart by the filter alone.
    #[default]
    Row,
    /// In shared tables behind row-level security, which `tenancy_seaorm::rls` has made.
    Walled,
    /// In a schema for each tenant; tables of the same names with all tenants' rows stand in `public`, so that what
    /// falls through to them shows.
    Schema,
    /// In a database for each tenant, leased from a pool registry; the default server has the tables without a row.
    Database,
}

impl Model {
    /// All of them, row-level first.
    pub const ALL: [Self; 4] = [Self::Row, Self::Walled, Self::Schema, Self::Database];

    fn name(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Walled => "walled",
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Model {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(|| Error::configuration("a model is one of row, walled, schema, database"))
    }
}
