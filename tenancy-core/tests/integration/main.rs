//! Tests of the crate from outside; one module per topic.

mod bulk;
mod cached;
#[cfg(feature = "jwt")]
mod jwt;
mod names;
#[cfg(feature = "redis-cluster")]
#[path = "../support/redis.rs"]
mod redis_server;
mod ui;
