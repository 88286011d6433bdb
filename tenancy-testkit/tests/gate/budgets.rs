//! Budgets: what is kept, what is broken, and what is not understood.

use std::collections::BTreeMap;

use tenancy_testkit::gate::{
    Aim, BenchRun, Budgets, ErrorKind, Finding, GroupRun, Interval, Machine, Metric, Noise, Overhead, Report,
    Run, Verdict, judge,
};

use crate::support::{findings, paired, verdict};

fn steady(ns: f64) -> Vec<f64> {
    (0..200).map(|round| ns + f64::from(round % 5) * 0.1).collect()
}

fn group() -> Run {
    paired(&[
        ("bare", steady(400.0)),
        ("peer", steady(500.0)),
        ("ours", steady(460.0)),
        ("heavy", steady(700.0)),
    ])
}

#[test]
fn each_metric_is_kept_below_its_limit_and_broken_above() {
    let cases = [
        ("metric = 'time'\nat-most = '470 ns'", "metric = 'time'\nat-most = '450 ns'"),
        ("metric = 'added'\nat-most = '65 ns'", "metric = 'added'\nat-most = '0.055 us'"),
        ("metric = 'ratio'\nat-most = 1.2", "metric = 'ratio'\nat-most = 1.1"),
        (
            "metric = 'ratio'\nagainst = 'heavy'\nat-most = 0.7",
            "metric = 'ratio'\nagainst = 'heavy'\nat-most = 0.6",
        ),
        (
            "metric = 'added-ratio'\nagainst = 'peer'\nat-most = 0.65",
            "metric = 'added-ratio'\nagainst = 'peer'\nat-most = 0.55",
        ),
        (
            "metric = 'added-ratio'\nagainst = 'heavy'\nagainst-over = 'peer'\nat-most = 0.35",
            "metric = 'added-ratio'\nagainst = 'heavy'\nagainst-over = 'peer'\nat-most = 0.25",
        ),
    ];
    for (kept, broken) in cases {
        let budget = |rest: &str| format!("[[budget]]\nbench = 'group/ours'\n{rest}");
        assert_eq!(verdict(&budget(kept), &group()), Verdict::Within, "{kept}");
        assert_eq!(verdict(&budget(broken), &group()), Verdict::Over, "{broken}");
    }
}

#[test]
fn counts_are_exact() {
    let mut run = group();
    for (bench, count) in run.groups[0].benches.iter_mut().zip([2.0, 2.0, 5.0, 9.0]) {
        bench.counts = BTreeMap::from([("allocations".to_owned(), count)]);
    }
    let budget = |metric: &str, at_most: u32| {
        format!(
            "[[budget]]\nbench = 'group/ours'\nmetric = '{metric}'\nof = 'allocations'\nat-most = {at_most}"
        )
    };
    assert_eq!(verdict(&budget("count", 5), &run), Verdict::Within);
    assert_eq!(verdict(&budget("count", 4), &run), Verdict::Over);
    assert_eq!(verdict(&budget("added-count", 3), &run), Verdict::Within);
    assert_eq!(verdict(&budget("added-count", 2), &run), Verdict::Over);
}

fn with_overhead(p50: f64, p99: f64, noise: f64) -> Run {
    let around = |value: f64| Interval { low: value * 0.99, estimate: value, high: value * 1.01 };
    let overhead = Overhead {
        calls: 1_000,
        p50: around(p50),
        p99: around(p99),
        p999: around(p99),
        noise: Noise { p50: 0.0, p99: noise, p999: noise },
    };
    let bench = BenchRun { name: "layer".to_owned(), overhead: Some(overhead), ..BenchRun::default() };
    Run {
        groups: vec![GroupRun { name: "calls".to_owned(), paired: true, benches: vec![bench] }],
        ..Run::default()
    }
}

#[test]
fn the_wall_stops_what_every_call_pays_and_what_few_calls_pay() {
    let wall = "[[budget]]\nbench = 'calls/*'\nmetric = 'added-p99'\nat-most = '2 ms'";
    assert_eq!(verdict(wall, &with_overhead(300.0, 9_000.0, 8_000.0)), Verdict::Within);
    assert_eq!(verdict(wall, &with_overhead(2.1e6, 2.2e6, 8_000.0)), Verdict::Over);
    assert_eq!(verdict(wall, &with_overhead(300.0, 2.2e6, 8_000.0)), Verdict::Over);
    // What the machine makes of nothing is not held against the layer, and not for it.
    assert_eq!(verdict(wall, &with_overhead(300.0, 2.2e6, 2.2e6)), Verdict::Unclear);
    // But what every call pays is no noise.
    assert_eq!(verdict(wall, &with_overhead(2.1e6, 2.2e6, 2.2e6)), Verdict::Over);
}

