//! Runs a program against a started service, and judges as it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{FutureExt, join_all, poll_fn};
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::Value;

use super::harvest::harvest;
use super::request::{Outgoing, build};
use super::signal::{Expect, Fault, Signal};
use super::value::{Seen, Slot};
use super::{Action, Call, Program, Step};
use crate::check::coverage::Coverage;
use crate::check::describe::hooks::{Database, Hook};
use crate::check::describe::operation::Access;
use crate::check::describe::{Service, Standing, TenantHandle, World};
use crate::check::detect::canary::{self, Canaries, Sighting};
use crate::check::detect::logs::{self, Log};
use crate::check::detect::{
    Detector, Finding, cache, connection, decode, digest, lifecycle, oracle, unresolved,
};
use crate::check::late::Late;
use crate::check::selfcheck::Plant;
use crate::error::Error;

/// No answer within this is no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What work in the background gets to be done before rows are looked at: always, and where a change has to be put down
/// to the right request.
const BRIEF: Duration = Duration::from_millis(2);
const PATIENT: Duration = Duration::from_millis(100);
/// The same where nothing has changed yet.
const MOST_PATIENT: Duration = Duration::from_millis(400);
/// After this whatever earlier requests have left running is over.
const SETTLED: Duration = Duration::from_millis(2_000);

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) json: Option<Value>,
}

impl Answer {
    pub(crate) fn new(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = decode::decoded(&parts.headers, body);
        let json = serde_json::from_slice(&body).ok();
        Self { status: parts.status.as_u16(), headers: parts.headers, body, json }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Limits of rate and capacity are nobody's leak.
    pub(crate) fn is_throttled(&self) -> bool {
        matches!(self.status, 429 | 503 | 504)
    }
}

/// One request of a run, and its answer if there was one.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) step: u16,
    pub(crate) call: usize,
    pub(crate) caller: usize,
    pub(crate) signal: Signal,
    pub(crate) operation: usize,
    pub(crate) name: String,
    pub(crate) reads: bool,
    /// Whether it asks for no thing in particular, so that there is nothing to be not found.
    pub(crate) is_list: bool,
    pub(crate) outgoing: Outgoing,
    pub(crate) answer: Option<Answer>,
}

impl Record {
    pub(crate) fn key(&self) -> (u16, usize) {
        (self.step, self.call)
    }
}

/// Which tenants are served at the moment, as far as the operator's steps say.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    now: Vec<(Standing, Option<Instant>)>,
    bound: Duration,
}

impl Standings {
    fn new(world: &World, bound: Duration) -> Self {
        Self { now: world.all().iter().map(|tenant| (tenant.standing(), None)).collect(), bound }
    }

    fn set(&mut self, tenant: usize, standing: Standing) {
        self.now[tenant] = (standing, Some(Instant::now()));
    }

    fn settled(&self, tenant: usize) -> bool {
        self.now[tenant].1.is_none_or(|since| since.elapsed() > self.bound)
    }

    /// Suspended or deleted, and for long enough.
    pub(crate) fn ended(&self, tenant: usize) -> bool {
        self.now[tenant].0 == Standing::Suspended && self.settled(tenant)
    }

    /// Brought in during this run, and for long enough.
    pub(crate) fn begun(&self, tenant: usize) -> bool {
        let (standing, since) = self.now[tenant];
        standing == Standing::Active && since.is_some() && self.settled(tenant)
    }

    /// The service does not know it.
    pub(crate) fn unknown(&self, tenant: usize) -> bool {
        self.now[tenant].0 == Standing::Later
    }

