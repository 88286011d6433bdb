//! What is tested: anything that scopes a statement to a tenant.

use std::fmt;
use std::sync::Arc;

use tenancy_core::TenantId;

use super::r#gen::Draft;
use super::value::Value;
use super::world::World;

/// A statement as a tenant issues it, written as if no other tenant existed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Statement {
    /// The text, with `$1`, `$2` and so on.
    pub sql: String,
    /// What the text binds, in order.
    pub values: Vec<Value>,
    /// True if it changes or locks rows.
    pub writes: bool,
    /// True if its rows come in one order and no other.
    pub ordered: bool,
    /// True if it holds an expression that fails on other tenants' rows, but on none of its own.
    pub leaky: bool,
    /// What it is made of.
    pub constructs: Vec<&'static str>,
    pub(crate) restart: bool,
    pub(crate) forbidden: bool,
}

impl Statement {
    pub(crate) fn of(draft: &Draft) -> Self {
        let (sql, values) = draft.frag.render(&draft.values);
        Self {
            sql,
            values,
            writes: draft.writes,
            ordered: draft.ordered,
            leaky: draft.hazard,
            constructs: draft.tags.clone(),
            restart: draft.restart,
            forbidden: draft.forbidden,
        }
    }
}

/// Where a scoped statement is run.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Layout {
    /// On tables that all tenants share, with nothing but a column between them.
    #[default]
    Shared,
    /// On shared tables behind row-level security, which reads the setting `tenancy.tenant_id`.
    Walled,
}

/// What a statement becomes for one tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scoped {
    /// Where it is run.
    pub layout: Layout,
    /// The text that is run.
    pub sql: String,
    /// What that text binds.
    pub values: Vec<Value>,
}

/// A statement that the subject does not run, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The construct that was refused; refusals are counted by it.
    pub construct: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.construct)
    }
}

/// An implementation that scopes statements, to be compared with a database that holds one tenant's rows alone.
pub trait Subject: Send + Sync {
    /// Prepares for the tables and tenants of `world`.
    fn prepare(&self, world: &World) -> Arc<dyn Scope>;

    /// Returns true if `outcome`, other than the twin's, is a known limit of the subject rather than a leak.
    ///
    /// Such outcomes are counted and printed. No outcome is, unless this is overridden.
    fn tolerates(&self, statement: &Statement, sqlstate: Option<&str>) -> bool {
        let _ = (statement, sqlstate);
        false
    }
}

/// A [`Subject`], ready for the tables of one world.
pub trait Scope: Send + Sync {
    /// Returns what `statement` becomes for `tenant`.
    ///
    /// # Errors
    ///
    /// Returns a [`Refusal`] if it is not to be run.
    fn scope(&self, tenant: &TenantId, statement: &Statement) -> Result<Scoped, Refusal>;
}

/// PostgreSQL's row-level security alone: it calibrates the oracle.
///
/// It is an implementation that nobody here wrote, so where it differs from the twin the oracle is wrong, but for its
/// known limits: it does not see through unique keys.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RowSecurity;

impl Subject for RowSecurity {
    fn prepare(&self, _: &World) -> Arc<dyn Scope> {
        Arc::new(Self)
    }

    /// A conflict target without the tenant names no unique key here, and functional dependency needs the whole key.
    fn tolerates(&self, statement: &Statement, sqlstate: Option<&str>) -> bool {
        let upsert = statement.constructs.contains(&"ON CONFLICT");
        // It asks no policy before a nested query, or a function of constants: no row goes into either.
        let mine = statement.constructs.contains(&"mine");
        (upsert && matches!(sqlstate, Some("42P10" | "42501")))
            || (mine && sqlstate.is_some_and(|code| code.starts_with("22")))
    }
}

impl Scope for RowSecurity {
    fn scope(&self, _: &TenantId, statement: &Statement) -> Result<Scoped, Refusal> {
        Ok(Scoped { layout: Layout::Walled, sql: statement.sql.clone(), values: statement.values.clone() })
    }
}
