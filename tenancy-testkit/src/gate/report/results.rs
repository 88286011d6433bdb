//! Everything that was measured, as tables that can be checked in.

use super::{Report, text};
use crate::gate::budget::Metric;
use crate::gate::run::{BenchRun, GroupRun, Run};
use crate::gate::stats::median;

const HEADS: &[&str] = &[
    "bench",
    "median",
    "added",
    "ratio",
    "allocations",
    "instructions",
    "bytes",
    "p50 / p99 / p99.9 of single calls",
];

pub(super) fn of(report: &Report, run: &Run) -> String {
    let mut goals = report.findings.clone();
    goals.sort_by(|a, b| {
        (&a.group, &a.bench, a.metric.to_string()).cmp(&(&b.group, &b.bench, b.metric.to_string()))
    });
    let mut page = format!("{}\n{}\n", text::measured_on(&report.machine), text::findings(&goals));
    page.push_str(&format!("| {} |\n|---{}\n", HEADS.join(" | "), "|---:".repeat(HEADS.len() - 1) + "|"));
    for group in &run.groups {
        for bench in &group.benches {
            page.push_str(&format!("| {} |\n", row(group, bench).join(" | ")));
        }
    }
    page
}

/// The baseline has a median alone; in the other lines "added" and "ratio" compare with it, round by round.
fn row(group: &GroupRun, bench: &BenchRun) -> [String; 8] {
    let baseline = group.benches.first().filter(|first| first.name != bench.name);
    let pairs = baseline.filter(|_| group.paired).map_or(&[][..], |first| &first.rounds);
    let over = |compare: fn(f64, f64) -> f64| {
        typical(bench.rounds.iter().zip(pairs).map(|(own, other)| compare(*own, *other)).collect())
    };
    let count =
        |name| bench.counts.get(name).map_or_else(String::new, |count| text::amount(*count, Metric::Count));
    let time = |time: Option<f64>| time.map_or_else(String::new, |time| text::amount(time, Metric::Time));
    let single = bench.overhead.map_or_else(String::new, |overhead| {
        let [p50, p99, p999] = [overhead.p50, overhead.p99, overhead.p999].map(|at| time(Some(at.estimate)));
        format!("{p50} / {p99} / {p999}")
    });
    [
        format!("`{}/{}`", group.name, bench.name),
        time(typical(bench.rounds.clone())),
        time(over(|own, other| own - other)),
        over(|own, other| own / other).map_or_else(String::new, |ratio| text::amount(ratio, Metric::Ratio)),
        count("allocations"),
        count("instructions"),
        count("bytes"),
        single,
    ]
}

fn typical(mut rounds: Vec<f64>) -> Option<f64> {
    (!rounds.is_empty()).then(|| median(&mut rounds))
}
