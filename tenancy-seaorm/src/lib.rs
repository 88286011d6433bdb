//! The tenancy-seaorm crate.
