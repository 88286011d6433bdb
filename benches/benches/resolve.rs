//! Resolution, measured by criterion.

use criterion::{Criterion, criterion_group, criterion_main};

fn resolve(criterion: &mut Criterion) {
    tenancy_benches::with_criterion(criterion, &tenancy_benches::resolve::suite());
}

criterion_group!(benches, resolve);
criterion_main!(benches);
