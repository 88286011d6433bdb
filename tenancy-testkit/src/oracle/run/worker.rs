//! One of several that share a run's worlds among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::alone::fails_alone;
use super::bench::{Bench, Trial};
use super::compare::Verdict;
use super::shrink::{Small, shrink, walled};
use crate::error::Error;
use crate::oracle::r#gen::Draft;
use crate::oracle::report::{Difference, Report};
use crate::oracle::rng::Rng;
use crate::oracle::seed::Seed;
use crate::oracle::subject::{RowSecurity, Scope, Statement, Subject};
use crate::oracle::world::World;
use crate::postgres::PostgresServer;

/// What a run is to do, and how far it has come.
pub(crate) struct Plan {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) seed: u64,
    pub(crate) statements: u64,
    pub(crate) per_world: u64,
    /// Row-level security runs every statement of this many; none if zero.
    pub(crate) calibrate: u64,
    pub(crate) max_differences: usize,
    /// Differences are made small.
    pub(crate) shrink: bool,
    pub(crate) until: Option<Instant>,
    pub(crate) next_world: AtomicU64,
    pub(crate) found: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Plan {
    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.until.is_some_and(|until| Instant::now() > until)
    }
}

pub(crate) async fn work(plan: Arc<Plan>, server: PostgresServer) -> Result<Report, Error> {
    let mut bench = Bench::open(&server).await?;
    let mut report = Report::default();
    loop {
        let number = plan.next_world.fetch_add(1, Ordering::Relaxed);
        let first = number * plan.per_world;
        if first >= plan.statements || plan.over() {
            return Ok(report);
        }
        let count = plan.per_world.min(plan.statements - first);
        let seed = Rng::derive(plan.seed, number).next();
        let mut table = Table::set(&mut bench, &plan, seed, &mut report).await?;
        for statement in 0..count {
            if plan.over() {
                break;
            }
            table.deal(statement).await?;
        }
    }
}

/// Runs the one statement that `seed` denotes.
pub(crate) async fn again(plan: &Plan, server: &PostgresServer, seed: Seed) -> Result<Report, Error> {
    let mut bench = Bench::open(server).await?;
    let mut report = Report::default();
    Table::set(&mut bench, plan, seed.world, &mut report).await?.deal(seed.statement).await?;
    Ok(report)
}

/// A bench with a world set up on it.
struct Table<'a> {
    bench: &'a mut Bench,
    plan: &'a Plan,
    world: Arc<World>,
    scope: Arc<dyn Scope>,
    report: &'a mut Report,
}

impl<'a> Table<'a> {
    async fn set(
        bench: &'a mut Bench,
        plan: &'a Plan,
        seed: u64,
        report: &'a mut Report,
    ) -> Result<Self, Error> {
        let world = Arc::new(World::generate(seed));
        bench.set_up(Arc::clone(&world)).await?;
        report.worlds += 1;
        let scope = plan.subject.prepare(&world);
        Ok(Self { bench, plan, world, scope, report })
    }

    async fn deal(&mut self, number: u64) -> Result<(), Error> {
        let seed = Seed { world: self.world.seed, statement: number };
        let draft = Draft::generate(&self.world, Rng::derive(seed.world, number));
        let statement = Statement::of(&draft);
        self.report.met(&statement);
        if self.plan.calibrate > 0 && number.is_multiple_of(self.plan.calibrate) && !statement.forbidden {
            self.calibrate(seed, &draft, &statement).await?;
        }
        let scoped = match self.scope.scope(&self.world.tenants[draft.tenant], &statement) {
            Ok(scoped) => scoped,
            Err(refusal) => {
                self.report.refused(seed, &statement, &refusal);
                return Ok(());
            }
        };
        let trial = self.bench.run(draft.tenant, &statement, scoped).await?;
        self.report.ran(seed, &trial, &statement);
        match trial.verdict {
            Verdict::Different(_)
                if self.plan.subject.tolerates(&statement, trial.subject.sqlstate.as_deref()) =>
            {
                self.report.tolerated += 1;
            }
            Verdict::Different(reason) => self.differs(seed, reason, draft, &statement, trial).await?,
            Verdict::Same | Verdict::Unknown => {}
        }
        Ok(())
    }

    async fn differs(
        &mut self,
        seed: Seed,
        reason: &'static str,
        draft: Draft,
        statement: &Statement,
        trial: Trial,
    ) -> Result<(), Error> {
        let subject = Arc::clone(&self.plan.subject);
        let found = (statement, &trial);
        if fails_alone(self.bench, subject.as_ref(), &self.world, draft.tenant, found).await? {
            self.report.alone.push(seed);
            return Ok(());
        }
        let difference = self.describe(seed, reason, draft, trial, subject.as_ref()).await?;
        self.report.differences.push(difference);
        let found = self.plan.found.fetch_add(1, Ordering::Relaxed) + 1;
        if found >= self.plan.max_differences as u64 {
            self.plan.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Row-level security is somebody else's implementation: what it gets wrong is wrong here.
    async fn calibrate(&mut self, seed: Seed, draft: &Draft, statement: &Statement) -> Result<(), Error> {
        let scope = RowSecurity::default().prepare(&self.world);
        let Some(trial) = self.bench.try_out(draft.tenant, statement, scope.as_ref()).await? else {
            return Ok(());
        };
        self.report.calibrated += 1;
        let Verdict::Different(reason) = trial.verdict else { return Ok(()) };
        if RowSecurity::default().tolerates(statement, trial.subject.sqlstate.as_deref()) {
            self.report.calibration_tolerated += 1;
            return Ok(());
        }
        if self.report.miscalibrations.len() < self.plan.max_differences {
            let difference =
                self.describe(seed, reason, draft.clone(), trial, &RowSecurity::default()).await?;
            self.report.miscalibrations.push(difference);
        }
        Ok(())
    }

    async fn describe(
        &mut self,
        seed: Seed,
        reason: &'static str,
        draft: Draft,
        trial: Trial,
        subject: &dyn Subject,
    ) -> Result<Difference, Error> {
        let (tenant, original) = (draft.tenant, Statement::of(&draft));
        if !self.plan.shrink {
            let walled = walled(self.bench, &self.world, tenant, &original).await?;
            let small = Small { world: Arc::clone(&self.world), statement: original.clone(), trial, walled };
            return Ok(Difference::new(seed, reason, tenant, original, small));
        }
        let small = shrink(self.bench, subject, Arc::clone(&self.world), draft, trial).await?;
        let difference = Difference::new(seed, reason, tenant, original, small);
        self.bench.set_up(Arc::clone(&self.world)).await?;
        Ok(difference)
    }
}
