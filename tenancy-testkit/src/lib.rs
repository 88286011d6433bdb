//! Finds cross-tenant leaks in a service, shrinks them and replays them; real databases for tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenancy_testkit::Error> {
//! use tenancy_testkit::TestDatabase;
//!
//! let db = TestDatabase::create().await?;
//! println!("migrate as {}, serve as {}", db.owner_url(), db.app_url());
//! # Ok(())
//! # }
//! ```

mod error;
mod postgres;
mod server;

pub use error::{Error, ErrorKind, RungFailure};
pub use postgres::{PostgresServer, RolePower, TestDatabase, require_app_role, role_powers};
pub use server::{Ladder, Rung};
