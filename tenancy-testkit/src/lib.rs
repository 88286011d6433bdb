//! Finds cross-tenant leaks in a service, shrinks them and replays them; real databases for tests.
//!
//! ```no_run
//! # #[cfg(feature = "servers")]
//! # async fn example() -> Result<(), tenancy_testkit::Error> {
//! use tenancy_testkit::TestDatabase;
//!
//! let db = TestDatabase::create().await?;
//! println!("migrate as {}, serve as {}", db.owner_url(), db.app_url());
//! # Ok(())
//! # }
//! ```
//!
//! # Crate features
//!
//! - `servers` (default): test databases on real servers. Without it the crate builds in seconds, for the gate alone.
//! - `gate`: the benchmark gate. `gate-cli`: its program, `tenancy-gate`.
//! - `oracle`: a differential test of anything that scopes statements to a tenant; see the `oracle` module.
//! - `seaorm`: the rewriter of `tenancy-seaorm` under that test.
//! - `redis`: a Redis for each test, beside `servers`.

#[cfg(feature = "servers")]
mod error;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "servers")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "servers")]
mod server;

#[cfg(feature = "servers")]
pub use error::{Error, ErrorKind, RungFailure};
#[cfg(feature = "servers")]
pub use postgres::{PostgresServer, RolePower, TestDatabase, require_app_role, role_powers};
#[cfg(feature = "redis")]
pub use redis::{RedisServer, TestRedis, TestRedisCluster};
#[cfg(feature = "servers")]
pub use server::{Ladder, Rung};
