//! The testkit against real servers.

mod database;
mod lifecycle;
mod rungs;
mod support;
mod victim;
