//! What the doctor found.

use maud::{Markup, html};

use super::super::model::Report;
use super::counted;
use crate::finding::{Finding, Mend, Severity};
use crate::shown::{block, line};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        @if let Some(findings) = &report.doctor {
            section aria-labelledby="doctor" {
                h2 #doctor { "The database" }
                p { (summary(findings)) }
                @for finding in findings { (card(finding)) }
            }
        }
    }
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    if findings.is_empty() {
        return "The doctor found nothing.".to_owned();
    }
    format!(
        "The doctor found {}, {} and {}.",
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Note), "note")
    )
}

fn card(finding: &Finding) -> Markup {
    let label = match finding.mend {
        Mend::Sql(_) => "Mend with",
        Mend::Declare(_) => "Declare",
        Mend::Advice(_) => "What to do",
    };
    html! {
        article class=(format!("finding {}", finding.severity)) {
            h3 {
                span.code { (line(&finding.code)) } " "
                span.severity { (finding.severity) } " "
                span.kind { (line(&finding.kind)) } " "
                code { (line(&finding.object)) }
            }
            p { (line(&finding.what)) }
            p.meta { (line(&finding.why)) }
            p.label { (label) }
            @if let Mend::Advice(advice) = &finding.mend {
                p { (line(advice)) }
            } @else {
                pre.select tabindex="0" { (block(finding.mend.text())) }
            }
        }
    }
}
