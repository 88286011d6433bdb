//! The testkit against real servers.

mod database;
mod support;
