//! The parts of the quickstart, which its tests use too.

// An example, not a library: the fields of its tables need no sentences, and `sea_orm`'s derives write none.
#![allow(missing_docs)]

pub mod api;
pub mod entity;
pub mod probe;
mod seed;
pub mod server;

/// The README's example is compiled with the workspace.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
