//! Before a run: a leak of the kit's own, which each detector that is at work must see. One that is blind passes
//! everything, so such a run is void.

use std::collections::{BTreeMap, BTreeSet};

use super::describe::{Standing, World};
use super::detect::canary::{Canaries, Sighting, heard_before};
use super::detect::logs::Log;
use super::detect::{Detector, Finding};
use super::program::Step;
use super::program::run::Record;
use super::program::signal::{Expect, Fault};

/// Leaks that are put into a run one after the other, each where there is a place for it.
#[derive(Clone, Debug)]
pub(crate) struct Plant {
    /// The detectors that have not seen theirs.
    wanted: BTreeSet<Detector>,
    outstanding: Option<Detector>,
    pub(crate) proved: BTreeSet<Detector>,
    pub(crate) blind: Option<Detector>,
    /// The tenant whose answers are compared with its twin's.
    twin: usize,
}

impl Plant {
    pub(crate) fn new(wanted: &BTreeSet<Detector>, twin: usize) -> Self {
        Self { wanted: wanted.clone(), outstanding: None, proved: BTreeSet::new(), blind: None, twin }
    }

    pub(crate) fn is_outstanding(&self) -> bool {
        // The twin is looked at when the program is over.
        self.outstanding.is_some_and(|detector| detector != Detector::Twin)
    }

    /// Looks at what a whole program has brought to light, for the leak that shows itself only then.
    pub(crate) fn concludes(&mut self, found: Option<Finding>) -> Option<Finding> {
        if self.outstanding.is_some() { self.ends(found) } else { found }
    }

    /// Takes back a leak that nobody can see, so that it is planted elsewhere.
    pub(crate) fn withdraw(&mut self, detector: Detector) {
        self.outstanding.take_if(|planted| *planted == detector);
    }

    /// Takes what was found after a leak was planted; returns what was not its doing.
    pub(crate) fn ends(&mut self, found: Option<Finding>) -> Option<Finding> {
        let planted = self.outstanding.take()?;
        self.wanted.remove(&planted);
        match found {
            Some(found) if found.detector != planted => return Some(found),
            Some(_) => {
                self.proved.insert(planted);
            }
            None => self.blind = Some(planted),
        }
        None
    }

    /// Whether a leak for `detector` is to be planted now.
    fn wants(&self, detector: Detector) -> bool {
        self.outstanding.is_none() && self.wanted.contains(&detector)
    }

    fn planted(&mut self, detector: Detector, done: bool) {
        if done {
            self.outstanding = Some(detector);
        }
    }

    /// Changes an answer, as a leaky layer over the service would.
    pub(crate) fn answer(
        &mut self,
        record: &mut Record,
        canaries: &Canaries,
        world: &World,
        earlier: &[Record],
        said: &BTreeSet<Sighting>,
        in_pair: bool,
    ) {
        let proper = record.signal.fault == Fault::None;
        let Some(answer) = &mut record.answer else { return };
        let served = proper && answer.is_success();
        if served && self.wants(Detector::Canary) {
            // Two tenants' answers are swapped.
            let other = earlier.iter().rev().take(400).find_map(|other| {
                let theirs = other.answer.as_ref().filter(|theirs| theirs.is_success())?;
                let theirs_alone =
                    |sighting: &Sighting| sighting.owner == other.caller && !heard_before(sighting, said);
                let holds = |body: &[u8]| canaries.find(body).iter().any(theirs_alone);
                (other.caller != record.caller && holds(&theirs.body)).then(|| theirs.clone())
            });
            self.planted(Detector::Canary, other.is_some());
            *answer = other.unwrap_or_else(|| answer.clone());
        } else if served && record.reads && record.caller == self.twin && self.wants(Detector::Twin) {
            // One row less than there is.
            answer.json = Some(serde_json::json!({ "planted": true }));
            self.planted(Detector::Twin, true);
        } else if record.signal.fault == Fault::Missing
            && record.outgoing.expect == Expect::Refused
            && self.wants(Detector::Unresolved)
        {
            // A request without a tenant is let through.
            answer.status = 200;
            self.planted(Detector::Unresolved, true);
        } else if proper
            && world.all()[record.caller].standing() == Standing::Suspended
            && self.wants(Detector::Lifecycle)
        {
            answer.status = 200;
            self.planted(Detector::Lifecycle, true);
        } else if proper
            && record.outgoing.used.foreign
            && !record.outgoing.used.missing
            && !answer.is_success()
            && in_pair
            && self.wants(Detector::Oracle)
        {
            answer.status = if answer.status == 403 { 404 } else { 403 };
            self.planted(Detector::Oracle, true);
        }
    }

    /// Takes an entry of a tenant that does nothing.
    pub(crate) fn cache(&mut self, entries: &mut Vec<String>) {
        if !entries.is_empty() && self.wants(Detector::Cache) {
            entries.remove(0);
            self.planted(Detector::Cache, true);
        }
    }

    /// Leaves a connection in another state, however often that is looked at.
    pub(crate) fn connection(&mut self, state: &mut BTreeMap<String, String>) {
        if self.wants(Detector::Connection) || self.outstanding == Some(Detector::Connection) {
            state.insert("planted".into(), "state".into());
            self.planted(Detector::Connection, true);
        }
    }

    /// Has a job write another tenant's text into rows of `owner`.
    pub(crate) fn job(&mut self, text: &mut String, owner: usize, world: &World) {
        if self.wants(Detector::Job) {
            text.push_str(&world.all()[(owner + 1) % world.all().len()].canary(u16::MAX));
            self.planted(Detector::Job, true);
        }
    }

    /// Has the service log another tenant's text.
    pub(crate) fn log(&mut self, step: &Step, log: &Log, world: &World) {
        let calls = step.action.calls();
        let Some(call) = calls.first().filter(|_| calls.len() == 1) else { return };
        if self.wants(Detector::Log) {
            let other = (call.caller + 1) % world.all().len();
            log.plant(&world.all()[other].canary(0));
            self.planted(Detector::Log, true);
        }
    }

    /// Whether another tenant's row is to be taken away now.
    pub(crate) fn takes_a_row(&self) -> bool {
        self.wants(Detector::Rows)
    }

    pub(crate) fn took_a_row(&mut self, done: bool) {
        self.planted(Detector::Rows, done);
    }
}
