//! One program against fresh starts of the service: together with the other tenants, and, for one of them, alone.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::coverage::Coverage;
use super::describe::handler::BoxError;
use super::describe::{Service, World};
use super::detect::logs::Log;
use super::detect::twin::{self, Noise};
use super::detect::{Detector, Finding, oracle};
use super::late::Late;
use super::program::run::{Record, Run};
use super::program::{Action, Program, Step};
use super::selfcheck::Plant;
use crate::error::Error;

pub(crate) type Starting = Pin<Box<dyn Future<Output = Result<Service, BoxError>>>>;
/// Starts the service under test.
pub(crate) type Start = Arc<dyn Fn(World) -> Starting + Send + Sync>;

/// What a stale answer is given to become fresh, before it counts as another tenant's doing (B06).
const SETTLE: Duration = Duration::from_millis(1_300);

/// How often a leak that may be chance is looked for again.
const AGAIN: usize = 3;

/// What came of it.
pub(crate) struct Attempt {
    pub(crate) finding: Option<Finding>,
    pub(crate) records: Vec<Record>,
    pub(crate) coverage: Coverage,
    /// What became of the kit's own leaks.
    pub(crate) plant: Option<Plant>,
}

/// Runs programs in one place.
pub(crate) struct Bench {
    pub(crate) start: Start,
    pub(crate) log: Log,
    pub(crate) noise: Noise,
    late: Late,
    /// What was looked at again and found to be nobody's doing.
    pub(crate) excused: BTreeSet<(u16, Detector)>,
}

impl Bench {
    pub(crate) fn new(start: Start, log: Log, late: Late) -> Self {
        Self { start, log, noise: Noise::new(), late, excused: BTreeSet::new() }
    }

    pub(crate) async fn service(&self, world: World) -> Result<Service, Error> {
        let started = (self.start)(world).await;
        started.map_err(|error| Error::start("the service did not start", error))
    }

    /// Runs `program` with everybody; `twin` is the tenant whose answers are compared with those it gets alone.
    pub(crate) async fn attempt(
        &mut self,
        program: &Program,
        twin: Option<usize>,
        plant: Option<Plant>,
    ) -> Result<Attempt, Error> {
        let service = self.service(program.world.clone()).await?;
        let mut run = Run::start(&service, &program.world, &self.log, true).await?;
        run.plant = plant;
        run.excused = self.excused.clone();
        run.late = self.late.clone();
        let mut finding = run.program(program).await?;
        let (records, mut coverage, plant) = (run.records, run.coverage, run.plant);
        coverage.programs = 1;
        drop(service);
        if let (None, Some(tenant)) = (&finding, twin) {
            finding = self.compare(program, tenant, &records).await?;
            let compared = records.iter().filter(|record| record.caller == tenant).count();
            coverage.observe(Detector::Twin, compared as u64);
        }
        Ok(Attempt { finding, records, coverage, plant })
    }

    /// D3. What differs is looked at again: in a second run alone, and after a while.
    async fn compare(
        &mut self,
        program: &Program,
        tenant: usize,
        shared: &[Record],
    ) -> Result<Option<Finding>, Error> {
        let alone = program.alone(tenant);
        let first = self.alone(&alone, shared).await?;
        if twin::judge(shared, &first, &self.noise).is_none() {
            return Ok(None);
        }
        let second = self.alone(&alone, shared).await?;
        twin::learn(&first, &second, &mut self.noise);
        Ok(twin::judge(shared, &first, &self.noise).map(|(finding, _)| finding))
    }

    /// D10 in a world in which the caller is alone: what is answered in the same way there was its own all along.
    async fn depends_on_others(
        &self,
        program: &Program,
        finding: &Finding,
        shared: &[Record],
    ) -> Result<bool, Error> {
        let Some(caller) = finding.to else { return Ok(true) };
        let mut alone = program.alone(caller);
        alone.steps.retain(|step| step.number <= finding.step);
        let alone = self.alone(&alone, shared).await?;
        let of = |records: &[Record]| {
            records.iter().find(|record| record.key() == (finding.step, finding.call)).cloned()
        };
        Ok(match (of(shared), of(&alone)) {
            (Some(shared), Some(alone)) => oracle::differs(&shared, &alone),
            _ => true,
        })
    }

    async fn alone(&self, program: &Program, like: &[Record]) -> Result<Vec<Record>, Error> {
        let service = self.service(program.world.clone()).await?;
        let mut run = Run::start(&service, &program.world, &self.log, false).await?;
        run.like(like);
        run.program(program).await?;
        Ok(run.records)
    }

    /// Whether `finding` is a leak rather than a matter of time.
    ///
    /// A canary, a served request or a job's row speaks for itself. What differs from before or from the twin has to do so
    /// again: after a while in which caches forget, and with time for work in the background to be done.
    ///
    /// `records` are those of the run in which it was found.
    pub(crate) async fn confirms(
        &mut self,
        program: &Program,
        finding: &Finding,
        records: &[Record],
    ) -> Result<bool, Error> {
        match finding.detector {
            Detector::Twin => self.stays(program, finding).await,
            Detector::Rows | Detector::Job => {
                self.again(&cut(program, finding), finding, Some(finding.step)).await
            }
            Detector::Connection | Detector::Cache => self.again(program, finding, None).await,
            Detector::Oracle => {
                let others = self.depends_on_others(program, finding, records).await?;
                Ok(others && self.again(program, finding, None).await?)
            }
            _ => Ok(true),
        }
    }

    /// The same detector fires again in one of a few runs.
    async fn again(
        &mut self,
        program: &Program,
        finding: &Finding,
        patient: Option<u16>,
    ) -> Result<bool, Error> {
        for _ in 0..AGAIN {
            let service = self.service(program.world.clone()).await?;
            let mut run = Run::start(&service, &program.world, &self.log, true).await?;
            run.patient_from = patient;
            run.excused = self.excused.clone();
            run.late = self.late.clone();
            if run.program(program).await?.is_some_and(|other| other.detector == finding.detector) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// D3 once more, with a pause before the request that differed: what is stale is late, not leaked (B06).
    async fn stays(&mut self, program: &Program, finding: &Finding) -> Result<bool, Error> {
        let Some(tenant) = finding.to else { return Ok(true) };
        let Some(at) = program.steps.iter().position(|step| step.number == finding.step) else {
            return Ok(true);
        };
        let millis = SETTLE.as_millis() as u16;
        let mut slow = program.clone();
        slow.steps.truncate(at + 1);
        slow.steps.insert(at, Step { number: u16::MAX, action: Action::Pause { millis } });
        let service = self.service(slow.world.clone()).await?;
        let mut run = Run::start(&service, &slow.world, &self.log, false).await?;
        run.program(&slow).await?;
        let shared = run.records;
        let alone = self.alone(&slow.alone(tenant), &shared).await?;
        let last = |records: Vec<Record>| {
            records.into_iter().filter(|record| record.step == finding.step).collect::<Vec<_>>()
        };
        Ok(twin::judge(&last(shared), &last(alone), &self.noise).is_some())
    }
}

/// The program without what comes after the step in which something was seen.
fn cut(program: &Program, finding: &Finding) -> Program {
    let mut program = program.clone();
    program.steps.retain(|step| step.number <= finding.step);
    program
}
