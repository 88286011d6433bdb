//! Benchmarks of the tenancy crates.