#[test]
fn what_was_not_measured_is_no_pass() {
    let missing = "[[budget]]\nbench = ['group/ours', 'group/gone']\nmetric = 'time'\nat-most = '1 ms'";
    let found = findings(missing, &group());
    assert_eq!(
        found.iter().map(|found| found.verdict).collect::<Vec<_>>(),
        [Verdict::Within, Verdict::Unclear]
    );
    let optional =
        "[[budget]]\nbench = 'group/*'\nmetric = 'count'\nof = 'instructions'\nat-most = 1\noptional = true";
    assert_eq!(verdict(optional, &group()), Verdict::Skipped);
    let stranger = "[[budget]]\nbench = 'group/ours'\nmetric = 'ratio'\nagainst = 'gone'\nat-most = 1";
    let refused = judge(&Budgets::parse(stranger).unwrap(), &group()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidBudget);
}

#[test]
fn budgets_that_are_not_understood_are_refused() {
    let refused = [
        "bench = 'a'",
        "[[budget]]\nbench = 'a'\nmetric = 'time'\nat-most = 3",
        "[[budget]]\nbench = 'a'\nmetric = 'time'\nat-most = '3 weeks'",
        "[[budget]]\nbench = 'a'\nmetric = 'time'\nat-most = '-3 ns'",
        "[[budget]]\nbench = 'a'\nmetric = 'ratio'\nat-most = '3 ns'",
        "[[budget]]\nbench = 'a'\nmetric = 'ratio'\nat-most = nan",
        "[[budget]]\nbench = 'a'\nmetric = 'mean'\nat-most = 1",
        "[[budget]]\nbench = 'a'\nmetric = 'change'\nat-most = 1",
        "[[budget]]\nbench = 'a'\nmetric = 'count'\nat-most = 1",
        "[[budget]]\nbench = 'a'\nmetric = 'added-ratio'\nat-most = 1",
        "[[budget]]\nbench = 'a'\nmetric = 'time'\nat-most = '1 ns'\nagainst = 'b'",
        "[[budget]]\nbench = 'a'\nmetric = 'ratio'\nat-most = 1\natmost = 2",
        "[[budget]]\nbench = []\nmetric = 'ratio'\nat-most = 1",
        "[[budget]]\nbench = 'a'\nmetric = 'ratio'\nat-most = 1\ngoal = '3 ns'",
        "[[budget]]\nbench = 'a'\nmetric = 'ratio'\nat-most = 1\ngoal = 2",
        "[compare]\nat-most = 0.5",
    ];
    for text in refused {
        assert_eq!(
            Budgets::parse(text).map_err(|error| error.kind()),
            Err(ErrorKind::InvalidBudget),
            "{text}"
        );
    }
}

#[test]
fn a_goal_is_told_and_not_enforced() {
    let finding = |goal: &str| {
        let budget = format!("[[budget]]\nbench = 'group/ours'\nmetric = 'ratio'\nat-most = 1.2\n{goal}");
        findings(&budget, &group()).remove(0)
    };
    for (goal, aim) in [("goal = 1.1", Aim::Missed), ("goal = 1.16", Aim::Reached), ("", Aim::Reached)] {
        let finding = finding(goal);
        assert_eq!((finding.verdict, finding.aim()), (Verdict::Within, Some(aim)), "{goal}");
    }
    let wide =
        Finding { value: Some(Interval { low: 1.0, estimate: 1.1, high: 1.2 }), ..finding("goal = 1.1") };
    assert_eq!(wide.aim(), Some(Aim::Unclear));
    assert_eq!(Finding { value: None, ..wide }.aim(), None);
    let report = Report::new(Machine::here(), vec![finding("goal = 1.1")]);
    assert!(report.terminal().contains("1.100: not reached"), "{}", report.terminal());
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn patterns_stand_for_what_they_say() {
    let benches = |pattern: &str| {
        let budget = format!("[[budget]]\nbench = '{pattern}'\nmetric = 'time'\nat-most = '1 s'");
        findings(&budget, &group()).into_iter().map(|found| found.bench).collect::<Vec<_>>()
    };
    assert_eq!(benches("group/*"), ["bare", "peer", "ours", "heavy"]);
    assert_eq!(benches("*e*r"), ["peer"]);
    assert_eq!(benches("group/ours"), ["ours"]);
    assert_eq!(benches("group/our"), ["group/our"], "which was not measured");
    assert_eq!(benches("roup/*"), ["roup/*"], "which was not measured");
}

#[test]
fn exit_codes_tell_kept_from_broken_from_unknown() {
    let finding = |verdict| Finding {
        group: "group".to_owned(),
        bench: "bench".to_owned(),
        metric: Metric::Time,
        detail: String::new(),
        value: Some(Interval::exact(1.0)),
        limit: 2.0,
        goal: None,
        verdict,
        why: None,
    };
    let code = |verdicts: &[Verdict]| {
        Report::new(Machine::default(), verdicts.iter().copied().map(finding).collect()).exit_code()
    };
    assert_eq!(code(&[Verdict::Within, Verdict::Skipped]), 0);
    assert_eq!(code(&[Verdict::Within, Verdict::Over, Verdict::Unclear]), 1);
    assert_eq!(code(&[Verdict::Within, Verdict::Unclear]), 2);
    assert_eq!(code(&[]), 2, "no budget at all is no proof");
}
