//! Looks at the rows that a step has changed.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Run;
use super::record::{Answer, Record};
use crate::check::describe::Service;
use crate::check::describe::hooks::Database;
use crate::check::describe::operation::Access;
use crate::check::detect::canary::{self, Sighting};
use crate::check::detect::{Detector, Finding, digest};
use crate::check::meter::Part;
use crate::check::program::request::expectation;
use crate::check::program::signal::Expect;
use crate::check::program::{Action, Step};
use crate::error::Error;

/// What work in the background gets to be done before rows are looked at, where it is not known to be there: until the
/// service has no more tasks than before, and no longer than this.
const BRIEF: Duration = Duration::from_millis(400);
const GLANCE: Duration = Duration::from_millis(1);
/// What an operation gets that was not waited for yet, and one that is known to go on after its answer.
const UNKNOWN: Duration = Duration::from_millis(100);
const KNOWN: Duration = Duration::from_millis(60);
const QUIET: Duration = Duration::from_millis(30);
/// The same where a change has to be put down to the right request.
pub(super) const PATIENT: Duration = Duration::from_millis(100);
/// And where nothing has changed yet.
const MOST_PATIENT: Duration = Duration::from_millis(400);
/// After this whatever earlier requests have left running is over, on a machine with more to do than it can, too.
const SETTLED: Duration = Duration::from_millis(1_200);
/// How many steps may wait until the rows are looked at.
const MOST_DEFERRED: usize = 40;

/// Steps after which the rows were not looked at, since none of them may have changed any but those of `writers`.
#[derive(Debug)]
pub(super) struct Deferred {
    writers: Vec<usize>,
    last: u16,
    count: usize,
}

/// How many tasks there are on the runtime that the service runs on, without those that pass its messages to the database.
pub(super) fn tasks(service: &Service) -> usize {
    let passing = service.hooks.proxy.as_ref().map_or(0, |proxy| proxy.connections());
    Handle::current().metrics().num_alive_tasks().saturating_sub(passing)
}

/// The same when the service has come to rest after its start.
pub(super) async fn tasks_at_rest(service: &Service) -> usize {
    let mut least = tasks(service);
    for _ in 0..5 {
        tokio::time::sleep(GLANCE).await;
        least = least.min(tasks(service));
    }
    least
}

impl Run<'_> {
    /// Waits until whatever earlier requests have left running is over, and takes what there is then for how things are.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        match &mut self.rows {
            // What has changed last says nothing of what is still to come: of several requests, each has its own time.
            Some(rows) => drop(rows.changes_until_quiet(SETTLED, SETTLED).await?),
            None => tokio::time::sleep(SETTLED).await,
        }
        self.waits(begun);
        self.look_away().await
    }

    fn waits(&mut self, since: Instant) {
        self.waited += since.elapsed();
        self.meter.add(Part::Waiting, since.elapsed());
    }

    /// Lets tasks that a request has left behind come to their end.
    async fn let_tasks_end(&mut self) {
        let begun = Instant::now();
        for _ in 0..20 {
            if tasks(self.service) <= self.tasks {
                self.tasks = tasks(self.service);
                return;
            }
            tokio::task::yield_now().await;
        }
        while tasks(self.service) > self.tasks && begun.elapsed() < BRIEF {
            tokio::time::sleep(GLANCE).await;
        }
        // What is still there is there to stay.
        self.tasks = tasks(self.service);
        self.waits(begun);
    }

    /// Whether the rows are left for later: after requests that must not change any, or their caller's alone, and that
    /// are followed by others of this kind. What has changed then is looked for step by step in another run.
    pub(super) fn defers(&mut self, step: &Step, first: usize, writers: &[usize]) -> bool {
        let faulty = || self.records[first..].iter().all(|record| !record.signal.is_proper());
        let alike = self.deferred.as_ref().is_none_or(|deferred| deferred.writers == writers);
        let of_this_kind = match step.action {
            Action::Call(_) => faulty(),
            Action::Together(_) => self.crowded,
            _ => false,
        };
        let hasty = match self.patient_from {
            Some(from) => self.crowded && step.number < from,
            None => !self.eager,
        };
        let can = of_this_kind && alike && hasty && self.plant.is_none();
        let count = self.deferred.as_ref().map_or(0, |deferred| deferred.count) + 1;
        if can && count <= MOST_DEFERRED {
            self.deferred = Some(Deferred { writers: writers.to_vec(), last: step.number, count });
            return true;
        }
        self.deferred = None;
        false
    }

    /// Whether `step` can run before the rows are looked at for the steps before it.
    pub(super) fn may_wait(&self, step: &Step) -> bool {
        let Some(deferred) = &self.deferred else { return true };
        let call = match &step.action {
            Action::Call(call) => call,
            // Whoever writes in a crowd is one of its writers.
            Action::Together(_) if self.crowded => {
                return deferred.count < MOST_DEFERRED && deferred.writers == self.everybody();
            }
            _ => return false,
        };
        let operation = &self.service.operations[call.operation];
        if call.signal.is_proper() {
            return operation.reads();
        }
        let refused =
            expectation(call, self.service, self.world).is_none_or(|expect| expect == Expect::Refused);
        let refused = refused && operation.access != Access::Public;
        let writers = if refused || !self.standings.active(call.caller) { vec![] } else { vec![call.caller] };
        deferred.count < MOST_DEFERRED && deferred.writers == writers
    }

    /// Looks at the rows for the steps after which they were not looked at.
    pub(super) async fn catch_up(&mut self) -> Result<Option<Finding>, Error> {
        let Some(deferred) = self.deferred.take() else { return Ok(None) };
        self.let_tasks_end().await;
        let (begun, Some(rows)) = (Instant::now(), &mut self.rows) else { return Ok(None) };
        let changes = rows.changes().await?;
        self.meter.add(Part::Looking, begun.elapsed());
        self.coverage.observe(Detector::Rows, 1);
        let found = digest::judge(&changes, rows, &deferred.writers, deferred.last, Detector::Rows);
        let found = found.filter(|found| {
            found.step >= self.looks_from && !self.excused.contains(&(found.step, found.detector))
        });
        self.vague = found.is_some() && deferred.count > 1;
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

    pub(super) async fn judge_rows(
        &mut self,
        step: &Step,
        first: usize,
        writers: &[usize],
        jobs: bool,
    ) -> Result<Option<Finding>, Error> {
        let (late, unknown) = self.lateness(step, first);
        if self.rows.is_none() {
            return Ok(None);
        }
        self.coverage.observe(if jobs { Detector::Job } else { Detector::Rows }, 1);
        if !jobs {
            self.let_tasks_end().await;
        }
        let Some(rows) = &mut self.rows else { return Ok(None) };
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
            let (first, quiet) = match (patient, changes.is_empty()) {
                (true, true) => (MOST_PATIENT, PATIENT),
                (true, false) => (PATIENT, PATIENT),
                (false, _) => (if unknown.is_some() { UNKNOWN } else { KNOWN }, QUIET),
            };
            let begun = Instant::now();
            let later = rows.changes_until_quiet(first, quiet).await?;
            self.waited += begun.elapsed();
            self.meter.add(Part::Waiting, begun.elapsed());
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
}
