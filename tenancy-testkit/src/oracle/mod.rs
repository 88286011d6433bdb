//! A differential oracle: a scoped statement must do what it would do if no other tenant existed.
//!
//! For random schemas, rows and statements, each statement runs twice: as the [`Subject`] scopes it, on a database that
//! holds the rows of all tenants, and as it is, on a *twin*, a database that physically holds this tenant's rows alone.
//! Rows, counts, SQLSTATE and the state afterwards have to be the same, and every other tenant's rows untouched.
//! PostgreSQL's own row-level security runs some of the statements too: where it differs from the twin, the oracle
//! itself is wrong.
//!
//! ```no_run
//! # async fn example(subject: impl tenancy_testkit::oracle::Subject + 'static) -> Result<(), tenancy_testkit::Error> {
//! use tenancy_testkit::oracle::Oracle;
//!
//! let report = Oracle::new(subject).with_statements(5_000).with_seed(7).run().await?;
//! assert!(report.differences.is_empty(), "{report}");
//! # Ok(())
//! # }
//! ```

mod ddl;
mod frag;
mod r#gen;
#[cfg(feature = "seaorm")]
mod interceptor;
mod report;
pub(crate) mod rng;
mod run;
mod schema;
mod seed;
mod strategy;
mod subject;
#[cfg(feature = "seaorm")]
mod through;
mod value;
mod world;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

#[cfg(feature = "seaorm")]
pub use self::interceptor::Interceptor;
pub use self::report::{Difference, Report};
pub use self::run::lane::Outcome;
use self::run::worker::{Plan, again, work};
pub use self::seed::Seed;
pub use self::strategy::{StatementTree, Statements};
pub use self::subject::{Layout, Refusal, RowSecurity, Scope, Scoped, Statement, Subject};
#[cfg(feature = "seaorm")]
pub use self::through::{Connections, Model};
pub use self::value::{Type, Value};
pub use self::world::World;
use crate::error::Error;
use crate::postgres::PostgresServer;

/// A differential test of one [`Subject`].
#[derive(Clone)]
#[must_use]
pub struct Oracle {
    subject: Arc<dyn Subject>,
    seed: u64,
    statements: u64,
    per_world: u64,
    calibrate: u64,
    workers: usize,
    max_differences: usize,
    shrink: bool,
    limit: Option<Duration>,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle")
            .field("seed", &self.seed)
            .field("statements", &self.statements)
            .finish_non_exhaustive()
    }
}

impl Oracle {
    /// Makes an oracle that runs 5,000 statements from seed 0, and row-level security on one of eight.
    pub fn new(subject: impl Subject + 'static) -> Self {
        Self {
            subject: Arc::new(subject),
            seed: 0,
            statements: 5_000,
            per_world: 250,
            calibrate: 8,
            workers: 3,
            max_differences: 3,
            shrink: true,
            limit: None,
        }
    }

    /// Sets the seed, from which everything follows.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many statements are generated.
    pub fn with_statements(mut self, statements: u64) -> Self {
        self.statements = statements;
        self
    }

    /// Sets how many statements one schema with its rows serves, at least one.
    pub fn with_statements_per_world(mut self, statements: u64) -> Self {
        self.per_world = statements.max(1);
        self
    }

    /// Lets row-level security run one statement of every `every`; none if it is zero.
    pub fn with_calibration(mut self, every: u64) -> Self {
        self.calibrate = every;
        self
    }

    /// Sets how many statements run at the same time, at least one. Each uses seven databases.
    pub fn with_workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Stops after this many differences, at least one.
    pub fn with_max_differences(mut self, differences: usize) -> Self {
        self.max_differences = differences.max(1);
        self
    }

    /// Sets whether differences are made small, which takes seconds for each. They are unless this says otherwise.
    pub fn with_shrinking(mut self, shrink: bool) -> Self {
        self.shrink = shrink;
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
    /// Returns an error if a test database cannot be had or stops answering. Differences are no error: they are in the
    /// report.
    pub async fn run(&self) -> Result<Report, Error> {
        let started = Instant::now();
        let server = PostgresServer::shared().await?;
        let plan = Arc::new(self.plan());
        let workers: Vec<_> =
            (0..self.workers).map(|_| tokio::spawn(work(Arc::clone(&plan), server.clone()))).collect();
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
    pub async fn replay(&self, seed: &str) -> Result<Report, Error> {
        let seed: Seed = seed.parse()?;
        let started = Instant::now();
        let mut report = again(&self.plan(), &PostgresServer::shared().await?, seed).await?;
        report.elapsed = started.elapsed();
        Ok(report)
    }

    fn plan(&self) -> Plan {
        Plan {
            subject: Arc::clone(&self.subject),
            seed: self.seed,
            statements: self.statements,
            per_world: self.per_world,
            calibrate: self.calibrate,
            max_differences: self.max_differences,
            shrink: self.shrink,
            until: self.limit.map(|limit| Instant::now() + limit),
            next_world: AtomicU64::new(0),
            found: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }
}
