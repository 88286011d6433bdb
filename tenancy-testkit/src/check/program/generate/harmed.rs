//! Requests on whose way to the database something breaks.

use super::super::harm::{HARMS, Harm};
use super::super::value::Whose;
use super::{Action, Author};
use crate::check::describe::World;
use crate::check::describe::operation::Access;

/// The messages that do not arrive: dense where each request begins, since there is where each connection is prepared.
const POINTS: [u8; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 21, 26];
/// How many operations a program tries, those that read and those that write.
const READS: usize = 5;
const WRITES: usize = 4;

impl Author<'_> {
    /// Each operation with a break at every point, in turns of all kinds, and others that come after it.
    pub(super) fn harmed(&mut self, world: &World, seed: u64, round: u64) {
        self.prelude(world, seed);
        let mut reads = self.operations(|op| op.access == Access::Tenant && op.reads());
        let mut writes = self.operations(|op| op.access == Access::Tenant && !op.reads());
        self.rng.shuffle(&mut reads);
        self.rng.shuffle(&mut writes);
        reads.truncate(READS);
        writes.truncate(WRITES);
        let operations: Vec<usize> = reads.into_iter().chain(writes).collect();
        for (turn, at) in operations.into_iter().enumerate() {
            for (point, message) in POINTS.into_iter().enumerate() {
                let tenant = self.tenant();
                let call = self.call(tenant, at, Whose::Own, false);
                let kind = HARMS[(turn + point + round as usize) % HARMS.len()];
                self.push(Action::Harmed { call, harm: Harm { kind, at: message } });
                let caller = self.other(tenant);
                for at in [Some(at), self.read()].into_iter().flatten() {
                    let call = self.call(caller, at, Whose::Own, false);
                    self.push(Action::Call(call));
                }
            }
        }
    }
}
