//! Makes programs: the same one for the same description, seed and number.

use super::signal::{FAULTS, Fault, Signal};
use super::slots::{Draw, TENANT_FIELDS};
use super::value::{Slot, Whose};
use super::{Action, Call, Program, Step};
use crate::check::describe::hooks::Rows;
use crate::check::describe::operation::Access;
use crate::check::describe::schema::narrow;
use crate::check::describe::{Operation, Service, Standing, World};
use crate::oracle::rng::Rng;

/// The program with this number.
pub(crate) fn program(service: &Service, seed: u64, number: u64) -> Program {
    let world = world(service, seed, number);
    let mut author = Author {
        service,
        rng: Rng::derive(seed, number),
        active: of(&world, |standing| matches!(standing, Standing::Active | Standing::Empty)),
        steps: Vec::new(),
    };
    author.look_around(&world);
    author.plant(&world, seed);
    author.survey();
    author.refused(&world);
    author.doors(number);
    for _ in 0..40 + author.rng.below(40) {
        author.mixed_step();
    }
    author.ends(&world, number);
    author.broken();
    Program { world, threads: number % 4 == 3, steps: author.steps }
}

/// The field by which a body may say whose row it is.
fn tenant_field(body: &serde_json::Value) -> Option<&'static str> {
    let body = narrow(body);
    TENANT_FIELDS.into_iter().find(|name| !body["properties"][*name].is_null())
}

fn declares_tenant(operation: &Operation) -> bool {
    operation.body.as_ref().and_then(tenant_field).is_some()
}

fn of(world: &World, want: impl Fn(Standing) -> bool) -> Vec<usize> {
    world.all().iter().filter(|tenant| want(tenant.standing())).map(|tenant| tenant.index()).collect()
}

/// Few worlds, so that a start that prepares a template for each world does so a few times only.
fn world(service: &Service, seed: u64, number: u64) -> World {
    let mut standings = match number % 3 {
        0 => vec![Standing::Active, Standing::Active, Standing::Active, Standing::Empty],
        1 => vec![Standing::Active, Standing::Active],
        _ => vec![Standing::Active; 5],
    };
    if service.hooks.suspend.is_some() {
        standings.push(Standing::Suspended);
    }
    if service.hooks.onboard.is_some() && number % 3 != 2 {
        standings.push(Standing::Later);
    }
    // One connection hides what eight show, and the reverse (KIT-04).
    let pool_size = [2, 1, 8][(number / 2 % 3) as usize];
    World::new(seed, &standings, number % 2 == 1, pool_size)
}

struct Author<'a> {
    service: &'a Service,
    rng: Rng,
    active: Vec<usize>,
    steps: Vec<Step>,
}

