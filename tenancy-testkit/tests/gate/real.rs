//! The gate on real programs, on whatever machine this is.

use std::convert::Infallible;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use tenancy_testkit::gate::{Group, Interleave, OverheadProbe, Run, Verdict};
use tower::service_fn;

use crate::support::verdict;

/// Work whose length is known: a chain of multiplications that cannot be shortened.
fn work(steps: u32) -> impl FnMut() -> u64 + 'static {
    move || (0..steps).fold(black_box(1_u64), |sum, step| black_box(sum.wrapping_mul(u64::from(step) | 1)))
}

fn measured(left: u32, right: u32) -> Run {
    let mut group = Group::new("group").with_bench("left", work(left)).with_bench("right", work(right));
    let run = Interleave::default().with_warm_up(Duration::from_millis(5)).measure(&mut group);
    Run { groups: vec![run], ..Run::default() }
}

const BUDGET: &str = "[[budget]]\nbench = 'group/right'\nmetric = 'ratio'\nat-most = 1.05";

/// Measures until the figures are clear, as the gate does.
fn judged(left: u32, right: u32) -> Verdict {
    let attempts = (0..3).map(|_| verdict(BUDGET, &measured(left, right)));
    attempts.reduce(|last, next| if last == Verdict::Unclear { next } else { last }).unwrap()
}

#[test]
fn ten_comparisons_of_the_same_raise_no_alarm() {
    let alarms = (0..10).filter(|_| judged(500, 500) == Verdict::Over).count();
    assert_eq!(alarms, 0);
}

#[test]
fn a_planted_tenth_is_caught() {
    // A little more than a tenth, because what surrounds the work takes the same time in both.
    let missed = (0..3).filter(|_| judged(500, 560) != Verdict::Over).count();
    assert_eq!(missed, 0);
}

/// A long run: `cargo test --release -p tenancy-testkit --no-default-features --features gate --test gate -- --ignored`.
#[test]
#[ignore = "minutes: a long run, whose command stands above; a short form of it runs always"]
fn two_hundred_comparisons_of_the_same_raise_no_alarm() {
    let alarms = (0..200).filter(|_| judged(500, 500) == Verdict::Over).count();
    println!("200 comparisons of the same: {alarms} alarms");
    assert_eq!(alarms, 0);
}

/// A long run: `cargo test --release -p tenancy-testkit --no-default-features --features gate --test gate -- --ignored`.
#[test]
#[ignore = "minutes: a long run, whose command stands above; a short form of it runs always"]
fn a_planted_tenth_is_caught_ninety_nine_times_in_a_hundred() {
    let missed = (0..100).filter(|_| judged(500, 560) != Verdict::Over).count();
    println!("100 planted tenths: {missed} missed");
    assert!(missed <= 1, "{missed} missed");
}

async fn wall(sleep: Duration) -> Verdict {
    let plain = service_fn(async |n: u64| Ok::<_, Infallible>(n + 1));
    let layered = service_fn(move |n: u64| {
        if !sleep.is_zero() {
            thread::sleep(sleep);
        }
        async move { Ok::<_, Infallible>(n + 1) }
    });
    let overhead = OverheadProbe::default().with_calls(300).measure(plain, layered, || 1).await.unwrap();
    let bench = tenancy_testkit::gate::BenchRun {
        name: "layer".to_owned(),
        overhead: Some(overhead),
        ..Default::default()
    };
    let group =
        tenancy_testkit::gate::GroupRun { name: "calls".to_owned(), paired: true, benches: vec![bench] };
    let run = Run { groups: vec![group], ..Run::default() };
    verdict("[[budget]]\nbench = 'calls/*'\nmetric = 'added-p99'\nat-most = '2 ms'", &run)
}

#[tokio::test]
async fn a_layer_that_sleeps_for_more_than_two_milliseconds_never_passes_the_wall() {
    for _ in 0..5 {
        assert_eq!(wall(Duration::from_micros(2_100)).await, Verdict::Over);
    }
}

#[tokio::test]
async fn a_layer_that_does_next_to_nothing_is_never_stopped_by_the_wall() {
    for _ in 0..5 {
        assert_ne!(wall(Duration::ZERO).await, Verdict::Over);
    }
}
