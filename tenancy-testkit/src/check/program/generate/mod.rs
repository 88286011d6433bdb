//! Makes programs: the same one for the same description, seed and number.
//!
//! The first programs are short ones of one kind each, so that what a single request shows is seen within seconds; after
//! them come the same kinds in other worlds, and long programs of everything.

mod crowd;
mod harmed;
mod kind;
mod mixed;
mod probes;
mod whole;

use self::kind::{Kind, kinds};
use super::signal::Signal;
use super::slots::{Draw, TENANT_FIELDS};
use super::value::{Slot, Whose};
use super::{Action, Call, Program, Step};
use crate::check::describe::hooks::Rows;
use crate::check::describe::operation::Access;
use crate::check::describe::schema::narrow;
use crate::check::describe::{Operation, Service, Standing, World};
use crate::oracle::rng::Rng;

/// How many programs it takes to have asked for everything: for what is one's own, for what is another's, and for nobody.
pub(crate) const ESSENTIAL: u64 = 4;

/// The program with this number.
pub(crate) fn program(service: &Service, seed: u64, number: u64) -> Program {
    let kinds = kinds(service);
    let kind = match kinds[(number % kinds.len() as u64) as usize] {
        Kind::Broken if kinds.contains(&Kind::Harmed) && !has_schemas(service) => Kind::Harmed,
        Kind::Broken if !has_schemas(service) => Kind::Dropped,
        kind => kind,
    };
    let round = number / kinds.len() as u64;
    let (world, standings) = match kind {
        Kind::Whole => return whole(service, seed, number),
        kind => world(service, seed, kind, round),
    };
    let mut author = Author::new(service, seed, number, &world);
    match kind {
        Kind::Reads => author.reads(&world, seed),
        Kind::Doors => author.all_doors(&world, seed, round),
        Kind::Ids => author.ids(&world, seed),
        Kind::Meetings => author.meetings(&world, seed),
        Kind::Ends => author.lives(&world, seed, round),
        Kind::Dropped => author.dropped(&world, seed),
        Kind::Broken => author.broken_often(&world, seed, round),
        Kind::Harmed => author.harmed(&world, seed, round),
        Kind::Crowd => author.crowd(&world, seed),
        Kind::Whole => {}
    }
    let compared = match kind {
        Kind::Reads => standings.min(2),
        Kind::Ids | Kind::Meetings => 1,
        _ => 0,
    };
    let crowded = kind == Kind::Crowd;
    // Half of the crowds are on several threads.
    let threads = if crowded { number / 3 % 2 == 1 } else { round % 4 == 3 };
    Program { world, threads, steps: author.steps, compared, crowded }
}

/// The long program with this number.
pub(crate) fn whole(service: &Service, seed: u64, number: u64) -> Program {
    let round = number / kinds(service).len() as u64;
    let (world, _) = world(service, seed, Kind::Whole, round);
    let mut author = Author::new(service, seed, number, &world);
    author.whole(&world, seed, round);
    Program { world, threads: round % 4 == 3, steps: author.steps, compared: 1, crowded: false }
}

fn has_schemas(service: &Service) -> bool {
    service.hooks.database.as_ref().is_some_and(|database| database.rows == Rows::Schema)
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

/// The tenants of a program, and how many of them are active from the start.
///
/// Few worlds, so that a start that prepares a template for each world does so a few times only.
fn world(service: &Service, seed: u64, kind: Kind, round: u64) -> (World, usize) {
    let mut standings = match (kind, round % 3) {
        // One is suspended and one is deleted, and somebody has to be left.
        (Kind::Ends, _) => vec![Standing::Active; 3],
        // The long programs begin with many, the short ones with few.
        (Kind::Whole, 1) => vec![Standing::Active; 2],
        (Kind::Whole, 0) | (_, 1) => {
            vec![Standing::Active, Standing::Active, Standing::Active, Standing::Empty]
        }
        (_, 0) => vec![Standing::Active; 2],
        _ => vec![Standing::Active; 5],
    };
    let active = standings.iter().filter(|standing| **standing == Standing::Active).count();
    if service.hooks.suspend.is_some() {
        standings.push(Standing::Suspended);
    }
    if service.hooks.onboard.is_some() && (kind == Kind::Ends || round % 3 != 2) {
        standings.push(Standing::Later);
    }
    // One connection hides what eight show, and the reverse (KIT-04).
    let first = match kind {
        Kind::Dropped | Kind::Broken | Kind::Harmed => 1,
        Kind::Crowd => 2,
        _ => 0,
    };
    let pool_size = [2, 1, 8][((round + first) % 3) as usize];
    // Names that differ in their last characters alone in every second round, and in the round in which all is new.
    let long = (round + u64::from(matches!(kind, Kind::Reads | Kind::Meetings))) % 2 == 1;
    (World::new(seed, &standings, long, pool_size), active)
}

struct Author<'a> {
    service: &'a Service,
    rng: Rng,
    active: Vec<usize>,
    steps: Vec<Step>,
}

impl<'a> Author<'a> {
    fn new(service: &'a Service, seed: u64, number: u64, world: &World) -> Self {
        let active = of(world, |standing| matches!(standing, Standing::Active | Standing::Empty));
        Self { service, rng: Rng::derive(seed, number), active, steps: Vec::new() }
    }

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
    fn plant(&mut self, world: &World, seed: u64, rounds: u64) {
        let mut making = self.operations(|op| op.method == http::Method::POST && op.access == Access::Tenant);
        let needs = |at: &usize| {
            let mut rng = Rng::derive(seed, *at as u64);
            let call = self.call_with(&mut rng, 0, *at, Whose::Own, false, 0);
            let slots = call.params.iter().flatten().chain(&call.body);
            slots.map(Slot::needs).sum::<usize>()
        };
        making.sort_by_cached_key(needs);
        for round in 0..rounds {
            for at in &making {
                let draw = self.rng.next();
                for tenant in of(world, |standing| standing == Standing::Active) {
                    if round < rounds.div_ceil(2) + tenant as u64 % 3 {
                        let number = (self.steps.len() as u16).wrapping_mul(8);
                        let mut rng = Rng::new(draw);
                        let call = self.call_with(&mut rng, tenant, *at, Whose::Own, false, number);
                        self.push(Action::Call(call));
                    }
                }
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

    fn by_turns(&mut self, callers: &[usize], at: usize) {
        let draw = self.rng.next();
        for caller in callers.iter().copied() {
            let call = self.call_with(&mut Rng::new(draw), caller, at, Whose::Own, false, 0);
            self.push(Action::Call(call));
        }
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
}