impl Author<'_> {
    fn push(&mut self, action: Action) {
        let number = self.steps.len() as u16;
        self.steps.push(Step { number, action });
    }

    fn operations(&self, want: impl Fn(&Operation) -> bool) -> Vec<usize> {
        let all = self.service.operations.iter().enumerate();
        all.filter(|(_, operation)| want(operation)).map(|(at, _)| at).collect()
    }

    fn tenant(&mut self) -> usize {
        *self.rng.pick(&self.active)
    }

    /// An active tenant other than `tenant`.
    fn other(&mut self, tenant: usize) -> usize {
        let others: Vec<usize> = self.active.iter().copied().filter(|other| *other != tenant).collect();
        if others.is_empty() { tenant } else { *self.rng.pick(&others) }
    }

    fn call_with(
        &self,
        rng: &mut Rng,
        caller: usize,
        operation: usize,
        whose: Whose,
        texts: bool,
        number: u16,
    ) -> Call {
        let described = &self.service.operations[operation];
        let pick = rng.below(6) as u32;
        let credential = rng.below(self.service.credentials.len().max(1));
        let mut draw = Draw { rng, caller, whose, texts, number, pick };
        let params = described.params.iter().map(|param| draw.param(described, param)).collect();
        let body = described.body.as_ref().map(|schema| draw.body(described, schema));
        Call { caller, credential, signal: Signal::PROPER, operation, params, body }
    }

    fn call(&mut self, caller: usize, operation: usize, whose: Whose, texts: bool) -> Call {
        let mut rng = Rng::new(self.rng.next());
        // Each step has eight canaries of its own; the two halves of a pair share none.
        let number =
            (self.steps.len() as u16).wrapping_mul(8).wrapping_add(u16::from(whose == Whose::Unknown) * 4);
        self.call_with(&mut rng, caller, operation, whose, texts, number)
    }

    /// What is there from the start: ids that the first writes need.
    fn look_around(&mut self, world: &World) {
        for tenant in of(world, |standing| standing == Standing::Active) {
            for at in
                self.operations(|op| op.reads() && op.access == Access::Tenant && !op.path.contains('{'))
            {
                let mut call = self.call(tenant, at, Whose::Own, false);
                call.params.iter_mut().for_each(|param| *param = None);
                self.push(Action::Call(call));
            }
        }
    }

    /// The same rows in every tenant but for the canaries, in turns, and not equally many (KIT-01).
    fn plant(&mut self, world: &World, seed: u64) {
        let mut making = self.operations(|op| op.method == http::Method::POST && op.access == Access::Tenant);
        let needs = |at: &usize| {
            let mut rng = Rng::derive(seed, *at as u64);
            let call = self.call_with(&mut rng, 0, *at, Whose::Own, false, 0);
            let slots = call.params.iter().flatten().chain(&call.body);
            slots.map(Slot::needs).sum::<usize>()
        };
        making.sort_by_cached_key(needs);
        for round in 0..4_u64 {
            for at in &making {
                let draw = self.rng.next();
                for tenant in of(world, |standing| standing == Standing::Active) {
                    if round < 2 + tenant as u64 % 3 {
                        let number = (self.steps.len() as u16).wrapping_mul(8);
                        let mut rng = Rng::new(draw);
                        let call = self.call_with(&mut rng, tenant, *at, Whose::Own, false, number);
                        self.push(Action::Call(call));
                    }
                }
            }
        }
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
    fn refused(&mut self, world: &World) {
        for tenant in of(world, |standing| matches!(standing, Standing::Suspended | Standing::Later)) {
            for at in self.some_operations(3) {
                let call = self.call(tenant, at, Whose::Own, false);
                self.push(Action::Call(call));
            }
        }
    }

    fn some_operations(&mut self, count: usize) -> Vec<usize> {
        let mut all = self.operations(|op| op.access == Access::Tenant);
        self.rng.shuffle(&mut all);
        // What only reads, first: an empty tenant can answer it.
        all.sort_by_key(|at| {
            let operation = &self.service.operations[*at];
            (!operation.reads(), operation.path.contains('{'))
        });
        all.truncate(count);
        all
    }

    fn operation(&mut self) -> Option<usize> {
        let all = self.operations(|op| op.access == Access::Tenant);
        (!all.is_empty()).then(|| *self.rng.pick(&all))
    }

    fn read(&mut self) -> Option<usize> {
        let all = self.operations(|op| op.access == Access::Tenant && op.reads());
        (!all.is_empty()).then(|| *self.rng.pick(&all))
    }

    fn mixed_step(&mut self) {
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

    fn pair(&mut self, tenant: usize, at: usize) {
        let other = self.other(tenant);
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

    fn by_turns(&mut self, callers: &[usize], at: usize) {
        let draw = self.rng.next();
        for caller in callers.iter().copied() {
            let call = self.call_with(&mut Rng::new(draw), caller, at, Whose::Own, false, 0);
            self.push(Action::Call(call));
        }
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

    fn claims(&mut self, tenant: usize, at: usize) {
        let mut call = self.call(tenant, at, Whose::Own, false);
        let declared = self.service.operations[at].body.as_ref().and_then(tenant_field);
        if let Some(Slot::Object(fields)) = &mut call.body {
            let index = self.other(tenant);
            let name = match declared {
                Some(name) => name,
                None if self.rng.chance(60) => TENANT_FIELDS[0],
                None => *self.rng.pick(&TENANT_FIELDS),
            };
            fields.retain(|(known, _)| known != name);
            fields.push((name.to_owned(), Slot::Tenant { index, form: self.rng.below(4).min(2) as u8 }));
        }
        self.push(Action::Call(call));
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
        if self.service.hooks.database.as_ref().is_none_or(|database| database.rows != Rows::Schema) {
            return;
        }
        let (tenant, pick) = (self.tenant(), self.rng.below(64) as u32);
        self.push(Action::Break { tenant, pick });
        for at in self.operations(|op| op.access == Access::Tenant) {
            let call = self.call(tenant, at, Whose::Own, false);
            self.push(Action::Call(call));
        }
    }

    fn spelled(&mut self, tenant: usize, spellings: &[Signal]) {
        for signal in [Signal::PROPER].iter().chain(spellings) {
            for at in self.some_operations(1) {
                let mut call = self.call(tenant, at, Whose::Own, false);
                call.signal = *signal;
                self.push(Action::Call(call));
            }
        }
    }
}
