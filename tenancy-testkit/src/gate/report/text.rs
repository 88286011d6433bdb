//! Tables, for terminals and for pull requests.

use super::Report;
use crate::gate::Machine;
use crate::gate::budget::Metric;
use crate::gate::judge::{Aim, Finding, Verdict};
use crate::gate::stats::Interval;

const HEADS: [&str; 6] = ["bench", "metric", "value", "limit", "verdict", "goal"];

pub(super) fn terminal(report: &Report) -> String {
    let rows: Vec<[String; 6]> = report.findings.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADS[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |cells: [&str; 6]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(HEADS);
    for row in &rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text.push_str(&format!("\n{}\n", summary(report)));
    text
}

pub(super) fn markdown(report: &Report) -> String {
    let table = findings(&report.findings);
    format!("### Performance: {}\n\n{table}\n{}", summary(report), measured_on(&report.machine))
}

/// Returns a table of findings in Markdown.
pub(super) fn findings(findings: &[Finding]) -> String {
    let mut text = format!("| {} |\n|---|---|---|---|---|---|\n", HEADS.join(" | "));
    for finding in findings {
        let cells = row(finding).map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

pub(super) fn measured_on(machine: &Machine) -> String {
    format!(
        "Measured on {} processors of {} ({}). In brackets, the interval that holds the true value but for one time in \
         a thousand on each side.\n",
        machine.processors, machine.cpu, machine.system
    )
}

fn summary(report: &Report) -> String {
    let count = |verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (over, unclear, skipped) = (count(Verdict::Over), count(Verdict::Unclear), count(Verdict::Skipped));
    let kept = report.findings.len() - over - unclear - skipped;
    let mut parts = vec![format!("{kept} within budget")];
    let others = [(over, "over budget"), (unclear, "could not be measured"), (skipped, "skipped")];
    parts
        .extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

fn row(finding: &Finding) -> [String; 6] {
    let bench = if finding.group.is_empty() {
        finding.bench.clone()
    } else {
        format!("{}/{}", finding.group, finding.bench)
    };
    let metric = match finding.detail.as_str() {
        "" => finding.metric.to_string(),
        detail => format!("{} ({detail})", finding.metric),
    };
    let value =
        finding.value.map_or_else(|| "not measured".to_owned(), |value| interval(value, finding.metric));
    let verdict = match finding.verdict {
        Verdict::Over => "OVER",
        Verdict::Unclear => "unclear",
        Verdict::Within => "ok",
        Verdict::Skipped => "skipped",
    };
    [bench, metric, value, amount(finding.limit, finding.metric), verdict.to_owned(), goal(finding)]
}

fn goal(finding: &Finding) -> String {
    let Some(goal) = finding.goal else { return String::new() };
    let aim = match finding.aim() {
        Some(Aim::Reached) => "reached",
        Some(Aim::Missed) => "not reached",
        Some(Aim::Unclear) => "within noise",
        None => "not measured",
    };
    format!("{}: {aim}", amount(goal, finding.metric))
}

fn interval(value: Interval, metric: Metric) -> String {
    if value.low == value.high {
        return amount(value.estimate, metric);
    }
    let [low, estimate, high] = [value.low, value.estimate, value.high].map(|value| amount(value, metric));
    format!("{estimate} [{low}, {high}]")
}

pub(super) fn amount(value: f64, metric: Metric) -> String {
    if metric.is_time() {
        return match value.abs() {
            ns if ns < 1e4 => format!("{value:.0} ns"),
            ns if ns < 1e6 => format!("{:.1} µs", value / 1e3),
            ns if ns < 1e9 => format!("{:.2} ms", value / 1e6),
            _ => format!("{:.2} s", value / 1e9),
        };
    }
    match metric {
        Metric::Count | Metric::AddedCount if value.fract() == 0.0 => format!("{value:.0}"),
        Metric::Count | Metric::AddedCount => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
