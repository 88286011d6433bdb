//! Short programs: each goes after one kind of leak, with the requests that show it most often first.

use std::collections::BTreeMap;

use super::super::signal::{FAULTS, Fault, Signal};
use super::super::slots::{COMMON, own};
use super::super::value::Whose;
use super::{Action, Author, Call, declares_tenant, of};
use crate::check::describe::operation::Access;
use crate::check::describe::{Operation, Standing, World};

/// How many of a tenant's own things are asked for, one after the other.
const OWN: u32 = 8;
/// How many rows each tenant tries to plant in others' names by each operation.
const CLAIMS: usize = 4;
/// In how many of its ways a fault is tried in one program.
const WAYS: u32 = 5;
/// How many tables of one tenant a program takes away: of small schemas, all.
const MISSING: usize = 10;
/// After how many polls clients go away.
const POLLS: u8 = 12;

impl Author<'_> {
    /// Few rows in each tenant, not equally many, and a look at what is there.
    pub(super) fn prelude(&mut self, world: &World, seed: u64) {
        self.look_around(world);
        self.plant(world, seed, 2);
    }

    /// What tenants are shown of their own, which the twin of each compares.
    pub(super) fn reads(&mut self, world: &World, seed: u64) {
        self.prelude(world, seed);
        for _ in 0..2 {
            for tenant in self.active.clone() {
                for at in self.operations(|op| op.access != Access::Admin && op.reads()) {
                    let call = self.call(tenant, at, Whose::Own, false);
                    self.push(Action::Call(call));
                }
            }
        }
        for at in self.operations(|op| op.access == Access::Tenant && !op.reads()) {
            let tenant = self.tenant();
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
        self.look_around(world);
    }

    /// Every operation without a tenant, and what lists and shows behind every wrong name in all its ways.
    pub(super) fn all_doors(&mut self, world: &World, seed: u64, round: u64) {
        self.prelude(world, seed);
        for at in 0..self.service.operations.len() {
            let tenant = self.tenant();
            self.unnamed(tenant, at);
        }
        let reads = self.operations(|op| op.access == Access::Tenant && op.reads());
        let others = self.operations(|op| op.access == Access::Tenant && !op.reads());
        let tenant = self.active[round as usize % self.active.len()];
        let other = self.other(tenant);
        let both = if self.service.credentials.len() > 1 { 2 } else { 1 };
        // All faults in their first way, and then all in their second: any of them may be the one.
        let some = WAYS * both * round as u32..WAYS * both * (round as u32 + 1);
        for variety in some {
            for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Missing) {
                let ways = fault.ways() * both;
                if variety < ways || round > 3 {
                    let signal = Signal { fault, other, variety: variety % ways };
                    self.behind(tenant, &reads, signal, round);
                    self.behind(tenant, &others, signal, 1);
                }
            }
        }
        self.refused(world);
    }

    /// Without a tenant, and an administrator's operation as a tenant and as an administrator.
    pub(super) fn unnamed(&mut self, tenant: usize, at: usize) {
        let mut call = self.call(tenant, at, Whose::Own, false);
        if self.service.operations[at].access == Access::Admin {
            self.push(Action::Call(call.clone()));
            if self.service.admin.is_some() {
                call.signal = Signal { fault: Fault::Admin, other: tenant, variety: 0 };
                self.push(Action::Call(call.clone()));
            }
        }
        call.signal = Signal { fault: Fault::Missing, other: tenant, variety: 0 };
        self.push(Action::Call(call));
    }

    /// Some of `operations` behind a wrong name: in the first round all, later a few.
    fn behind(&mut self, tenant: usize, operations: &[usize], signal: Signal, round: u64) {
        let mut some = operations.to_vec();
        if round > 0 {
            self.rng.shuffle(&mut some);
            some.truncate(3);
        }
        for at in some {
            let mut call = self.call(tenant, at, Whose::Own, false);
            call.signal = signal;
            self.push(Action::Call(call));
        }
    }

    /// What is another's: its ids, its texts, and rows that are planted in its name.
    pub(super) fn ids(&mut self, world: &World, seed: u64) {
        self.prelude(world, seed);
        let active = of(world, |standing| standing == Standing::Active);
        let pairs: Vec<(usize, usize)> = turns(&active);
        let mut operations = self.operations(|op| op.access == Access::Tenant);
        // What only reads changes nothing for those that come after it.
        operations.sort_by_key(|at| !self.service.operations[*at].reads());
        self.foreign_texts(&pairs);
        for (tenant, other) in &pairs {
            for at in &operations {
                self.pair_of(*tenant, *other, *at);
            }
        }
        // Rows in others' names: more than one, since its number may be taken where it is planted.
        for at in self.operations(|op| op.access == Access::Tenant && declares_tenant(op)) {
            for _ in 0..CLAIMS {
                for tenant in &active {
                    self.claims(*tenant, at);
                }
            }
        }
        self.foreign_texts(&pairs);
        for at in &operations {
            let (tenant, other) = *self.rng.pick(&pairs);
            self.pair_of(tenant, other, *at);
            self.pair_of(other, tenant, *at);
            let call = self.call(tenant, *at, Whose::Own, false);
            self.push(Action::Call(call));
        }
        self.look_around(world);
    }

    /// What others have called something, and their ids in the bodies of requests.
    fn foreign_texts(&mut self, pairs: &[(usize, usize)]) {
        for (tenant, other) in pairs {
            for at in self.operations(|op| op.access == Access::Tenant && op.body.is_some()) {
                let call = self.call(*tenant, at, Whose::Foreign(*other), true);
                self.push(Action::Call(call));
            }
        }
    }

    /// Two tenants at once while nothing is remembered, and then one after the other; and keys that read alike when they
    /// are put together without care.
    pub(super) fn meetings(&mut self, world: &World, seed: u64) {
        let active = of(world, |standing| standing == Standing::Active);
        let (a, b) = (active[0], active[active.len().min(2) - 1]);
        let lists = self.operations(|op| op.access == Access::Tenant && op.reads() && !op.path.contains('{'));
        let things = self.operations(|op| op.access == Access::Tenant && op.reads() && op.path.contains('{'));
        for at in &lists {
            self.meet(&[a, b], *at, 0);
        }
        self.plant(world, seed, 2);
        self.alike(&active);
        self.look_around(world);
        for pick in 0..OWN {
            for at in &things {
                let (first, second) = if pick % 2 == 0 { (a, b) } else { (b, a) };
                // Known to the service, both of them, so that they get as far at the same time.
                if let Some(list) = lists.first() {
                    let calls = [first, second].map(|tenant| self.picked(tenant, *list, 0));
                    calls.into_iter().for_each(|call| self.push(Action::Call(call)));
                }
                self.meet(&[first, second], *at, pick);
            }
        }
        for at in &things {
            for tenant in active.iter().chain(&active) {
                for pick in 0..OWN {
                    let call = self.picked(*tenant, *at, pick);
                    self.push(Action::Call(call));
                }
            }
        }
        for _ in 0..2 {
            for at in &lists {
                self.meet(&[b, a], *at, 0);
            }
        }
    }

    /// The same request by several tenants at once, and then by turns.
    fn meet(&mut self, tenants: &[usize], at: usize, pick: u32) {
        let calls: Vec<_> = tenants.iter().map(|tenant| self.picked(*tenant, at, pick)).collect();
        self.push(Action::Together(calls.iter().cloned().enumerate().collect()));
        for call in calls {
            self.push(Action::Call(call));
        }
    }

    /// What a tenant is shown of the `pick`th of its own things, with what must be sent alone.
    fn picked(&mut self, tenant: usize, at: usize, pick: u32) -> Call {
        let mut call = self.call(tenant, at, Whose::Own, false);
        let described = &self.service.operations[at];
        for (param, slot) in described.params.iter().zip(&mut call.params) {
            match slot {
                Some(_) if !param.required => *slot = None,
                Some(slot) => *slot = own(described, &param.name, &param.schema, pick),
                None => {}
            }
        }
        call
    }

    /// Things whose names hold what separates the parts of a key: `7` of `acme-1` and `1-7` of `acme`.
    fn alike(&mut self, active: &[usize]) {
        let named = |op: &Operation| {
            op.method == http::Method::POST && op.access == Access::Tenant && op.body.is_some()
        };
        for at in self.operations(named) {
            for text in COMMON {
                for tenant in active {
                    let mut call = self.call(*tenant, at, Whose::Own, false);
                    if let Some(body) = &mut call.body
                        && body.name_all(text)
                    {
                        self.push(Action::Call(call));
                    }
                }
            }
        }
    }

    /// Tenants that come and go, in every spelling, and jobs of those who are gone.
    pub(super) fn lives(&mut self, world: &World, seed: u64, round: u64) {
        self.prelude(world, seed);
        let active = of(world, |standing| standing == Standing::Active);
        self.jobs(&active);
        self.refused(world);
        let turn = round as usize % active.len();
        let (suspended, deleted) = (active[(turn + 1) % active.len()], active[(turn + 2) % active.len()]);
        let hooks = &self.service.hooks;
        let (may_suspend, may_delete, jobs) =
            (hooks.suspend.is_some(), hooks.delete.is_some(), hooks.jobs.is_some());
        let bound = u16::try_from(hooks.bound.as_millis()).unwrap_or(u16::MAX).saturating_add(50);
        let gone: Vec<usize> = [(may_suspend, suspended), (may_delete, deleted)]
            .into_iter()
            .filter_map(|(may, tenant)| may.then_some(tenant))
            .collect();
        let later = of(world, |standing| standing == Standing::Later);
        // Known in every spelling, so that whatever remembers it remembers it in every spelling.
        for tenant in &gone {
            self.spelled(*tenant, &spellings(*tenant));
            self.made_by(*tenant);
        }
        for tenant in &gone {
            let suspends = may_suspend && *tenant == suspended;
            self.push(if suspends {
                Action::Suspend { tenant: *tenant }
            } else {
                Action::Delete { tenant: *tenant }
            });
        }
        for tenant in &later {
            self.push(Action::Onboard { tenant: *tenant });
        }
        if gone.is_empty() && later.is_empty() {
            return;
        }
        self.push(Action::Pause { millis: bound });
        if jobs {
            self.push(Action::RunJobs);
        }
        for tenant in &gone {
            self.spelled(*tenant, &spellings(*tenant));
        }
        for tenant in later {
            for at in self.some_operations(4) {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
        self.look_around(world);
    }

    /// Jobs of one tenant, then of another, and only then they run.
    fn jobs(&mut self, active: &[usize]) {
        if self.service.hooks.jobs.is_none() {
            return;
        }
        self.push(Action::RunJobs);
        for (first, second) in turns(&active[..active.len().min(2)]) {
            self.made_by(first);
            self.made_by(second);
            self.push(Action::RunJobs);
        }
    }

    fn made_by(&mut self, tenant: usize) {
        for at in self.operations(|op| op.method == http::Method::POST && op.access == Access::Tenant) {
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
    }

    /// Clients that go away at every point of an answer, and others that come after them.
    pub(super) fn dropped(&mut self, world: &World, seed: u64) {
        self.prelude(world, seed);
        let mut reads = self.operations(|op| op.access == Access::Tenant && op.reads());
        let mut writes = self.operations(|op| op.access == Access::Tenant && !op.reads());
        self.rng.shuffle(&mut reads);
        self.rng.shuffle(&mut writes);
        reads.truncate(8);
        writes.truncate(4);
        for at in reads.into_iter().chain(writes) {
            for polls in 0..POLLS {
                let tenant = self.tenant();
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Abandon { call, polls });
                if polls % 3 == 2 {
                    let (Some(at), caller) = (self.read(), self.other(tenant)) else { return };
                    let call = self.call(caller, at, Whose::Own, false);
                    self.push(Action::Call(call));
                }
            }
        }
    }

    /// Tables of one tenant go away one after the other; what then answers in their place is somebody else's.
    pub(super) fn broken_often(&mut self, world: &World, seed: u64, round: u64) {
        self.prelude(world, seed);
        let tenant = self.active[round as usize % self.active.len()];
        for _ in 0..MISSING {
            let pick = self.rng.below(64) as u32;
            self.push(Action::Break { tenant, pick });
            let mut operations = self.operations(|op| op.access == Access::Tenant);
            operations.sort_by_key(|at| self.service.operations[*at].reads());
            for at in operations {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
    }
}

/// Everybody with everybody else, those that follow each other first.
fn turns(tenants: &[usize]) -> Vec<(usize, usize)> {
    let mut turns = BTreeMap::new();
    for (i, tenant) in tenants.iter().enumerate() {
        for distance in 1..tenants.len().min(3) {
            turns.insert((distance, i), (*tenant, tenants[(i + distance) % tenants.len()]));
        }
    }
    turns.into_values().collect()
}

/// The spellings of a tenant's host, all of them.
fn spellings(tenant: usize) -> Vec<Signal> {
    let signal = |variety| Signal { fault: Fault::Spelling, other: tenant, variety };
    (0..Fault::Spelling.ways()).map(signal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_meets_the_next_one_and_the_one_after_that() {
        assert_eq!(turns(&[4, 7]), [(4, 7), (7, 4)]);
        assert_eq!(turns(&[1, 2, 3]), [(1, 2), (2, 3), (3, 1), (1, 3), (2, 1), (3, 2)]);
        assert_eq!(turns(&[1]), []);
    }
}
