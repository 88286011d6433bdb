//! One program against fresh starts of the service: together with the other tenants, and, for one of them, alone.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::coverage::Coverage;
use super::describe::handler::BoxError;
use super::describe::{Service, World};
use super::detect::logs::Log;
use super::detect::twin::{self, Noise};
use super::detect::{Detector, Finding, oracle};
use super::late::Late;
use super::meter::{Meter, Part};
use super::program::run::{End, Record, Run};
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

/// How often a tenant is asked alone once more, before what differs from the first time is no chance: ids that are random, for
/// one, put lists in an order that two times may be the same, and of two things every other time.
const ALONE: usize = 8;

/// What came of it.
#[derive(Clone)]
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
    meter: Arc<Meter>,
    /// What was looked at again and found to be nobody's doing.
    pub(crate) excused: BTreeSet<(u16, Detector)>,
    /// When an attempt ends, however many steps are left.
    pub(crate) end: End,
    /// How often a tenant whose answers differ is asked alone once more.
    pub(crate) alone: usize,
}

/// How a program is run with everybody.
#[derive(Default)]
struct How {
    plant: Option<Plant>,
    patient_from: Option<u16>,
    eager: bool,
    end: End,
    /// Without looking for anything but answers.
    blind: bool,
}

impl Bench {
    pub(crate) fn new(start: Start, log: Log, late: Late, meter: Arc<Meter>) -> Self {
        Self {
            start,
            log,
            noise: Noise::new(),
            late,
            meter,
            excused: BTreeSet::new(),
            end: End::default(),
            alone: ALONE,
        }
    }

    pub(crate) async fn service(&self, world: World) -> Result<Service, Error> {
        let begun = Instant::now();
        let started = (self.start)(world).await;
        self.meter.add(Part::Starting, begun.elapsed());
        started.map_err(|error| Error::start("the service did not start", error))
    }

    /// Runs `program` with everybody; `twins` are the tenants whose answers are compared with those they get alone.
    pub(crate) async fn attempt(
        &mut self,
        program: &Program,
        twins: &[usize],
        plant: Option<Plant>,
    ) -> Result<Attempt, Error> {
        let how = How { plant, end: self.end.clone(), ..How::default() };
        let (mut attempt, vague) = self.together(program, how).await?;
        if let (Some(finding), true) = (&attempt.finding, vague) {
            // The rows were looked at after several steps: now after each of them.
            let how = How { eager: true, ..How::default() };
            let (precise, _) = self.together(&cut(program, finding), how).await?;
            let same = precise.finding.as_ref().is_some_and(|other| other.detector == finding.detector);
            if same {
                (attempt.finding, attempt.records) = (precise.finding, precise.records);
            }
        }
        for tenant in twins {
            if attempt.finding.is_none() {
                attempt.finding = self.compare(program, *tenant, &attempt.records).await?;
                let compared = attempt.records.iter().filter(|record| record.caller == *tenant).count();
                attempt.coverage.observe(Detector::Twin, compared as u64);
            }
        }
        Ok(attempt)
    }

    /// One run with everybody, and whether what was found may be an earlier step's doing.
    async fn together(&self, program: &Program, how: How) -> Result<(Attempt, bool), Error> {
        let service = self.service(program.world.clone()).await?;
        let mut run = Run::start(&service, &program.world, &self.log, !how.blind).await?;
        run.plant = how.plant;
        run.patient_from = how.patient_from;
        run.looks_from = how.patient_from.unwrap_or(0);
        run.eager = how.eager;
        run.end = how.end;
        run.crowded = program.crowded;
        run.excused = self.excused.clone();
        run.late = self.late.clone();
        run.meter = Arc::clone(&self.meter);
        let finding = run.program(program).await?;
        let (records, mut coverage, plant, vague) = (run.records, run.coverage, run.plant, run.vague);
        coverage.programs = 1;
        Ok((Attempt { finding, records, coverage, plant }, vague))
    }

