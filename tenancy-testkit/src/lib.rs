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
//! # Databases for tests
//!
//! `TestDatabase::create` gives a test a PostgreSQL database of its own; `TestDatabase::from_template` copies one that is
//! migrated once per run. Two roles can log in: the owner, who migrates, and the application's, which owns nothing, may
//! not truncate, reference or create, and is subject to row-level security. `require_app_role` refuses any other role for
//! the code under test, since a superuser's or an owner's tests would pass for the wrong reason.
//!
//! All test processes of a run share one server, whichever runner starts them. It comes from a ladder: a URL, a
//! container, or binaries of this machine, in this order or as `TENANCY_POSTGRES` says; `Ladder::from_env` lists the
//! variables. It is gone a few seconds after its last user, also when that user was killed: a local server has a watchdog,
//! a container watches its own connections, and what is left on a given server is swept by the next process.
//!
//! Sharing has limits. Roles belong to the whole server, and Redis keeps only keys apart by number, not channels or
//! scripts: `TestRedis::dedicated` starts a server for one test. The servers need a Unix system.
//!
//! # Crate features
//!
//! - `servers` (default): test databases on real servers. Without it the crate builds in seconds, for the gate alone.
//! - `broken-on-purpose-for-tests-only`: takes guards away, one at a time, and requires a suite to notice; see the `guards`
//!   module. `guards-cli`: its program, `tenancy-guards`.
//! - `faults`: a wire proxy that holds, cuts and resets what PostgreSQL and its clients say, futures that are dropped at
//!   each point, and what they leave behind; see the `proxy` and `cancel` modules.
//! - `check`: the search for leaks in a service; see the `check` module.
//! - `gate`: the benchmark gate. `gate-cli`: its program, `tenancy-gate`.
//! - `oracle`: a differential test of anything that scopes statements to a tenant; see the `oracle` module.
//! - `seaorm`: the rewriter of `tenancy-seaorm` under that test.
//! - `doctor`: examines a live PostgreSQL; see the `doctor` module. `doctor-cli`: its program, `tenancy-doctor`.
//! - `report`: what a search found, as JSON, JUnit and a page; see the `report` module.
//! - `pgbouncer`: a PgBouncer before a test's database.
//! - `redis`: a Redis for each test, beside `servers`.

#[cfg(feature = "faults")]
pub mod cancel;
#[cfg(feature = "check")]
pub mod check;
#[cfg(feature = "doctor")]
pub mod doctor;
#[cfg(feature = "servers")]
mod error;
#[cfg(feature = "report")]
mod finding;
#[cfg(feature = "gate")]
pub mod gate;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
pub mod guards;
#[cfg(feature = "oracle")]
pub mod oracle;
#[cfg(feature = "pgbouncer")]
mod pgbouncer;
#[cfg(feature = "servers")]
mod postgres;
#[cfg(feature = "faults")]
pub mod proxy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "servers")]
mod server;
#[cfg(feature = "report")]
mod shown;

#[cfg(feature = "check")]
pub use check::{check_isolation, replay};
#[cfg(feature = "servers")]
pub use error::{Error, ErrorKind, RungFailure};
#[cfg(feature = "pgbouncer")]
pub use pgbouncer::{PoolMode, TestPgBouncer};
#[cfg(feature = "faults")]
pub use postgres::Stop;
#[cfg(feature = "servers")]
pub use postgres::{PostgresServer, RolePower, TestDatabase, require_app_role, role_powers};
#[cfg(feature = "redis")]
pub use redis::{RedisServer, TestRedis, TestRedisCluster};
#[cfg(feature = "servers")]
pub use server::{Ladder, Rung};
