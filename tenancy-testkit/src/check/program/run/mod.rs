//! Runs a program against a started service, and judges as it goes.

mod end;
mod judge;
mod record;
mod rows;
mod send;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use self::end::End;
pub(crate) use self::record::{Answer, Record, Standings};
use super::value::Seen;
use super::{Action, Program, Step};
use crate::check::coverage::Coverage;
use crate::check::describe::{Service, Standing, World};
use crate::check::detect::canary::{Canaries, Sighting};
use crate::check::detect::logs::Log;
use crate::check::detect::{Detector, Finding, digest};
use crate::check::late::Late;
use crate::check::meter::{Meter, Part};
use crate::check::selfcheck::Plant;
use crate::error::Error;

/// A run of one program against one start of the service.
pub(crate) struct Run<'a> {
    service: &'a Service,
    world: &'a World,
    canaries: Canaries,
    seen: Vec<Seen>,
    /// What each tenant has sent of others' canaries.
    said: Vec<BTreeSet<Sighting>>,
    standings: Standings,
    rows: Option<digest::Watch>,
    connection: Option<BTreeMap<String, String>>,
    cached: Vec<Vec<String>>,
    log: Log,
    /// How much of the hook's log is old.
    logged: usize,
    /// Who may have left a job behind since the jobs last ran.
    busy: BTreeSet<usize>,
    /// What is found before this step is not what is looked for.
    pub(crate) looks_from: u16,
    /// From which step on work in the background is waited for, after what was under way before is over.
    pub(crate) patient_from: Option<u16>,
    settled: bool,
    /// The operations that are waited for in any case.
    pub(crate) late: Late,
    /// Whether what is asked for now is compared with what is nobody's.
    in_pair: bool,
    /// Findings, by step, that turned out to be nobody's doing.
    pub(crate) excused: BTreeSet<(u16, Detector)>,
    /// Leaks of the kit's own.
    pub(crate) plant: Option<Plant>,
    pub(crate) records: Vec<Record>,
    pub(crate) coverage: Coverage,
    /// Whether what is found is looked at; the twin's answers only serve to compare.
    judging: bool,
    /// What stood for others' values in the run that this one is compared with, by step and request.
    recorded: Option<BTreeMap<(u16, usize), Vec<Value>>>,
    /// Whether rows are looked at after each step that may have changed any, rather than after several.
    pub(crate) eager: bool,
    /// See [`Program::crowded`].
    pub(crate) crowded: bool,
    /// When the run ends, however many steps are left.
    pub(crate) end: End,
    /// Steps after which the rows are still to be looked at.
    deferred: Option<rows::Deferred>,
    /// Whether what was found may be the doing of an earlier step than the one that it is put down to.
    pub(crate) vague: bool,
    /// How many tasks the runtime has when the service is at rest.
    tasks: usize,
    pub(crate) meter: Arc<Meter>,
    waited: Duration,
}

impl<'a> Run<'a> {
    /// Plants the rows of the hooks, and looks at how things are before the first request.
    pub(crate) async fn start(
        service: &'a Service,
        world: &'a World,
        log: &Log,
        judging: bool,
    ) -> Result<Self, Error> {
        if let Some(seed) = &service.hooks.seed {
            for tenant in world.tenants().filter(|tenant| tenant.standing() == Standing::Active) {
                seed(tenant.clone())
                    .await
                    .map_err(|error| Error::start("a tenant's rows were not planted", error))?;
            }
        }
        let count = world.all().len();
        let mut run = Self {
            service,
            world,
            canaries: Canaries::new(world, service.canary.as_deref()),
            seen: vec![Seen::default(); count],
            said: vec![BTreeSet::new(); count],
            standings: Standings::new(world, service.hooks.bound),
            rows: None,
            connection: None,
            cached: vec![Vec::new(); count],
            log: log.clone(),
            logged: 0,
            busy: BTreeSet::new(),
            looks_from: 0,
            patient_from: None,
            settled: false,
            late: Late::default(),
            in_pair: false,
            excused: BTreeSet::new(),
            plant: None,
            records: Vec::new(),
            coverage: Coverage::new(service.operations.len()),
            judging,
            recorded: None,
            eager: false,
            crowded: false,
            end: End::default(),
            deferred: None,
            vague: false,
            tasks: 0,
            meter: Arc::default(),
            waited: Duration::ZERO,
        };
        if judging {
            run.rows = match &service.hooks.database {
                Some(database) => Some(digest::Watch::start(database, world).await?),
                None => None,
            };
            run.connection = run.connection_state().await?;
        }
        run.tasks = if judging { rows::tasks_at_rest(service).await } else { 0 };
        Ok(run)
    }

