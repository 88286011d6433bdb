//! Placeholder until the first commit that runs.
fn main() {}
