//! [`Target`]: which configured database a connection leads to.

use std::fmt;
use std::sync::Arc;

use tenancy_core::{Placement, TenantContext};

use crate::error::{Error, ErrorKind};

/// A database of the service's configuration, as a [`DatabaseSource`](crate::DatabaseSource) is asked for it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    name: Arc<str>,
    kind: TargetKind,
    role: Role,
}

/// Whose rows are in a database.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TargetKind {
    /// One tenant's: [`Placement::Database`].
    Own,
    /// Many tenants', in shared tables or in schemas.
    Shard,
}

/// Which server of a database is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// One that follows it and takes reads alone.
    Replica,
}

impl Target {
    /// Returns the name in the service's configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whose rows are in it. Databases and shards have names of their own: an equal name is another target.
    #[must_use]
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Returns which of its servers is meant.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    pub(super) fn new(name: &str, kind: TargetKind, role: Role) -> Self {
        Self { name: name.into(), kind, role }
    }

    /// Returns where a tenant's rows are; `shared` is the shard of those whose placement names none.
    pub(super) fn of(context: &TenantContext, shared: Option<&str>, role: Role) -> Result<Self, Error> {
        let (name, kind) = match context.placement() {
            Placement::Database { database } => (Some(database.as_str()), TargetKind::Own),
            Placement::Shard { shard } => (Some(shard.as_str()), TargetKind::Shard),
            Placement::Schema { shard: Some(shard), .. } => (Some(shard.as_str()), TargetKind::Shard),
            Placement::Schema { shard: None, .. } | Placement::Row => (shared, TargetKind::Shard),
            _ => (None, TargetKind::Shard),
        };
        let hint = "its placement names no database, and the registry has none for such tenants";
        let name =
            name.ok_or_else(|| Error::new(ErrorKind::UnknownDatabase, "the tenant's placement", hint))?;
        Ok(Self::new(name, kind, role))
    }
}

/// The name alone, for logs.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
