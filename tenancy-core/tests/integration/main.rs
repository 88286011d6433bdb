//! Tests of the crate from outside; one module per topic.

mod bulk;
mod cached;
mod ended;
#[cfg(feature = "jwt")]
mod jwt;
mod names;
mod parsing;
#[cfg(feature = "redis-cluster")]
#[path = "../support/redis.rs"]
mod redis_server;
mod scope;
mod ui;
