//! Where a tenant's rows live.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Where a tenant's rows live.
///
/// Names are checked where they are used: by the crate that opens the schema or the database.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "model")]
#[non_exhaustive]
pub enum Placement {
    /// In shared tables, told apart by the tenant column.
    #[default]
    #[doc(alias = "pool")]
    Row,
    /// In shared tables of a named shard.
    Shard {
        /// The shard's name in the service's configuration.
        shard: SmolStr,
    },
    /// In a schema of its own, on the default server or a named shard.
    #[doc(alias = "bridge")]
    Schema {
        /// The schema's name.
        schema: SmolStr,
        /// The shard's name in the service's configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<SmolStr>,
    },
    /// In a database of its own.
    #[doc(alias = "silo")]
    Database {
        /// The database's name in the service's configuration: not a URL, so that a record holds no password.
        database: SmolStr,
    },
}
