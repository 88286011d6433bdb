//! The tenancy-tower crate.
