//! Runs made by hand, and recorded ones.

use tenancy_testkit::gate::{BenchRun, Budgets, Finding, GroupRun, Run, Verdict, judge};

/// A group of benches with these rounds, measured in alternation.
pub(crate) fn paired(benches: &[(&str, Vec<f64>)]) -> Run {
    let benches = benches.iter().map(|(name, rounds)| BenchRun {
        name: (*name).to_owned(),
        rounds: rounds.clone(),
        ..BenchRun::default()
    });
    let group = GroupRun { name: "group".to_owned(), paired: true, benches: benches.collect() };
    Run { groups: vec![group], ..Run::default() }
}

pub(crate) fn findings(budgets: &str, run: &Run) -> Vec<Finding> {
    judge(&Budgets::parse(budgets).unwrap(), run).unwrap()
}

pub(crate) fn verdict(budgets: &str, run: &Run) -> Verdict {
    let findings = findings(budgets, run);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings[0].verdict
}

/// That `right` takes at most 1.05 times as long as `left`.
pub(crate) fn ratio_verdict(left: Vec<f64>, right: Vec<f64>) -> Verdict {
    let budget = "[[budget]]\nbench = 'group/right'\nmetric = 'ratio'\nat-most = 1.05";
    verdict(budget, &paired(&[("left", left), ("right", right)]))
}
