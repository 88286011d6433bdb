//! The search: programs on as many lanes as there are cores, until a leak is seen or the time is up.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::attempt::{Attempt, Bench, Start};
use super::coverage::Coverage;
use super::describe::{Service, Standing, World};
use super::detect::logs::Log;
use super::detect::{Detector, Finding};
use super::late::Late;
use super::leak::Leak;
use super::meter::{Meter, Part};
use super::program::run::{End, Record};
use super::program::{Program, generate};
use super::progress::Progress;
use super::seed::Seed;
use super::selfcheck::Plant;
use super::shrink::{Shown, shrink};
use super::verdict::Verdict;
use crate::error::{Error, ErrorKind};

/// How often a replay is tried: a leak that depends on chance shows itself more often than once in that many times.
const REPLAYS: usize = 25;
/// In how many programs a leak of the kit's own is looked for a place.
const PLACES: u64 = 3;
/// The part of the budget after which all detectors are checked.
const HALF: u32 = 2;
/// How many programs run at a time for each processor: a program lets time pass about as often as it works.
const LANES: usize = 2;
/// How often a program is run again after something that was nobody's doing.
const DOUBTS: usize = 4;

/// What the lanes share.
pub(crate) struct Search {
    start: Start,
    seed: u64,
    budget: Duration,
    /// The description, from a start of its own.
    described: Service,
    next: AtomicU64,
    over: Arc<AtomicBool>,
    found: Mutex<Found>,
    begun: Instant,
    progress: Progress,
    late: Late,
    meter: Arc<Meter>,
}

#[derive(Default)]
struct Found {
    coverage: Coverage,
    leak: Option<Leak>,
    error: Option<Error>,
    /// The detectors that have seen a leak of the kit's own.
    proved: BTreeSet<Detector>,
    doubtful: BTreeSet<String>,
}

/// A runtime of the kind that a program asks for; what its threads log is captured.
fn runtime(threads: bool, log: &Log) -> Result<Runtime, Error> {
    let log = log.clone();
    let mut builder = if threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(2).enable_all().on_thread_start(move || log.capture_this_thread());
    builder.on_thread_stop(Log::release_this_thread);
    builder.build().map_err(|error| Error::start("no runtime to start the service on", error))
}

impl Search {
    pub(crate) fn new(start: Start, seed: u64, budget: Duration) -> Result<Self, Error> {
        let begun = Instant::now();
        let described = describe(&start, seed)?;
        if described.operations.is_empty() || described.credentials.is_empty() {
            return Err(Error::configuration("the description has no operation, or no way to name a tenant"));
        }
        Ok(Self {
            start,
            seed,
            budget,
            described,
            next: AtomicU64::new(0),
            over: Arc::default(),
            found: Mutex::default(),
            begun,
            progress: Progress::new(budget),
            late: Late::default(),
            meter: Arc::default(),
        })
    }

