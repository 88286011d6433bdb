//! Names, measured by criterion.

use criterion::{Criterion, criterion_group, criterion_main};

fn names(criterion: &mut Criterion) {
    tenancy_benches::with_criterion(criterion, &tenancy_benches::names::suite());
}

criterion_group!(benches, names);
criterion_main!(benches);
