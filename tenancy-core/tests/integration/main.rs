//! Tests of the crate from outside; one module per topic.

mod bulk;
mod cached;
mod changing;
mod ended;
mod glance;
#[cfg(feature = "jwt")]
mod jwt;
mod names;
mod one_strategy;
mod parsing;
mod scope;
