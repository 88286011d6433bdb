//! A sea-orm query interceptor: every statement is scoped to one tenant, or refused.

mod connection;
pub mod danger;
mod error;
mod mutant;
mod policy;
mod rewrite;
mod scrub;
mod stream;
mod tenancy;
mod value;

pub use connection::{TenantConnection, TenantTransaction};
pub use error::{Error, ErrorKind};
#[cfg(feature = "broken-on-purpose-for-tests-only")]
pub use mutant::Mutant;
pub use policy::{Dialect, LeakyPredicates, Policy, PolicyBuilder};
pub use rewrite::{Explanation, Note, Param, Rewriter};
pub use scrub::DatabaseFault;
pub use stream::TenantStream;
pub use tenancy::Tenancy;
pub use value::TenantValue;
