//! [`Pair`]: a world behind the interceptor, and a twin for each of its tenants.

use std::sync::Arc;

use sea_orm::DbBackend;

use super::How;
use super::model::Model;
use super::side::{Side, outcome};
use super::stage::Stage;
use crate::error::Error;
use crate::oracle::ddl::Placement;
use crate::oracle::report::{Difference, Report};
use crate::oracle::run::bench::Trial;
use crate::oracle::run::compare::{Before, Verdict, compare};
use crate::oracle::run::lane::Outcome;
use crate::oracle::run::shrink::Small;
use crate::oracle::seed::Seed;
use crate::oracle::subject::{Layout, Refusal, Scoped, Statement};
use crate::oracle::world::World;

pub(super) struct Pair {
    world: Arc<World>,
    stage: Stage,
    layout: Layout,
    twins: Vec<Side>,
    /// By tenant: the state of the stage before every statement.
    before: Vec<Vec<String>>,
}

impl Pair {
    pub(super) async fn open(backend: DbBackend, how: How, world: Arc<World>) -> Result<Self, Error> {
        let stage = Stage::open(backend, how, &world).await?;
        let (mut twins, mut before) = (Vec::new(), Vec::new());
        for tenant in 0..world.tenants.len() {
            twins.push(Side::open(backend, &world, Placement::Twin(tenant)).await?);
            before.push(stage.state(&world, tenant).await?);
        }
        let layout = if how.model == Model::Walled { Layout::Walled } else { Layout::Shared };
        Ok(Self { world, stage, layout, twins, before })
    }

    pub(super) async fn deal(
        &mut self,
        seed: Seed,
        tenant: usize,
        statement: &Statement,
        report: &mut Report,
    ) -> Result<(), Error> {
        let twin_side = &self.twins[tenant];
        if statement.restart
            && !(twin_side.restart(&self.world, None).await?
                && self.stage.restart(&self.world, tenant).await?)
        {
            return Ok(());
        }
        let Ok(twin) = outcome(&twin_side.db, statement).await else { return Ok(()) };
        if twin_side.not_understood(&twin) {
            return Ok(());
        }
        report.met(statement);
        match self.stage.run(tenant, seed.statement, statement).await? {
            Ok(subject) => {
                let trial = self.trial(tenant, statement, twin, subject).await?;
                report.ran(seed, &trial, statement);
                let different = matches!(trial.verdict, Verdict::Different(_));
                if let Verdict::Different(reason) = trial.verdict {
                    let (world, statement) = (Arc::clone(&self.world), statement.clone());
                    let small = Small { world, statement: statement.clone(), trial, walled: None };
                    report.differences.push(Difference::new(seed, reason, tenant, statement, small));
                }
                self.put_back(tenant, statement.writes, different).await
            }
            Err(construct) => {
                report.refused(seed, statement, &Refusal { construct });
                self.put_back(tenant, statement.writes, false).await
            }
        }
    }

    /// Reads the states that the statement left, and compares.
    async fn trial(
        &self,
        tenant: usize,
        statement: &Statement,
        mut twin: Outcome,
        mut subject: Outcome,
    ) -> Result<Trial, Error> {
        if statement.writes && twin.sqlstate.is_none() {
            twin.state = self.twins[tenant].state(&self.world).await?;
        }
        if statement.writes && subject.sqlstate.is_none() {
            subject.state = self.stage.state(&self.world, tenant).await?;
        }
        let before = Before { state: &self.before[tenant], sees_others: true };
        let verdict = compare(statement, &twin, &subject, before);
        let (sql, values) = (statement.sql.clone(), statement.values.clone());
        Ok(Trial { scoped: Scoped { layout: self.layout, sql, values }, twin, subject, verdict })
    }

    /// Brings the rows back that a statement may have changed.
    async fn put_back(&self, tenant: usize, changed: bool, everywhere: bool) -> Result<(), Error> {
        if changed {
            self.twins[tenant].refill(&self.world, Placement::Twin(tenant)).await?;
        }
        if changed || everywhere {
            self.stage.put_back(&self.world, tenant, everywhere).await?;
        }
        Ok(())
    }
}
