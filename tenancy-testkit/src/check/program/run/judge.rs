//! Looks at what a step has left behind: answers, logs, connections, caches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rows::PATIENT;
use super::{Record, Run};
use crate::check::describe::TenantHandle;
use crate::check::describe::hooks::Hook;
use crate::check::describe::operation::Access;
use crate::check::detect::{Detector, Finding, cache, canary, connection, lifecycle, logs, unresolved};
use crate::check::program::signal::{Expect, Fault};
use crate::check::program::{Action, Step};
use crate::error::Error;

/// How many connections of a pool may be broken at once.
const BROKEN: usize = 10;

impl Run<'_> {
    /// Looks at everything that the step has left behind.
    pub(super) async fn judge(&mut self, step: &Step, first: usize) -> Result<Option<Finding>, Error> {
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
    pub(super) async fn look_away(&mut self) -> Result<(), Error> {
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
        let crowd = self.crowded && matches!(step.action, Action::Together(_));
        let writers = if crowd { self.everybody() } else { self.writers(first) };
        let wrote = self.records[first..].iter().any(|record| !record.reads || !record.signal.is_proper());
        let jobs = matches!(step.action, Action::RunJobs);
        if wrote {
            self.busy.extend(&writers);
        }
        let left = wrote || jobs || step.action.may_end_early();
        if left
            && !self.defers(step, first, &writers)
            && let Some(found) = self.judge_rows(step, first, &writers, jobs).await?
        {
            return Ok(Some(found));
        }
        // A crowd is looked at in passing: a look at every connection takes longer than its requests.
        if crowd && !step.number.is_multiple_of(8) {
            return Ok(None);
        }
        if let Some(found) = self.judge_cache(step, &writers).await? {
            return Ok(Some(found));
        }
        // A request that ends as it should leaves its connection as the next one of its kind would; the others may not.
        let odd = matches!(step.action, Action::Together(_)) || step.action.may_end_early();
        let odd = odd || step.number.is_multiple_of(8);
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

    pub(super) async fn connection_state(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(state) = &self.service.hooks.connection else { return Ok(None) };
        let mut answer = state(()).await;
        // Where connections break, the pool may hand out some that are gone.
        for _ in 0..BROKEN {
            if answer.is_ok() || self.service.hooks.proxy.is_none() {
                break;
            }
            answer = state(()).await;
        }
        answer.map(Some).map_err(|error| Error::start("no connection to look at", error))
    }

    pub(super) async fn judge_connection(
        &mut self,
        step: &Step,
        writers: &[usize],
    ) -> Result<Option<Finding>, Error> {
        let Some(before) = self.connection.clone() else { return Ok(None) };
        self.coverage.observe(Detector::Connection, 1);
        let mut found = None;
        for wait in [Duration::ZERO, PATIENT] {
            // One that is just being reset is not left like that.
            if !wait.is_zero() {
                self.pause(wait).await;
            }
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

    /// All tenants that are active now.
    pub(super) fn everybody(&self) -> Vec<usize> {
        let tenants = self.world.tenants().map(TenantHandle::index);
        tenants.filter(|tenant| self.standings.active(*tenant)).collect()
    }

    /// Whose rows and entries the requests of a step may change.
    pub(super) fn writers(&self, first: usize) -> Vec<usize> {
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
