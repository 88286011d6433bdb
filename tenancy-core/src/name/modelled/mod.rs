//! The cache once more, from the same source, over primitives whose every step a scheduler chooses.

mod schedules;
mod sync;

#[expect(clippy::duplicate_mod, reason = "the code under test is the code, not a copy of it")]
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../cache/mod.rs"]
mod cache;
