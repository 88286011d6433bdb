//! Arbitrary text: refused, or scoped into one statement that is not scoped again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenancy_seaorm::Dialect;

#[path = "check.rs"]
mod check;

fuzz_target!(|input: (u8, &str)| {
    let (dialect, sql) = input;
    check::holds([Dialect::Postgres, Dialect::Sqlite, Dialect::MySql][usize::from(dialect % 3)], sql);
});
