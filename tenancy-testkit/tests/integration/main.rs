//! The testkit against real servers.

mod database;
mod lifecycle;
#[cfg(feature = "seaorm")]
mod oracle;
#[cfg(feature = "redis")]
mod redis;
mod rungs;
mod support;
mod victim;
