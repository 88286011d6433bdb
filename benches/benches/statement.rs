//! Statements, measured by criterion; on PostgreSQL too if `STATEMENT_BENCH_POSTGRES` names a database to fill.

use criterion::{Criterion, criterion_group, criterion_main};

fn statements(criterion: &mut Criterion) {
    tenancy_benches::with_criterion(criterion, &tenancy_benches::statement::suite());
}

criterion_group!(benches, statements);
criterion_main!(benches);
