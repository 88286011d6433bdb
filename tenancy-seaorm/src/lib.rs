//! A sea-orm query interceptor: every statement is scoped to one tenant, or refused.
//!
//! ```no_run
//! # mod order {
//! #     use sea_orm::entity::prelude::*;
//! #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//! #     #[sea_orm(table_name = "orders")]
//! #     pub struct Model { #[sea_orm(primary_key)] pub id: i32 }
//! #     #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
//! #     pub enum Relation {}
//! #     impl ActiveModelBehavior for ActiveModel {}
//! # }
//! # async fn example(context: tenancy_core::TenantContext) -> Result<(), Box<dyn std::error::Error>> {
//! use sea_orm::{Database, EntityTrait};
//! use tenancy_seaorm::{Policy, Tenancy};
//!
//! let db = Database::connect("sqlite::memory:").await?;
//! let tenancy = Tenancy::new(db, Policy::builder().owned(order::Entity).build()?)?;
//!
//! let tenant_db = tenancy.tenant(&context);
//! let own = order::Entity::find().all(&tenant_db).await?; // … WHERE "orders"."tenant_id" = $1
//! # Ok(())
//! # }
//! ```
//!
//! # How the pieces fit
//!
//! A [`Policy`] declares what each table is; a table that it does not name is refused. [`Tenancy`] owns the database
//! connection and hands out a [`TenantConnection`] for a [`TenantContext`](tenancy_core::TenantContext). It implements
//! sea-orm's connection, stream and transaction traits, so `&tenant_db` goes where `&db` went, and a transaction of it
//! is scoped in the same way.
//!
//! Every statement, raw ones too, passes the [`Rewriter`] as text with bound values. It behaves as if each owned table
//! physically held this tenant's rows alone: reads and writes get the tenant's filter where it changes nothing else,
//! new rows are stamped, and a row of another tenant or a change of the tenant column is refused. What is not
//! understood is refused, with a typed [`Error`] that names the construct and the way out; see [`Error::of`]. The
//! decision is kept by the statement's text, without any tenant in it.
//!
//! # What rewriting cannot do
//!
//! Functions, triggers, cascades and foreign keys run inside the database and see all rows. Functions are therefore
//! on an allow-list, and row-level security is the second wall for the rest. A predicate that may raise an error is
//! fenced, unless [`LeakyPredicates`] says otherwise: its error would tell about rows of other tenants. `THREATS.md`
//! beside this crate lists each case, and the server settings that are relied on.
//!
//! # Crate features
//!
//! `postgres`, `sqlite` and `mysql` turn on sea-orm's drivers of these names. `broken-on-purpose-for-tests-only` lets a
//! test suite break the rewriter, to see that it would notice, or take the filter away by `tenancy_core::Guard`.

pub mod catalog;
mod conduit;
mod connection;
pub mod danger;
mod entity;
mod error;
mod kind;
mod mutant;
mod placements;
mod plain;
mod policy;
mod pools;
mod rewrite;
pub mod rls;
pub mod schema;
mod scrub;
#[cfg(feature = "postgres")]
pub mod session;
mod stream;
mod tenancy;
mod value;
#[cfg(feature = "postgres")]
mod wire;

pub use conduit::{Conduit, Link, Rows, Unit};
pub use connection::{TenantConnection, TenantSession, TenantTransaction};
pub use entity::{Ownership, TenantTable};
pub use error::{Error, ErrorKind};
#[cfg(feature = "broken-on-purpose-for-tests-only")]
pub use mutant::Mutant;
pub use placements::Placements;
pub use policy::{DeclaredTable, Dialect, LeakyPredicates, Policy, PolicyBuilder};
pub use pools::{
    Closing, DatabaseSource, OptionsFuture, PoolRegistry, PoolRegistryBuilder, PoolStats, PooledDatabase,
    Role, Target, TargetKind,
};
pub use rewrite::{Explanation, Note, Param, Rewriter};
pub use scrub::DatabaseFault;
pub use stream::TenantStream;
pub use tenancy::Tenancy;
pub use value::TenantValue;
