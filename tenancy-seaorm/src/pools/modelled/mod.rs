//! The desk and its ledger once more, from the same source, over primitives whose every step a scheduler chooses.

mod schedules;
mod sync;

#[expect(clippy::duplicate_mod, reason = "the code under test is the code, not a copy of it")]
#[allow(dead_code, unreachable_pub)]
#[path = "../desk.rs"]
mod desk;
#[expect(clippy::duplicate_mod, reason = "the code under test is the code, not a copy of it")]
#[allow(dead_code, unreachable_pub)]
#[path = "../ledger.rs"]
mod ledger;
use super::{later, tally};
