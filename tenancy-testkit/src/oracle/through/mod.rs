//! The oracle through whole connections: sea-orm over the interceptor, against sea-orm over a twin.
//!
//! The rewriter's text is not all that stands between a statement and its rows: the tenant's rows are found where they
//! are, the server is told the tenant, values are bound, rows are decoded, errors are scrubbed, statements are cached by
//! the driver. Here both sides are sea-orm connections, and the twin's is a plain one. SQLite gets the statements that it
//! understands.

mod model;
mod pair;
mod side;
mod sqlite;
mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::DbBackend;
use tenancy_seaorm::PolicyBuilder;

pub use self::model::Model;
use self::pair::Pair;
use super::r#gen::Draft;
use super::report::Report;
use super::rng::Rng;
use super::seed::Seed;
use super::subject::Statement;
use super::world::World;
use crate::error::Error;

/// A tenant with its own schema is refused names with `public`, which would mean the shared tables. So both sides get most
/// statements without them, and one of so many as it is.
const REFUSED: u64 = 16;

/// A differential test of the connections that `tenancy-seaorm` hands out.
///
/// Statements run by themselves, on the connection that suits the tenant, and in transactions, in turn.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// use tenancy_testkit::oracle::{Connections, Model};
///
/// let report = Connections::sqlite().with_statements(1_000).run().await?;
/// assert!(report.differences.is_empty(), "{report}");
///
/// let report = Connections::postgres().with_model(Model::Schema).with_pooler().run().await?;
/// assert!(report.differences.is_empty(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Connections {
    backend: DbBackend,
    how: How,
    seed: u64,
    statements: u64,
    per_world: u64,
    workers: u64,
    max_differences: usize,
    limit: Option<Duration>,
}

/// How the subject's tenants are kept apart.
#[derive(Clone, Copy)]
struct How {
    model: Model,
    /// Through PgBouncer in transaction mode.
    pooled: bool,
    policy: fn(PolicyBuilder) -> PolicyBuilder,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("backend", &self.backend)
            .field("model", &self.how.model)
            .field("pooled", &self.how.pooled)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// Compares connections to PostgreSQL.
    pub fn postgres() -> Self {
        Self {
            backend: DbBackend::Postgres,
            how: How { model: Model::Row, pooled: false, policy: |policy| policy },
            seed: 0,
            statements: 1_000,
            per_world: 250,
            workers: 1,
            max_differences: 3,
            limit: None,
        }
    }

    /// Compares connections to SQLite, with the statements that it understands.
    pub fn sqlite() -> Self {
        Self { backend: DbBackend::Sqlite, ..Self::postgres() }
    }

    /// Sets where the tenants' rows are (default: in shared tables).
    pub fn with_model(mut self, model: Model) -> Self {
        self.how.model = model;
        self
    }

    /// Lets the tenants' connections go through PgBouncer in transaction mode.
    pub fn with_pooler(mut self) -> Self {
        self.how.pooled = true;
        self
    }

    /// Changes the policy before it is built.
    pub fn with_policy(mut self, change: fn(PolicyBuilder) -> PolicyBuilder) -> Self {
        self.how.policy = change;
        self
    }

    /// Sets the seed, from which everything follows.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many statements are run. Those that SQLite does not understand are not counted.
    pub fn with_statements(mut self, statements: u64) -> Self {
        self.statements = statements;
        self
    }

    /// Sets how many statements one schema with its rows serves, at least one.
    pub fn with_statements_per_world(mut self, statements: u64) -> Self {
        self.per_world = statements.max(1);
        self
    }

    /// Sets how many worlds are worked on at a time, at least one; each has databases of its own.
    pub fn with_workers(mut self, workers: u64) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Stops a worker after this many differences, at least one.
    pub fn with_max_differences(mut self, differences: usize) -> Self {
        self.max_differences = differences.max(1);
        self
    }

    /// Stops after `limit`, however many statements are left; the report says how many ran.
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Runs the statements.
    ///
    /// # Errors
    ///
    /// Returns an error if a test database, or the pooler, cannot be had or stops answering, and
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a model that SQLite has not. Differences are no
    /// error: they are in the report.
    pub async fn run(self) -> Result<Report, Error> {
        self.check()?;
        let started = Instant::now();
        let workers: Vec<_> =
            (0..self.workers).map(|worker| tokio::spawn(self.work(worker, started))).collect();
        let mut report = Report::default();
        for worker in workers {
            match worker.await {
                Ok(part) => report.merge(part?),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }

    /// Runs the one statement that `seed`, which a report printed, denotes.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `seed` is not one.
    pub async fn replay(self, seed: &str) -> Result<Report, Error> {
        self.check()?;
        let seed: Seed = seed.parse()?;
        let started = Instant::now();
        let mut report = Report::default();
        let world = Arc::new(World::generate(seed.world));
        let mut pair = Pair::open(self.backend, self.how, Arc::clone(&world)).await?;
        report.worlds = 1;
        self.deal(&mut pair, &world, seed.statement, &mut report).await?;
        report.elapsed = started.elapsed();
        Ok(report)
    }

    fn check(&self) -> Result<(), Error> {
        if self.backend == DbBackend::Sqlite && (self.how.model != Model::Row || self.how.pooled) {
            return Err(Error::configuration("SQLite has shared tables alone, and no pooler"));
        }
        Ok(())
    }

    /// One of several that share a run's worlds among them.
    async fn work(self, worker: u64, started: Instant) -> Result<Report, Error> {
        let mut report = Report::default();
        let share = (self.statements + self.workers - 1 - worker) / self.workers;
        let over = |report: &Report| {
            report.statements >= share
                || report.differences.len() >= self.max_differences
                || self.limit.is_some_and(|limit| started.elapsed() > limit)
        };
        let mut number = worker;
        while !over(&report) {
            let seed = Rng::derive(self.seed, number).next();
            let world = Arc::new(World::generate(seed));
            let mut pair = Pair::open(self.backend, self.how, Arc::clone(&world)).await?;
            report.worlds += 1;
            for number in 0..self.per_world {
                if over(&report) {
                    break;
                }
                self.deal(&mut pair, &world, number, &mut report).await?;
            }
            number += self.workers;
        }
        Ok(report)
    }

    async fn deal(
        self,
        pair: &mut Pair,
        world: &World,
        number: u64,
        report: &mut Report,
    ) -> Result<(), Error> {
        let draft = Draft::generate(world, Rng::derive(world.seed, number));
        let mut statement = Statement::of(&draft);
        if self.backend == DbBackend::Sqlite {
            if sqlite::depends_on_order(&statement) {
                return Ok(());
            }
            statement.sql = sqlite::spelled(&statement.sql);
        } else if self.how.model == Model::Schema && !number.is_multiple_of(REFUSED) {
            statement.sql = statement.sql.replace("public.", "");
        }
        pair.deal(Seed { world: world.seed, statement: number }, draft.tenant, &statement, report).await
    }
}