    fn active(&self, tenant: usize) -> bool {
        matches!(self.now[tenant].0, Standing::Active | Standing::Empty)
    }
}

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
        };
        if judging {
            run.rows = match &service.hooks.database {
                Some(database) => Some(digest::Watch::start(database, world).await?),
                None => None,
            };
            run.connection = run.connection_state().await?;
        }
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
            if self.patient_from.is_some_and(|from| step.number >= from) && !self.settled {
                self.settled = true;
                tokio::time::sleep(SETTLED).await;
                self.look_away().await?;
            }
            let first = self.records.len();
            let found = self.step(step).await?;
            if !self.judging {
                continue;
            }
            let found = match found {
                Some(found) => Some(found),
                None => self.judge(step, first).await?,
            };
            match (&mut self.plant, found) {
                (Some(plant), found) if plant.is_outstanding() => match plant.ends(found) {
                    // The rest of the step was not looked at.
                    None => self.look_away().await?,
                    found => return Ok(found),
                },
                (_, None) => {}
                (_, Some(found)) if self.excused.contains(&(found.step, found.detector)) => {
                    self.look_away().await?;
                }
                (_, found) => return Ok(found),
            }
        }
        Ok(None)
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
            Action::Pause { millis } => tokio::time::sleep(Duration::from_millis((*millis).into())).await,
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

    fn build(&self, step: u16, at: usize, call: &Call) -> Option<Outgoing> {
        let recorded = self.recorded.as_ref().map(|all| all.get(&(step, at)).map_or(&[][..], Vec::as_slice));
        build(call, self.service, self.world, &self.seen, recorded)
    }

    /// Sends requests that are under way at the same time.
    async fn send(&mut self, step: u16, calls: &[(usize, &Call)]) {
        let built: Vec<(usize, &Call, Outgoing)> =
            calls.iter().filter_map(|(at, call)| Some((*at, *call, self.build(step, *at, call)?))).collect();
        let asked = built.into_iter().map(|(i, call, mut outgoing)| {
            if step.is_multiple_of(5) {
                outgoing
                    .headers
                    .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate, br"));
            }
            let answering = self.service.handler.call(outgoing.request());
            tokio::time::timeout(PATIENCE, answering).map(move |answer| (i, call, outgoing, answer))
        });
        for (i, call, outgoing, answer) in join_all(asked).await {
            // An error of the service itself is a connection that broke.
            let answer = answer.ok().and_then(Result::ok).map(Answer::new);
            self.keep(step, i, call, outgoing, answer);
        }
    }

    fn keep(&mut self, step: u16, at: usize, call: &Call, outgoing: Outgoing, answer: Option<Answer>) {
        let operation = &self.service.operations[call.operation];
        let said = self.canaries.find(&outgoing.said());
        self.said[call.caller].extend(said.into_iter().filter(|sighting| sighting.owner != call.caller));
        let mut record = Record {
            step,
            call: at,
            caller: call.caller,
            signal: call.signal,
            operation: call.operation,
            name: operation.name(),
            reads: operation.reads(),
            is_list: !operation.path.contains('{'),
            outgoing,
            answer,
        };
        if let Some(plant) = &mut self.plant {
            let said = &self.said[call.caller];
            plant.answer(&mut record, &self.canaries, self.world, &self.records, said, self.in_pair);
        }
        let access = operation.access;
        self.coverage.count(&record, access, self.standings.active(call.caller));
        if let Some(answer) = record.answer.as_ref().filter(|answer| answer.is_success())
            && call.signal.is_proper()
            && let Some(json) = &answer.json
        {
            for collection in operation.collections() {
                harvest(json, collection, &mut self.seen[call.caller]);
            }
        }
        self.records.push(record);
    }

    async fn pair(&mut self, step: u16, foreign: &Call, unknown: &Call) -> Option<Finding> {
        self.in_pair = self.standings.active(foreign.caller);
        self.send(step, &[(0, foreign)]).await;
        self.in_pair = false;
        let first = self.records.len();
        self.send(step, &[(1, unknown)]).await;
        let (a, b) = (self.records.get(first - 1)?.clone(), self.records.get(first)?.clone());
        if !self.judging || a.step != step || !self.standings.active(foreign.caller) {
            return None;
        }
        self.coverage.observe(Detector::Oracle, 1);
        oracle::judge(&a, &b, None)?;
        // What shows a text of the caller's own is its own, although no answer has told so before.
        let shown = a.answer.as_ref().filter(|answer| answer.is_success()).map(|answer| &answer.body);
        if shown.is_some_and(|body| self.canaries.find(body).iter().any(|seen| seen.owner == a.caller)) {
            return None;
        }
        let mut other = unknown.clone();
        other.params = other.params.iter().map(|slot| slot.as_ref().map(Slot::shifted)).collect();
        other.body = other.body.as_ref().map(Slot::shifted);
        self.send(step, &[(2, &other)]).await;
        let again = self.records.pop()?;
        oracle::judge(&a, &b, Some(&again))
    }

    /// Polls a request a few times and drops it.
    async fn abandon(&mut self, step: u16, call: &Call, polls: u8) {
        let Some(outgoing) = self.build(step, 0, call) else { return };
        let mut answering = pin!(self.service.handler.call(outgoing.request()));
        let mut left = polls;
        let answer = poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        });
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().flatten();
        let answer = answer.and_then(Result::ok).map(Answer::new);
        self.keep(step, 0, call, outgoing, answer);
    }

    async fn connection_state(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(state) = &self.service.hooks.connection else { return Ok(None) };
        let state = state(()).await.map_err(|error| Error::start("no connection to look at", error))?;
        Ok(Some(state))
    }

    /// Looks at everything that the step has left behind.
    async fn judge(&mut self, step: &Step, first: usize) -> Result<Option<Finding>, Error> {
        for record in &self.records[first..] {
            let access = self.service.operations[record.operation].access;
            let said = &self.said[record.caller];
            let served = self.coverage.rows[record.operation].own.served > 0;
            let found =
                (access != Access::Admin).then(|| canary::judge(record, &self.canaries, said)).flatten();
            let found = found
                .or_else(|| lifecycle::judge(record, access, &self.standings, served))
                .or_else(|| unresolved::judge(record, access, &self.standings))
                .or_else(|| logs::judge_error_text(record));
            if found.is_some() {
                return Ok(found);
            }
        }
        // What an administrator does, everybody's rows and logs may show.
        if self.records[first..].iter().any(|record| record.signal.fault == Fault::Admin) {
            self.look_away().await?;
            return Ok(None);
        }
        if let Some(finding) = self.judge_log(step).await? {
            return Ok(Some(finding));
        }
        self.judge_state(step, first).await
    }

    /// Takes what there is now for how things are.
    async fn look_away(&mut self) -> Result<(), Error> {
        self.new_log_lines().await?;
        if let Some(rows) = &mut self.rows {
            rows.changes().await?;
        }
        if let Some(entries) = &self.service.hooks.cache {
            for tenant in self.world.tenants() {
                self.cached[tenant.index()] = listed(entries, tenant).await?;
            }
        }
        Ok(())
    }

    async fn new_log_lines(&mut self) -> Result<String, Error> {
        let mut text = self.log.take();
        if let Some(logs) = &self.service.hooks.logs {
            let all = logs(()).await.map_err(|error| Error::start("the log could not be read", error))?;
            text.push_str(all.get(self.logged..).unwrap_or_default());
            self.logged = all.len();
        }
        Ok(text)
    }

    async fn judge_log(&mut self, step: &Step) -> Result<Option<Finding>, Error> {
        if let Some(plant) = &mut self.plant {
            plant.log(step, &self.log, self.world);
        }
        let text = self.new_log_lines().await?;
        let callers: BTreeSet<usize> = step.action.calls().iter().map(|call| call.caller).collect();
        let Some(caller) = callers.first().copied().filter(|_| callers.len() == 1) else { return Ok(None) };
        self.coverage.observe(Detector::Log, 1);
        Ok(logs::judge(&text, caller, step.number, &self.canaries, &self.said[caller]))
    }

    /// Rows, connections, caches and metrics.
    async fn judge_state(&mut self, step: &Step, first: usize) -> Result<Option<Finding>, Error> {
        let writers = self.writers(first);
        let wrote = self.records[first..].iter().any(|record| !record.reads || !record.signal.is_proper());
        let jobs = matches!(step.action, Action::RunJobs);
        if wrote {
            self.busy.extend(&writers);
        }
        let left = wrote || jobs || matches!(step.action, Action::Abandon { .. });
        if left && let Some(found) = self.judge_rows(step, first, &writers, jobs).await? {
            return Ok(Some(found));
        }
        if let Some(found) = self.judge_cache(step, &writers).await? {
            return Ok(Some(found));
        }
        let odd = !matches!(step.action, Action::Call(_)) || step.number.is_multiple_of(8);
        if odd && let Some(found) = self.judge_connection(step, &writers).await? {
            return Ok(Some(found));
        }
        if step.number.is_multiple_of(8) {
            for (name, text) in &self.service.hooks.texts {
                let text = text(()).await.map_err(|error| Error::start("a text could not be read", error))?;
                if let Some(found) = logs::judge_shared(name, &text, step.number, &self.canaries) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    async fn judge_connection(&mut self, step: &Step, writers: &[usize]) -> Result<Option<Finding>, Error> {
        let Some(before) = self.connection.clone() else { return Ok(None) };
        self.coverage.observe(Detector::Connection, 1);
        let mut found = None;
        for wait in [Duration::ZERO, PATIENT] {
            // One that is just being reset is not left like that.
            tokio::time::sleep(wait).await;
            let mut now = self.connection_state().await?.unwrap_or_default();
            if let Some(plant) = &mut self.plant {
                plant.connection(&mut now);
            }
            found = connection::judge(&before, &now, writers.first().copied(), step.number);
            if found.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Whether the requests of a step may go on after their answers, and which operation that is to be learned of.
    fn lateness(&self, step: &Step, first: usize) -> (bool, Option<usize>) {
        let served =
            |record: &&Record| !record.reads && record.answer.as_ref().is_none_or(Answer::is_success);
        let writes = || self.records[first..].iter().filter(served);
        let unknown = writes().find(|record| self.late.of(record.operation).is_none());
        let known = |record: &Record| record.answer.is_none() || self.late.of(record.operation) == Some(true);
        let patient = self.patient_from.is_some_and(|from| step.number >= from);
        let late = patient || unknown.is_some() || writes().any(known);
        (late, unknown.filter(|record| record.answer.is_some()).map(|record| record.operation))
    }

    async fn judge_rows(
        &mut self,
        step: &Step,
        first: usize,
        writers: &[usize],
        jobs: bool,
    ) -> Result<Option<Finding>, Error> {
        let (late, unknown) = self.lateness(step, first);
        let Some(rows) = &mut self.rows else { return Ok(None) };
        self.coverage.observe(if jobs { Detector::Job } else { Detector::Rows }, 1);
        tokio::time::sleep(BRIEF).await;
        if let (Some(plant), Some(Database { rows: kind, .. })) =
            (&mut self.plant, &self.service.hooks.database)
            && let Some(spared) = writers.first()
            && plant.takes_a_row()
        {
            let done = rows.plant(*spared, kind).await?;
            plant.took_a_row(done);
        }
        let mut changes = rows.changes().await?;
        if late {
            // What a request leaves running in the background belongs to it.
            let patient = self.patient_from.is_some_and(|from| step.number >= from);
            let quiet = if patient { MOST_PATIENT } else { PATIENT };
            let first = if changes.is_empty() { MOST_PATIENT } else { quiet };
            let later = rows.changes_until_quiet(first, quiet).await?;
            if let Some(operation) = unknown {
                self.late.learn(operation, !later.is_empty());
            }
            changes.extend(later);
        }
        if !jobs {
            return Ok(digest::judge(&changes, rows, writers, step.number, Detector::Rows));
        }
        let busy: Vec<usize> = std::mem::take(&mut self.busy).into_iter().collect();
        let strange = digest::judge(&changes, rows, &busy, step.number, Detector::Job);
        match strange {
            None => self.judge_jobs(step, &changes).await,
            found => Ok(found),
        }
    }

    /// What a job writes down is its own tenant's: no row that has changed may hold another tenant's text.
    async fn judge_jobs(
        &mut self,
        step: &Step,
        changes: &[(String, String)],
    ) -> Result<Option<Finding>, Error> {
        let (Some(rows), Some(database)) = (&mut self.rows, &self.service.hooks.database) else {
            return Ok(None);
        };
        for (table, name) in changes {
            let Some(owner) = rows.owner(name) else { continue };
            let mut text = rows.text(table, name, &database.rows).await?;
            if let Some(plant) = &mut self.plant {
                plant.job(&mut text, owner, self.world);
            }
            let foreign = |sighting: &Sighting| {
                sighting.owner != owner && !canary::heard_before(sighting, &self.said[owner])
            };
            if let Some(sighting) = self.canaries.find(text.as_bytes()).into_iter().find(foreign) {
                let what = format!("a job has written \"{}\" into {table} of another tenant", sighting.text);
                let (from, to) = (Some(sighting.owner), Some(owner));
                return Ok(Some(Finding {
                    detector: Detector::Job,
                    what,
                    from,
                    to,
                    step: step.number,
                    call: 0,
                }));
            }
        }
        Ok(None)
    }

    async fn judge_cache(&mut self, step: &Step, writers: &[usize]) -> Result<Option<Finding>, Error> {
        let Some(entries) = &self.service.hooks.cache else { return Ok(None) };
        self.coverage.observe(Detector::Cache, 1);
        let mut found = None;
        for tenant in self.world.tenants() {
            let now = listed(entries, tenant).await?;
            let before = std::mem::replace(&mut self.cached[tenant.index()], now);
            let now = &mut self.cached[tenant.index()];
            let idle = !writers.contains(&tenant.index()) && !step.action.calls().is_empty();
            if let Some(plant) = self.plant.as_mut().filter(|_| idle) {
                plant.cache(now);
            }
            if !step.action.calls().is_empty() {
                found = found.or_else(|| cache::judge(tenant.index(), &before, now, writers, step.number));
            }
        }
        Ok(found)
    }

    /// Whose rows and entries the requests of a step may change.
    fn writers(&self, first: usize) -> Vec<usize> {
        let served = |record: &&Record| {
            record.outgoing.expect != Expect::Refused && self.standings.active(record.caller)
        };
        self.records[first..].iter().filter(served).map(|record| record.caller).collect()
    }
}

async fn listed(
    entries: &Hook<TenantHandle, Vec<String>>,
    tenant: &TenantHandle,
) -> Result<Vec<String>, Error> {
    let now = entries(tenant.clone()).await;
    now.map_err(|error| Error::start("the cache could not be listed", error))
}

/// An operator's step.
enum Kind {
    Suspend,
    Delete,
    Onboard,
}
