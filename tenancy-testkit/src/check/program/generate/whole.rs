//! Long programs: all of what the short ones do a little of, and what comes of doing it in one go.

use super::super::signal::{FAULTS, Fault, Signal};
use super::super::value::Whose;
use super::{Action, Author, Rng, declares_tenant, has_schemas, of};
use crate::check::describe::operation::Access;
use crate::check::describe::{Standing, World};

impl Author<'_> {
    pub(super) fn whole(&mut self, world: &World, seed: u64, round: u64) {
        self.look_around(world);
        self.plant(world, seed, 4);
        self.survey();
        self.refused(world);
        self.doors(round);
        for _ in 0..40 + self.rng.below(40) {
            self.mixed_step();
        }
        self.ends(world, round);
        self.broken();
    }

    /// Every operation for what is one's own, for what is another's, and without a tenant (KIT-02).
    fn survey(&mut self) {
        for at in self.operations(|op| op.access != Access::Admin) {
            let tenant = self.tenant();
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
            self.pair(tenant, at);
        }
        for at in self.operations(|op| op.access == Access::Tenant && op.reads()) {
            let tenant = self.tenant();
            let other = self.other(tenant);
            // At the same time while nothing is remembered, and then one after the other.
            let (draw, number) = (self.rng.next(), (self.steps.len() as u16).wrapping_mul(8));
            let calls = [tenant, other]
                .map(|caller| self.call_with(&mut Rng::new(draw), caller, at, Whose::Own, false, number));
            self.push(Action::Together(calls.into_iter().enumerate().collect()));
            self.by_turns(&[tenant, other], at);
        }
        for at in self.operations(|op| op.access == Access::Tenant && op.body.is_some()) {
            // What another tenant has called something, one's own may be called.
            let tenant = self.tenant();
            let whose = Whose::Foreign(self.other(tenant));
            let call = self.call(tenant, at, whose, true);
            self.push(Action::Call(call));
        }
        for at in self.operations(|op| op.access == Access::Tenant && declares_tenant(op)) {
            for tenant in self.active.clone() {
                self.claims(tenant, at);
            }
        }
        for at in 0..self.service.operations.len() {
            let tenant = self.tenant();
            self.unnamed(tenant, at);
        }
    }

    /// Every operation behind every wrong name; three kinds of wrong in a program.
    fn doors(&mut self, number: u64) {
        for kind in 0..3 {
            let fault = FAULTS[((number * 3 + kind) % FAULTS.len() as u64) as usize];
            for at in self.operations(|op| op.access == Access::Tenant) {
                let tenant = self.tenant();
                let mut call = self.call(tenant, at, Whose::Own, false);
                call.signal =
                    Signal { fault, other: self.other(tenant), variety: self.rng.below(1 << 16) as u32 };
                self.push(Action::Call(call));
            }
        }
    }

    /// Tenants that are not to be served.
    pub(super) fn refused(&mut self, world: &World) {
        for tenant in of(world, |standing| matches!(standing, Standing::Suspended | Standing::Later)) {
            for at in self.some_operations(3) {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
    }

    /// Tenants come and go.
    fn ends(&mut self, world: &World, number: u64) {
        let hooks = &self.service.hooks;
        let bound = u16::try_from(hooks.bound.as_millis()).unwrap_or(u16::MAX).saturating_add(50);
        let (may_suspend, may_delete, jobs) =
            (hooks.suspend.is_some(), hooks.delete.is_some(), hooks.jobs.is_some());
        let later = of(world, |standing| standing == Standing::Later);
        let tenant = self.tenant();
        // Known in every spelling, so that whatever remembers it remembers it in every spelling.
        let spellings: Vec<Signal> = (0..6)
            .map(|_| Signal {
                fault: Fault::Spelling,
                other: tenant,
                variety: self.rng.below(1 << 16) as u32,
            })
            .collect();
        self.spelled(tenant, &spellings);
        if jobs {
            // What waits from now on is of this tenant alone: what else changes when it runs is somebody else's.
            self.push(Action::RunJobs);
        }
        if jobs || self.rng.chance(50) {
            for at in self.operations(|op| op.method == http::Method::POST && op.access == Access::Tenant) {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
        match number % 2 {
            0 if may_suspend => self.push(Action::Suspend { tenant }),
            _ if may_delete => self.push(Action::Delete { tenant }),
            _ if may_suspend => self.push(Action::Suspend { tenant }),
            _ => {}
        }
        for tenant in &later {
            self.push(Action::Onboard { tenant: *tenant });
        }
        if !(may_suspend || may_delete) && later.is_empty() {
            return;
        }
        self.push(Action::Pause { millis: bound });
        if jobs {
            self.push(Action::RunJobs);
        }
        if may_suspend || may_delete {
            self.spelled(tenant, &spellings);
        }
        for tenant in later {
            for at in self.some_operations(4) {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
    }

    /// Reads and writes of a tenant with a schema of its own, in which something is missing.
    fn broken(&mut self) {
        if !has_schemas(self.service) {
            return;
        }
        let (tenant, pick) = (self.tenant(), self.rng.below(64) as u32);
        self.push(Action::Break { tenant, pick });
        for at in self.operations(|op| op.access == Access::Tenant) {
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
    }

    pub(super) fn spelled(&mut self, tenant: usize, spellings: &[Signal]) {
        for signal in [Signal::PROPER].iter().chain(spellings) {
            for at in self.some_operations(1) {
                let mut call = self.call(tenant, at, Whose::Own, false);
                call.signal = *signal;
                self.push(Action::Call(call));
            }
        }
    }
}
