//! The benchmark gate: what it lets through, what it stops, and how often it is wrong.

mod budgets;
mod files;
mod real;
mod simulation;
mod support;
