//! What a name and a cached value cost, beside what people write by hand.
//!
//! `cargo bench -p tenancy-benches --bench names` first prints the ratios that are promised: medians of pairs that were
//! measured in turn, so that a machine that slows down slows both. It fails if one is above its limit. Then criterion
//! measures each for itself.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::Criterion;
use tenancy_core::{Namespace, NamespacedKey, Tenant, TenantCache, TenantContext, TenantId};
use uuid::Uuid;

const DEPLOYMENTS: Namespace = Namespace::new().with_area("deployments");
const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
const ORDER: Uuid = Uuid::from_u128(0xa1a2_a3a4_b1b2_41c2_91d2_d3d4_d5d6_d7d8);

fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().unwrap();
    let tenant = Tenant::builder(id, "acme".parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "bench").unwrap()
}

/// One thing to measure, and the baseline beside it.
struct Pair {
    name: &'static str,
    ours: Box<dyn Fn(u32)>,
    baseline: Box<dyn Fn(u32)>,
    limit: f64,
}

impl Pair {
    fn new<A: 'static, B: 'static>(
        name: &'static str,
        limit: f64,
        ours: impl Fn() -> A + 'static,
        baseline: impl Fn() -> B + 'static,
    ) -> Self {
        Self { name, ours: Box::new(repeated(ours)), baseline: Box::new(repeated(baseline)), limit }
    }

    /// Returns the median of the ratios of `rounds` rounds in turn, and the medians in nanoseconds.
    fn ratio(&self, rounds: usize) -> (f64, f64, f64) {
        const CALLS: u32 = 5_000;
        let time = |run: &dyn Fn(u32)| {
            let start = Instant::now();
            run(CALLS);
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        };
        let (mut ratios, mut ours, mut baselines) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            let (our, baseline) = match round % 2 {
                0 => (time(&self.ours), time(&self.baseline)),
                _ => {
                    let baseline = time(&self.baseline);
                    (time(&self.ours), baseline)
                }
            };
            ratios.push(our / baseline);
            ours.push(our);
            baselines.push(baseline);
        }
        (median(ratios), median(ours), median(baselines))
    }
}

fn repeated<T>(call: impl Fn() -> T) -> impl Fn(u32) {
    move |calls| {
        for _ in 0..calls {
            black_box(call());
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Building a key, at most 1.5 times as slow as `format!` of the same text.
fn keys() -> [Pair; 3] {
    let (one, uuid) = (context("42"), context(UUID));
    let (a, b, c, d) = (one.clone(), uuid.clone(), one.clone(), one.clone());
    [
        Pair::new(
            "key/integer",
            1.5,
            move || NamespacedKey::new(black_box(&one), ("orders", black_box(1234_u64))),
            move || format!("tenant:{}:orders:{}", black_box(&a).id(), black_box(1234_u64)),
        ),
        Pair::new(
            "key/uuid",
            1.5,
            move || NamespacedKey::new(black_box(&uuid), ("orders", black_box(ORDER))),
            move || format!("tenant:{}:orders:{}", black_box(&b).id(), black_box(ORDER)),
        ),
        Pair::new(
            "key/page",
            1.5,
            move || DEPLOYMENTS.key(black_box(&c), ("page", black_box(3_u32), "status", black_box("open"))),
            move || {
                let id = black_box(&d).id();
                format!("deployments:tenant:{id}:page:{}:status:{}", black_box(3_u32), black_box("open"))
            },
        ),
    ]
}

/// A hit, at most 1.3 times as slow as one of moka with the same key and a time to live. Ours also builds the key, which
/// moka is given ready-made.
fn hits() -> [Pair; 2] {
    let pair = |name, tenant: TenantContext| {
        let ours = TenantCache::<u64>::new();
        let theirs =
            moka::sync::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_secs(60)).build();
        for order in 0..500_u64 {
            block_on(ours.get_or_load(
                &tenant,
                ("orders", order),
                |_| async move { Ok::<_, Infallible>(order) },
            ))
            .unwrap();
            theirs.insert(NamespacedKey::new(&tenant, ("orders", order)), order);
        }
        theirs.run_pending_tasks();
        let key = NamespacedKey::new(&tenant, ("orders", 123_u64));
        Pair::new(
            name,
            1.3,
            move || {
                let parts = ("orders", black_box(123_u64));
                block_on(ours.get_or_load(black_box(&tenant), parts, |_| async { Err(()) })).unwrap()
            },
            move || theirs.get(black_box(&key)).unwrap(),
        )
    };
    [pair("hit/integer", context("42")), pair("hit/uuid", context(UUID))]
}

/// Runs what is ready at once, as a hit is.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a hit does not wait"),
    }
}

fn main() {
    let mut too_slow = false;
    let pairs: Vec<Pair> = keys().into_iter().chain(hits()).collect();
    // `cargo test` runs a benchmark once and unoptimised: whether it works, not what it costs.
    let measured = std::env::args().any(|argument| argument == "--bench");
    for pair in pairs.iter().filter(|_| measured) {
        pair.ratio(50);
        let (ratio, ours, baseline) = pair.ratio(400);
        println!(
            "{:<12} {ours:>6.1} ns, baseline {baseline:>6.1} ns, ratio {ratio:.3} (limit {})",
            pair.name, pair.limit
        );
        too_slow |= ratio > pair.limit;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for pair in &pairs {
        let mut group = criterion.benchmark_group(pair.name);
        group.bench_function("ours", |bencher| bencher.iter(|| (pair.ours)(1)));
        group.bench_function("baseline", |bencher| bencher.iter(|| (pair.baseline)(1)));
        group.finish();
    }
    criterion.final_summary();
    assert!(!too_slow, "a ratio is above its limit");
}