    /// D3. What differs is looked at again: in more runs alone, and after a while.
    async fn compare(
        &mut self,
        program: &Program,
        tenant: usize,
        shared: &[Record],
    ) -> Result<Option<Finding>, Error> {
        let alone = program.alone(tenant);
        let first = self.alone(&alone, shared).await?;
        for _ in 0..self.alone {
            if twin::judge(shared, &first, &self.noise).is_none() {
                return Ok(None);
            }
            let again = self.alone(&alone, shared).await?;
            twin::learn(&first, &again, &mut self.noise);
        }
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
        run.meter = Arc::clone(&self.meter);
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
            Detector::Twin => self.stays(program, finding, records).await,
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
            // A crowd's rows are looked at now and then, unless it is for them.
            let eager = patient.is_some() || !program.crowded;
            let how = How { patient_from: patient, eager, ..How::default() };
            let (attempt, _) = self.together(program, how).await?;
            let same = |other: &Finding| {
                // What is waited for is one step's doing.
                other.detector == finding.detector && patient.is_none_or(|step| other.step == step)
            };
            if attempt.finding.as_ref().is_some_and(same) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// D3 once more, with a pause before the request that differed: what is stale is late, not leaked (B06).
    async fn stays(
        &mut self,
        program: &Program,
        finding: &Finding,
        records: &[Record],
    ) -> Result<bool, Error> {
        let Some(tenant) = finding.to else { return Ok(true) };
        let Some(at) = program.steps.iter().position(|step| step.number == finding.step) else {
            return Ok(true);
        };
        let millis = SETTLE.as_millis() as u16;
        let mut slow = program.clone();
        slow.steps.truncate(at + 1);
        slow.steps.insert(at, Step { number: u16::MAX, action: Action::Pause { millis } });
        let twin = slow.alone(tenant);
        let blind = How { blind: true, ..How::default() };
        // Both at once: most of it is the pause.
        let (shared, alone) =
            futures_util::future::join(self.together(&slow, blind), self.alone(&twin, records)).await;
        let last = |records: Vec<Record>| {
            records.into_iter().filter(|record| record.step == finding.step).collect::<Vec<_>>()
        };
        Ok(twin::judge(&last(shared?.0.records), &last(alone?), &self.noise).is_some())
    }
}

/// The program without what comes after the step in which something was seen.
fn cut(program: &Program, finding: &Finding) -> Program {
    let mut program = program.clone();
    program.steps.retain(|step| step.number <= finding.step);
    program
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::Router;

    use super::*;
    use crate::check::Operation;
    use crate::check::describe::Credential;
    use crate::check::program::generate;

    /// A service that has no rows, and answers everything.
    fn start() -> Start {
        Arc::new(|_| {
            let service = Service::new(Router::new().fallback(async || "a"));
            let service = service.with_operation(Operation::get("/a"));
            let service =
                service.with_credential("host", |tenant| Credential::new().with_host(tenant.slug()));
            Box::pin(std::future::ready(Ok(service)))
        })
    }

    /// Whatever it has not asked by then; without an end it asks for all of it.
    #[tokio::test]
    async fn an_attempt_ends_with_its_time_and_with_the_search() {
        let mut bench = Bench::new(start(), Log::default(), Late::default(), Arc::default());
        let world = World::new(1, &[crate::check::describe::Standing::Active; 2], false, 1);
        let described = bench.service(world).await.expect("it starts");
        let crowd = (0..12).map(|number| generate::program(&described, 1, number));
        let crowd = crowd.into_iter().find(|program| program.crowded).expect("one of twelve is a crowd");
        let all = bench.attempt(&crowd, &[], None).await.expect("it runs");
        assert!(all.records.len() > 1_000, "{} requests", all.records.len());
        let over = Arc::new(AtomicBool::new(false));
        for (at, is_over) in [(Duration::ZERO, false), (Duration::from_secs(600), true)] {
            bench.end = End::new(Instant::now() + at, Arc::clone(&over));
            over.store(is_over, Ordering::Relaxed);
            let none = bench.attempt(&crowd, &[], None).await.expect("it runs");
            assert_eq!(none.records.len(), 0, "{at:?}, {is_over}");
        }
    }
}
