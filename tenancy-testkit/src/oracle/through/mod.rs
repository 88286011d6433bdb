//! The oracle through whole connections: sea-orm over the interceptor, against sea-orm over a twin.
//!
//! The rewriter's text is not all that stands between a statement and its rows: values are bound, rows are decoded,
//! errors are scrubbed, statements are cached by the driver. Here both sides are sea-orm connections, and the twin's is
//! a plain one. SQLite gets the statements that it understands.

mod side;
mod sqlite;

use std::sync::Arc;
use std::time::Instant;

use sea_orm::DbBackend;
use tenancy_core::{Tenant, TenantContext};
use tenancy_seaorm::Tenancy;

use self::side::{Side, outcome};
use super::ddl::Placement;
use super::r#gen::Draft;
use super::interceptor::policy_of;
use super::report::{Difference, Report};
use super::rng::Rng;
use super::run::bench::Trial;
use super::run::compare::{Before, Verdict, compare};
use super::run::shrink::Small;
use super::seed::Seed;
use super::subject::{Layout, Refusal, Scoped, Statement};
use super::world::World;
use crate::error::Error;

/// A differential test of the connections that `tenancy-seaorm` hands out.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// use tenancy_testkit::oracle::Connections;
///
/// let report = Connections::sqlite().with_statements(1_000).run().await?;
/// assert!(report.differences.is_empty(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Connections {
    backend: DbBackend,
    seed: u64,
    statements: u64,
    per_world: u64,
}

impl Connections {
    /// Compares connections to PostgreSQL.
    pub fn postgres() -> Self {
        Self { backend: DbBackend::Postgres, seed: 0, statements: 1_000, per_world: 250 }
    }

    /// Compares connections to SQLite, with the statements that it understands.
    pub fn sqlite() -> Self {
        Self { backend: DbBackend::Sqlite, ..Self::postgres() }
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

    /// Runs the statements.
    ///
    /// # Errors
    ///
    /// Returns an error if a test database cannot be had or stops answering. Differences are no error: they are in the
    /// report.
    pub async fn run(self) -> Result<Report, Error> {
        let started = Instant::now();
        let mut report = Report::default();
        for number in 0.. {
            if report.statements >= self.statements || report.differences.len() >= 3 {
                break;
            }
            self.world(Rng::derive(self.seed, number).next(), &mut report).await?;
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }

    async fn world(self, seed: u64, report: &mut Report) -> Result<(), Error> {
        let world = Arc::new(World::generate(seed));
        let mut pair = Pair::open(self.backend, Arc::clone(&world)).await?;
        report.worlds += 1;
        for number in 0..self.per_world {
            if report.statements >= self.statements || report.differences.len() >= 3 {
                break;
            }
            let draft = Draft::generate(&world, Rng::derive(seed, number));
            let mut statement = Statement::of(&draft);
            if self.backend == DbBackend::Sqlite {
                statement.sql = sqlite::spelled(&statement.sql);
            }
            pair.deal(Seed { world: seed, statement: number }, draft.tenant, &statement, report).await?;
        }
        Ok(())
    }
}

/// A shared database behind the interceptor, and a twin for each tenant.
struct Pair {
    world: Arc<World>,
    shared: Side,
    tenancy: Tenancy,
    contexts: Vec<TenantContext>,
    twins: Vec<Side>,
    /// By tenant: the state of the shared database before every statement.
    before: Vec<Vec<String>>,
}

impl Pair {
    async fn open(backend: DbBackend, world: Arc<World>) -> Result<Self, Error> {
        let shared = Side::open(backend, &world, Placement::Shared).await?;
        let tenancy = Tenancy::new(shared.db.clone(), policy_of(&world).build().expect("a world's tables"));
        let tenancy = tenancy.expect("a connection that is open");
        let (mut twins, mut contexts, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for (number, id) in world.tenants.iter().enumerate() {
            twins.push(Side::open(backend, &world, Placement::Twin(number)).await?);
            before.push(shared.state(&world, number).await?);
            let tenant = Tenant::builder(id.clone(), format!("oracle-{number}").parse().expect("a slug"));
            let tenant = tenant.build().expect("a tenant");
            contexts.push(TenantContext::assertion(tenant, "the oracle's tenant").expect("an active tenant"));
        }
        Ok(Self { world, shared, tenancy, contexts, twins, before })
    }

    async fn deal(
        &mut self,
        seed: Seed,
        tenant: usize,
        statement: &Statement,
        report: &mut Report,
    ) -> Result<(), Error> {
        let twin_side = &self.twins[tenant];
        if statement.restart
            && !(twin_side.restart(&self.world).await? && self.shared.restart(&self.world).await?)
        {
            return Ok(());
        }
        let twin = outcome(&twin_side.db, statement).await;
        let Ok(mut twin) = twin else { return Ok(()) };
        if twin_side.not_understood(&twin) {
            return Ok(());
        }
        report.met(statement);
        let subject = outcome(&self.tenancy.tenant(&self.contexts[tenant]), statement).await;
        if statement.writes {
            twin.state = twin_side.state(&self.world, tenant).await?;
        }
        let changed = statement.writes;
        let mut subject = match subject {
            Ok(subject) => subject,
            Err(construct) => {
                report.refused(seed, statement, &Refusal { construct });
                return self.put_back(tenant, changed).await;
            }
        };
        if statement.writes {
            subject.state = self.shared.state(&self.world, tenant).await?;
        }
        if twin.sqlstate.is_some() {
            twin.state.clear();
        }
        if subject.sqlstate.is_some() {
            subject.state.clear();
        }
        let before = Before { state: &self.before[tenant], sees_others: true };
        let verdict = compare(statement, &twin, &subject, before);
        let scoped =
            Scoped { layout: Layout::Shared, sql: statement.sql.clone(), values: statement.values.clone() };
        let trial = Trial { scoped, twin, subject, verdict };
        report.ran(seed, &trial, statement);
        if let Verdict::Different(reason) = trial.verdict {
            let small =
                Small { world: Arc::clone(&self.world), statement: statement.clone(), trial, walled: None };
            report.differences.push(Difference::new(seed, reason, tenant, statement.clone(), small));
        }
        self.put_back(tenant, changed).await
    }

    /// Brings the rows back that a statement may have changed.
    async fn put_back(&self, tenant: usize, changed: bool) -> Result<(), Error> {
        if !changed {
            return Ok(());
        }
        self.twins[tenant].refill(&self.world, Placement::Twin(tenant)).await?;
        self.shared.refill(&self.world, Placement::Shared).await
    }
}
