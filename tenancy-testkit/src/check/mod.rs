//! A search for leaks between the tenants of a service.
//!
//! A test describes how the service starts, how a request names its tenant, and what can be asked for; the search makes
//! programs of requests over several tenants, runs each against a fresh service, and looks at every answer, log line, row
//! and connection for what belongs to somebody else. A leak is shrunk to the shortest program that shows it, and printed
//! with a seed that [`replay`] takes.
//!
#![doc = include_str!("../../TEN-MINUTES.md")]

mod attempt;
mod budget;
mod coverage;
mod describe;
mod detect;
mod entry;
mod late;
mod leak;
mod matrix;
mod meter;
mod program;
mod progress;
mod search;
mod seed;
mod selfcheck;
mod shrink;
mod verdict;

pub use self::{
    describe::{Access, Credential, Operation, Service, Standing, TenantHandle, World},
    detect::Detector,
    entry::{Check, check_isolation, replay},
    leak::Leak,
    matrix::AccessMatrix,
    meter::Spent,
    seed::Seed,
    verdict::Verdict,
};
