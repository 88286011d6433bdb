//! The reference application of the test kit: one correct service and its variants with one bug each.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenancy_mutants::Error> {
//! use tenancy_mutants::{App, Options, Variant};
//!
//! let app = App::start(Options::new(Variant::M07)).await?;
//! let service = app.router();
//! let credential = app.credential(&app.tenants()[0])?;
//! # let _ = (service, credential);
//! # Ok(())
//! # }
//! ```
//!
//! It takes orders. Tenants are named by a host below [`BASE_DOMAIN`], by a token, and by a header that must agree; the
//! routes are in [`openapi`]. Ids count from 1 for every tenant. `MUTANTS.md` beside this crate lists the variants, and
//! where one is not quite what its description says.
//!
//! A variant is a `bug(Variant::M03)` beside the correct code, and differs there alone.

mod api;
mod app;
mod db;
mod directory;
mod jobs;
mod logs;
mod options;
mod schema;
pub mod shapes;
mod store;
mod tokens;
mod variant;
mod wiring;

pub use api::openapi;
pub use app::App;
pub use options::{Isolation, Options, TenantSeed};
pub use schema::TENANT_TABLES;
pub use tokens::{BASE_DOMAIN, Credential};
pub use variant::Variant;

/// What keeps the service from starting, or its operators from their work.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
