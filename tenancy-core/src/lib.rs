//! The tenancy-core crate.
