//! The testkit against real servers.

#[cfg(feature = "faults")]
mod cancel;
#[cfg(feature = "check")]
mod check;
mod database;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
mod guards;
mod lifecycle;
#[cfg(feature = "seaorm")]
mod oracle;
#[cfg(feature = "pgbouncer")]
mod pgbouncer;
#[cfg(feature = "faults")]
mod proxy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "faults")]
mod restart;
mod rungs;
mod support;
mod victim;
