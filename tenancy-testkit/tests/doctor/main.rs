//! The doctor against real databases: each rule finds its planted defect, and a clean database has none.

mod clean;
mod output;
mod planted;
mod pooler;
mod program;
mod roles;
mod support;
