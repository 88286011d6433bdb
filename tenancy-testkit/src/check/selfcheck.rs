//! Before a run: a leak of the kit's own, which each detector that is at work must see. One that is blind passes
//! everything, so such a run is void.

use std::collections::BTreeMap;

use super::describe::{Standing, World};
use super::detect::Detector;
use super::detect::canary::Canaries;
use super::detect::logs::Log;
use super::program::Step;
use super::program::run::Record;
use super::program::signal::{Expect, Fault};

/// A leak that is put into a run once, where there is a place for it.
#[derive(Debug)]
pub(crate) struct Plant {
    pub(crate) detector: Detector,
    planted: bool,
    /// The tenant whose answers are compared with its twin's.
    twin: usize,
}

impl Plant {
    pub(crate) fn new(detector: Detector, twin: usize) -> Self {
        Self { detector, planted: false, twin }
    }

    /// Whether there was a place for it.
    pub(crate) fn is_planted(&self) -> bool {
        self.planted
    }

    /// Changes an answer, as a leaky layer over the service would.
    pub(crate) fn answer(
        &mut self,
        record: &mut Record,
        canaries: &Canaries,
        world: &World,
        earlier: &[Record],
    ) {
        if self.planted {
            return;
        }
        let proper = record.signal.fault == Fault::None;
        let Some(answer) = &mut record.answer else { return };
        let served = proper && answer.is_success();
        match self.detector {
            // Two tenants' answers are swapped.
            Detector::Canary if served => {
                let other = earlier.iter().rev().take(400).find_map(|other| {
                    let theirs = other.answer.as_ref().filter(|theirs| theirs.is_success())?;
                    let holds = |body: &[u8]| {
                        canaries.find(body).iter().any(|sighting| sighting.owner == other.caller)
                    };
                    (other.caller != record.caller && holds(&theirs.body)).then(|| theirs.clone())
                });
                self.planted = other.is_some();
                *answer = other.unwrap_or_else(|| answer.clone());
            }
            // One row less than there is.
            Detector::Twin if served && record.reads && record.caller == self.twin => {
                answer.json = Some(serde_json::json!({ "planted": true }));
                self.planted = true;
            }
            // A request without a tenant is let through.
            Detector::Unresolved
                if record.signal.fault == Fault::Missing && record.outgoing.expect == Expect::Refused =>
            {
                answer.status = 200;
                self.planted = true;
            }
            Detector::Lifecycle if proper && world.all()[record.caller].standing() == Standing::Suspended => {
                answer.status = 200;
                self.planted = true;
            }
            Detector::Oracle
                if proper && record.outgoing.used.foreign && !answer.is_success() && record.call == 0 =>
            {
                answer.status = if answer.status == 403 { 404 } else { 403 };
                self.planted = true;
            }
            _ => {}
        }
    }

    /// Takes an entry of a tenant that does nothing.
    pub(crate) fn cache(&mut self, entries: &mut Vec<String>) {
        if self.detector == Detector::Cache && !self.planted && !entries.is_empty() {
            entries.remove(0);
            self.planted = true;
        }
    }

    /// Leaves a connection in another state.
    pub(crate) fn connection(&mut self, state: &mut BTreeMap<String, String>) {
        if self.detector == Detector::Connection {
            state.insert("planted".into(), "state".into());
            self.planted = true;
        }
    }

    /// Has a job write another tenant's text into rows of `owner`.
    pub(crate) fn job(&mut self, text: &mut String, owner: usize, world: &World) {
        if self.detector == Detector::Job && !self.planted {
            text.push_str(&world.all()[(owner + 1) % world.all().len()].canary(u16::MAX));
            self.planted = true;
        }
    }

    /// Has the service log another tenant's text.
    pub(crate) fn log(&mut self, step: &Step, log: &Log, world: &World) {
        let calls = step.action.calls();
        let Some(call) = calls.first().filter(|_| calls.len() == 1) else { return };
        if self.detector == Detector::Log && !self.planted {
            let other = (call.caller + 1) % world.all().len();
            log.plant(&world.all()[other].canary(0));
            self.planted = true;
        }
    }

    /// Whether another tenant's row is to be taken away now.
    pub(crate) fn takes_a_row(&self) -> bool {
        self.detector == Detector::Rows && !self.planted
    }

    pub(crate) fn took_a_row(&mut self, done: bool) {
        self.planted |= done;
    }
}
