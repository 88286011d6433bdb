//! What a name costs beside the `format!` that people write by hand.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tenancy_core::{Namespace, NamespacedKey, Tenant, TenantContext, TenantId};

fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().unwrap();
    let tenant = Tenant::builder(id, "acme".parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "bench").unwrap()
}

fn keys(c: &mut Criterion) {
    let mut group = c.benchmark_group("key");
    let one = context("42");
    let uuid = context("67e55044-10b1-426f-9247-bb680e5fe0c8");
    let order = uuid::Uuid::from_u128(0xa1a2_a3a4_b1b2_41c2_91d2_d3d4_d5d6_d7d8);
    const DEPLOYMENTS: Namespace = Namespace::new().with_area("deployments");
    group.bench_function("integer/format", |b| {
        b.iter(|| format!("tenant:{}:orders:{}", black_box(&one).id(), black_box(1234_u64)));
    });
    group.bench_function("integer/key", |b| {
        b.iter(|| NamespacedKey::new(black_box(&one), ("orders", black_box(1234_u64))));
    });
    group.bench_function("uuid/format", |b| {
        b.iter(|| format!("tenant:{}:orders:{}", black_box(&uuid).id(), black_box(order)));
    });
    group.bench_function("uuid/key", |b| {
        b.iter(|| NamespacedKey::new(black_box(&uuid), ("orders", black_box(order))));
    });
    group.bench_function("page/format", |b| {
        b.iter(|| {
            format!(
                "deployments:tenant:{}:page:{}:status:{}",
                black_box(&one).id(),
                black_box(3),
                black_box("open")
            )
        });
    });
    group.bench_function("page/key", |b| {
        b.iter(|| DEPLOYMENTS.key(black_box(&one), ("page", black_box(3), "status", black_box("open"))));
    });
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
