//! Crowds: what the users of all tenants ask for at the same time, many times over.

use super::super::value::Whose;
use super::{Action, Author, Call};
use crate::check::describe::World;
use crate::check::describe::operation::Access;

/// How often a crowd meets, and how many requests are then under way.
const MEETINGS: usize = 1_000;
const REQUESTS: usize = 8;
/// Of a hundred requests, those that write, and those that ask for what is another tenant's.
const WRITES: u64 = 4;
const FOREIGN: u64 = 12;

impl Author<'_> {
    /// Requests of all tenants, each time some of them at once: what only shows when connections, caches or tasks change
    /// hands under load, and then one time in a thousand.
    pub(super) fn crowd(&mut self, world: &World, seed: u64) {
        self.prelude(world, seed);
        let reads = self.operations(|op| op.access == Access::Tenant && op.reads());
        let writes = self.operations(|op| op.access == Access::Tenant && !op.reads());
        if reads.is_empty() {
            return;
        }
        for _ in 0..MEETINGS {
            let calls: Vec<Call> = (0..REQUESTS).map(|_| self.one_of_many(&reads, &writes)).collect();
            self.push(Action::Together(calls.into_iter().enumerate().collect()));
        }
    }

    fn one_of_many(&mut self, reads: &[usize], writes: &[usize]) -> Call {
        let tenant = self.tenant();
        if !writes.is_empty() && self.rng.chance(WRITES) {
            let at = *self.rng.pick(writes);
            return self.call(tenant, at, Whose::Own, false);
        }
        let whose = if self.rng.chance(FOREIGN) { Whose::Foreign(self.other(tenant)) } else { Whose::Own };
        let at = *self.rng.pick(reads);
        self.call(tenant, at, whose, false)
    }
}
