//! What is left behind on a connection by work that was dropped, cut or reset half-way, at each await and at each message
//! of the server. Covers SCH-08 to SCH-13, SCH-16, SCH-17 and SCH-27.
//!
//! Each of the six tests in `hygiene` runs every program on one runtime and one size of pool. Where `CI` is set, each
//! point is hit four times in each test, and so 24 times in all; elsewhere once, or as often as `TENANCY_ROUNDS` says.
//! `TENANCY_INJECTIONS` sets how many faults are injected in all, at least; for 100,000:
//!
//! ```sh
//! TENANCY_INJECTIONS=100000 cargo test --release -p tenancy-seaorm --all-features --test integration faults::hygiene -- --nocapture
//! ```

mod hygiene;
mod pooler;
mod programs;
mod restart;
mod world;
