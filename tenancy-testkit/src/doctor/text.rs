//! Findings for a person at a terminal.

use super::diagnosis::Diagnosis;
use crate::finding::{Finding, Mend, Severity};
use crate::shown::line as shown;

pub(super) fn write(diagnosis: &Diagnosis) -> String {
    let mut lines = vec![format!(
        "role {} on PostgreSQL {}, {} declared tables",
        shown(&diagnosis.role),
        diagnosis.server,
        diagnosis.tables
    )];
    for finding in &diagnosis.findings {
        lines.push(String::new());
        lines.extend(paragraph(finding));
    }
    if !diagnosis.stale.is_empty() {
        lines.push(String::new());
        lines.extend(
            diagnosis
                .stale
                .iter()
                .map(|known| format!("gone    {}: take it out of the baseline", shown(known))),
        );
    }
    lines.push(String::new());
    lines.push(summary(diagnosis));
    lines.join("\n") + "\n"
}

fn paragraph(finding: &Finding) -> Vec<String> {
    let label = match finding.mend {
        Mend::Sql(_) => "mend",
        Mend::Declare(_) => "declare",
        Mend::Advice(_) => "do",
    };
    vec![
        format!("{:<7} {}  {} {}", finding.severity, finding.code, finding.kind, shown(&finding.object)),
        format!("        {:<8}{}", "what", shown(&finding.what)),
        format!("        {:<8}{}", "why", finding.why),
        format!("        {label:<8}{}", shown(finding.mend.text())),
    ]
}

fn summary(diagnosis: &Diagnosis) -> String {
    let count = |severity| diagnosis.findings.iter().filter(|finding| finding.severity == severity).count();
    let verdict = if diagnosis.is_healthy() { "healthy" } else { "not healthy" };
    format!(
        "{verdict}: {} errors, {} warnings, {} notes, {} known, {} gone",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note),
        diagnosis.known.len(),
        diagnosis.stale.len()
    )
}
