//! A report as one page for people: no script, nothing from elsewhere, light and dark.
//!
//! Every text goes through `maud`, which escapes it, and through [`crate::shown`], which shows what would hide.

mod diagram;
mod doctor;
mod leak;
mod tables;

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Report, Verdict};
use crate::shown::line;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded and nothing runs, whatever a text says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes `report` as a page.
pub(super) fn write(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (headline(report)) " · " (line(&report.service)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                main {
                    (void(report))
                    (leak::section(report))
                    (tables::matrix(report))
                    (tables::coverage(report))
                    (tables::checks(report))
                    (doctor::section(report))
                }
            }
        }
    };
    page.into_string()
}

fn header(report: &Report) -> Markup {
    let class = match report.verdict() {
        Verdict::Clean => "clean",
        Verdict::Leaks => "leaks",
        Verdict::Void => "void",
    };
    html! {
        header class=(class) {
            p.service { (line(&report.service)) }
            h1 { (headline(report)) }
            p.lead { (lead(report)) }
            dl.figures {
                (figure("programs", &grouped(report.programs)))
                (figure("requests", &grouped(report.requests)))
                (figure("time", &format!("{} of {}", seconds(report.elapsed), seconds(report.budget))))
                @if let Some(first) = report.time_to_first_catch { (figure("first leak after", &seconds(first))) }
                (figure("seed", &line(&report.seed)))
            }
        }
    }
}

fn figure(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn headline(report: &Report) -> String {
    let findings =
        report.doctor.iter().flatten().filter(|f| f.severity == crate::finding::Severity::Error).count();
    match (report.verdict(), report.leaks.len()) {
        (Verdict::Clean, _) => "Nothing crossed".to_owned(),
        (Verdict::Void, _) => "This run proves nothing".to_owned(),
        (Verdict::Leaks, 0) => format!("The database has {}", counted(findings, "fault")),
        (Verdict::Leaks, leaks) => counted(leaks, "leak"),
    }
}

fn lead(report: &Report) -> String {
    let tried = report.coverage.iter().filter(|operation| operation.is_complete()).count();
    let tenants = counted(report.tenants.len(), "tenant");
    let operations = counted(report.coverage.len(), "operation");
    format!("{tenants}, {operations}, {tried} of them tried with own, foreign and missing tenants.")
}

fn void(report: &Report) -> Markup {
    html! {
        @if !report.void.is_empty() {
            section.void aria-labelledby="void" {
                h2 #void { "What keeps this run from proving anything" }
                ul { @for reason in &report.void { li { (line(reason)) } } }
            }
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Writes `12345` as `12 345`, with spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202F}');
        }
        grouped.push(digit);
    }
    grouped
}

fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ ..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{:.1} min", duration.as_secs_f64() / 60.0),
    }
}