    pub(crate) fn run(&self, programs: u64) -> Result<Verdict, Error> {
        let lanes = LANES * thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            // One lane checks the detectors, the first one at once and the others when half of the time has passed without
            // a leak: one that is seen needs no such proof.
            scope.spawn(|| {
                if let Err(error) = self.check_itself([Detector::Canary].into()) {
                    return self.stop(error);
                }
                self.lane(programs, self.budget / HALF);
                // A planted difference from the twin would hide the others.
                let later = self.checked_later().into_iter().map(|at_work| self.check_itself(at_work));
                if let Err(error) = later.collect::<Result<(), _>>() {
                    return self.stop(error);
                }
                self.lane(programs, self.budget);
            });
            for _ in 1..lanes {
                scope.spawn(|| self.lane(programs, self.budget));
            }
        });
        self.progress.end();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (leak, error) = (found.leak.take(), found.error.take());
        if let (None, Some(error)) = (&leak, error) {
            return Err(error);
        }
        let proved = std::mem::take(&mut found.proved);
        let mut verdict =
            Verdict::new(&self.described.operations, &found.coverage, leak, self.begun.elapsed(), self.seed);
        (verdict.proved, verdict.budget, verdict.spent) = (proved, self.budget, self.meter.spent());
        verdict.doubtful = std::mem::take(&mut found.doubtful).into_iter().collect();
        Ok(verdict)
    }

    /// Runs programs until somebody is done.
    fn lane(&self, programs: u64, until: Duration) {
        loop {
            // Some programs run, however short the budget: what they leave out was not looked at, at all.
            let some = self.next.load(Ordering::Relaxed) >= generate::ESSENTIAL;
            let over = self.over.load(Ordering::Relaxed);
            if over || some && self.begun.elapsed() >= until {
                return;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= programs {
                return;
            }
            match self.program(number) {
                Ok(None) => {}
                Ok(Some(leak)) => {
                    let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                    // Of two that were found at the same time, the one that reads shorter.
                    if found.leak.as_ref().is_none_or(|other| leak.steps < other.steps) {
                        found.leak = Some(leak);
                    }
                    return;
                }
                Err(error) => return self.stop(error),
            }
        }
    }

    fn stop(&self, error: Error) {
        self.over.store(true, Ordering::Relaxed);
        self.found.lock().unwrap_or_else(PoisonError::into_inner).error = Some(error);
    }

    fn program(&self, number: u64) -> Result<Option<Leak>, Error> {
        let begun = Instant::now();
        let program = generate::program(&self.described, self.seed, number);
        let log = Log::default();
        let runtime = runtime(program.threads, &log)?;
        log.capture_this_thread();
        let twins = program.twins(number);
        let outcome = runtime.block_on(async {
            let mut bench = self.bench(&log);
            // A crowd ends with the search: any part of it is one.
            if program.crowded {
                bench.end = End::new(self.begun + self.budget, Arc::clone(&self.over));
            }
            let Some((finding, attempt)) = self.confirmed(&mut bench, &program, &twins).await? else {
                return Ok(None);
            };
            bench.end = End::default();
            let after = self.begun.elapsed();
            // The other lanes have nothing left to look for.
            self.over.store(true, Ordering::Relaxed);
            let requests = attempt.records.len();
            let shown = Shown { program: program.clone(), finding, attempt };
            // What is chance was learned by now.
            bench.alone = 1;
            let shown = shrink(&mut bench, shown).await?;
            Ok(Some(Leak::new(&shown, self.seed, number, after, requests)))
        });
        Log::release_this_thread();
        runtime.shutdown_background();
        self.meter.add(Part::Total, begun.elapsed());
        outcome
    }

    /// Runs a program, some times over if what is seen turns out to be nobody's doing: what comes after it counts too.
    async fn confirmed(
        &self,
        bench: &mut Bench,
        program: &Program,
        twins: &[usize],
    ) -> Result<Option<(Finding, Attempt)>, Error> {
        for again in 0..DOUBTS {
            let mut attempt = bench.attempt(program, twins, None).await?;
            attempt.coverage.programs = u64::from(again == 0);
            self.note(&attempt.coverage);
            let Some(finding) = attempt.finding.clone() else { return Ok(None) };
            if bench.confirms(program, &finding, &attempt.records).await? {
                return Ok(Some((finding, attempt)));
            }
            self.learn_late(&finding, &attempt.records);
            let by = attempt.records.iter().find(|record| record.key() == (finding.step, finding.call));
            let by = by.map(|record| record.name.clone()).unwrap_or_default();
            let doubt = format!("{} by {by}: {}", finding.detector, finding.what);
            self.found.lock().unwrap_or_else(PoisonError::into_inner).doubtful.insert(doubt);
            bench.excused.insert((finding.step, finding.detector));
            if finding.detector == Detector::Twin || self.over.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// What changed rows at the wrong time, as was found out, was work that went on after its answer.
    fn learn_late(&self, finding: &Finding, records: &[Record]) {
        let before = finding.step.saturating_sub(6)..finding.step;
        let may = |record: &&Record| {
            !record.reads && Some(record.caller) == finding.from && before.contains(&record.step)
        };
        if finding.detector == Detector::Rows {
            records.iter().filter(may).for_each(|record| self.late.learn(record.operation, true));
        }
    }

    fn note(&self, coverage: &Coverage) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.coverage.merge(coverage);
        let coverage = &found.coverage;
        let (exercised, all) = (coverage.exercised(), self.described.operations.len());
        self.progress.tell(coverage.programs, coverage.requests, exercised, all);
    }

    fn bench(&self, log: &Log) -> Bench {
        Bench::new(self.start.clone(), log.clone(), self.late.clone(), Arc::clone(&self.meter))
    }

    /// The detectors that are at work, but for the first; those that can be checked in one program together.
    fn checked_later(&self) -> [BTreeSet<Detector>; 2] {
        let hooks = &self.described.hooks;
        let rows = hooks.database.is_some();
        let at_work = |detector: &Detector| match detector {
            Detector::Canary | Detector::Twin => false,
            Detector::Rows => rows,
            Detector::Connection => hooks.connection.is_some(),
            Detector::Cache => hooks.cache.is_some(),
            Detector::Job => rows && hooks.jobs.is_some(),
            Detector::Lifecycle => hooks.suspend.is_some(),
            _ => true,
        };
        [Detector::ALL.into_iter().filter(at_work).collect(), [Detector::Twin].into()]
    }

    /// Plants a leak for each of some detectors, and has to see it.
    fn check_itself(&self, mut wanted: BTreeSet<Detector>) -> Result<(), Error> {
        let mut leaky = false;
        for number in 0..PLACES {
            if wanted.is_empty() || self.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let mut attempt = self.planted(&wanted, number)?;
            let Some(mut plant) = attempt.plant.take() else { return Ok(()) };
            // What is there already is for the search to find.
            leaky |= plant.concludes(attempt.finding).is_some();
            if let Some(blind) = plant.blind {
                let message = format!("the run is void: {blind} did not see a leak that was planted for it");
                return Err(Error::new(ErrorKind::Void, message));
            }
            wanted.retain(|detector| !plant.proved.contains(detector));
            self.found.lock().unwrap_or_else(PoisonError::into_inner).proved.extend(plant.proved);
        }
        if wanted.contains(&Detector::Canary) && !leaky {
            let message = "the run is void: no answer to a tenant ever held a text of that tenant's rows, so that none \
                of another tenant's could be told";
            return Err(Error::new(ErrorKind::Void, message));
        }
        Ok(())
    }

    fn planted(&self, wanted: &BTreeSet<Detector>, number: u64) -> Result<Attempt, Error> {
        let begun = Instant::now();
        let mut program = match wanted.contains(&Detector::Canary) {
            true => generate::program(&self.described, self.seed, 0),
            false => generate::whole(&self.described, self.seed, number),
        };
        program.threads = false;
        let log = Log::default();
        let runtime = runtime(false, &log)?;
        log.capture_this_thread();
        let twin = program.twins(number).first().copied();
        let attempt = runtime.block_on(async {
            let plant = Plant::new(wanted, twin.unwrap_or(0));
            let twins: Vec<usize> = twin.filter(|_| wanted.contains(&Detector::Twin)).into_iter().collect();
            self.bench(&log).attempt(&program, &twins, Some(plant)).await
        });
        Log::release_this_thread();
        self.meter.add(Part::Total, begun.elapsed());
        attempt
    }

    /// Runs the program of `seed` until it leaks, and returns the leak.
    pub(crate) fn replay(&self, seed: &Seed) -> Result<Option<Leak>, Error> {
        let program = generate::program(&self.described, seed.run, seed.program).only(&seed.steps);
        let log = Log::default();
        let twins = match seed.detector {
            Detector::Twin => program.twins(seed.program),
            _ => Vec::new(),
        };
        for _ in 0..REPLAYS {
            let runtime = runtime(program.threads, &log)?;
            log.capture_this_thread();
            let attempt = runtime.block_on(async {
                let mut bench = self.bench(&log);
                bench.alone = 1;
                let mut attempt = bench.attempt(&program, &twins, None).await?;
                let finding = attempt.finding.take_if(|finding| finding.detector == seed.detector);
                if let Some(finding) = finding
                    && bench.confirms(&program, &finding, &attempt.records).await?
                {
                    attempt.finding = Some(finding);
                }
                Ok::<_, Error>(attempt)
            });
            Log::release_this_thread();
            let attempt = attempt?;
            if let Some(finding) = attempt.finding.clone() {
                let requests = attempt.records.len();
                let shown = Shown { program, finding, attempt };
                return Ok(Some(Leak::new(&shown, seed.run, seed.program, self.begun.elapsed(), requests)));
            }
        }
        Ok(None)
    }
}

/// Starts the service once, to be told what it is.
fn describe(start: &Start, seed: u64) -> Result<Service, Error> {
    let log = Log::default();
    let runtime = runtime(false, &log)?;
    let world = World::new(seed, &[Standing::Active, Standing::Active], false, 2);
    runtime.block_on(async {
        let mut service =
            Bench::new(start.clone(), log, Late::default(), Arc::default()).service(world).await?;
        if let Some(url) = &service.hooks.app_url {
            crate::postgres::require_app_role(url).await?;
        }
        // Its description is kept, its database is not.
        service.hooks.guards.clear();
        Ok(service)
    })
}
