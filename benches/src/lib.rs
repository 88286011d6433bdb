//! What the tenancy crates cost, each beside a baseline and its peers in the same group.
//!
//! A group is written once, as a [`Suite`], and measured in several ways: in alternation for the gate, by criterion for
//! distributions and history, by a counting allocator, and by callgrind.

pub mod fixture;
pub mod names;
#[cfg(feature = "statements")]
pub mod placement;
pub mod resolve;
pub mod service;
#[cfg(feature = "statements")]
pub mod statement;

use criterion::Criterion;
use tenancy_testkit::gate::Suite;

/// Returns everything that is measured; statements only with the feature `statements`.
pub fn suite() -> Suite {
    let suite = resolve::suite().with_suite(service::suite()).with_suite(names::suite());
    #[cfg(feature = "statements")]
    let suite = suite.with_suite(statement::suite()).with_suite(placement::suite());
    suite
}

/// Lets criterion measure `suite`, with the names that the gate uses.
pub fn with_criterion(criterion: &mut Criterion, suite: &Suite) {
    for mut group in suite.groups(|_| true) {
        let names: Vec<String> = group.names().map(str::to_owned).collect();
        let mut benches = criterion.benchmark_group(group.name());
        for (at, name) in names.iter().enumerate() {
            benches.bench_function(name, |bencher| {
                bencher.iter_custom(|iterations| group.run(at, iterations));
            });
        }
        benches.finish();
    }
}