    /// Has the run ask for the values that another run has asked for where they are not the caller's own.
    pub(crate) fn like(&mut self, records: &[Record]) {
        let others = |record: &Record| (record.key(), record.outgoing.used.others.clone());
        self.recorded = Some(records.iter().map(others).collect());
    }

    /// Runs every step, or until a leak is seen.
    pub(crate) async fn program(&mut self, program: &Program) -> Result<Option<Finding>, Error> {
        self.log.take();
        for step in &program.steps {
            if self.end.has_come() {
                break;
            }
            if self.patient_from.is_some_and(|from| step.number >= from) && !self.settled {
                self.settled = true;
                self.settle().await?;
            }
            if let Some(found) = self.looked_at(step).await? {
                return Ok(Some(found));
            }
        }
        self.catch_up().await
    }

    /// Runs a step and judges it; what the kit has planted itself, or what is known to be nobody's doing, is no finding.
    async fn looked_at(&mut self, step: &Step) -> Result<Option<Finding>, Error> {
        if self.judging
            && !self.may_wait(step)
            && let Some(found) = self.catch_up().await?
        {
            return Ok(Some(found));
        }
        let first = self.records.len();
        let found = self.step(step).await?;
        if !self.judging {
            return Ok(None);
        }
        let (begun, waited) = (Instant::now(), self.waited);
        let found = match found {
            Some(found) => Some(found),
            None => self.judge(step, first).await?,
        };
        self.meter.add(Part::Looking, begun.elapsed().saturating_sub(self.waited - waited));
        match (&mut self.plant, found) {
            (Some(plant), found) if plant.is_outstanding() => match plant.ends(found) {
                // The rest of the step was not looked at.
                None => self.look_away().await?,
                found => return Ok(found),
            },
            (_, None) => {}
            (_, Some(found))
                if found.step < self.looks_from || self.excused.contains(&(found.step, found.detector)) =>
            {
                self.look_away().await?;
            }
            (_, found) => return Ok(found),
        }
        Ok(None)
    }

    /// Lets time pass on purpose.
    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.waited += time;
        self.meter.add(Part::Waiting, time);
    }

    async fn step(&mut self, step: &Step) -> Result<Option<Finding>, Error> {
        match &step.action {
            Action::Call(call) => {
                self.send(step.number, &[(0, call)]).await;
            }
            Action::Together(calls) => {
                let calls: Vec<_> = calls.iter().map(|(at, call)| (*at, call)).collect();
                self.send(step.number, &calls).await;
            }
            Action::Pair { foreign, unknown } => return Ok(self.pair(step.number, foreign, unknown).await),
            Action::Abandon { call, polls } => self.abandon(step.number, call, *polls).await,
            Action::Harmed { call, harm } => self.harmed(step.number, call, *harm).await,
            Action::Pause { millis } => self.pause(Duration::from_millis((*millis).into())).await,
            Action::RunJobs => {
                if let Some(jobs) = &self.service.hooks.jobs {
                    jobs(()).await.map_err(|error| Error::start("the jobs did not run", error))?;
                }
            }
            Action::Break { tenant, pick } => {
                if let (Some(rows), Some(database)) = (&mut self.rows, &self.service.hooks.database) {
                    rows.break_table(&(database.of)(&self.world.all()[*tenant]), *pick).await?;
                }
            }
            Action::Suspend { tenant } => self.operate(*tenant, Standing::Suspended, Kind::Suspend).await?,
            Action::Delete { tenant } => self.operate(*tenant, Standing::Suspended, Kind::Delete).await?,
            Action::Onboard { tenant } => self.operate(*tenant, Standing::Active, Kind::Onboard).await?,
        }
        Ok(None)
    }

    async fn operate(&mut self, tenant: usize, standing: Standing, kind: Kind) -> Result<(), Error> {
        let hooks = &self.service.hooks;
        let hook = match kind {
            Kind::Suspend => &hooks.suspend,
            Kind::Delete => &hooks.delete,
            Kind::Onboard => &hooks.onboard,
        };
        if let Some(hook) = hook {
            let handle = self.world.all()[tenant].clone();
            hook(handle).await.map_err(|error| Error::start("the operator's step failed", error))?;
            self.standings.set(tenant, standing);
            self.coverage.observe(Detector::Lifecycle, 1);
            // Its rows came or went with it.
            if let Some(rows) = &mut self.rows {
                rows.changes().await?;
            }
        }
        Ok(())
    }
}

/// An operator's step.
enum Kind {
    Suspend,
    Delete,
    Onboard,
}
