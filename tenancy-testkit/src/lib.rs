//! The tenancy-testkit crate.
