//! Tests of the crate from outside; one module per topic.

mod cached;
mod names;
mod ui;
