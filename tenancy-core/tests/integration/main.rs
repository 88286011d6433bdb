//! Tests of the crate from outside; one module per topic.

mod names;
mod ui;
