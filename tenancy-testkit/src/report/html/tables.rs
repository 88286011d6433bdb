//! Who asked for whose data, which operations were tried, and what each detector saw.

use maud::{Markup, html};

use super::super::model::{Check, MatrixCell, OperationCoverage, Report, Signal};
use super::grouped;
use crate::shown::line;

/// The tenant × tenant matrix.
pub(super) fn matrix(report: &Report) -> Markup {
    let cell = |from: &str, to: &str| report.matrix.iter().find(|cell| cell.from == from && cell.to == to);
    html! {
        @if !report.tenants.is_empty() {
            section aria-labelledby="matrix" {
                h2 #matrix { "Who reached whose data" }
                div.scroll tabindex="0" role="group" aria-labelledby="matrix" {
                    table.matrix {
                        caption { "Requests of the tenant in a row, for data of the tenant in a column." }
                        thead {
                            tr {
                                th scope="col" { "asks ↓, owns →" }
                                @for from in &report.tenants { th scope="col" { (line(from)) } }
                            }
                        }
                        tbody {
                            @for to in &report.tenants {
                                tr {
                                    th scope="row" { (line(to)) }
                                    @for from in &report.tenants { (matrix_cell(cell(from, to), from == to)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn matrix_cell(cell: Option<&MatrixCell>, own: bool) -> Markup {
    match cell {
        Some(MatrixCell { leaks, requests, .. }) if *leaks > 0 => html! {
            td.leaks { b { (grouped(*leaks)) } " leaked" small { "of " (grouped(*requests)) } }
        },
        Some(MatrixCell { requests, .. }) if *requests > 0 => html! {
            td.own[own].kept[!own] { @if own { "own" } @else { "kept out" } small { (grouped(*requests)) } }
        },
        _ => html! { td.untried { "not tried" } },
    }
}

/// How often each operation was tried.
pub(super) fn coverage(report: &Report) -> Markup {
    let signals = [Signal::Own, Signal::Foreign, Signal::Missing];
    let most = report.coverage.iter().flat_map(|operation| signals.map(|signal| operation.of(signal))).max();
    html! {
        @if !report.coverage.is_empty() {
            section aria-labelledby="coverage" {
                h2 #coverage { "Coverage" }
                div.scroll tabindex="0" role="group" aria-labelledby="coverage" {
                    table.coverage {
                        caption { "Requests for each operation, by whose data was asked for." }
                        thead {
                            tr {
                                th scope="col" { "operation" }
                                th scope="col" { "own" }
                                th scope="col" { "foreign" }
                                th scope="col" { "without a tenant" }
                            }
                        }
                        tbody {
                            @for operation in &report.coverage { (coverage_row(operation, most.unwrap_or_default())) }
                        }
                    }
                }
            }
        }
    }
}

fn coverage_row(operation: &OperationCoverage, most: u64) -> Markup {
    html! {
        tr {
            th scope="row" { code { (line(&operation.operation)) } }
            @for (signal, class) in [(Signal::Own, "own"), (Signal::Foreign, "foreign"), (Signal::Missing, "missing")] {
                @let count = operation.of(signal);
                @if count == 0 {
                    td.never { "never" }
                } @else {
                    td {
                        span class=(format!("bar {class}")) style=(format!("--share:{:.1}%", share(count, most))) {}
                        (grouped(count))
                    }
                }
            }
        }
    }
}

/// Of the square root: an operation that was tried ten times is to be seen beside one of ten thousand.
fn share(count: u64, most: u64) -> f64 {
    100.0 * (count as f64 / most.max(1) as f64).sqrt()
}

/// What each detector did.
pub(super) fn checks(report: &Report) -> Markup {
    html! {
        @if !report.checks.is_empty() {
            section aria-labelledby="checks" {
                h2 #checks { "Detectors" }
                div.scroll tabindex="0" role="group" aria-labelledby="checks" {
                    table.checks {
                        caption { "Each detector had to see a leak that was planted for it before the search." }
                        thead {
                            tr {
                                th scope="col" { "detector" }
                                th scope="col" { "looks for" }
                                th scope="col" { "judged" }
                                th scope="col" { "planted leak" }
                                th scope="col" { "leaks" }
                            }
                        }
                        tbody { @for check in &report.checks { (check_row(check, report)) } }
                    }
                }
            }
        }
    }
}

fn check_row(check: &Check, report: &Report) -> Markup {
    let leaks = report.leaks.iter().filter(|leak| leak.detector == check.detector).count();
    html! {
        tr {
            th scope="row" { span.code { (check.detector) } }
            td { (check.detector.about()) }
            td.number { (grouped(check.observations)) }
            @match check.planted_seen {
                Some(true) => td { "seen" },
                Some(false) => td.leaks { b { "not seen" } },
                None => td.untried { "none planted" },
            }
            td.number.leaks[leaks > 0] { (leaks) }
        }
    }
}
