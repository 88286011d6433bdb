//! Steps at random.

use super::super::signal::{FAULTS, Signal};
use super::super::value::{Slot, Whose};
use super::{Action, Author, Rng, declares_tenant};
use crate::check::describe::operation::Access;

impl Author<'_> {
    pub(super) fn mixed_step(&mut self) {
        let Some(at) = self.operation() else { return };
        let tenant = self.tenant();
        let jobs = if self.service.hooks.jobs.is_some() { 5 } else { 0 };
        match self.rng.weighted(&[18, 16, 12, 20, 10, 12, 6, 6, jobs]) {
            0 => {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
            1 => self.pair(tenant, at),
            2 => {
                let whose = Whose::Foreign(self.other(tenant));
                let call = self.call(tenant, at, whose, true);
                self.push(Action::Call(call));
            }
            3 => self.faulty(tenant, at),
            4 => self.same_by_turns(tenant),
            5 => self.together(),
            6 => self.abandon(tenant, at),
            7 => self.claimed(tenant),
            _ => self.push(Action::RunJobs),
        }
    }

    pub(super) fn pair(&mut self, tenant: usize, at: usize) {
        let other = self.other(tenant);
        self.pair_of(tenant, other, at);
    }

    /// What is `other`'s, and then what is nobody's.
    pub(super) fn pair_of(&mut self, tenant: usize, other: usize, at: usize) {
        let draw = self.rng.next();
        let number = (self.steps.len() as u16).wrapping_mul(8);
        let foreign = self.call_with(&mut Rng::new(draw), tenant, at, Whose::Foreign(other), false, number);
        let slots = foreign.params.iter().flatten().chain(&foreign.body);
        if slots.map(Slot::needs).sum::<usize>() == 0 {
            return;
        }
        let unknown = self.call_with(&mut Rng::new(draw), tenant, at, Whose::Unknown, false, number + 4);
        self.push(Action::Pair { foreign, unknown });
    }

    /// A request whose tenant is named wrongly.
    fn faulty(&mut self, tenant: usize, at: usize) {
        let fault = *self.rng.pick(&FAULTS);
        let signal = Signal { fault, other: self.other(tenant), variety: self.rng.below(1 << 16) as u32 };
        // A good one before: what is remembered of it must not help.
        if self.rng.chance(50) {
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
        let at = if self.rng.chance(60) { self.read().unwrap_or(at) } else { at };
        let mut call = self.call(tenant, at, Whose::Own, false);
        call.signal = signal;
        self.push(Action::Call(call));
    }

    /// The same request by one tenant and then by others: what a cache remembers of the first must not answer the second.
    fn same_by_turns(&mut self, tenant: usize) {
        let Some(at) = self.read() else { return };
        let other = self.other(tenant);
        self.by_turns(&[tenant, other, tenant], at);
    }

    /// Several tenants at once: the same request, or each its own.
    fn together(&mut self) {
        let mut callers = self.active.clone();
        self.rng.shuffle(&mut callers);
        callers.truncate(2 + self.rng.below(3));
        let same = self.rng.chance(60).then(|| (self.read(), self.rng.next()));
        let number = (self.steps.len() as u16).wrapping_mul(8);
        let mut calls = Vec::new();
        for caller in callers {
            match same {
                Some((Some(at), draw)) => {
                    calls.push(self.call_with(&mut Rng::new(draw), caller, at, Whose::Own, false, number));
                }
                _ => {
                    let Some(at) = self.operation() else { return };
                    calls.push(self.call(caller, at, Whose::Own, false));
                }
            }
        }
        self.push(Action::Together(calls.into_iter().enumerate().collect()));
    }

    /// A client that goes away, and others that come after it.
    fn abandon(&mut self, tenant: usize, at: usize) {
        let call = self.call(tenant, at, Whose::Own, false);
        let polls = self.rng.below(8) as u8;
        self.push(Action::Abandon { call, polls });
        for _ in 0..2 {
            let Some(at) = self.read() else { return };
            let caller = self.other(tenant);
            let call = self.call(caller, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
    }

    /// A body that says whose row it is.
    fn claimed(&mut self, tenant: usize) {
        let writing = self.operations(|op| op.body.is_some() && op.access == Access::Tenant);
        if writing.is_empty() {
            return;
        }
        let declared = self.operations(|op| op.access == Access::Tenant && declares_tenant(op));
        let from = if declared.is_empty() || self.rng.chance(40) { writing } else { declared };
        let at = *self.rng.pick(&from);
        self.claims(tenant, at);
    }
}
