//! The reference application against hand-written witnesses.

mod data;
mod service;
mod shapes;
mod wiring;
mod witness;
mod world;
