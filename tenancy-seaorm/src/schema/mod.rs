//! A schema for each tenant.
//!
//! A tenant whose [`Placement`](tenancy_core::Placement) is a schema has its tables there, under the names that the
//! policy declares for owned tables; global tables stay in `public`, or where their declaration says. Three ways lead
//! there:
//!
//! | way | a statement costs | behind a pooler in transaction mode |
//! |---|---|---|
//! | [`Tenancy::session`](crate::Tenancy::session) | nothing more; the session one round trip if its tenant changes | no |
//! | [`Tenancy::tenant`](crate::Tenancy::tenant), transactions | the path rides in BEGIN | yes |
//! | [`Tenancy::with_qualified_schemas`](crate::Tenancy::with_qualified_schemas) | a text and a plan for each tenant | yes, each statement in a transaction |
//!
//! In all of them a schema that does not exist is an error before any statement, nothing falls through to `public`, and
//! a statement that names the schema of a tenant's table is refused. The tables keep their tenant column, and the
//! filter stays in force: a connection that looked into the wrong schema would find no row.

mod name;
#[cfg(feature = "postgres")]
mod provision;

pub use self::name::SchemaName;
#[cfg(feature = "postgres")]
pub use self::provision::{Provision, drop_schema};
#[cfg(feature = "postgres")]
use crate::error::{Error, ErrorKind};

/// The refusal of a schema that does not exist, or that the role may not use (SCH-06).
#[cfg(feature = "postgres")]
pub(crate) fn missing() -> Error {
    let hint = "it does not exist, or the application's role may not use it; provision it";
    Error::new(ErrorKind::Placement, "the tenant's schema", hint)
}
